/*
 * rawagenda.h - which raw parts of a project are to become one, as a pure function of what there is.
 *
 * Parts of the same day of arrival become one when the day is over, as far as the whole stays below
 * RAW_MERGE_BYTES; before that, whenever RAW_MERGE_LEAST or more neighbours are of like size (none is half
 * of them all): so a sample is written again about once each time the day's data grows to the
 * RAW_MERGE_LEAST-fold.  A project that keeps samples for less than a day has its hours instead; below an
 * hour parts stay as they are: what is dropped whole should not be kept for twice as long.
 */
#ifndef STORE_RAWAGENDA_H
#define STORE_RAWAGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAW_MERGE_LEAST 8
#define RAW_MERGE_MOST  64
#define RAW_MERGE_BYTES ((uint64_t)1 << 30)

/* By rising batches. */
struct raw_piece {
	int64_t arrived_ns;
	uint64_t bytes;
};

/* The neighbours [*ret_from, *ret_from + *ret_n) that are due; false: none are. */
bool raw_due(const struct raw_piece *p, size_t n, int64_t keep_ns, int64_t now_ns, size_t *ret_from,
	     size_t *ret_n);

#endif

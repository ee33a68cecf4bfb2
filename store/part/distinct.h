/*
 * distinct.h - which different numbers a column has, and which of them each number is.
 *
 * Readings that a coarse sensor made, percentages, a rate of a few counts: they jump about, so that nothing
 * foretells them, but come back to the same values again and again.  column.h keeps these once.
 *
 * Pure; any thread.
 */
#ifndef STORE_DISTINCT_H
#define STORE_DISTINCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISTINCT_OF_MAX 4096 /* numbers in a column */
#define DISTINCT_MAX    (DISTINCT_OF_MAX / 2)

struct distinct {
	size_t n;
	int64_t numbers[DISTINCT_MAX];   /* rising */
	int64_t places[DISTINCT_OF_MAX]; /* of each number of the column in these */
};

/* Whether some of them, from all over, come back often enough to look at all. */
bool distinct_may_be_few(const int64_t *v, size_t n);

/* Of n <= DISTINCT_OF_MAX numbers; false: more than half of them differ. */
bool distinct_find(const int64_t *v, size_t n, struct distinct *ret);

#endif

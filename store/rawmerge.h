/*
 * rawmerge.h - raw parts that follow each other become one; one is made again without runs that are gone.
 */
#ifndef STORE_RAWMERGE_H
#define STORE_RAWMERGE_H

#include "store/rawmake.h"

/* The rows are of one project, by rising first batch, RAW_MERGE_MOST of them at most.  ret is to be released,
 * whatever is returned.  1: all runs of theirs are gone, nothing was made.  ERR_CORRUPT: one of them is
 * damaged, or the new one is not what it was made from; ERR_GONE: *stop was set. */
int raw_merge(struct store *s, const struct raw_row *rows, size_t n, uint64_t number, atomic_bool *stop,
	      struct raw_made *ret);

#endif

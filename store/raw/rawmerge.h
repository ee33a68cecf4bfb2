/*
 * rawmerge.h - raw parts that follow each other become one; one is made again without runs that are gone, or
 * without what is damaged in it.
 */
#ifndef STORE_RAWMERGE_H
#define STORE_RAWMERGE_H

#include "store/compact/quarantine.h"
#include "store/raw/rawmake.h"

/* The rows are of one project, by rising first batch, RAW_MERGE_MOST of them at most.  ret is to be released,
 * whatever is returned.  What is damaged in them is left out, kept in DIR/quarantine and added to *lost
 * (rawaside.h), which is to be put together with the row.  1: nothing is left of them, nothing was made.
 * ERR_CORRUPT: the new one is not what it was made from; ERR_GONE: *stop was set. */
int raw_merge(struct store *s, const struct raw_row *rows, size_t n, uint64_t number, atomic_bool *stop,
	      struct raw_made *ret, struct quarantine *lost);

#endif

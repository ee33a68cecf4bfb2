/*
 * merged.h - by=: the windows of several series of a run, each window merged over all of them.
 *
 * Exact, as bucket_merge is.  Series come one after another from scan.h, so the rows of a stretch
 * of time are kept until the last series has been read: at most MERGED_ROWS_MAX, the stretch is cut
 * where there are more.
 */
#ifndef QUERY_MERGED_H
#define QUERY_MERGED_H

#include "query/scan.h"

#define MERGED_ROWS_MAX 20000

/* As scan_run, but all rows are those of series 0.  `wanted` (NULL: all are) chooses rows of the
 * single series, before they are merged; it is given the scan's arg. */
int merged_run(const struct scan *s, bool (*wanted)(void *arg, size_t series, int64_t start_ns),
	       bool *ret_partial);

#endif

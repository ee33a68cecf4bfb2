/*
 * merged.h - by=: the windows of several series of a run, each window merged over all of them.
 *
 * Exact, as bucket_merge is.  Series come one after another from scan.h, so the rows of a group are
 * kept until its last series has been read: at most MERGED_ROWS_MAX.  Where there may be more, the
 * time is cut into stretches, group by group.
 */
#ifndef QUERY_MERGED_H
#define QUERY_MERGED_H

#include "query/scan.h"

#define MERGED_ROWS_MAX 20000

struct merge_plan {
	const struct scan *scan; /* its sids: group after group; its row is told the group for the series */
	const size_t *ends;      /* of each group: where in sids it ends; rising, the last is n_sids */
	/* Chooses rows of a single series, before they are merged; given the scan's arg. */
	bool (*wanted)(void *arg, size_t series, int64_t start_ns);
};

/* As scan_run. */
int merged_run(const struct merge_plan *p, bool *ret_partial);

#endif

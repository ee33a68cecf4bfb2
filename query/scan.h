/*
 * scan.h - buckets of many series over a long range, in slots that keep views and memory small.
 *
 * The base windows of the store are merged into windows of `every_ns`.  Rows come series by
 * series, in the order of sids[], then by time.  Each slot is one view, which holds at most about
 * SCAN_SLOT_BUCKETS buckets; `row` is called under that view and must not block, `pause` (may be
 * NULL) is called between slots with no view open, and is where an answer is sent.
 */
#ifndef QUERY_SCAN_H
#define QUERY_SCAN_H

#include "store/read.h"

#define SCAN_SLOT_BUCKETS 50000
#define SCAN_WHOLE        INT64_MAX /* every_ns: one row for the whole range, starting at from_ns */

struct scan {
	struct store *store;
	uint32_t rid;
	int64_t window_ns; /* the run's base window */
	const uint32_t *sids;
	size_t n_sids;
	int64_t from_ns, to_ns; /* multiples of every_ns */
	int64_t every_ns;       /* a multiple of window_ns */
	unsigned fields;        /* of buckets that row looks at (bucket.h); 0: all */
	int (*row)(void *arg, size_t series, int64_t start_ns, const struct bucket *b);
	int (*pause)(void *arg);
	void *arg;
};

/* What row or pause returned when that was not 0, else 0 or an error of the store.
 * *ret_partial is set, never cleared. */
int scan_run(const struct scan *s, bool *ret_partial);

#endif

/*
 * scan.h - windows of many series over a long range, in slots that keep views and memory small.
 *
 * Windows are read as wide as `width_ns`, which coarser tiers serve, and merged into rows of `every_ns`.
 * Rows come series by series, in the order of sids[], then by time.  Each slot is one view, which is to
 * hold about SCAN_SLOT_BUCKETS buckets; `row` is called under that view and must not block, `pause` (may
 * be NULL) is called between slots with no view open, and is where an answer is sent.
 *
 * How many buckets a slot of time holds depends on how dense a series is and which tiers there are, so
 * slots grow while few are found, and one that turns out too large is given up and read in smaller ones.
 */
#ifndef QUERY_SCAN_H
#define QUERY_SCAN_H

#include "store/read.h"

#define SCAN_SLOT_BUCKETS 50000

struct scan {
	struct store *store;
	uint32_t rid;
	int64_t window_ns; /* the run's base window */
	const uint32_t *sids;
	size_t n_sids;
	int64_t width_ns;       /* as view_windows wants it */
	int64_t from_ns, to_ns; /* multiples of width_ns */
	int64_t every_ns;       /* a multiple of width_ns; rows start at multiples of it */
	unsigned fields;        /* of buckets that row looks at (bucket.h); 0: all */
	int (*row)(void *arg, size_t series, int64_t start_ns, const struct bucket *b);
	/* NULL, or told of rows that lie side by side in a part, instead of `row`; under the view too.  Then
	 * `fields` has some of SHEET_FIELDS, and rows have these alone. */
	int (*sheet)(void *arg, size_t series, const struct sheet *s);
	int (*pause)(void *arg);
	void *arg;
};

/* What row or pause returned when that was not 0, else 0 or an error of the store.
 * *ret_partial is set, never cleared. */
int scan_run(const struct scan *s, bool *ret_partial);

#endif

/*
 * found.h - buckets of some series, kept in the order in which they are found here and there, told in
 * the order of the series and of time, partials of one window merged.
 *
 * One thread.  What is added is copied.
 */
#ifndef STORE_FOUND_H
#define STORE_FOUND_H

#include "store/bucket/block.h"

struct found_bucket {
	uint32_t position; /* of the series in the caller's list */
	int64_t start_ns, window_ns;
	struct bucket bucket;
};

struct found {
	const uint32_t *asked; /* the caller's list, borrowed */
	uint32_t *sids;        /* the same, rising */
	uint32_t *positions;   /* of these in the list */
	size_t n_sids, last;   /* the place of the series that was added to last */
	struct found_bucket *all;
	size_t n, cap, max; /* found_add fails with ERR_FULL when there are more than max */
	size_t mark;        /* those before stay as they are, so that found_truncate can go back to here */
	size_t *totals;     /* found_total: by position, 1 + the place of its only bucket; NULL before */
	size_t n_totals;
};

/* ERR_NOMEM; found_release is right either way. */
int found_init(struct found *f, const uint32_t *sids, size_t n_sids);
void found_release(struct found *f);

/* A bucket of a series that is not asked for is passed over.  A window narrower than width_ns, which it
 * divides, becomes one of that. */
int found_add(struct found *f, struct block_key key, int64_t width_ns, const struct bucket *b);

/* Forgets all but the first n, or all. */
void found_truncate(struct found *f, size_t n);
void found_clear(struct found *f);

/* Merges all of a series into one bucket, so that there are never many; windows are TIER_WHOLE. */
int found_total(struct found *f);

/* By series, then time. */
int found_tell(struct found *f, block_fn fn, void *arg);

#endif

/*
 * slot_source.h - what a part of a slot is made of: the series of a project that may have something in it,
 * and their buckets, merged into windows of the tier, some series at a time.
 *
 * Runs that are gone have no series, so nothing of them is found.  A hundred thousand finer buckets are in
 * memory at a time.  One thread.
 */
#ifndef STORE_SLOT_SOURCE_H
#define STORE_SLOT_SOURCE_H

#include "store/base/progress.h"
#include "store/part/manifest.h"
#include "store/store.h"

#define SLOT_WALK_STEPS 1000

struct slot_source {
	/* asked for */
	struct store *store;
	uint32_t pid;
	int64_t tier_ns, from_ns, to_ns;
	uint64_t upto;               /* flushes up to here */
	bool finer;                  /* only from parts of finer tiers: what a coarse part was made of */
	const struct part_id *taken; /* only from these and the totals there are; NULL: from the slot */
	size_t n_taken;
	struct kv_txn *txn;        /* the snapshot of what is at hand; one for all with one_txn */
	bool one_txn;              /* else a new one for some hundred thousand buckets each */
	atomic_bool *stop;         /* may be NULL */
	struct progress *progress; /* each walk is SLOT_WALK_STEPS of it; NULL: none */
	/* found */
	struct run_range *runs; /* by rising rid; ranges are the caller's to fill */
	size_t n_runs, runs_cap;
	struct sid_run *series; /* by rising sid */
	size_t n_series, series_cap;
	uint64_t windows;         /* that a series may have in the slot */
	int64_t least_ns;         /* of the runs' windows */
	int64_t taken_arrived_ns; /* the latest of the parts taken */
};

int slot_source_find(struct slot_source *s);
void slot_source_release(struct slot_source *s);

/* Tells fn all buckets, by series and time.  ERR_CORRUPT: something is damaged.  ERR_GONE: *stop was set,
 * or a part of one_txn went away. */
int slot_source_walk(struct slot_source *s, block_fn fn, void *arg);

/* The run of a series; 0: it was not found. */
uint32_t slot_source_run(const struct slot_source *s, uint32_t sid);

/* The series found, rising; the array is the caller's to free. */
int slot_source_sids(const struct slot_source *s, uint32_t **ret);

#endif

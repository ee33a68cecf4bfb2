/*
 * memory.h - the buckets that are in no block yet.
 *
 * Buckets lie in panes (pane.h), and these in tables by epoch: the end of their window, rounded up
 * to EPOCH_NS.  A flush takes whole tables, so choosing what is due costs nothing per bucket.  Samples of
 * epochs that a flush has passed (late data, backfill) share one table, which every flush takes.
 *
 * Tables taken by a flush are frozen: they no longer change, and stay visible to readers until the
 * flush is done.  Each table knows the first batch it holds a sample of: what comes before the
 * least of these can be trimmed from the journal.
 *
 * The writer folds, freezes and drops; readers look up.  Callers hold the store's memory lock
 * (store.h); the flush reads frozen tables without it.  Out of memory while folding ends the
 * process: the journal already has the samples, and a restart folds them again.
 */
#ifndef STORE_MEMORY_H
#define STORE_MEMORY_H

#include "store/bucket/block.h"
#include "store/hot/pane.h"

#define EPOCH_NS   (30 * NS_PER_S)
#define EPOCH_LATE INT64_MIN

struct entry_key {
	int64_t start_ns;
	uint32_t sid, window_ms;
};

struct entry {
	struct entry_key key;
	const struct bucket *bucket; /* borrowed for the call */
};

struct table;

struct memory {
	struct table **open; /* by rising epoch; EPOCH_LATE first */
	size_t n_open;
	struct table **frozen;
	size_t n_frozen;
	int64_t floor_ns; /* epochs up to here have been flushed once: their samples are late */
	struct table *recent;
};

void memory_init(struct memory *m);
void memory_release(struct memory *m);

/* Folds a record's samples and buckets; those that skip_floor says are in blocks already (epoch <=
 * skip_floor) are left out: INT64_MIN leaves none out. */
void memory_fold(struct memory *m, uint64_t batch, const struct journal_record *rec, int64_t skip_floor);

size_t memory_buckets(const struct memory *m);             /* open and frozen */
size_t memory_bytes(const struct memory *m);               /* of the open tables */
size_t memory_late_bytes(const struct memory *m);          /* of the open table of late data */
bool memory_due(const struct memory *m, int64_t floor_ns); /* an open table's epoch <= floor_ns */

/* Moves the open tables with epoch <= floor_ns to the frozen ones, and raises the floor; INT64_MAX:
 * all of them, and the floor stays.  Nothing may be frozen already. */
void memory_freeze(struct memory *m, int64_t floor_ns);
void memory_drop_frozen(struct memory *m);

/* Least first batch of the open tables; UINT64_MAX when there is none. */
uint64_t memory_first_batch(const struct memory *m);

/* Calls fn for each entry; its first non-zero value ends the walk and is returned.  The flusher
 * walks the frozen ones by (sid, start); readers find those of some series with start in [from, to),
 * in no order. */
typedef int (*entry_fn)(void *arg, const struct entry *e);
int memory_walk_frozen(const struct memory *m, entry_fn fn, void *arg);
int memory_find(const struct memory *m, const uint32_t *sids, size_t n_sids, int64_t from_ns, int64_t to_ns,
		entry_fn fn, void *arg);

#endif

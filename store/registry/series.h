/*
 * series.h - rows of series, and the registry in memory that turns names into ids.
 *
 * A series is known by its run, metric name and labels; the unit is a remark, the first one stays.
 * Its id (sid) is unique in the store and never reused, not even when the commit that made it
 * failed.
 *
 * Row (kind SERIES), key (rid, sid): i64 created, metric s, unit s, v labels, (key s, value s)*,
 * labels by rising key.
 */
#ifndef STORE_SERIES_H
#define STORE_SERIES_H

#include <pthread.h>

#include "store/model.h"
#include "store/stored.h"

int series_put(struct kv_txn *t, uint32_t rid, uint32_t sid, int64_t created_ns,
	       const struct series_name *name);

/* Spans of ret are borrowed from body. */
int series_decode(struct span body, struct series_name *ret);

/* ERR_NOT_FOUND.  Spans of ret are borrowed from the transaction. */
int series_get(struct kv_txn *t, uint32_t rid, uint32_t sid, struct series_name *ret);

/* Calls fn for the series of a run (0: of all runs) by rising sid. */
typedef int (*series_row_fn)(void *arg, uint32_t rid, uint32_t sid, const struct series_name *name);
int series_read(struct kv_txn *t, uint32_t rid, series_row_fn fn, void *arg);

/* ---- the registry: named by the writer thread, read by all ---- */

struct sid_table {
	uint32_t *slots; /* sids, hashed; 0: none */
	size_t mask, used;
};

struct registry {
	pthread_rwlock_t lock;
	struct registry_entry *entries; /* by sid; rid 0 where there is none */
	uint32_t *alike;                /* by sid: the one before it of its run and metric; 0: none */
	size_t n_entries;
	struct name_chunk *names;   /* the newest of those that hold the names */
	struct sid_table by_name;   /* of run and name */
	struct sid_table by_metric; /* of run and metric: the newest alone */
	uint64_t rollbacks;         /* how often ids were taken back: names found before may be stale */
};

struct registry_entry {
	uint32_t rid;
	uint32_t hash;       /* upper half of the name's hash */
	const uint8_t *name; /* u16 length, canonical bytes; in a chunk */
};

int registry_init(struct registry *r);
void registry_release(struct registry *r);
int registry_add(struct registry *r, uint32_t rid, uint32_t sid, const struct series_name *name);
void registry_truncate(struct registry *r,
		       uint32_t from_sid); /* forgets ids >= from_sid: undoes registry_add */

/* Forgets series of a run that is gone; what is 0 or unknown is passed over.  Any thread. */
void registry_forget(struct registry *r, const uint32_t *sids, size_t n);

/* 0 or ERR_NOT_FOUND. */
int registry_find(struct registry *r, uint32_t rid, const struct series_name *name, uint32_t *ret_sid);

/* Appends to *found, which is the caller's to free, the series of a run and metric that `wanted` takes,
 * newest first; it is asked under the lock, with names without units.  Those of a transaction that has not
 * been committed are among them.  ERR_NOMEM. */
struct sid_list {
	uint32_t *sids;
	size_t n, cap;
};
int registry_collect(struct registry *r, uint32_t rid, struct span metric,
		     bool (*wanted)(void *arg, const struct series_name *name), void *arg,
		     struct sid_list *found);

/* How often ids were taken back; a sid found before the number rose may be stale. */
uint64_t registry_rollbacks(struct registry *r);

/* The run of a series; 0 when there is none. */
uint32_t registry_run(struct registry *r, uint32_t sid);

/* Index of the first sid that is no series of the run; n when all are. */
size_t registry_check(struct registry *r, uint32_t rid, const uint32_t *sids, size_t n);

#endif

/*
 * run.h - rows of runs, and the table of runs in memory that ingest asks.
 *
 * Row (kind RUN), key rid:
 *   u8 state, u8 flags (1 imported, 2 has exit code), i32 exit code, i64 window, created, started,
 *   ended, heartbeat, deleted; u32 pid; project s, id s, spec JSON s, sources JSON s
 */
#ifndef STORE_RUN_H
#define STORE_RUN_H

#include <pthread.h>

#include "store/model.h"
#include "store/stored.h"
#include "store/write.h"

/* As stored; ret is to be released. */
int run_decode(uint32_t rid, struct span body, struct run *ret);

int run_get(struct kv_txn *t, uint32_t rid, struct run *ret);
int run_put(struct kv_txn *t, const struct run *r);

/* The run's project and window alone, at little cost. */
int run_owner(struct kv_txn *t, uint32_t rid, uint32_t *ret_pid, int64_t *ret_window_ns);

/* rid by name.  ERR_NOT_FOUND. */
int run_lookup(struct kv_txn *t, const char *project, const char *id, uint32_t *ret_rid);
int run_put_name(struct kv_txn *t, const struct run *r);
int run_del_name(struct kv_txn *t, const struct run *r);

/* When it was deleted; 0: it is there.  Reads little.  ERR_NOT_FOUND: it is gone for good. */
int run_get_deleted(struct kv_txn *t, uint32_t rid, int64_t *ret_ns);

/* Enters a state: started and ended follow; ended_ns 0: an end is now. */
void run_enter_state(struct run *r, enum run_state state, int64_t now_ns, int64_t ended_ns);

/* A running run that gave no sign of life for RUN_LOST_AFTER_NS is lost. */
enum run_state run_state_at(const struct run *r, int64_t now_ns);

/* ---- runs in memory: written by the writer thread, read by all ---- */

struct run_entry {
	uint32_t rid, pid;
	int64_t window_ns;
	char project[ID_MAX + 1], id[ID_MAX + 1];
	bool deleted; /* nobody finds it by name */
	/* the writer's own */
	uint32_t n_series;
	int64_t heartbeat_ns; /* as stored */
	enum run_state state;
};

struct runs {
	pthread_rwlock_t lock;
	struct run_entry **by_rid; /* dense, [0] unused; NULL where there is no such run */
	size_t n_rids;
	uint32_t *slots; /* rids, hashed by project and id */
	size_t mask, used;
};

int runs_init(struct runs *rs);
void runs_release(struct runs *rs);
int runs_add(struct runs *rs, const struct run *r);
void runs_remove(struct runs *rs, uint32_t rid);

/* A deleted run keeps its entry and gives its name away; it gets it back only while no other run has
 * it.  ERR_NOMEM. */
int runs_set_deleted(struct runs *rs, uint32_t rid, bool deleted);

/* 0 or ERR_NOT_FOUND. */
int runs_find(struct runs *rs, const char *project, const char *id, struct run_ref *ret);

/* Whether the run is there, or deleted and not gone yet. */
bool runs_known(struct runs *rs, uint32_t rid);

/* Into ret of ID_MAX + 1 bytes; false: the run is not there, or deleted. */
bool runs_project(struct runs *rs, uint32_t rid, char *ret);

/* For the writer thread, which alone changes entries; NULL when there is none. */
struct run_entry *runs_entry(struct runs *rs, uint32_t rid);

#endif

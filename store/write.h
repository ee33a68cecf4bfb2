/*
 * write.h - the way in: checked batches to the one writer, and the few other changes.
 *
 * An ingest thread fills a batch, seals it (which does the expensive encoding on its own thread)
 * and submits it.  The writer thread gathers all that is queued into one LMDB transaction:
 * duplicates are decided, new series named, logs and journal appended.  After the commit, which
 * is durable, samples are folded into memory and each batch's `done` is called.  So done with
 * err == 0 means: durable, counted once, visible to every reader.
 *
 * Any thread may call; a batch belongs to one thread until submitted, then to the store until
 * `done`.
 */
#ifndef STORE_WRITE_H
#define STORE_WRITE_H

#include "store/base/arena.h"
#include "store/hot/bucket_record.h"
#include "store/model.h"

struct store;

#define PRODUCER_ID_BYTES 16
#define PRODUCER_WINDOW   64 /* how far a sequence may run ahead of the first one missing */

/* Series the store does not know yet get their id at the commit; until then samples point at
 * them by BATCH_NEW | index into batch.series. */
#define BATCH_NEW 0x80000000u

struct batch_series {
	struct series_name name; /* borrowed until done */
	uint32_t sid;            /* 0: not known yet; filled in at the commit */
};

struct rejection {
	uint8_t kind;   /* 's' sample, 'l' log record */
	uint64_t index; /* of all samples (log records) of the request, from 0 */
	uint16_t code;  /* enum reject */
};

enum reject {
	REJECT_TIME_BEFORE_1970 = 1,
	REJECT_TIME_IN_FUTURE, /* more than 10 minutes ahead of the server's clock */
	REJECT_STEP_RANGE,     /* STEP_NONE as a step */
	REJECT_LOG_STREAM,     /* name too long, or with control characters */
	REJECT_LOG_LEVEL,
	REJECT_LOG_ATTRIBUTES,
	REJECT_LOG_RANK,
};

const char *reject_name(enum reject code); /* "time_before_1970", ... */

struct run_update {
	enum run_state state; /* 0: no change */
	bool has_exit_code;
	int32_t exit_code;
	int64_t ended_ns; /* when a state that is an end was reached; 0: now */
};

struct batch {
	/* Filled by the caller.  Spans are borrowed until done. */
	uint32_t rid;
	int64_t window_ns; /* the run's */
	bool imported;     /* not a heartbeat */
	bool has_producer;
	uint8_t producer[PRODUCER_ID_BYTES];
	uint64_t sequence;
	struct span idempotency_key; /* empty: none; needs project, which is borrowed too */
	const char *project;
	uint64_t content_hash;       /* of the request's decoded bytes: XXH3-64 */
	struct batch_series *series; /* definitions of this request, in its order; owned: malloc */
	size_t n_series;
	size_t n_samples; /* columns below are of this length; owned: malloc, freed by batch_free */
	uint32_t *sid;    /* series id, or BATCH_NEW | index */
	int64_t *t_ns;
	int64_t *step; /* NULL: no sample has a step; else STEP_NONE where there is none */
	double *value;
	struct bucket_record *buckets; /* checked; owned: malloc, and what they own; sid as above */
	size_t n_buckets;
	struct log_record *logs; /* owned: malloc; seq is filled in by the store's answer */
	size_t n_logs;
	struct rejection *rejected; /* owned: malloc */
	size_t n_rejected;
	struct run_update update;
	struct arena memory; /* for what the spans point to where it is not borrowed; freed with the batch */
	void (*done)(struct batch *b, void *arg); /* on the writer thread; must not block */
	void *arg;

	/* The answer, valid in done. */
	int err; /* 0, ERR_CONFLICT, ERR_AHEAD, ERR_DISK_FULL, ERR_TOO_LARGE (series per run),
		    ERR_NOT_FOUND (run or series went away), ERR_BUSY (shutting down), ERR_IO */
	struct fault fault;
	bool duplicate;               /* applied before: rejected, first_seq, last_seq are of that time */
	uint64_t first_seq, last_seq; /* of its log records; 0 without any */

	/* The store's own, made by batch_seal. */
	struct buf journal_record;
	struct buf log_blocks;
	size_t log_bytes; /* of its log records */
	size_t n_new;     /* series named by this batch */
	struct batch *next;
};

struct batch *batch_new(void); /* NULL: out of memory */
void batch_free(struct batch *b);

/* Encodes what can be encoded before the commit.  Every series that the store knows must have its
 * sid by now (store_series_find).  After this the columns must not change. */
int batch_seal(struct store *s, struct batch *b);

/* Hands the batch over.  ERR_BUSY: the queue is full or the store is closing; the batch is then
 * still the caller's and done is not called. */
int store_submit(struct store *s, struct batch *b);

/* The sid of a series of a run; ERR_NOT_FOUND when there is none of that name yet.  Hot: a lookup
 * in memory under a shared lock. */
int store_series_find(struct store *s, uint32_t rid, const struct series_name *name, uint32_t *ret_sid);

/* Whether each sid is a series of the run; ERR_NOT_FOUND with *ret_bad the index of the first that
 * is not. */
int store_series_check(struct store *s, uint32_t rid, const uint32_t *sids, size_t n, size_t *ret_bad);

/* What ingest needs of a run.  ERR_NOT_FOUND. */
struct run_ref {
	uint32_t rid;
	int64_t window_ns;
};
int store_run_find(struct store *s, const char *project, const char *id, struct run_ref *ret);

/* Creates a run and waits until that is durable.  `run` gives project, id, state, imported,
 * started_ns, window_ns and spec_json; ret (to be released) is the run as stored.  The project
 * comes into being with it.
 * With an idempotency key, the same key and content within 24 h gives the run made then, and
 * *ret_replayed; other content: ERR_CONFLICT.  An id that exists: ERR_CONFLICT. */
int store_run_create(struct store *s, const struct run *run, struct span idempotency_key,
		     uint64_t content_hash, struct run *ret, bool *ret_replayed, struct fault *f);

/* ---- changing ---- */

struct once; /* admin.h */

/* edit makes a new spec of the stored one, on the writer's thread: it must be quick.  It refuses by filling f
 * and returning 0, as in change.h. */
struct run_change {
	int (*edit)(void *arg, struct span spec, struct buf *ret, struct fault *f); /* NULL: it stays */
	void *arg;
	enum run_state state; /* 0: it stays */
};

/* Changes a run; ret (to be released) is the run as it is then.  ERR_NOT_FOUND, what edit refuses with,
 * ERR_CONFLICT and others as for any change (change.h). */
int store_run_change(struct store *s, const char *project, const char *id, const struct run_change *c,
		     const struct once *once, struct run *ret, bool *ret_replayed, struct fault *f);

/* ---- deleting ---- */

/* Takes a run out of sight, with everything it has; waits until that is durable.  Its id may be used again.
 * For RUN_DELETED_KEEP_NS it can be given back, the newest where several runs had the id; then it goes for
 * good.  ret (to be released) is the run; its deleted_ns says when.  ERR_NOT_FOUND: no such run, or no
 * such deleted one; ERR_CONFLICT: the id was taken meanwhile, or as for any change (change.h). */
int store_run_delete(struct store *s, const char *project, const char *id, const struct once *once,
		     struct run *ret, bool *ret_replayed, struct fault *f);
int store_run_undelete(struct store *s, const char *project, const char *id, const struct once *once,
		       struct run *ret, bool *ret_replayed, struct fault *f);

/* When the newest run of that id was deleted, if it can be had back.  ERR_NOT_FOUND.  And the sentence
 * for those who may give it back: sets f, returns ERR_NOT_FOUND. */
int store_run_deleted(struct store *s, const char *project, const char *id, int64_t *ret_ns);
int run_deleted_fault(const char *project, const char *id, int64_t deleted_ns, struct fault *f);

#endif

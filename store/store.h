/*
 * store.h - the open store, for the files of store/ alone.
 *
 * Threads: the writer (writer.c) is the only one that writes LMDB; the flusher (flush.c) encodes
 * frozen buckets into blocks, the sealer (seal.c) young log blocks into large ones; the compactor
 * (compact.c) seals parts; everybody else submits and reads.
 *
 *   lock order: queue_lock, then memory_lock; the registries' own locks are innermost.
 *
 * What memory holds is bound to a state: `applied`.  A reader needs a snapshot whose state row is
 * the same; it begins its transaction under memory_lock and waits when a commit is ahead of memory.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/admin.h"
#include "store/hot/memory.h"
#include "store/registry/run.h"
#include "store/registry/series.h"
#include "store/write.h"

/* Row "state" of meta: batch u64, trimmed u64, sealed u64, flush u64, next_rid u32, next_sid u32. */
struct state {
	uint64_t batch;   /* newest batch in the journal */
	uint64_t trimmed; /* batches up to here are in blocks: recovery begins behind it */
	uint64_t sealed;  /* their samples are in raw parts too: gone or going from the journal; <= trimmed */
	uint64_t flush;   /* newest flush that is done */
	uint32_t next_rid, next_sid;
};

int state_get(struct kv_txn *t, struct state *ret);
int state_put(struct kv_txn *t, const struct state *s);

struct token {
	uint8_t hash[32];
	struct caller caller;
};

struct creation;  /* turn.h */
struct compactor; /* compact.h */
struct errand;    /* turn.h */
struct flush;     /* flush.c */
struct parts;     /* parts.h */
struct rawseal;   /* rawseal.h */
struct seal;      /* seal.c */

struct counters {
	atomic_uint_fast64_t batches, samples, log_records, duplicates;
	atomic_uint_fast64_t commits, commit_ns, fold_ns, flush_ns, sealed_logs;
};

struct journal_size {
	uint64_t batch, bytes;
};

struct store {
	char *dir;
	int lock_fd; /* -1: read only */
	struct store_options options;
	struct kv *kv;
	struct parts *parts;
	struct compactor *compactor; /* NULL: read only */
	struct runs runs;
	struct registry series;
	struct token *tokens;
	size_t n_tokens;
	struct counters counters;

	/* queue_lock */
	pthread_mutex_t queue_lock;
	pthread_cond_t queue_news;    /* to the writer */
	pthread_cond_t creation_done; /* an errand too */
	struct batch *queue_head, **queue_tail;
	size_t queued;
	struct creation *creations;
	struct errand *errands;
	bool closing;
	bool writer_started, flusher_started, sealer_started;
	pthread_t writer, flusher, sealer;

	/* memory_lock */
	pthread_mutex_t memory_lock;
	pthread_cond_t memory_news;
	struct memory memory;
	struct state applied;
	uint32_t shadow_rid; /* read only: whose journal tail memory holds */

	/* the writer's own */
	struct state state;
	uint64_t swept; /* files that were left over at the start */
	struct flush *flush;
	struct seal *seal;
	struct journal_size *journal; /* what is not trimmed yet, oldest first */
	size_t n_journal, journal_cap;
	atomic_uint_fast64_t journal_bytes;
	atomic_uint_fast64_t raw_bytes; /* of the journal, flushed since samples were sealed last */
	atomic_bool raw_behind;         /* too many of them: sealing does not keep up */
	struct buf turn_journal;
	uint32_t *altered; /* runs whose rows errands of this turn have changed */
	size_t n_altered, altered_cap;
	bool stuck; /* the last turn failed */
	size_t room_least, room_more;
	atomic_bool disk_full, broken, flush_wanted;
	atomic_int_fast64_t grace_ns; /* the longest of any project: live windows are flushed then */

	/* log news */
	pthread_mutex_t news_lock;
	pthread_cond_t news;
	uint64_t log_news;
};

/* writer.c */
int writer_start(struct store *s);
void writer_stop(struct store *s); /* commits what is queued */
void writer_wake(struct store *s);
int note_journal(struct store *s, uint64_t batch, uint64_t bytes); /* so large is that batch in the journal */
int note_altered(struct store *s, uint32_t rid); /* by an errand: undone when the turn fails */

/* access.c */
int access_load(struct store *s);
int access_create_owner(struct store *s, struct fault *f); /* when no token is an owner's */

/* recovery.c: memory, run and series tables from what is stored; leftovers of an unfinished flush go. */
int recover(struct store *s, struct fault *f);

/* Folds the journal's tail into m, which is empty, as far as snapshot t has it; rid 0: of all runs.
 * Epochs up to floor_ns are late from the start.  sizes: where journal sizes are noted, or NULL. */
int replay(struct kv_txn *t, uint32_t rid, int64_t floor_ns, struct memory *m, struct store *sizes);

#endif

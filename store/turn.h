/*
 * turn.h - what the writer puts into one transaction.
 *
 * A turn takes all that is queued: runs to create, batches, errands, and the piece that a flush has
 * ready.
 * A batch or run that is refused leaves no trace in the transaction; an error of the store itself
 * ends the turn, and turn_undo takes back what it did to tables in memory.  Writer thread only.
 */
#ifndef STORE_TURN_H
#define STORE_TURN_H

#include "store/store.h"

/* A run to be created; its caller waits. */
struct creation {
	struct creation *next;
	const struct run *run;
	struct span key; /* Idempotency-Key; empty: none */
	uint64_t content_hash;
	struct run *ret;
	struct fault fault;
	uint32_t made_rid; /* to be undone when the commit fails */
	bool replayed, done;
	int err;
};

/* A small change that another thread of the store wants made; it waits.  fn must not fail for what it
 * was asked, only for what befalls the store: its error ends the turn for everybody. */
struct errand {
	struct errand *next;
	int (*fn)(void *arg, struct kv_txn *t);
	void *arg;
	bool done;
	int err;
};

/* Has fn called within a transaction, and waits until that is durable.  ERR_BUSY: closing. */
int writer_errand(struct store *s, int (*fn)(void *arg, struct kv_txn *t), void *arg);

struct turn {
	struct batch *batches;
	struct creation *creations;
	struct errand *errands;
	struct kv_txn *txn;
	int64_t now_ns;
	struct buf journal; /* records of this turn */
	uint64_t samples, logs, duplicates;
	bool logged, piece_put, flush_done, seal_put;
	struct state before;
};

/* Everything into t->txn, the state row last.  Refusals land in the batches' and creations' err. */
int turn_fill(struct store *s, struct turn *t);

/* After a failed fill or commit: runs, series and the state are as before, but for the numbers
 * given out, which are never given again. */
void turn_undo(struct store *s, struct turn *t);

#endif

/*
 * change.h - a change that somebody asked for, made in a transaction of the writer, once per
 * Idempotency-Key.
 *
 * apply is called on the writer's thread, at most once.  It decides by what is stored: it either makes
 * the change, or refuses it: then it fills f, has put nothing, and returns 0.  What it returns else is
 * the store's own error, and ends the turn for everybody.  What it appends to `outcome` is kept with the
 * key, and is all that a repetition gets to answer from: apply is not called then.
 */
#ifndef STORE_CHANGE_H
#define STORE_CHANGE_H

#include "store/turn.h"

#define CHANGE_OUTCOME_MAX 4096

struct change {
	const char *project; /* whose key it is */
	const struct once *once;
	int (*apply)(void *arg, struct kv_txn *t, struct buf *outcome, struct fault *f);
	void *arg;
};

/* Returns when the change is durable: the outcome (to be released) is the one of the first time when
 * *ret_replayed.  A refusal's error; ERR_CONFLICT; ERR_BUSY: no more keys can be kept, the store is
 * closing or open for reading only.  f has the sentence. */
int change_make(struct store *s, const struct change *c, struct buf *ret_outcome, bool *ret_replayed,
		struct fault *f);

#endif

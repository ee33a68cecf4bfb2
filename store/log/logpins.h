/*
 * logpins.h - the log parts of a run that a reader has open, so that what it reads stays.
 *
 * They are opened before anything is told of them, and kept open from one snapshot to the next, for as long
 * as they hold what is read: a search over a log whose front goes meanwhile has no hole.  One thread.
 */
#ifndef STORE_LOGPINS_H
#define STORE_LOGPINS_H

#include "store/part/parts.h"

#define LOGPINS_MAX 64 /* open at once */

struct logpin {
	struct logpart *part; /* NULL: it cannot be read */
	uint64_t number;
	struct logpart_run run; /* which sequences of the run it has */
};

/* Zeroed: none. */
struct logpins {
	struct parts *parts;
	struct logpin pins[LOGPINS_MAX]; /* by rising sequences, one behind the other */
	size_t n;
};

/* Whether sequence seq is in them. */
bool logpins_hold(const struct logpins *p, uint64_t seq);

/* Those of a run as the snapshot has them, in the place of what there was: all, or where they are too many,
 * from that with seq on (backward: up to that).  1: one went away meanwhile, and a newer snapshot is to be
 * asked. */
int logpins_take(struct logpins *p, struct kv_txn *t, struct parts *parts, struct kv *kv, uint32_t rid,
		 uint64_t seq, bool backward);

void logpins_release(struct logpins *p);

#endif

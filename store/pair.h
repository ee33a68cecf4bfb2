/*
 * pair.h - memory and a snapshot of the hot store that stand for the same state.
 */
#ifndef STORE_PAIR_H
#define STORE_PAIR_H

#include "store/store.h"

/* Called with memory_lock held; when it returns 0, memory holds exactly what the snapshot's blocks lack,
 * as long as the lock is.  Beside a writer, memory is of that run alone. */
int pair_begin(struct store *s, uint32_t rid, struct kv_txn **ret);

#endif

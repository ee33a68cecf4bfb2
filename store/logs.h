/*
 * logs.h - log records in LMDB: appended by the writer, walked by readers and by verify.
 */
#ifndef STORE_LOGS_H
#define STORE_LOGS_H

#include "store/kv.h"
#include "store/read.h"
#include "store/write.h"

/* Puts the batch's packed blocks under the run's next sequences; sets first_seq and last_seq. */
int logs_put(struct kv_txn *t, struct batch *b);

/* The run's next sequence; 1 when it has no log yet. */
int logs_next_seq(struct kv_txn *t, uint32_t rid, uint64_t *ret);

/* See view_logs. */
int logs_read(struct kv_txn *t, uint32_t rid, const struct log_range *range, log_fn fn, void *arg,
	      bool *ret_partial);

#endif

/*
 * logs.h - log records in LMDB: appended by the writer, walked by readers and by verify.
 */
#ifndef STORE_LOGS_H
#define STORE_LOGS_H

#include "store/kv.h"
#include "store/read.h"
#include "store/stored.h"
#include "store/write.h"

/* Puts the batch's packed blocks under the run's next sequences; sets first_seq, last_seq, log_bytes. */
int logs_put(struct kv_txn *t, struct batch *b);

/* The run's next sequence; 1 when it has no log yet. */
int logs_next_seq(struct kv_txn *t, uint32_t rid, uint64_t *ret);

/* See view_logs. */
int logs_read(struct kv_txn *t, uint32_t rid, const struct log_range *range, log_fn fn, void *arg,
	      bool *ret_partial);

/* ---- for sealing (seal.h) ---- */

/* The first sequence that has not been through sealing; 1 when none has. */
int logs_sealed_seq(struct kv_txn *t, uint32_t rid, uint64_t *ret);
int logs_put_sealed_seq(struct kv_txn *t, uint32_t rid, uint64_t seq);

/* The run's first block from seq on, and the one after it; ERR_NOT_FOUND: no more. */
int logs_seek(struct kv_cursor *c, uint32_t rid, uint64_t seq, struct span *ret_key, struct span *ret_value);
int logs_next(struct kv_cursor *c, uint32_t rid, struct span *ret_key, struct span *ret_value);

/* The first sequence that is still there; the next one to be given where none is. */
int logs_first_seq(struct kv_txn *t, uint32_t rid, uint64_t *ret);

/* Puts one block in the place of those of [first, end), which are `blocks`.  ERR_GONE: they are not all there
 * any more; nothing was changed. */
int logs_replace(struct kv_txn *t, uint32_t rid, uint64_t first, uint64_t end, size_t blocks,
		 const struct stored *by);

#endif

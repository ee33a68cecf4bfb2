/*
 * logs.h - log records: appended to the log database by the writer, walked by readers there and in parts.
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

/* As view_logs (logwalk.c).  *ret_again: a part went away meanwhile, and what is left of *range is to be read
 * under a new snapshot. */
int logs_read(struct kv_txn *t, struct store *s, uint32_t rid, struct log_range *range, log_fn fn, void *arg,
	      bool *ret_partial, bool *ret_again);

/* ---- for sealing (seal.h) ---- */

/* The first sequence that has not been through sealing; 1 when none has. */
int logs_sealed_seq(struct kv_txn *t, uint32_t rid, uint64_t *ret);
int logs_put_sealed_seq(struct kv_txn *t, uint32_t rid, uint64_t seq);

/* The run's first block from seq on, and the one after it; ERR_NOT_FOUND: no more. */
int logs_seek(struct kv_cursor *c, uint32_t rid, uint64_t seq, struct span *ret_key, struct span *ret_value);
int logs_next(struct kv_cursor *c, uint32_t rid, struct span *ret_key, struct span *ret_value);

/* The first sequence that is still there, and the first in the log database, which those in parts come
 * before; the next one to be given where there is none. */
int logs_first_seq(struct kv_txn *t, uint32_t rid, uint64_t *ret);
int logs_first_in_database(struct kv_txn *t, uint32_t rid, uint64_t *ret);

/* Whether the blocks of [first, end) are there, as many as `blocks`: retention, purges and sealing change
 * them at any time. */
bool logs_all_there(struct kv_txn *t, uint32_t rid, uint64_t first, uint64_t end, size_t blocks);

/* Deletes these blocks, or puts one in their place.  ERR_GONE: they are not all there any more; nothing was
 * changed. */
int logs_take_out(struct kv_txn *t, uint32_t rid, uint64_t first, uint64_t end, size_t blocks);
int logs_replace(struct kv_txn *t, uint32_t rid, uint64_t first, uint64_t end, size_t blocks,
		 const struct stored *by);

#endif

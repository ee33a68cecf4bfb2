/*
 * seal.h - young log blocks become sealed ones, off the writer's path.
 *
 * A request's log records are a block of their own, so that they can be read at once.  When a run has
 * log_block_bytes of them (admin.h), or has said nothing for a while, the sealer's thread reads them in a
 * snapshot, makes one sealed block of them (logblock.h), decodes it and compares every record; then the
 * writer puts it in their place, in one transaction: a reader sees the young ones or the sealed one.  What
 * sealing would not make smaller stays, and so does what is damaged.  Where log_keep or a log part
 * (logmove.h) has taken the young ones meanwhile, nothing is put.
 *
 * Row (kind LOGSEAL), key rid u32: the first sequence that has not been through here, u64.
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "store/store.h"

#define SEAL_BYTES_MAX  (4 * 1024 * 1024) /* of texts, streams and attributes */
#define SEAL_BLOCKS_MAX 4096              /* young blocks at once: what the writer deletes in one turn */
#define SEAL_IDLE_NS    (60 * NS_PER_S)

struct seal;

int seal_new(struct store *s, struct seal **ret);
void seal_free(struct seal *l); /* after its thread has ended; NULL is fine */

/* Log records of about so many bytes were committed.  Writer thread; cheap. */
void seal_note(struct seal *l, uint32_t rid, size_t bytes, int64_t now_ns);

/* Whether a block waits to be put. */
bool seal_ready(struct seal *l);

/* Puts it; on failure it still waits.  After the commit seal_taken, after an abort nothing. */
int seal_put(struct seal *l, struct kv_txn *t);
void seal_taken(struct seal *l);

void seal_stop(struct seal *l); /* wakes the sealer for good */
void *seal_main(void *seal);    /* the sealer's thread */

#endif

/*
 * idempotency.h - Idempotency-Key: the first committed answer, kept for 24 h.
 *
 * Row (kind IDEM), key BLAKE2b-128 of project, 0x00, key: created i64, content hash u64, rid u32,
 * first log sequence u64, last u64, outcome s, rejections as in producer.h.  A second database orders the
 * hashes by age, so expiry deletes on the left.  The store keeps IDEMPOTENCY_KEYS_MAX at most.
 */
#ifndef STORE_IDEMPOTENCY_H
#define STORE_IDEMPOTENCY_H

#include "store/stored.h"
#include "store/write.h"

#define IDEMPOTENCY_KEEP_NS  (24 * 3600 * NS_PER_S)
#define IDEMPOTENCY_KEYS_MAX 1000000

struct idempotent {
	int64_t created_ns;
	uint64_t content_hash;
	uint32_t rid;
	uint64_t first_seq, last_seq;
	struct rejection *rejected; /* on get: malloced, the caller's */
	size_t n_rejected;
	struct span outcome; /* change.h; on get: borrowed until the transaction writes */
};

/* ERR_NOT_FOUND, also for one that is too old. */
int idempotency_get(struct kv_txn *t, const char *project, struct span key, int64_t now_ns,
		    struct idempotent *ret);
int idempotency_put(struct kv_txn *t, const char *project, struct span key, const struct idempotent *a);

/* The key was used with another request: sets f, returns ERR_CONFLICT. */
int idempotency_conflict(struct span key, struct fault *f);

/* No more keys are kept until some expire: sets f, and returns ERR_BUSY; else 0. */
int idempotency_check_room(struct kv_txn *t, struct fault *f);

/* Deletes at most max expired ones. */
int idempotency_expire(struct kv_txn *t, int64_t now_ns, size_t max);

#endif

/*
 * producer.h - once and only once: which requests of a producer have been applied.
 *
 * A producer numbers its requests from 1.  All up to `contig` are applied; bit i of `ahead` says
 * that contig + 1 + i is.  A sequence beyond contig + PRODUCER_WINDOW is refused as retryable, so
 * what is called a duplicate is proven to be one.  The last PRODUCER_WINDOW requests applied are
 * remembered with the hash of their content and with their answer; a repetition of one of these
 * with other content is a conflict.  (Of older ones the content is not compared.)
 *
 * Row (kind PRODUCER), key (rid, id): contig u64, ahead u64, then per remembered request, oldest
 * first: sequence u64, hash u64, first log sequence u64, log records u32, rejections u32.
 * What was rejected lies in rows of its own (kind REJECT), because it is rare:
 * per record u8 kind, u16 code, u64 index.
 *
 * The decisions are pure functions of the row.  The rows live as long as the run.
 */
#ifndef STORE_PRODUCER_H
#define STORE_PRODUCER_H

#include "store/stored.h"
#include "store/write.h"

struct producer_request {
	uint64_t sequence, hash, first_seq;
	uint32_t n_logs, n_rejected;
};

struct producer {
	uint64_t contig, ahead;
	struct producer_request recent[PRODUCER_WINDOW]; /* oldest first */
	size_t n_recent;
};

enum producer_verdict { PRODUCER_NEW, PRODUCER_DUPLICATE, PRODUCER_CONFLICT, PRODUCER_AHEAD };

/* sequence > 0. */
enum producer_verdict producer_decide(const struct producer *p, uint64_t sequence, uint64_t hash);

/* After PRODUCER_NEW. */
void producer_apply(struct producer *p, const struct producer_request *rq);

/* NULL when it is not among the remembered ones. */
const struct producer_request *producer_recall(const struct producer *p, uint64_t sequence);

/* An empty producer when there is no row yet. */
int producer_get(struct kv_txn *t, uint32_t rid, const uint8_t *id, struct producer *ret);
int producer_put(struct kv_txn *t, uint32_t rid, const uint8_t *id, const struct producer *p);

int producer_put_rejected(struct kv_txn *t, uint32_t rid, const uint8_t *id, uint64_t sequence,
			  const struct rejection *rejected, size_t n);
/* *ret is malloced, NULL when nothing was rejected. */
int producer_get_rejected(struct kv_txn *t, uint32_t rid, const uint8_t *id, uint64_t sequence,
			  struct rejection **ret, size_t *ret_n);

/* The form of rejections in rows. */
int rejections_encode(const struct rejection *rejected, size_t n, struct buf *out);
int rejections_decode(struct span s, struct rejection **ret, size_t *ret_n);

#endif

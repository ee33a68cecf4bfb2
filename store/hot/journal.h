/*
 * journal.h - accepted samples, written before anything is acknowledged.
 *
 * One journal entry is what one commit accepted: numbered (struct state, batch), a run of records,
 * cut into chunks of at most JOURNAL_CHUNK_BYTES.  A record holds the samples of one request:
 *
 *   v bytes that follow, v rid, v window in ms, v samples (n > 0), then four columns:
 *     sid    u8 mode: 0 one v for all; 1 one v, then +1 each; 2 v first, then n - 1 z differences
 *     time   u8 mode: 0 one z for all; 1 v unit in ns, z first / unit, then n - 1 z differences / unit
 *     step   u8 mode: 0 none; 1 one z for all; 2 z first, then n - 1 z differences; 3 n i64
 *     value  u8 mode: 0 n float32; 1 n double
 *
 * or buckets that were made elsewhere (since format 1.1):
 *
 *   v bytes that follow, v 0, v rid, v window in ms, and the records of bucket_record.h
 *
 * Records are made on the threads of ingest; entries are put and trimmed by the writer.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "store/hot/bucket_record.h"
#include "store/kv.h"

struct journal_record {
	uint32_t rid;
	int64_t window_ns;
	size_t n;
	const uint32_t *sid;
	const int64_t *t_ns;
	const int64_t *step; /* NULL: none */
	const double *value;
	const struct bucket_record *buckets; /* n_buckets of them */
	size_t n_buckets;
};

/* Appends the record's bytes to out; two records where there are both samples and buckets.  What is
 * read has one or the other. */
int journal_encode(const struct journal_record *rec, struct buf *out);

/* Puts an entry of records under `batch`, which is the greatest. */
int journal_put(struct kv_txn *t, uint64_t batch, struct span records);

/* Calls fn for each record of the batches of a range, in order.  The columns are borrowed for the call.  A
 * non-zero value of fn ends the walk and is returned.  ERR_CORRUPT: a batch is damaged; with `damaged`, which
 * may end the walk likewise, it is told and passed over instead, maybe after some of its records. */
typedef int (*journal_fn)(void *arg, uint64_t batch, const struct journal_record *rec);
struct journal_range {
	uint64_t after, upto; /* batches (after, upto]; upto 0: no end */
	uint32_t rid;         /* 0: records of all runs */
	int (*damaged)(void *arg, uint64_t batch);
};
int journal_read(struct kv_txn *t, const struct journal_range *range, journal_fn fn, void *arg);

/* Appends what is stored of a batch to out, chunk after chunk, each with its header: unchecked. */
int journal_bytes(struct kv_txn *t, uint64_t batch, struct buf *out);

/* Deletes one batch, whatever is there of it. */
int journal_del(struct kv_txn *t, uint64_t batch);

/* Deletes batches <= upto, at most max_chunks chunks; *ret_more when some are left. */
int journal_trim(struct kv_txn *t, uint64_t upto, size_t max_chunks, bool *ret_more);

#endif

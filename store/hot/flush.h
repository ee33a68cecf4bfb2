/*
 * flush.h - from memory to blocks, off the writer's path.
 *
 * The writer freezes what is due (flush_begin).  The flusher thread sorts it and encodes blocks
 * into pieces of about FLUSH_PIECE_BYTES; the writer puts one piece into each of its transactions
 * (flush_put), and with the last one the row that makes the flush count.  So no acknowledgement
 * waits for more than one piece, and a crash in between leaves blocks of a flush that is not done,
 * which nobody reads and recovery deletes.
 *
 * Row (kind FLUSH), key flush number: upto u64, floor i64, least start i64, greatest start i64,
 * buckets u64, blocks u64, bytes u64, v runs, per run by rising rid: v rid - rid before, z least
 * start / 1 s, v (greatest - least) / 1 s.
 */
#ifndef STORE_FLUSH_H
#define STORE_FLUSH_H

#include "store/store.h"

#define FLUSH_PIECE_BYTES (1024 * 1024)

struct flush;

int flush_new(struct store *s, struct flush **ret);
void flush_free(struct flush *f); /* after flusher's thread has ended; NULL is fine */

/* Frozen tables are there: encode them as flush `number`, which holds all samples of batches <=
 * upto in epochs <= floor.  Writer thread. */
void flush_begin(struct flush *f, uint64_t number, uint64_t upto, int64_t floor_ns);
bool flush_active(struct flush *f);

/* Whether a piece, or the end, waits to be put. */
bool flush_ready(struct flush *f);

/* Puts the piece that waits; *ret_done: it was the last, and the flush's row is put too.  On failure
 * the piece still waits.  After the commit flush_taken, after an abort nothing. */
int flush_put(struct flush *f, struct kv_txn *t, bool *ret_done);
void flush_taken(struct flush *f);

void flush_stop(struct flush *f); /* wakes the flusher for good */
void *flush_main(void *flush);    /* the flusher thread */

/* ---- rows ---- */

struct flush_row {
	uint64_t number, upto, buckets, blocks, bytes;
	int64_t floor_ns, least_start, greatest_start;
	struct span runs; /* undecoded */
};

int flush_row_decode(struct span key, struct span value, struct flush_row *ret);

/* Tells fn the rows of flushes <= last, by rising number, until it returns other than 0, which is returned.
 */
typedef int (*flush_row_fn)(void *arg, const struct flush_row *row);
int flush_rows(struct kv_txn *t, uint64_t last, flush_row_fn fn, void *arg);

/* Whether the flush holds buckets of the run, and of which starts (to the second, outwards). */
bool flush_row_run(const struct flush_row *row, uint32_t rid, int64_t *ret_least, int64_t *ret_greatest);

/* Key of a block: flush, sid, start. */
#define BLOCK_KEY_BYTES 20
struct span block_key_of(uint64_t flush, uint32_t sid, int64_t start_ns, uint8_t *ret);

/* Deletes blocks of flushes > last, left by a crash. */
int flush_sweep(struct kv *kv, uint64_t last);

#endif

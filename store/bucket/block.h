/*
 * block.h - buckets of a flush as page-sized columnar blocks, and back.
 *
 * A block holds buckets in the order (sid, window), laid out as columns so that what repeats costs
 * nothing: a bucket of one sample stores its value once; times, steps and counts that equal those
 * of the bucket before it take a flag bit; doubles that are float32 take four bytes, sums drop
 * their trailing zero bytes.  The exact layout is in block_layout.h, versioned by
 * format.h.  Encoding is canonical: equal buckets, equal bytes.
 *
 * The bytes made here are the body of a stored value; header and CRC are format.h's (stored.h).
 */
#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include "store/bucket/bucket.h"

struct block_key {
	uint32_t sid;
	int64_t start_ns, window_ns; /* start is a multiple of window */
};

struct block_writer; /* opaque: block.c */

/* body_max is the largest body that may be made (BLOCK_BODY_MAX in format.h). */
int block_writer_new(size_t body_max, struct block_writer **ret);
void block_writer_free(struct block_writer *w); /* NULL is fine */

/* Adds a bucket, which is copied.  ERR_FULL: it does not fit; finish this block, then add it to
 * the next.  A bucket that does not fit an empty block (wide sums) is accepted all the same: the
 * block is then that bucket alone and larger than body_max.  Keys must rise. */
int block_writer_add(struct block_writer *w, struct block_key key, const struct bucket *b);

size_t block_writer_count(const struct block_writer *w);

/* Appends the body to out and makes the writer empty again.  At least one bucket was added. */
int block_writer_finish(struct block_writer *w, struct buf *out);

/* Calls fn for each bucket, in order; the bucket is borrowed for the call.  fn's first non-zero
 * value ends the walk and is returned.  ERR_CORRUPT for bytes no writer made: never a crash, never
 * memory beyond a small multiple of the body.  count is what the header said; it must agree. */
typedef int (*block_fn)(void *arg, struct block_key key, const struct bucket *b);
int block_read(struct span body, size_t count, block_fn fn, void *arg);

/* The same of some buckets: of these series (by rising sid) whose windows start in [from, to).  Passes
 * over the others at a fraction of the cost and stops behind the last that can be wanted, so of what
 * is not wanted only memory safety is checked.  Of a wanted bucket other fields may be there or not. */
struct block_want {
	const uint32_t *sids; /* NULL: all */
	size_t n_sids;
	int64_t from_ns, to_ns;
	unsigned fields; /* bucket.h; 0: all */
};
extern const struct block_want block_want_all;
int block_read_some(struct span body, size_t count, const struct block_want *want, block_fn fn, void *arg);

#endif

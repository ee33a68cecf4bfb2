/*
 * bucket_digest.h - a number that says which buckets there were, whatever their order.
 *
 * Two sets of buckets are compared by it where one of them is gone when the other is read: a part with what
 * it was made from.  Each bucket adds XXH3-64 of all its fields, bit for bit: series, start, width, count,
 * the canonical sum, min, max, first, last, steps, and the rare part.  So whatever a fault makes of one
 * bucket or of many, of one bit or of whole columns, the digest stays the same by a chance of 2^-64 alone;
 * nobody makes faults to fit the hash here.  A bucket that is missing, or is there twice, changes it
 * likewise, and the number of buckets at once.
 */
#ifndef STORE_BUCKET_DIGEST_H
#define STORE_BUCKET_DIGEST_H

#include "store/bucket/block.h"

/* Zeroed: of none. */
struct bucket_digest {
	uint64_t buckets, sum;
};

void bucket_digest_add(struct bucket_digest *d, struct block_key key, const struct bucket *b);

#endif

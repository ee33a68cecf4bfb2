/*
 * logpile.h - neighbouring log blocks of one run, taken together to be sealed as one.
 *
 * Records are copied, as many as a sealed block may have (logblock.h).  What was sealed is decoded and
 * compared, record for record, before anybody gets it.  One thread.
 */
#ifndef STORE_LOGPILE_H
#define STORE_LOGPILE_H

#include "store/base/arena.h"
#include "store/log/logblock.h"

struct logpile {
	uint64_t first, end;          /* sequences */
	size_t blocks, bytes, weight; /* bytes: of their bodies, weight: logblock_weight of their records */
	struct log_record *records;
	size_t n;
	struct arena copies;
	struct logblock *block; /* that records are read from */
	struct buf body;        /* sealed */
	uint32_t raw_len;       /* of it */
};

void logpile_init(struct logpile *p);

/* Gives memory back; the pile can be used again.  It is much for a server that rests. */
void logpile_release(struct logpile *p);

int logpile_begin(struct logpile *p); /* empties it */

/* Adds a block, which follows the one before.  1: it is too much, or damaged, and was not added. */
int logpile_add(struct logpile *p, const struct stored *s, uint64_t first_seq);

/* *ret_good false: sealing gains nothing, or does not read the same, which is told; what there is should stay
 * as it is.  ERR_NOMEM. */
int logpile_seal(struct logpile *p, uint32_t rid, bool *ret_good);

/* What logpile_seal made; borrowed. */
struct stored logpile_stored(const struct logpile *p);

#endif

/*
 * gather.h - buckets that are stored, in parts and in flushed blocks, partials of one window merged.
 *
 * For the files of store/ alone: view_buckets (read.h) adds what memory holds, the compactor takes
 * what a slot is to be made of.
 */
#ifndef STORE_GATHER_H
#define STORE_GATHER_H

#include "store/store.h"

struct gather_range {
	uint32_t rid;         /* of these series; 0: of several runs */
	const uint32_t *sids; /* rising */
	size_t n_sids;
	int64_t from_ns, to_ns;
	uint64_t upto; /* flushes up to here; 0: all that are done */
};

/* Merged buckets of windows that start in [from, to), by series and time.  *ret_partial is set when a
 * damaged block or part had to be left out.  ERR_GONE: a part went away since t began; begin anew. */
int gather_stored(struct store *s, struct kv_txn *t, const struct gather_range *range, block_fn fn, void *arg,
		  bool *ret_partial);

#endif

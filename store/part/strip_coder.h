/*
 * strip_coder.h - a strip on its way to or from the two streams, column by column, each by its references.
 *
 * strip.c says in which order the columns come and what foretells them, once for both ways.  Errors are those
 * of column.h and scale.h.
 */
#ifndef STORE_STRIP_CODER_H
#define STORE_STRIP_CODER_H

#include "store/part/strip_layout.h"

/* What foretells a column of full buckets: another column of as many items, one of all buckets, or what the
 * bucket before has in that. */
struct reference {
	enum { OF_THEM, OF_ALL, BEFORE } of;
	const int64_t *v;
	int64_t nothing; /* before the first bucket */
};

struct coder {
	struct strip *s;
	struct column_out *out; /* NULL: reading */
	struct column_in *in;
	unsigned fields; /* that are put, or wanted */
	bool skip;       /* the columns at hand are not wanted */
	struct reference refs[COLUMN_REFS_MAX];
	const int64_t *full_m;   /* of full buckets: the integers of their last values, */
	const double *full_last; /* and these */
	size_t columns;          /* that were watched */
};

static inline void coder_refer(struct coder *c, int ref, const int64_t *v)
{
	c->refs[ref] = (struct reference){ OF_THEM, v, 0 };
}

static inline void coder_refer_all(struct coder *c, int ref, const int64_t *v)
{
	c->refs[ref] = (struct reference){ OF_ALL, v, 0 };
}

static inline void coder_refer_before(struct coder *c, int ref, const int64_t *v, int64_t nothing)
{
	c->refs[ref] = (struct reference){ BEFORE, v, nothing };
}

/* Puts or gets a column of n buckets (0: none are stored), or passes over it.  The first n_refs references
 * are its own. */
int coder_column(struct coder *c, int64_t *v, size_t n, size_t n_refs);

/* The same of numbers of the stored ones among the full buckets, or, where stored is false, of all n; their
 * integers go to m. */
int coder_numbers(struct coder *c, struct scale scale, double *v, size_t n, size_t n_refs, bool stored,
		  int64_t *m);

#endif

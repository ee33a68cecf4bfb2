/*
 * scale.h - doubles as integers, bit for bit.
 *
 * Most numbers of a training run are decimals that somebody printed, float32 that a kernel made, or
 * sums of such.  A scale turns them into integers that lie close together, which column.h packs:
 *
 *   SCALE_DECIMAL  m / 10^exponent, exponent 0 to 14, |m| < 2^53
 *   SCALE_BINARY   m * 2^exponent, |m| < 2^53: float32 of like size, and their sums
 *   SCALE_FLOAT    float32: its bits in total order (bucket.h)
 *   SCALE_DOUBLE   any double: its bits in total order
 *
 * Numbers that a scale does not give back bit for bit (NaN, -0.0, an odd one) are exceptions, kept
 * as they are: so nothing is lost whatever the scale.
 *
 * A scale is u8 kind | exponent << 2 for SCALE_DECIMAL, u8 kind for the others, z exponent after it for
 * SCALE_BINARY (loose).  Numbers are v exceptions, for each v how many numbers lie between it and
 * the one before (loose) and its 8 bytes (dense); then a column of m, an exception's being that of
 * the number before it, 0 for the first.
 */
#ifndef STORE_SCALE_H
#define STORE_SCALE_H

#include "store/column.h"

enum scale_kind { SCALE_DECIMAL, SCALE_BINARY, SCALE_FLOAT, SCALE_DOUBLE };

struct scale {
	enum scale_kind kind;
	int exponent;
};

/* The scale that keeps these numbers in the fewest bytes, about. */
struct scale scale_choose(const double *v, size_t n);

/* The integer that is nearest to a finite v; some integer for any other.  The same on every machine. */
int64_t scale_near(struct scale s, double v);

int scale_put(struct column_out *o, struct scale s);
int scale_get(struct column_in *in, struct scale *ret); /* ERR_CORRUPT */

/* n <= COLUMN_MAX numbers.  ret_m: their integers, to be references of other columns. */
int numbers_put(struct column_out *o, struct scale s, const double *v, size_t n, const int64_t *const *refs,
		size_t n_refs, int64_t *ret_m);
int numbers_get(struct column_in *in, struct scale s, double *ret, size_t n, const int64_t *const *refs,
		size_t n_refs, int64_t *ret_m);

#endif

/*
 * scale.h - doubles as integers, bit for bit.
 *
 * Most numbers of a training run are decimals that somebody printed, float32 that a kernel made, or
 * sums of such.  A scale turns them into integers that lie close together, which column.h packs:
 *
 *   SCALE_DECIMAL  m / 10^exponent, exponent 0 to 14, |m| < 2^53
 *   SCALE_FRACTION m / denominator, 2 to 86,400, |m| < 2^53: counts over a minute's 60 seconds, means
 *   SCALE_PRINTED  m / denominator in 15 digits, as many programs print: a mean, a rate that was text once
 *   SCALE_BINARY   m * 2^exponent, |m| < 2^53: float32 of like size, and their sums
 *   SCALE_FLOAT    float32: its bits in total order (bucket.h)
 *   SCALE_DOUBLE   any double: its bits in total order
 *
 * Where arithmetic has left a number a few doubles beside what m stands for (0.30000000000000004),
 * it is kept how many: doubles in between, in total order.  Those that are further off (NaN, -0.0, an
 * odd one) are exceptions, kept as they are: so nothing is lost whatever the scale.
 *
 * The 15 digits are those of the exact quotient, halves away from zero; one of 10^15 and more stays as it is.
 *
 * A scale is u8 kind | exponent << 3 for SCALE_DECIMAL, u8 kind for the others, after it z exponent for
 * SCALE_BINARY, v denominator for SCALE_FRACTION and SCALE_PRINTED (loose).  Numbers, where there are any,
 * are v exceptions << 1 | whether any number is a little off; for each exception v how many numbers lie
 * between it and the one before (loose) and its 8 bytes (dense); a column of m, an exception's being that
 * of the number before it, 0 for the first; then, if any is off, a column of how far, 0 for an exception.
 */
#ifndef STORE_SCALE_H
#define STORE_SCALE_H

#include "store/part/column.h"

enum scale_kind {
	SCALE_DECIMAL,
	SCALE_BINARY,
	SCALE_FLOAT,
	SCALE_DOUBLE,
	SCALE_FRACTION,
	SCALE_PRINTED,
	SCALE_KINDS
};

struct scale {
	enum scale_kind kind;
	int of; /* the exponent, or the denominator */
};

/* The scale that keeps these numbers in the fewest bytes, as some from all over them say. */
struct scale scale_choose(const double *v, size_t n);

#define SCALE_CANDIDATES 5

/* What served numbers that looked like these: which scales would do, and how many bits each needs more than
 * the least. */
struct scale_habit {
	struct scale_look {
		size_t n;
		enum scale_kind kinds[SCALE_CANDIDATES];
		unsigned more[SCALE_CANDIDATES];
	} look;
	size_t best;
	unsigned left; /* choices by it, before all is weighed again */
};

/* As above, where many alike follow each other: what served the ones before mostly serves again, and
 * not all is weighed each time.  habit is zeroed at first. */
struct scale scale_choose_alike(const double *v, size_t n, struct scale_habit *habit);

/* The integer that is nearest to a finite v; some integer for any other.  The same on every machine. */
int64_t scale_near(struct scale s, double v);

int scale_put(struct column_out *o, struct scale s);
int scale_get(struct column_in *in, struct scale *ret); /* ERR_CORRUPT */

/* n <= COLUMN_MAX numbers.  ret_m: their integers, to be references of other columns. */
int numbers_put(struct column_out *o, struct scale s, const double *v, size_t n, const int64_t *const *refs,
		size_t n_refs, int64_t *ret_m);
int numbers_get(struct column_in *in, struct scale s, double *ret, size_t n, const int64_t *const *refs,
		size_t n_refs, int64_t *ret_m);

int numbers_skip(struct column_in *in, size_t n);
unsigned numbers_reference(struct column_in in); /* as column_reference */

#endif

/*
 * sum.h - the exact sum of any number of finite doubles.
 *
 * The value held is the sum in real arithmetic, so it does not depend on order or grouping.
 * Nearly always two doubles hold it (Knuth's TwoSum: hi + lo exactly); when they cannot, the sum
 * moves into a superaccumulator of 64-bit limbs spanning every double (after R. Neal, "Fast exact
 * summation using small and large superaccumulators", 2015), which is allocated then and kept.
 *
 * Canonical form: the doubles hi = round(S), next = round(S - hi), ... down to an exact zero rest:
 * a function of S alone, so equal sums have equal bytes.  When S is beyond the largest double, or
 * would need more than SUM_TERMS_MAX doubles, the canonical form is the integer S * 2^1074 as
 * sign and limbs (sum_limbs).  The sum of nothing, and a sum that cancels, is +0.0 with no terms;
 * the sign of a zero sum is not kept.
 *
 * A zeroed struct sum is the empty sum.  Not thread safe.  ERR_NOMEM is the only error of adding.
 */
#ifndef STORE_SUM_H
#define STORE_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/bytes.h"

#define SUM_TERMS_MAX 6

struct sum_wide; /* opaque: sum.c */

struct sum {
	double hi, lo;         /* the value is hi + lo while wide is NULL */
	struct sum_wide *wide; /* owned; NULL nearly always */
};

void sum_release(struct sum *s);                      /* back to the empty sum; frees what it owns */
int sum_copy(struct sum *dst, const struct sum *src); /* dst was released or zeroed */

/* v must be finite.  The whole of it while two doubles can hold the sum: two TwoSums, whose last
 * error says whether they still do (an overflow makes it a NaN).  Needs -ffp-contract=off. */
int sum_add_slow(struct sum *s, double v);
static inline bool sum_add_quick(struct sum *s, double v)
{
	double hi = s->hi + v, a = hi - s->hi, e = (s->hi - (hi - a)) + (v - a);
	double lo = s->lo + e, b = lo - s->lo, rest = (s->lo - (lo - b)) + (e - b);

	if (__builtin_expect(rest != 0 || s->wide, 0))
		return false;
	s->hi = hi;
	s->lo = lo;
	return true;
}

static inline int sum_add(struct sum *s, double v) { return sum_add_quick(s, v) ? 0 : sum_add_slow(s, v); }

int sum_merge(struct sum *s, const struct sum *other);

/* S correctly rounded (ties to even); +-infinity beyond the largest double; +0.0 for zero. */
double sum_round(const struct sum *s);

/* round(S / count) where S itself may be beyond the largest double: mean = round(S) / count when
 * round(S) is finite, else computed from S / 2^64.  count > 0. */
double sum_mean(const struct sum *s, uint64_t count);

/* The canonical doubles, at most SUM_TERMS_MAX; returns how many, or -1 when the canonical form is
 * the limbs. */
int sum_terms(const struct sum *s, double ret[SUM_TERMS_MAX]);

/* Canonical bytes: varint n_terms and the doubles (le64 bits), or varint SUM_TERMS_MAX + 1, a sign
 * byte, varint index of the lowest limb, varint number of limbs, limbs le64.  The decoder accepts
 * canonical bytes only (anything else: ERR_CORRUPT). */
#define SUM_BYTES_MAX 512
int sum_encode(const struct sum *s, struct buf *out);
int sum_decode(struct reader *r, struct sum *ret);

/* From n canonical doubles; ERR_MALFORMED for others. */
int sum_from_terms(const double *terms, size_t n, struct sum *ret);

/* The canonical form where sum_terms says -1, as text: S * 2^1074 in hexadecimal, "-0x1f00p-1074",
 * lower case, without leading zeros.  Returns the length, no final NUL. */
#define SUM_HEX_MAX 576
size_t sum_hex(const struct sum *s, char ret[SUM_HEX_MAX]);

/* ERR_MALFORMED for any other text, also of a sum that terms can say. */
int sum_from_hex(struct span text, struct sum *ret);

/* Adds n times v; v is finite.  ERR_NOMEM leaves s as it was. */
int sum_add_times(struct sum *s, double v, uint64_t n);

#endif

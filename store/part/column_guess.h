/*
 * column_guess.h - how the numbers of a column are foretold and packed, chosen before they are put.
 *
 * Between column.c, which puts and gets them, and column_guess.c, which tries what there is; the words are
 * column.h's.  Pure; any thread.
 */
#ifndef STORE_COLUMN_GUESS_H
#define STORE_COLUMN_GUESS_H

#include "store/part/column.h"

enum packing { PACK_SAME, PACK_BITS, PACK_LEAST, PACK_ZIGZAG };
enum plane { PLANE_DENSE, PLANE_LOOSE, PLANE_SAME, PLANE_FORMS };

#define ORDERS 3
#define UNITS  4

/* Modulo 2^64, without the overflow that C does not define. */
static inline int64_t minus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static inline int64_t plus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

static inline unsigned bits_of(uint64_t v) { return v ? 64 - (unsigned)__builtin_clzll(v) : 0; }

/* How a column is foretold, and what that leaves. */
struct guess {
	enum packing packing;
	unsigned order, ref, unit;
	uint8_t forms[8]; /* of the planes */
	size_t cost;      /* about, in bytes */
};

/* What takes the fewest bytes of all that is tried.  n > 0. */
struct guess column_guess(const int64_t *v, size_t n, const int64_t *const *refs, size_t n_refs);

/* ---- what a guess leaves ---- */

static inline void take_reference(const int64_t *v, size_t n, const int64_t *ref, int64_t *ret)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = ref ? minus(v[i], ref[i]) : v[i];
}

/* Differences in place. */
static inline void differ(int64_t *v, size_t n)
{
	for (size_t i = n; i-- > 1;)
		v[i] = minus(v[i], v[i - 1]);
}

/* By constants, as dividing by others takes long. */
static inline void divide(int64_t *v, size_t n, unsigned unit)
{
	for (size_t i = 0; i < n && unit == 1; i++)
		v[i] /= 1000;
	for (size_t i = 0; i < n && unit == 2; i++)
		v[i] /= 1000000;
	for (size_t i = 0; i < n && unit == 3; i++)
		v[i] /= 1000000000;
}

/* What is left over from the reference becomes what unit and order leave; what begins the column stays in
 * front. */
static inline void reduce(const struct guess *g, int64_t *v, size_t n)
{
	divide(v, n, g->unit);
	if (g->order > 0)
		differ(v, n);
	if (g->order > 1)
		differ(v + 1, n - 1);
}

struct limits_of {
	int64_t least, greatest;
};

static inline struct limits_of limits_of(const int64_t *v, size_t n)
{
	struct limits_of l = { v[0], v[0] };

	for (size_t i = 1; i < n; i++) {
		l.least = v[i] < l.least ? v[i] : l.least;
		l.greatest = v[i] > l.greatest ? v[i] : l.greatest;
	}
	return l;
}

static inline void plain_all(const int64_t *v, size_t n, int64_t least, bool zigzagged, uint64_t *ret)
{
	for (size_t i = 0; i < n && zigzagged; i++)
		ret[i] = zigzag(v[i]);
	for (size_t i = 0; i < n && !zigzagged; i++)
		ret[i] = (uint64_t)minus(v[i], least);
}

static inline unsigned planes_of(const uint64_t *u, size_t n)
{
	uint64_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= u[i];
	return (bits_of(any) + 7) / 8;
}

#endif

/*
 * ratio.h - doubles as integers over a number, and what is left over in units in the last place.
 *
 * Means over a minute, a sum divided by a count, decimals that went through arithmetic: these lie a few
 * steps of the last bit beside m / d, where scale.h has to keep all their bits.  Some were printed with 15
 * digits in between, as many programs do, and lie beside what those digits say of m / d.  A double is then
 *
 *   the u-th double after m / d, or after its 15 digits (before it, where u is negative), in total order
 *   (bucket.h)
 *
 * Every double has that form for every d, so nothing is an exception; it pays where all u are small.
 *
 * Numbers are u8 place in a list of the format (ratio.c: d, and whether 15 digits of it), then a column of m
 * and a column of u.
 */
#ifndef STORE_RATIO_H
#define STORE_RATIO_H

#include "store/column.h"

struct ratio {
	unsigned place; /* in the list */
};

/* Whether one of the list leaves little over, judged by some of the numbers. */
bool ratio_find(const double *v, size_t n, struct ratio *ret);

/* m and u of the n <= COLUMN_MAX numbers.  The same on every machine. */
void ratio_split(struct ratio r, const double *v, size_t n, int64_t *ret_m, int64_t *ret_u);

int ratio_put(struct column_out *o, struct ratio r, const int64_t *m, const int64_t *u, size_t n);

/* ERR_CORRUPT.  m and u are room for n numbers. */
int ratio_get(struct column_in *in, double *ret, size_t n, int64_t *m, int64_t *u);

#endif

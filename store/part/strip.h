/*
 * strip.h - the buckets of one series, one after another, as columns (column.h), and back.
 *
 * A bucket is single when its count is 1 and it has no rare part: its last point says all of it.
 * The others are full.  Columns, in this order; "of" says which buckets have an item, "by" the
 * references; times in ns, numbers in the scale that stands before them:
 *
 *   start / window      of all
 *   count               of all
 *   flags               of all: 1 rare, 2 first has no step, 4 last has none, 8 no sample has one
 *   last time           of all, by start
 *   first time          of full ones, by last time, start, last time of the bucket before
 *   last step           of all; one that is not there is as in the bucket before, 0 in the first
 *   first step          of full ones, by last step, last step of the bucket before
 *   least step          of full ones, by first step, last step
 *   greatest step       of full ones, by last step, first step
 *   form                of full ones: ((first * 3 + min) * 3 + max) * STRIP_SUMS + sum, where
 *                       first is 0 when it equals last bit for bit, 1 when it is stored; min and max
 *                       are 0: first, 1: last, 2: stored; sum is enum strip_sum; all 0 when count is 0
 *   scale; last         of all
 *   first, min, max     where stored, by last; min and max by first too, max by min
 *   scale; sum          the double nearest to it, where it is one or two, by count * (min + max) / 2
 *   scale; rest         of a sum of two doubles, the second
 *   nan, +inf, -inf, time and step of the first non-finite   of rare ones; time by start, step by last step
 *   sums of more doubles, sum.h's bytes (dense)
 *
 * Pure; a strip's room belongs to one thread at a time.
 */
#ifndef STORE_STRIP_H
#define STORE_STRIP_H

#include "store/bucket/block.h"
#include "store/part/scale.h"
#include "store/part/sheet.h"

#define STRIP_MAX COLUMN_MAX /* buckets */

enum strip_sum { STRIP_FORETOLD, STRIP_ZERO, STRIP_ONE, STRIP_TWO, STRIP_ANY, STRIP_SUMS };

struct strip_bucket {
	struct block_key key;
	struct bucket bucket;
};

struct strip; /* room for the columns: strip.c */

int strip_new(struct strip **ret);
void strip_free(struct strip *s); /* NULL is fine */

/* What a column takes of the two streams, and how it is kept: integers as column_form says, numbers by their
 * scale: "decimal", "fraction", "printed", "binary", "float32" or "double"; "none": it has no items. */
struct strip_column {
	const char *name, *codec;
	size_t n, dense, loose;
};
typedef void (*strip_column_fn)(void *arg, const struct strip_column *c);

/* From now on fn is told the columns that strip_get reads, when it reads all fields. */
void strip_watch(struct strip *s, strip_column_fn fn, void *arg);

/* Appends n buckets, 1 to STRIP_MAX, of one series and width, by rising start. */
int strip_put(struct strip *s, struct column_out *o, const struct strip_bucket *b, size_t n);

/* Tells fn those of the n buckets that start when they are wanted, with the wanted fields; columns of
 * others are passed over.  sid and window are what the strip's directory says.  ERR_CORRUPT for bytes
 * that strip_put did not make. */
int strip_get(struct strip *s, struct column_in *in, uint32_t sid, int64_t window_ns, size_t n,
	      const struct block_want *want, block_fn fn, void *arg);

/* The same of all n buckets as a sheet of these fields (of SHEET_FIELDS, not 0), which is borrowed until s is
 * used again. */
int strip_sheet(struct strip *s, struct column_in *in, int64_t window_ns, size_t n, unsigned fields,
		struct sheet *ret);

#endif

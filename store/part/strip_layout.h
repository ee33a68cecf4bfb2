/*
 * strip_layout.h - what strip.c and strip_bucket.c agree on: the columns of a strip, while it is put or got.
 *
 * strip_bucket.c takes buckets apart into them and puts them together again; strip.c carries them to and from
 * the streams, in the order of strip.h.
 */
#ifndef STORE_STRIP_LAYOUT_H
#define STORE_STRIP_LAYOUT_H

#include "store/part/strip.h"

enum { FLAG_RARE = 1, FLAG_FIRST_NONE = 2, FLAG_LAST_NONE = 4, FLAG_NONE = 8, FLAGS = 16 };
#define FLAGS_NO_STEP (FLAG_FIRST_NONE | FLAG_LAST_NONE | FLAG_NONE)
#define FORMS_ALL     (2 * 9 * STRIP_SUMS)

typedef int64_t column[STRIP_MAX];

struct strip {
	size_t n, n_full, n_rare, n_stored;
	int64_t window_ns;
	uint16_t full[STRIP_MAX], rare[STRIP_MAX]; /* which buckets these are */
	uint16_t stored[STRIP_MAX];                /* which of the full ones have the column at hand */
	uint8_t first_at[STRIP_MAX], min_at[STRIP_MAX], max_at[STRIP_MAX], sum_at[STRIP_MAX]; /* form */
	column index, count, flags, start, last_t, last_step, last_m;                         /* of all */
	column first_t, first_step, step_min, step_max, form, first_m, min_m; /* of full ones */
	column full_m;                                                        /* last_m of full ones */
	column nan, pos_inf, neg_inf, bad_t, bad_step;                        /* of rare ones */
	double last[STRIP_MAX], full_last[STRIP_MAX], first[STRIP_MAX], min[STRIP_MAX], max[STRIP_MAX],
	    hi[STRIP_MAX], lo[STRIP_MAX];
	/* at hand: the stored ones of a column, and its references */
	column some_m, ref[COLUMN_REFS_MAX];
	double some[4 * STRIP_MAX];
	struct sum sums[STRIP_MAX]; /* of a sheet: of all */
	size_t n_sums;
	bool wide_sums;        /* one of them owns memory */
	strip_column_fn watch; /* NULL: nobody does */
	void *watch_arg;
	/* what served the strip put before: scales of values, of sums, of their rests */
	struct scale_habit values_habit, sums_habit, rests_habit;
};

static inline bool is_full(const struct strip *s, size_t i)
{
	return s->count[i] != 1 || s->flags[i] & FLAG_RARE;
}

/* Puts all columns of the strip, whose counts are set; the sums of STRIP_ANY are not among them. */
int strip_columns_put(struct strip *s, struct column_out *o);

/* Frees what the sums of a sheet own. */
void strip_release_sums(struct strip *s);

/* Before columns are got: ERR_CORRUPT for what no strip has. */
int strip_begin(struct strip *s, int64_t window_ns, size_t n);

/* Gets those that these fields (WANT_..., not 0) need, of s->n buckets of s->window_ns.  ERR_CORRUPT. */
int strip_columns_get(struct strip *s, struct column_in *in, unsigned fields);

/* The sum of a full bucket whose count is not 0, into b, whose values are there; wide: where those lie that
 * do not fit two doubles.  ERR_CORRUPT. */
int strip_sum(const struct strip *s, size_t full, bool rare, struct reader *wide, struct bucket *b);

#endif

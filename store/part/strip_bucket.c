/*
 * strip_bucket.c - buckets of a strip: taken apart into its columns, and put together again from the wanted
 * ones.
 */
#include <math.h>

#include "store/bucket/block_layout.h"
#include "store/part/strip_layout.h"

/* ---- from buckets ---- */

static bool same_terms(const struct sum *a, const double *terms, int n)
{
	double other[SUM_TERMS_MAX];

	if (sum_terms(a, other) != n)
		return false;
	for (int i = 0; i < n; i++)
		if (double_bits(other[i]) != double_bits(terms[i]))
			return false;
	return true;
}

static enum strip_sum take_sum(const struct bucket *b, bool min_stored, double *ret_hi, double *ret_lo)
{
	double terms[SUM_TERMS_MAX] = { 0 };
	int n = sum_terms(&b->sum, terms);
	struct sum told;

	*ret_hi = terms[0];
	*ret_lo = terms[1];
	if (n >= 0 && !b->rare && foretell_sum(b, min_stored, &told) && same_terms(&told, terms, n))
		return STRIP_FORETOLD;
	return n < 0 || n > 2 ? STRIP_ANY : n == 2 ? STRIP_TWO : n == 1 ? STRIP_ONE : STRIP_ZERO;
}

static void take_full(struct strip *s, const struct bucket *b)
{
	size_t i = s->n_full++;
	uint64_t first = double_bits(b->first.value), last = double_bits(b->last.value);
	uint64_t min = double_bits(b->min), max = double_bits(b->max);
	unsigned min_at = 0, max_at = 0;
	enum strip_sum sum = STRIP_FORETOLD;
	int64_t last_step = s->last_step[s->n];

	s->first_t[i] = b->first.t_ns;
	s->first_step[i] = b->first.step == STEP_NONE ? last_step : b->first.step;
	s->step_min[i] = b->step_max == STEP_NONE ? last_step : b->step_min;
	s->step_max[i] = b->step_max == STEP_NONE ? last_step : b->step_max;
	s->first[i] = b->first.value;
	s->min[i] = b->min;
	s->max[i] = b->max;
	if (b->count) {
		min_at = min == first ? 0 : min == last ? 1 : 2;
		max_at = max == first ? 0 : max == last ? 1 : 2;
		sum = take_sum(b, min_at == 2, &s->hi[i], &s->lo[i]);
	}
	s->form[i] = (int64_t)((((first != last) * 3 + min_at) * 3 + max_at) * STRIP_SUMS + sum);
}

static void take_rare(struct strip *s, const struct bucket_rare *r)
{
	size_t i = s->n_rare++;

	s->nan[i] = (int64_t)r->nan;
	s->pos_inf[i] = (int64_t)r->pos_inf;
	s->neg_inf[i] = (int64_t)r->neg_inf;
	s->bad_t[i] = r->bad_t_ns;
	s->bad_step[i] = r->bad_step;
}

static void take_bucket(struct strip *s, const struct strip_bucket *sb)
{
	const struct bucket *b = &sb->bucket;
	size_t i = s->n;

	s->index[i] =
	    i && sb->key.start_ns == sb[-1].key.start_ns + s->window_ns /* mostly: dividing takes long */
		? s->index[i - 1] + 1
		: sb->key.start_ns / s->window_ns;
	s->count[i] = (int64_t)b->count;
	s->flags[i] = (b->rare ? FLAG_RARE : 0) | (b->first.step == STEP_NONE ? FLAG_FIRST_NONE : 0) |
		      (b->last.step == STEP_NONE ? FLAG_LAST_NONE : 0) |
		      (b->step_max == STEP_NONE ? FLAG_NONE : 0);
	s->last_t[i] = b->last.t_ns;
	s->last_step[i] = b->last.step != STEP_NONE ? b->last.step : i ? s->last_step[i - 1] : 0;
	s->last[i] = b->last.value;
	if (is_full(s, i))
		take_full(s, b);
	if (b->rare)
		take_rare(s, b->rare);
	s->n++;
}

int strip_put(struct strip *s, struct column_out *o, const struct strip_bucket *b, size_t n)
{
	int err;

	s->n = s->n_full = s->n_rare = 0;
	s->window_ns = b[0].key.window_ns;
	for (size_t i = 0; i < n; i++)
		take_bucket(s, &b[i]);
	err = strip_columns_put(s, o);
	for (size_t i = 0; i < s->n_full && err == 0; i++)
		if (s->sum_at[i] == STRIP_ANY)
			err = sum_encode(&b[s->full[i]].bucket.sum, &o->dense);
	return err;
}

/* ---- to buckets ---- */

static bool is_sum(double hi, double lo) { return isfinite(hi) && hi != 0 && hi + lo == hi; }

int strip_sum(const struct strip *s, size_t full, bool rare, struct reader *wide, struct bucket *b)
{
	double hi = s->hi[full], lo = s->lo[full];
	int err;

	switch (s->sum_at[full]) {
	case STRIP_FORETOLD:
		return !rare && foretell_sum(b, s->min_at[full] == 2, &b->sum) ? 0 : ERR_CORRUPT;
	case STRIP_ZERO:
		return 0;
	case STRIP_ONE:
		b->sum.hi = hi;
		return is_sum(hi, 0) ? 0 : ERR_CORRUPT;
	case STRIP_TWO:
		b->sum.hi = hi;
		b->sum.lo = lo;
		return is_sum(hi, lo) && lo != 0 ? 0 : ERR_CORRUPT;
	default:
		err = sum_decode(wide, &b->sum);
		return err < 0 ? err : b->sum.wide ? 0 : ERR_CORRUPT;
	}
}

static int give_values(struct strip *s, size_t full, bool rare, struct bucket *b)
{
	b->first.value = s->first[full];
	if (!rare && (!isfinite(b->first.value) || !isfinite(b->last.value)))
		return ERR_CORRUPT;
	if (b->count == 0)
		return 0;
	b->min = s->min[full];
	b->max = s->max[full];
	return isfinite(b->min) && isfinite(b->max) && double_total_compare(b->min, b->max) <= 0
		   ? 0
		   : ERR_CORRUPT;
}

static int give_full(struct strip *s, size_t full, unsigned fields, bool rare, struct bucket *b)
{
	if (fields & WANT_TIMES)
		b->first.t_ns = s->first_t[full];
	if (fields & WANT_STEPS && b->first.step != STEP_NONE)
		b->first.step = s->first_step[full];
	if (fields & WANT_STEPS && b->step_max != STEP_NONE) {
		b->step_min = s->step_min[full];
		b->step_max = s->step_max[full];
	}
	return fields & WANT_VALUES ? give_values(s, full, rare, b) : 0;
}

static int give_single(unsigned fields, struct bucket *b)
{
	double v = b->last.value;

	b->first = b->last;
	if (fields & WANT_STEPS && b->step_max != STEP_NONE)
		b->step_min = b->step_max = b->last.step;
	if (!(fields & WANT_VALUES))
		return 0;
	b->min = b->max = v;
	if (fields & WANT_SUM)
		b->sum.hi = v == 0 ? 0 : v;
	return isfinite(v) ? 0 : ERR_CORRUPT;
}

/* All of a bucket of one sample, as most are, whose flags agree on whether that has a step. */
static int give_sample(const struct strip *s, size_t i, struct bucket *b)
{
	int64_t step = s->flags[i] ? STEP_NONE : s->last_step[i];

	return isfinite(s->last[i]) ? bucket_start(b, (struct point){ s->last_t[i], step, s->last[i] })
				    : ERR_CORRUPT;
}

static void give_rare(const struct strip *s, size_t i, struct bucket_rare *ret)
{
	*ret = (struct bucket_rare){ (uint64_t)s->nan[i], (uint64_t)s->pos_inf[i], (uint64_t)s->neg_inf[i],
				     s->bad_t[i], s->bad_step[i] };
}

static bool step_within(int64_t step, const struct bucket *b)
{
	return step == STEP_NONE || (step >= b->step_min && step <= b->step_max);
}

static bool time_within(int64_t t_ns, int64_t start, int64_t window)
{
	return t_ns >= start && (uint64_t)t_ns - (uint64_t)start < (uint64_t)window;
}

/* What no bucket can be. */
static int check(const struct bucket *b, unsigned fields, int64_t start, int64_t window)
{
	const struct bucket_rare *r = b->rare;

	if (fields & WANT_TIMES &&
	    (b->last.t_ns < b->first.t_ns || !time_within(b->first.t_ns, start, window) ||
	     !time_within(b->last.t_ns, start, window)))
		return ERR_CORRUPT;
	if (fields & WANT_STEPS && (!step_within(b->first.step, b) || !step_within(b->last.step, b)))
		return ERR_CORRUPT;
	if (r && (!(r->nan | r->pos_inf | r->neg_inf) || !time_within(r->bad_t_ns, start, window)))
		return ERR_CORRUPT;
	return 0;
}

/* The i-th bucket but for what only full ones have. */
static void give_common(const struct strip *s, size_t i, unsigned fields, struct bucket *b)
{
	unsigned flags = (unsigned)s->flags[i];

	bucket_init(b);
	b->count = (uint64_t)s->count[i];
	if (fields & WANT_TIMES)
		b->last.t_ns = s->last_t[i];
	if (fields & WANT_VALUES)
		b->last.value = s->last[i];
	if (fields & WANT_STEPS) {
		b->last.step = flags & FLAG_LAST_NONE ? STEP_NONE : s->last_step[i];
		b->first.step = flags & FLAG_FIRST_NONE ? STEP_NONE : 0;
		b->step_max = flags & FLAG_NONE ? STEP_NONE : 0;
	}
}

/* Where the walk through a strip's buckets is. */
struct place {
	size_t i, full, rare; /* the bucket; of the full ones, of the rare ones */
	struct reader *wide;
};

/* r: room for the rare part. */
static int give_bucket(struct strip *s, const struct place *at, unsigned fields, struct bucket_rare *r,
		       struct bucket *b)
{
	bool rare = s->flags[at->i] & FLAG_RARE, full = is_full(s, at->i);
	int err;

	if (!full && fields == WANT_ALL && (s->flags[at->i] == 0 || s->flags[at->i] == FLAGS_NO_STEP))
		return give_sample(s, at->i, b);
	give_common(s, at->i, fields, b);
	if (rare && fields & WANT_RARE) {
		give_rare(s, at->rare, r);
		b->rare = r;
	}
	if (!full)
		return give_single(fields, b);
	err = give_full(s, at->full, fields, rare, b);
	if (err < 0 || s->count[at->i] == 0)
		return err;
	/* wide ones lie one after another, so they are read, wanted or not */
	return fields & WANT_SUM || s->sum_at[at->full] == STRIP_ANY
		   ? strip_sum(s, at->full, rare, at->wide, b)
		   : 0;
}

static bool starts_within(const struct block_want *want, int64_t start)
{
	return start >= want->from_ns && start < want->to_ns;
}

static int give(struct strip *s, uint32_t sid, const struct block_want *want, unsigned fields,
		struct reader *wide, block_fn fn, void *arg)
{
	struct place at = { .wide = wide };
	int err = 0;

	for (; at.i < s->n && err == 0; at.i++) {
		int64_t start = s->start[at.i];
		bool full = is_full(s, at.i), wanted = starts_within(want, start);
		struct bucket_rare r;
		struct bucket b;

		if (at.i && start <= s->start[at.i - 1])
			return ERR_CORRUPT;
		if (wanted || (full && s->sum_at[at.full] == STRIP_ANY)) {
			err = give_bucket(s, &at, fields, &r, &b);
			if (err == 0)
				err = check(&b, fields, start, s->window_ns);
			if (err == 0 && wanted)
				err = fn(arg, (struct block_key){ sid, start, s->window_ns }, &b);
			if (b.sum.wide)
				sum_release(&b.sum);
		}
		at.full += full;
		at.rare += (s->flags[at.i] & FLAG_RARE) != 0;
	}
	return err;
}

int strip_get(struct strip *s, struct column_in *in, uint32_t sid, int64_t window_ns, size_t n,
	      const struct block_want *want, block_fn fn, void *arg)
{
	/* a sum is foretold by the values */
	unsigned some = want->fields ? want->fields : WANT_ALL;
	unsigned fields = some & (WANT_SUM | WANT_VALUES) ? some | WANT_VALUES : some;
	int err = strip_begin(s, window_ns, n);

	if (err == 0)
		err = strip_columns_get(s, in, fields);
	return err < 0 ? err : give(s, sid, want, fields, &in->dense, fn, arg);
}

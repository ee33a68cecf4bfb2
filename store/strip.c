/*
 * Columns of a strip lie in struct strip.  One description of their order and references (code)
 * serves both ways: it puts each column, or gets it.
 */
#include "store/strip.h"

#include <math.h>
#include <stdlib.h>

#include "store/block_layout.h"

enum { FLAG_RARE = 1, FLAG_FIRST_NONE = 2, FLAG_LAST_NONE = 4, FLAG_NONE = 8, FLAGS = 16 };
#define FORMS_ALL (2 * 9 * STRIP_SUMS)

typedef int64_t column[STRIP_MAX];

struct strip {
	size_t n, n_full, n_rare, n_stored;
	int64_t window_ns;
	uint16_t full[STRIP_MAX], rare[STRIP_MAX]; /* which buckets these are */
	uint16_t stored[STRIP_MAX];                /* which of the full ones have the column at hand */
	column index, count, flags, start, last_t, last_step, last_m;         /* of all */
	column first_t, first_step, step_min, step_max, form, first_m, min_m; /* of full ones */
	column nan, pos_inf, neg_inf, bad_t, bad_step;                        /* of rare ones */
	double last[STRIP_MAX], first[STRIP_MAX], min[STRIP_MAX], max[STRIP_MAX], hi[STRIP_MAX],
	    lo[STRIP_MAX];
	/* at hand: the stored ones of a column, and its references */
	column some_m, ref[COLUMN_REFS_MAX];
	double some[4 * STRIP_MAX];
	strip_column_fn watch; /* NULL: nobody does */
	void *watch_arg;
};

struct coder {
	struct strip *s;
	struct column_out *out; /* NULL: reading */
	struct column_in *in;
	unsigned fields; /* that are put, or wanted */
	bool skip;       /* the columns at hand are not wanted */
	const int64_t *refs[COLUMN_REFS_MAX];
	size_t columns; /* that were watched */
};

int strip_new(struct strip **ret)
{
	struct strip *s = malloc(sizeof(*s));

	if (!s)
		return ERR_NOMEM;
	s->watch = NULL;
	*ret = s;
	return 0;
}

void strip_free(struct strip *s) { free(s); }

static unsigned first_form(int64_t form) { return (unsigned)form / (9 * STRIP_SUMS); }
static unsigned min_form(int64_t form) { return (unsigned)form / (3 * STRIP_SUMS) % 3; }
static unsigned max_form(int64_t form) { return (unsigned)form / STRIP_SUMS % 3; }
static enum strip_sum sum_form(int64_t form) { return (enum strip_sum)((unsigned)form % STRIP_SUMS); }

/* ---- what columns take ---- */

void strip_watch(struct strip *s, strip_column_fn fn, void *arg)
{
	s->watch = fn;
	s->watch_arg = arg;
}

/* The next of the columns, in their order, began where `from` stands. */
static void tell_column(struct coder *c, const struct column_in *from, size_t n, const char *codec)
{
	static const char *const names[] = { "start",
					     "count",
					     "flags",
					     "last time",
					     "first time",
					     "last step",
					     "first step",
					     "least step",
					     "greatest step",
					     "form",
					     "last",
					     "first",
					     "min",
					     "max",
					     "sum",
					     "rest of sum",
					     "nan",
					     "+inf",
					     "-inf",
					     "time of non-finite",
					     "step of non-finite" };
	const struct strip_column told = { names[c->columns % (sizeof(names) / sizeof(*names))],
					   n ? codec : "none", n,
					   reader_left(&from->dense) - reader_left(&c->in->dense),
					   reader_left(&from->loose) - reader_left(&c->in->loose) };

	c->columns++;
	c->s->watch(c->s->watch_arg, &told);
}

static int watch_column(struct coder *c, int64_t *v, size_t n, size_t n_refs)
{
	static const char *const packings[] = { "same", "bits", "least", "zigzag" };
	const struct column_in from = *c->in;
	int err = column_get(c->in, v, n, c->refs, n_refs);

	if (err == 0)
		tell_column(c, &from, n, n ? packings[*from.loose.p & 3] : NULL);
	return err;
}

static int watch_numbers(struct coder *c, struct scale scale, double *v, size_t n, size_t n_refs, int64_t *m)
{
	static const char *const scales[SCALE_KINDS] = {
		[SCALE_DECIMAL] = "decimal", [SCALE_BINARY] = "binary",     [SCALE_FLOAT] = "float32",
		[SCALE_DOUBLE] = "double",   [SCALE_FRACTION] = "fraction", [SCALE_PRINTED] = "printed"
	};
	const struct column_in from = *c->in;
	int err = numbers_get(c->in, scale, v, n, c->refs, n_refs, m);

	if (err == 0)
		tell_column(c, &from, n, scales[scale.kind]);
	return err;
}

/* ---- both ways ---- */

static int code_column(struct coder *c, int64_t *v, size_t n, size_t n_refs)
{
	if (c->skip)
		return column_skip(c->in, n);
	if (c->in && c->s->watch)
		return watch_column(c, v, n, n_refs);
	return c->out ? column_put(c->out, v, n, c->refs, n_refs) : column_get(c->in, v, n, c->refs, n_refs);
}

static int code_numbers(struct coder *c, struct scale scale, double *v, size_t n, size_t n_refs, int64_t *m)
{
	if (c->skip)
		return numbers_skip(c->in, n);
	if (c->in && c->s->watch)
		return watch_numbers(c, scale, v, n, n_refs, m);
	return c->out ? numbers_put(c->out, scale, v, n, c->refs, n_refs, m)
		      : numbers_get(c->in, scale, v, n, c->refs, n_refs, m);
}

static int code_scale(struct coder *c, struct scale *scale)
{
	return c->out ? scale_put(c->out, *scale) : scale_get(c->in, scale);
}

/* References: columns of all full buckets, copied where they are columns of all buckets. */

static void refer_same(struct coder *c, int ref, const int64_t *v) { c->refs[ref] = v; }

static void refer_full(struct coder *c, int ref, const int64_t *v)
{
	struct strip *s = c->s;

	c->refs[ref] = s->n_full == s->n ? v : s->ref[ref];
	for (size_t i = 0; i < s->n_full && s->n_full < s->n && !c->skip; i++)
		s->ref[ref][i] = v[s->full[i]];
}

/* What the bucket before has; the first has nothing before it. */
static void refer_before(struct coder *c, int ref, const int64_t *v, int64_t nothing)
{
	struct strip *s = c->s;

	c->refs[ref] = s->ref[ref];
	for (size_t i = 0; i < s->n_full && !c->skip; i++)
		s->ref[ref][i] = s->full[i] ? v[s->full[i] - 1] : nothing;
}

static bool is_full(const struct strip *s, size_t i) { return s->count[i] != 1 || s->flags[i] & FLAG_RARE; }

/* Which buckets are full, which are rare; starts from indexes. */
static int sort_out(struct strip *s)
{
	s->n_full = s->n_rare = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (s->flags[i] < 0 || s->flags[i] >= FLAGS ||
		    (s->count[i] == 0 && !(s->flags[i] & FLAG_RARE)) ||
		    __builtin_mul_overflow(s->index[i], s->window_ns, &s->start[i]) ||
		    s->start[i] > INT64_MAX - s->window_ns)
			return ERR_CORRUPT;
		if (is_full(s, i))
			s->full[s->n_full++] = (uint16_t)i;
		if (s->flags[i] & FLAG_RARE)
			s->rare[s->n_rare++] = (uint16_t)i;
	}
	return 0;
}

/* The columns that follow are wanted when one of these fields is. */
static void want(struct coder *c, unsigned fields) { c->skip = !(c->fields & fields); }

static int code_keys(struct coder *c)
{
	struct strip *s = c->s;
	int err = code_column(c, s->index, s->n, 0);

	if (err == 0)
		err = code_column(c, s->count, s->n, 0);
	if (err == 0)
		err = code_column(c, s->flags, s->n, 0);
	return err < 0 ? err : sort_out(s);
}

static int code_times(struct coder *c)
{
	struct strip *s = c->s;
	int err;

	want(c, WANT_TIMES);
	refer_same(c, 0, s->start);
	err = code_column(c, s->last_t, s->n, 1);
	refer_full(c, 0, s->last_t);
	refer_full(c, 1, s->start);
	refer_before(c, 2, s->last_t, s->start[0]);
	return err < 0 ? err : code_column(c, s->first_t, s->n_full, 3);
}

static int code_steps(struct coder *c)
{
	struct strip *s = c->s;
	int err;

	want(c, WANT_STEPS | WANT_RARE);
	err = code_column(c, s->last_step, s->n, 0);
	want(c, WANT_STEPS);
	refer_full(c, 0, s->last_step);
	refer_before(c, 1, s->last_step, 0);
	if (err == 0)
		err = code_column(c, s->first_step, s->n_full, 2);
	refer_same(c, 1, s->first_step);
	if (err == 0)
		err = code_column(c, s->step_min, s->n_full, 2);
	return err < 0 ? err : code_column(c, s->step_max, s->n_full, 2);
}

/* Leaves of the references what belongs to the stored ones. */
static void keep_stored(struct coder *c, size_t n_refs)
{
	struct strip *s = c->s;

	for (size_t r = 0; r < n_refs; r++) {
		for (size_t i = 0; i < s->n_stored; i++)
			s->ref[r][i] = c->refs[r][s->stored[i]];
		c->refs[r] = s->ref[r];
	}
}

/* The stored numbers of a column of full buckets, whose references are set for all full ones. */
static int code_stored(struct coder *c, struct scale scale, double *v, size_t n_refs)
{
	struct strip *s = c->s;
	int err;

	if (s->n_stored == s->n_full || c->skip)
		return code_numbers(c, scale, v, s->n_stored, n_refs, s->some_m);
	keep_stored(c, n_refs);
	for (size_t i = 0; i < s->n_stored; i++)
		s->some[i] = v[s->stored[i]];
	err = code_numbers(c, scale, s->some, s->n_stored, n_refs, s->some_m);
	for (size_t i = 0; i < s->n_stored && err == 0; i++)
		v[s->stored[i]] = s->some[i];
	return err;
}

static void scatter(const struct coder *c, int64_t *m)
{
	const struct strip *s = c->s;

	for (size_t i = 0; i < s->n_stored && !c->skip; i++)
		m[s->stored[i]] = s->some_m[i];
}

static int code_first(struct coder *c, struct scale scale)
{
	struct strip *s = c->s;
	int err;

	s->n_stored = 0;
	for (size_t i = 0; i < s->n_full; i++) {
		s->first_m[i] = s->last_m[s->full[i]];
		if (first_form(s->form[i]))
			s->stored[s->n_stored++] = (uint16_t)i;
		else
			s->first[i] = s->last[s->full[i]];
	}
	refer_full(c, 0, s->last_m);
	refer_before(c, 1, s->last_m, 0);
	err = code_stored(c, scale, s->first, 2);
	scatter(c, s->first_m);
	return err;
}

static int code_min(struct coder *c, struct scale scale)
{
	struct strip *s = c->s;
	int err;

	s->n_stored = 0;
	for (size_t i = 0; i < s->n_full; i++) {
		bool is_last = min_form(s->form[i]) == 1;

		s->min_m[i] = is_last ? s->last_m[s->full[i]] : s->first_m[i];
		if (min_form(s->form[i]) == 2)
			s->stored[s->n_stored++] = (uint16_t)i;
		else
			s->min[i] = is_last ? s->last[s->full[i]] : s->first[i];
	}
	refer_full(c, 0, s->last_m);
	refer_same(c, 1, s->first_m);
	err = code_stored(c, scale, s->min, 2);
	scatter(c, s->min_m);
	return err;
}

static int code_max(struct coder *c, struct scale scale)
{
	struct strip *s = c->s;

	s->n_stored = 0;
	for (size_t i = 0; i < s->n_full; i++) {
		if (max_form(s->form[i]) == 2)
			s->stored[s->n_stored++] = (uint16_t)i;
		else
			s->max[i] = max_form(s->form[i]) ? s->last[s->full[i]] : s->first[i];
	}
	refer_full(c, 0, s->last_m);
	refer_same(c, 1, s->first_m);
	refer_same(c, 2, s->min_m);
	return code_stored(c, scale, s->max, 3);
}

/* All values of a strip, to choose their scale by. */
static struct scale choose_scale(struct strip *s)
{
	size_t n = s->n;

	memcpy(s->some, s->last, n * sizeof(*s->last));
	for (size_t i = 0; i < s->n_full; i++) {
		if (first_form(s->form[i]))
			s->some[n++] = s->first[i];
		if (min_form(s->form[i]) == 2)
			s->some[n++] = s->min[i];
		if (max_form(s->form[i]) == 2)
			s->some[n++] = s->max[i];
	}
	return scale_choose(s->some, n);
}

static int check_forms(const struct strip *s)
{
	for (size_t i = 0; i < s->n_full; i++)
		if (s->form[i] < 0 || s->form[i] >= FORMS_ALL ||
		    (s->count[s->full[i]] == 0 && s->form[i] % (9 * STRIP_SUMS)))
			return ERR_CORRUPT;
	return 0;
}

static int code_values(struct coder *c)
{
	struct strip *s = c->s;
	struct scale scale = { SCALE_DOUBLE, 0 };
	int err;

	c->skip = false; /* the form says how many there are of the others */
	err = code_column(c, s->form, s->n_full, 0);
	want(c, WANT_VALUES);
	if (err == 0)
		err = check_forms(s);
	if (err == 0 && c->out)
		scale = choose_scale(s);
	if (err == 0)
		err = code_scale(c, &scale);
	if (err == 0)
		err = code_numbers(c, scale, s->last, s->n, 0, s->last_m);
	if (err == 0)
		err = code_first(c, scale);
	if (err == 0)
		err = code_min(c, scale);
	return err < 0 ? err : code_max(c, scale);
}

/* The scale of stored numbers, put or got, when there are any. */
static int code_scale_of(struct coder *c, const double *v, struct scale *scale)
{
	struct strip *s = c->s;

	*scale = (struct scale){ SCALE_DOUBLE, 0 };
	if (s->n_stored == 0)
		return 0;
	for (size_t i = 0; i < s->n_stored && c->out; i++)
		s->some[i] = v[s->stored[i]];
	if (c->out)
		*scale = scale_choose(s->some, s->n_stored);
	return code_scale(c, scale);
}

static int code_sums(struct coder *c)
{
	struct strip *s = c->s;
	struct scale scale;
	int err;

	want(c, WANT_SUM);
	s->n_stored = 0;
	for (size_t i = 0; i < s->n_full; i++)
		if (sum_form(s->form[i]) == STRIP_ONE || sum_form(s->form[i]) == STRIP_TWO)
			s->stored[s->n_stored++] = (uint16_t)i;
	err = code_scale_of(c, s->hi, &scale);
	c->refs[0] = s->ref[0];
	for (size_t i = 0; i < s->n_stored && !c->skip; i++) {
		size_t at = s->stored[i];

		s->ref[0][at] = scale_near(scale, (double)(uint64_t)s->count[s->full[at]] *
						      (s->min[at] + s->max[at]) / 2);
	}
	if (err == 0)
		err = code_stored(c, scale, s->hi, 1);
	s->n_stored = 0;
	for (size_t i = 0; i < s->n_full; i++)
		if (sum_form(s->form[i]) == STRIP_TWO)
			s->stored[s->n_stored++] = (uint16_t)i;
	if (err == 0)
		err = code_scale_of(c, s->lo, &scale);
	return err < 0 ? err : code_stored(c, scale, s->lo, 0);
}

static int code_rare(struct coder *c)
{
	struct strip *s = c->s;
	int err;

	want(c, WANT_RARE);
	err = code_column(c, s->nan, s->n_rare, 0);

	c->refs[0] = s->ref[0];
	c->refs[1] = s->ref[1];
	for (size_t i = 0; i < s->n_rare; i++) {
		s->ref[0][i] = s->start[s->rare[i]];
		s->ref[1][i] = s->last_step[s->rare[i]];
	}
	if (err == 0)
		err = code_column(c, s->pos_inf, s->n_rare, 0);
	if (err == 0)
		err = code_column(c, s->neg_inf, s->n_rare, 0);
	if (err == 0)
		err = code_column(c, s->bad_t, s->n_rare, 1);
	return err < 0 ? err : code_column(c, s->bad_step, s->n_rare, 2);
}

static int code(struct coder *c)
{
	int err = code_keys(c);

	if (err == 0)
		err = code_times(c);
	if (err == 0)
		err = code_steps(c);
	if (err == 0)
		err = code_values(c);
	if (err == 0)
		err = code_sums(c);
	return err < 0 ? err : code_rare(c);
}

/* ---- from buckets ---- */

static bool same_terms(const struct sum *a, const double *terms, int n)
{
	double other[SUM_TERMS_MAX];

	return sum_terms(a, other) == n && memcmp(other, terms, (size_t)n * sizeof(*terms)) == 0;
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

	s->index[i] = sb->key.start_ns / s->window_ns;
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
	struct coder c = { .s = s, .out = o, .fields = WANT_ALL };
	int err;

	s->n = s->n_full = s->n_rare = 0;
	s->window_ns = b[0].key.window_ns;
	for (size_t i = 0; i < n; i++)
		take_bucket(s, &b[i]);
	err = code(&c);
	for (size_t i = 0; i < s->n_full && err == 0; i++)
		if (sum_form(s->form[i]) == STRIP_ANY)
			err = sum_encode(&b[s->full[i]].bucket.sum, &o->dense);
	return err;
}

/* ---- to buckets ---- */

static bool is_sum(double hi, double lo) { return isfinite(hi) && hi != 0 && hi + lo == hi; }

/* wide: where the sums lie that do not fit two doubles. */
static int give_sum(struct strip *s, size_t full, struct reader *wide, struct bucket *b)
{
	double hi = s->hi[full], lo = s->lo[full];
	int err;

	switch (sum_form(s->form[full])) {
	case STRIP_FORETOLD:
		return foretell_sum(b, min_form(s->form[full]) == 2, &b->sum) ? 0 : ERR_CORRUPT;
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
	bool rare = s->flags[at->i] & FLAG_RARE;
	int err;

	give_common(s, at->i, fields, b);
	if (rare && fields & WANT_RARE) {
		give_rare(s, at->rare, r);
		b->rare = r;
	}
	if (!is_full(s, at->i))
		return give_single(fields, b);
	err = give_full(s, at->full, fields, rare, b);
	if (err < 0 || s->count[at->i] == 0)
		return err;
	if (rare && sum_form(s->form[at->full]) == STRIP_FORETOLD)
		return ERR_CORRUPT;
	/* wide ones lie one after another, so they are read, wanted or not */
	return fields & WANT_SUM || sum_form(s->form[at->full]) == STRIP_ANY
		   ? give_sum(s, at->full, at->wide, b)
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
		if (wanted || (full && sum_form(s->form[at.full]) == STRIP_ANY)) {
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
	unsigned fields = some & WANT_SUM ? some | WANT_VALUES : some;
	struct coder c = { .s = s, .in = in, .fields = fields };
	int err;

	if (window_ns <= 0 || n == 0 || n > STRIP_MAX)
		return ERR_CORRUPT;
	s->n = n;
	s->window_ns = window_ns;
	err = code(&c);
	return err < 0 ? err : give(s, sid, want, fields, &in->dense, fn, arg);
}

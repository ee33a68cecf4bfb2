/*
 * Columns of a strip lie in struct strip.  One description of their order and references (code)
 * serves both ways: it puts each column, or gets it.
 */
#include <stdlib.h>

#include "store/strip_layout.h"

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
	s->values_habit = s->sums_habit = s->rests_habit = (struct scale_habit){ .left = 0 };
	*ret = s;
	return 0;
}

void strip_free(struct strip *s) { free(s); }

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
	const struct column_in from = *c->in;
	int err = column_get(c->in, v, n, c->refs, n_refs);

	if (err == 0)
		tell_column(c, &from, n, n ? column_form(*from.loose.p) : NULL);
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
	return scale_choose_alike(s->some, n, &s->values_habit);
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
static int code_scale_of(struct coder *c, const double *v, struct scale_habit *habit, struct scale *scale)
{
	struct strip *s = c->s;

	*scale = (struct scale){ SCALE_DOUBLE, 0 };
	if (s->n_stored == 0)
		return 0;
	for (size_t i = 0; i < s->n_stored && c->out; i++)
		s->some[i] = v[s->stored[i]];
	if (c->out)
		*scale = scale_choose_alike(s->some, s->n_stored, habit);
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
	err = code_scale_of(c, s->hi, &s->sums_habit, &scale);
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
		err = code_scale_of(c, s->lo, &s->rests_habit, &scale);
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

int strip_columns_put(struct strip *s, struct column_out *o)
{
	struct coder c = { .s = s, .out = o, .fields = WANT_ALL };

	return code(&c);
}

int strip_columns_get(struct strip *s, struct column_in *in, unsigned fields)
{
	struct coder c = { .s = s, .in = in, .fields = fields };

	return code(&c);
}

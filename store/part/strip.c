/*
 * Columns of a strip lie in struct strip.  One description of their order and references (code)
 * serves both ways: it puts each column, or gets it.
 */
#include <stdlib.h>

#include "store/part/strip_coder.h"

int strip_new(struct strip **ret)
{
	struct strip *s = malloc(sizeof(*s));

	if (!s)
		return ERR_NOMEM;
	s->watch = NULL;
	s->n_sums = 0;
	s->wide_sums = false;
	s->values_habit = s->sums_habit = s->rests_habit = (struct scale_habit){ .left = 0 };
	*ret = s;
	return 0;
}

void strip_free(struct strip *s)
{
	if (s)
		strip_release_sums(s);
	free(s);
}

int strip_begin(struct strip *s, int64_t window_ns, size_t n)
{
	if (window_ns <= 0 || n == 0 || n > STRIP_MAX)
		return ERR_CORRUPT;
	s->n = n;
	s->window_ns = window_ns;
	return 0;
}

void strip_watch(struct strip *s, strip_column_fn fn, void *arg)
{
	s->watch = fn;
	s->watch_arg = arg;
}

/* ---- the columns ---- */

static int code_scale(struct coder *c, struct scale *scale)
{
	return c->out ? scale_put(c->out, *scale) : scale_get(c->in, scale);
}

/* Loops have their bounds in variables: what is stored could be these, for all that the compiler knows. */

/* Starts, from indexes. */
static int find_starts(struct strip *s)
{
	int64_t window = s->window_ns, least = INT64_MIN / window, most = INT64_MAX / window - 1;
	size_t n = s->n;
	bool bad = false;

	for (size_t i = 0; i < n; i++) {
		int64_t index = s->index[i];

		bad |= (index < least) | (index > most);
		s->start[i] = (int64_t)((uint64_t)index * (uint64_t)window);
	}
	return bad ? ERR_CORRUPT : 0;
}

/* Which buckets are full, which are rare; nothing of what they say is looked at twice. */
static int sort_out(struct strip *s)
{
	size_t n = s->n, full = 0;
	int64_t flags = 0;
	bool none = false;

	for (size_t i = 0; i < n; i++) {
		flags |= s->flags[i];
		none |= (s->count[i] == 0) & !(s->flags[i] & FLAG_RARE);
		s->full[full] = (uint16_t)i;
		full += (s->count[i] != 1) | (s->flags[i] & FLAG_RARE);
	}
	if (flags < 0 || flags >= FLAGS || none)
		return ERR_CORRUPT;
	s->n_full = full;
	s->n_rare = 0;
	for (size_t i = 0; i < n && flags & FLAG_RARE; i++)
		if (s->flags[i] & FLAG_RARE)
			s->rare[s->n_rare++] = (uint16_t)i;
	return find_starts(s);
}

/* The columns that follow are wanted when one of these fields is. */
static void want(struct coder *c, unsigned fields) { c->skip = !(c->fields & fields); }

static int code_keys(struct coder *c)
{
	struct strip *s = c->s;
	int err = coder_column(c, s->index, s->n, 0);

	if (err == 0)
		err = coder_column(c, s->count, s->n, 0);
	if (err == 0)
		err = coder_column(c, s->flags, s->n, 0);
	return err < 0 ? err : sort_out(s);
}

static int code_times(struct coder *c)
{
	struct strip *s = c->s;
	int err;

	want(c, WANT_TIMES);
	coder_refer(c, 0, s->start);
	err = coder_column(c, s->last_t, s->n, 1);
	coder_refer_all(c, 0, s->last_t);
	coder_refer_all(c, 1, s->start);
	coder_refer_before(c, 2, s->last_t, s->start[0]);
	return err < 0 ? err : coder_column(c, s->first_t, s->n_full, 3);
}

static int code_steps(struct coder *c)
{
	struct strip *s = c->s;
	int err;

	want(c, WANT_STEPS | WANT_RARE);
	err = coder_column(c, s->last_step, s->n, 0);
	want(c, WANT_STEPS);
	coder_refer_all(c, 0, s->last_step);
	coder_refer_before(c, 1, s->last_step, 0);
	if (err == 0)
		err = coder_column(c, s->first_step, s->n_full, 2);
	coder_refer(c, 1, s->first_step);
	if (err == 0)
		err = coder_column(c, s->step_min, s->n_full, 2);
	return err < 0 ? err : coder_column(c, s->step_max, s->n_full, 2);
}

/* Those of the full ones are stored whose form is `least` or up to so much more; of what is passed over, how
 * many is enough. */
static void choose_stored(struct coder *c, const uint8_t *at, uint8_t least, uint8_t more)
{
	struct strip *s = c->s;
	size_t n = s->n_full, stored = 0;

	if (c->skip)
		for (size_t i = 0; i < n; i++)
			stored += (uint8_t)(at[i] - least) <= more;
	else
		for (size_t i = 0; i < n; i++) {
			s->stored[stored] = (uint16_t)i;
			stored += (uint8_t)(at[i] - least) <= more;
		}
	s->n_stored = stored;
}

/* The stored numbers of a column of full buckets, whose references are set for all full ones; their integers
 * go to m, where there is one. */
static int code_stored(struct coder *c, struct scale scale, double *v, size_t n_refs, int64_t *m)
{
	struct strip *s = c->s;
	int err;

	if (c->skip || s->n_stored == s->n_full)
		return coder_numbers(c, scale, v, s->n_stored, n_refs, false, m ? m : s->some_m);
	for (size_t i = 0; i < s->n_stored && c->out; i++)
		s->some[i] = v[s->stored[i]];
	err = coder_numbers(c, scale, s->some, s->n_stored, n_refs, true, s->some_m);
	for (size_t i = 0; i < s->n_stored && err == 0; i++)
		v[s->stored[i]] = s->some[i];
	for (size_t i = 0; i < s->n_stored && err == 0 && m; i++)
		m[s->stored[i]] = s->some_m[i];
	return err;
}

/* What full buckets have of the last values. */
static void take_full(struct coder *c)
{
	struct strip *s = c->s;
	bool all = s->n_full == s->n;

	c->full_m = all ? s->last_m : s->full_m;
	c->full_last = all ? s->last : s->full_last;
	for (size_t i = 0; i < s->n_full && !all; i++) {
		s->full_m[i] = s->last_m[s->full[i]];
		s->full_last[i] = s->last[s->full[i]];
	}
}

static int code_first(struct coder *c, struct scale scale)
{
	struct strip *s = c->s;

	choose_stored(c, s->first_at, 1, 0);
	if (!c->skip)
		memcpy(s->first_m, c->full_m, s->n_full * sizeof(*s->first_m));
	if (!c->skip && c->in)
		memcpy(s->first, c->full_last, s->n_full * sizeof(*s->first));
	coder_refer_all(c, 0, s->last_m);
	coder_refer_before(c, 1, s->last_m, 0);
	return code_stored(c, scale, s->first, 2, s->first_m);
}

/* The first of both, or the other where the form is 1. */
static void either(const uint8_t *at, size_t n, const int64_t *a, const int64_t *b, int64_t *restrict ret)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = at[i] == 1 ? b[i] : a[i];
}

static void either_double(const uint8_t *at, size_t n, const double *a, const double *b, double *restrict ret)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = at[i] == 1 ? b[i] : a[i];
}

static int code_min(struct coder *c, struct scale scale)
{
	struct strip *s = c->s;

	choose_stored(c, s->min_at, 2, 0);
	if (!c->skip)
		either(s->min_at, s->n_full, s->first_m, c->full_m, s->min_m);
	if (!c->skip && c->in)
		either_double(s->min_at, s->n_full, s->first, c->full_last, s->min);
	coder_refer_all(c, 0, s->last_m);
	coder_refer(c, 1, s->first_m);
	return code_stored(c, scale, s->min, 2, s->min_m);
}

static int code_max(struct coder *c, struct scale scale)
{
	struct strip *s = c->s;

	choose_stored(c, s->max_at, 2, 0);
	if (!c->skip && c->in)
		either_double(s->max_at, s->n_full, s->first, c->full_last, s->max);
	coder_refer_all(c, 0, s->last_m);
	coder_refer(c, 1, s->first_m);
	coder_refer(c, 2, s->min_m);
	return code_stored(c, scale, s->max, 3, NULL);
}

/* All values of a strip, to choose their scale by. */
static struct scale choose_scale(struct strip *s)
{
	size_t n = s->n;

	memcpy(s->some, s->last, n * sizeof(*s->last));
	for (size_t i = 0; i < s->n_full; i++) {
		if (s->first_at[i])
			s->some[n++] = s->first[i];
		if (s->min_at[i] == 2)
			s->some[n++] = s->min[i];
		if (s->max_at[i] == 2)
			s->some[n++] = s->max[i];
	}
	return scale_choose_alike(s->some, n, &s->values_habit);
}

/* A form says where a bucket's first, min, max and sum are (strip.h). */
static int split_forms(struct strip *s)
{
	size_t n = s->n_full;
	uint64_t any = 0;
	uint8_t bad = 0;

	for (size_t i = 0; i < n; i++) {
		any |= (uint64_t)s->form[i];
		s->sum_at[i] = (uint8_t)s->form[i];
	}
	for (size_t i = 0; i < n; i++) {
		uint8_t form = s->sum_at[i], values = form / STRIP_SUMS;

		bad |= form >= FORMS_ALL;
		s->sum_at[i] = form % STRIP_SUMS;
		s->first_at[i] = values >= 9;
		s->min_at[i] = values / 3 % 3;
		s->max_at[i] = values % 3;
	}
	/* a bucket without a finite sample is rare */
	for (size_t i = 0; i < n && s->n_rare; i++)
		bad |= s->count[s->full[i]] == 0 && s->form[i] % (9 * STRIP_SUMS);
	return bad || any > UINT8_MAX ? ERR_CORRUPT : 0;
}

/* Whether the greatest, which come next, are foretold by the least; their scale is known, nothing is read. */
static bool max_needs_min(const struct coder *c) { return c->s->n_stored && numbers_reference(*c->in) == 3; }

/* min, then max.  min is read in vain where nobody wants it and max is not foretold by it. */
static int code_ends(struct coder *c, struct scale scale)
{
	struct column_in before;
	int err;

	if (c->out || c->fields & (WANT_MIN | WANT_SUM) || !(c->fields & WANT_MAX)) {
		want(c, WANT_MIN | WANT_SUM);
		err = code_min(c, scale);
		want(c, WANT_MAX | WANT_SUM);
		return err < 0 ? err : code_max(c, scale);
	}
	before = *c->in;
	c->skip = true;
	err = code_min(c, scale);
	c->skip = false;
	choose_stored(c, c->s->max_at, 2, 0);
	if (err == 0 && max_needs_min(c)) {
		*c->in = before;
		err = code_min(c, scale);
	}
	return err < 0 ? err : code_max(c, scale);
}

static int code_values(struct coder *c)
{
	struct strip *s = c->s;
	struct scale scale = { SCALE_DOUBLE, 0 };
	int err;

	c->skip = false; /* the form says how many there are of the others */
	err = coder_column(c, s->form, s->n_full, 0);
	want(c, WANT_VALUES);
	if (err == 0)
		err = split_forms(s);
	if (err == 0 && c->out)
		scale = choose_scale(s);
	if (err == 0)
		err = code_scale(c, &scale);
	if (err == 0)
		err = coder_numbers(c, scale, s->last, s->n, 0, false, s->last_m);
	if (err == 0 && !c->skip)
		take_full(c);
	want(c, WANT_VALUES & ~(unsigned)WANT_LAST);
	if (err == 0)
		err = code_first(c, scale);
	return err < 0 ? err : code_ends(c, scale);
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

/* The greater of two doubles, and the only one, is foretold by count * (min + max) / 2. */
static void foretell_sums(struct coder *c, struct scale scale)
{
	struct strip *s = c->s;

	for (size_t i = 0; i < s->n_stored; i++) {
		size_t at = s->stored[i];

		s->ref[1][at] = scale_near(scale, (double)(uint64_t)s->count[s->full[at]] *
						      (s->min[at] + s->max[at]) / 2);
	}
}

static int code_sums(struct coder *c)
{
	struct strip *s = c->s;
	struct scale scale;
	int err;

	want(c, WANT_SUM);
	choose_stored(c, s->sum_at, STRIP_ONE, 1);
	err = code_scale_of(c, s->hi, &s->sums_habit, &scale);
	coder_refer(c, 0, s->ref[1]);
	if (err == 0 && !c->skip && s->n_stored && (c->out || numbers_reference(*c->in)))
		foretell_sums(c, scale);
	if (err == 0)
		err = code_stored(c, scale, s->hi, 1, NULL);
	choose_stored(c, s->sum_at, STRIP_TWO, 0);
	if (err == 0)
		err = code_scale_of(c, s->lo, &s->rests_habit, &scale);
	return err < 0 ? err : code_stored(c, scale, s->lo, 0, NULL);
}

static int code_rare(struct coder *c)
{
	struct strip *s = c->s;
	int err;

	want(c, WANT_RARE);
	err = coder_column(c, s->nan, s->n_rare, 0);

	coder_refer(c, 0, s->ref[0]);
	coder_refer(c, 1, s->ref[1]);
	for (size_t i = 0; i < s->n_rare; i++) {
		s->ref[0][i] = s->start[s->rare[i]];
		s->ref[1][i] = s->last_step[s->rare[i]];
	}
	if (err == 0)
		err = coder_column(c, s->pos_inf, s->n_rare, 0);
	if (err == 0)
		err = coder_column(c, s->neg_inf, s->n_rare, 0);
	if (err == 0)
		err = coder_column(c, s->bad_t, s->n_rare, 1);
	return err < 0 ? err : coder_column(c, s->bad_step, s->n_rare, 2);
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

#include "ingest/bucket_line.h"

#include <stdio.h>
#include <stdlib.h>

#include "ingest/json_fields.h"
#include "ingest/names.h"
#include "store/base/duration.h"

enum member {
	START,
	EVERY,
	COUNT,
	SUM,
	MIN,
	MAX,
	FIRST,
	LAST,
	STEP_MIN,
	STEP_MAX,
	NANS,
	POS_INF,
	NEG_INF,
	BAD,
	MEMBERS
};

static const char *const names[MEMBERS] = { "start", "every",   "count",   "sum",      "min",
					    "max",   "first",   "last",    "step_min", "step_max",
					    "nan",   "pos_inf", "neg_inf", "bad" };

enum point_member { TIME, STEP, VALUE, POINT_MEMBERS };

static const char *const point_names[POINT_MEMBERS] = { "time", "step", "value" };

static int refuse(struct fault *f, const char *field, const struct json_value *v, const char *wanted)
{
	char text[EXCERPT_MAX], full[FAULT_FIELD_MAX];

	snprintf(full, sizeof(full), "bucket.%s", field);
	if (v->kind == JSON_NONE)
		return fault_set(f, ERR_REFUSED, full, "\"%s\" is not there; it has to be %s", full, wanted);
	return fault_set(f, ERR_REFUSED, full, "\"%s\" is %s; it has to be %s", full,
			 name_excerpt(v->text, text), wanted);
}

static int get_time(const struct json_value *v, const char *field, int64_t *ret, struct fault *f)
{
	int64_t ms;

	if (v->kind == JSON_STRING && clock_parse((const char *)v->text.data + 1, v->text.len - 2, ret))
		return 0;
	if (json_integer(v, &ms) && !__builtin_mul_overflow(ms, NS_PER_MS, ret))
		return 0;
	return refuse(f, field, v, "RFC 3339 text from 1970 to 2262, or integer milliseconds");
}

static int get_step(const struct json_value *v, const char *field, int64_t *ret, struct fault *f)
{
	*ret = STEP_NONE;
	if (v->kind == JSON_NONE || (json_integer(v, ret) && *ret != STEP_NONE))
		return 0;
	return refuse(f, field, v, "an integer of 64 bits above -2^63, or null");
}

static int get_count(const struct json_value *v, const char *field, uint64_t *ret, struct fault *f)
{
	int64_t n = 0;

	if (v->kind != JSON_NONE && (!json_integer(v, &n) || n < 0))
		return refuse(f, field, v, "a whole number that is not negative");
	*ret = (uint64_t)n;
	return 0;
}

static int get_double(const struct json_value *v, const char *field, double *ret, struct fault *f)
{
	return json_double(v, ret) ? 0
				   : refuse(f, field, v, "a number, \"NaN\", \"Infinity\" or \"-Infinity\"");
}

/* in: "first", "last", "bad"; bad has no value. */
static int get_point(const struct json_value *v, const char *in, bool has_value, struct point *ret,
		     struct fault *f)
{
	struct json_value at[POINT_MEMBERS];
	char field[32];
	int err;

	if (v->kind != JSON_OBJECT)
		return refuse(f, in, v,
			      has_value ? "an object with time, step and value"
					: "an object with time and step");
	snprintf(field, sizeof(field), "bucket.%s", in);
	if ((err = json_fields(v->text, point_names, has_value ? POINT_MEMBERS : VALUE, field, at, f)) < 0)
		return err;
	snprintf(field, sizeof(field), "%s.time", in);
	if ((err = get_time(&at[TIME], field, &ret->t_ns, f)) < 0)
		return err;
	snprintf(field, sizeof(field), "%s.step", in);
	if ((err = get_step(&at[STEP], field, &ret->step, f)) < 0)
		return err;
	snprintf(field, sizeof(field), "%s.value", in);
	return has_value ? get_double(&at[VALUE], field, &ret->value, f) : 0;
}

/* The elements of an array of numbers; -1 when it is another, or has more than fit. */
static int array_doubles(struct span array, double ret[SUM_TERMS_MAX])
{
	struct span at = span_of(array.data + 1, array.len - 2);
	struct json_value v;
	int n = 0;

	while (at.len && json_scan(at, &v) == 0) {
		size_t used = (size_t)(v.text.data + v.text.len - at.data);

		if (n == SUM_TERMS_MAX || v.kind != JSON_NUMBER || !json_double(&v, &ret[n++]))
			return -1;
		at = span_of(at.data + used, at.len - used);
		while (at.len && memchr(" \t\r,", *at.data, 4))
			at = span_of(at.data + 1, at.len - 1);
	}
	return n;
}

static int get_sum(const struct json_value *v, struct sum *ret, struct fault *f)
{
	double terms[SUM_TERMS_MAX];
	int err = ERR_MALFORMED, n;

	if (v->kind == JSON_STRING)
		err = sum_from_hex(span_of(v->text.data + 1, v->text.len - 2), ret);
	else if (v->kind == JSON_ARRAY && (n = array_doubles(v->text, terms)) >= 0)
		err = sum_from_terms(terms, (size_t)n, ret);
	if (err != ERR_MALFORMED)
		return err;
	return refuse(
	    f, "sum", v,
	    "an array of at most 6 doubles, each the rest of the sum rounded, or \"0x...p-1074\" for a "
	    "sum that these cannot say");
}

static int get_finite(const struct json_value *at, struct bucket *b, struct fault *f)
{
	int err;

	if ((err = get_count(&at[COUNT], "count", &b->count, f)) < 0)
		return err;
	for (enum member m = SUM; b->count == 0 && m <= MAX; m++)
		if (at[m].kind != JSON_NONE && !(m == SUM && at[m].text.len == 2))
			return refuse(f, names[m], &at[m], "null, as count is 0");
	if (b->count == 0)
		return 0;
	if ((err = get_sum(&at[SUM], &b->sum, f)) < 0 || (err = get_double(&at[MIN], "min", &b->min, f)) < 0)
		return err;
	return get_double(&at[MAX], "max", &b->max, f);
}

static int get_rare(const struct json_value *at, struct bucket *b, struct fault *f)
{
	struct bucket_rare r;
	struct point bad;
	int err;

	if ((err = get_count(&at[NANS], "nan", &r.nan, f)) < 0 ||
	    (err = get_count(&at[POS_INF], "pos_inf", &r.pos_inf, f)) < 0 ||
	    (err = get_count(&at[NEG_INF], "neg_inf", &r.neg_inf, f)) < 0)
		return err;
	if (!(r.nan | r.pos_inf | r.neg_inf) && at[BAD].kind == JSON_NONE)
		return 0;
	if ((err = get_point(&at[BAD], "bad", false, &bad, f)) < 0)
		return err;
	r.bad_t_ns = bad.t_ns;
	r.bad_step = bad.step;
	b->rare = malloc(sizeof(*b->rare));
	if (!b->rare)
		return ERR_NOMEM;
	*b->rare = r;
	return 0;
}

static int get_every(const struct json_value *v, int64_t *ret, struct fault *f)
{
	if (v->kind == JSON_STRING && duration_parse(span_of(v->text.data + 1, v->text.len - 2), ret))
		return 0;
	return refuse(f, "every", v, "the width of the window: \"30s\"");
}

int bucket_line_read(struct span object, struct bucket_record *ret, int64_t *ret_every_ns, struct fault *f)
{
	struct json_value at[MEMBERS];
	struct bucket_record r = { 0 };
	struct bucket *b = &r.bucket;
	int err;

	bucket_init(b);
	if ((err = json_fields(object, names, MEMBERS, "bucket", at, f)) < 0 ||
	    (err = get_time(&at[START], "start", &r.start_ns, f)) < 0 ||
	    (err = get_every(&at[EVERY], ret_every_ns, f)) < 0 || (err = get_finite(at, b, f)) < 0 ||
	    (err = get_point(&at[FIRST], "first", true, &b->first, f)) < 0 ||
	    (err = get_point(&at[LAST], "last", true, &b->last, f)) < 0 ||
	    (err = get_step(&at[STEP_MIN], "step_min", &b->step_min, f)) < 0 ||
	    (err = get_step(&at[STEP_MAX], "step_max", &b->step_max, f)) < 0 ||
	    (err = get_rare(at, b, f)) < 0) {
		bucket_release(b);
		return err;
	}
	*ret = r;
	return 0;
}

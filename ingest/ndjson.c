#include "ingest/ndjson.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ingest/import/json_span.h"
#include "ingest/names.h"
#include "store/base/limits.h"
#include "store/base/number.h"

#define SAMPLE_LINE_MIN 22 /* bytes of {"metric":"","value":0 */

enum member { METRIC, VALUE, STEP, UNIT, LABELS, TIME, LOG, LEVEL, STREAM, RANK, ATTRS, MEMBERS };

static const char *const member_names[MEMBERS] = { "metric", "value", "step",   "unit", "labels", "time",
						   "log",    "level", "stream", "rank", "attrs" };

struct lines {
	struct intake *in;
	struct batch *b;
	size_t number; /* of the line, from 1 */
	size_t series_cap;
	bool has_steps;
	struct json_value at[MEMBERS]; /* of the line; kind JSON_NONE: not there, or null */
};

/* The sentence gets the line's number. */
__attribute__((format(printf, 4, 5))) static int refuse(struct lines *l, int err, const char *field,
							const char *format, ...)
{
	char text[FAULT_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return fault_set(l->in->fault, err, field, "line %zu: %s", l->number, text);
}

static int refuse_type(struct lines *l, enum member m, const char *wanted)
{
	char text[EXCERPT_MAX];

	return refuse(l, ERR_REFUSED, member_names[m], "\"%s\" is %s; it has to be %s", member_names[m],
		      name_excerpt(l->at[m].text, text), wanted);
}

/* ---- members ---- */

static struct span inside_quotes(struct span text) { return span_of(text.data + 1, text.len - 2); }

static int get_text(struct lines *l, enum member m, struct span *ret)
{
	if (l->at[m].kind == JSON_NONE)
		return 0;
	if (l->at[m].kind != JSON_STRING)
		return refuse_type(l, m, "a string");
	return json_unescape(inside_quotes(l->at[m].text), &l->b->memory, ret);
}

static bool is_word(struct span text, const char *word)
{
	return text.len > 2 && text.data[0] == '"' ? span_is(inside_quotes(text), word) : span_is(text, word);
}

static int get_value(struct lines *l, double *ret)
{
	const struct json_value *v = &l->at[VALUE];
	const char *text = (const char *)v->text.data;

	if (v->kind == JSON_NUMBER && number_parse(text, v->text.len, ret)) {
		if (isfinite(*ret))
			return 0;
		return refuse_type(l, VALUE, "within the range of doubles, or \"Infinity\"");
	}
	if (v->kind == JSON_STRING || v->kind == JSON_NON_FINITE) {
		bool known = true;

		if (is_word(v->text, "NaN"))
			*ret = (double)NAN;
		else if (is_word(v->text, "Infinity"))
			*ret = (double)INFINITY;
		else if (is_word(v->text, "-Infinity"))
			*ret = -(double)INFINITY;
		else
			known = false;
		if (known)
			return 0;
	}
	if (v->kind == JSON_NONE)
		return refuse(l, ERR_REFUSED, "value", "\"value\" is not there; a sample needs one");
	return refuse_type(l, VALUE, "a number, \"NaN\", \"Infinity\" or \"-Infinity\"");
}

/* Years that the clock does not have are times all the same, too early or too late. */
static bool parse_far_time(struct span s, int64_t *ret)
{
	char text[CLOCK_TEXT_MAX + 16];
	int64_t near;

	if (s.len < 4 || s.len >= sizeof(text))
		return false;
	memcpy(text, s.data, s.len);
	*ret = memcmp(text, "1970", 4) < 0 ? -1 : INT64_MAX;
	memcpy(text, "2000", 4);
	for (int i = 0; i < 4; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return (*ret < 0 || memcmp(s.data, "2261", 4) > 0) && clock_parse(text, s.len, &near);
}

static int get_time(struct lines *l, int64_t *ret)
{
	const struct json_value *v = &l->at[TIME];
	struct span s;
	int64_t ms;

	*ret = l->in->now_ns;
	if (v->kind == JSON_NONE)
		return 0;
	if (v->kind == JSON_STRING) {
		s = inside_quotes(v->text);
		if (clock_parse((const char *)s.data, s.len, ret) || parse_far_time(s, ret))
			return 0;
	} else if (json_integer(v, &ms)) {
		if (__builtin_mul_overflow(ms, NS_PER_MS, ret))
			*ret = ms < 0 ? INT64_MIN : INT64_MAX;
		return 0;
	}
	return refuse_type(l, TIME, "RFC 3339 text (\"2025-07-06T12:00:00Z\") or integer milliseconds");
}

/* One after another, the pairs of an object of strings; 0, 1: no more. */
static int next_pair(struct lines *l, enum member m, struct span *at, struct label *ret)
{
	struct json_value value;
	struct span key;
	int err;

	if (!json_member(at, &key, &value))
		return 1;
	if (value.kind != JSON_STRING)
		return refuse_type(l, m, "an object of strings: {\"rank\":\"0\"}");
	err = json_unescape(key, &l->b->memory, &ret->key);
	return err < 0 ? err : json_unescape(inside_quotes(value.text), &l->b->memory, &ret->value);
}

/* ---- samples ---- */

static int get_labels(struct lines *l, struct series_name *name)
{
	struct span at = l->at[LABELS].text;
	struct label label;
	int err;

	if (l->at[LABELS].kind == JSON_NONE)
		return 0;
	if (l->at[LABELS].kind != JSON_OBJECT)
		return refuse_type(l, LABELS, "an object of strings: {\"rank\":\"0\"}");
	while ((err = next_pair(l, LABELS, &at, &label)) == 0) {
		if (name->n_labels == LABELS_MAX)
			return refuse(l, ERR_REFUSED, "labels",
				      "more than %d labels; put what varies into the step or the time",
				      LABELS_MAX);
		name->labels[name->n_labels++] = label;
	}
	return err < 0 ? err : 0;
}

static int get_name(struct lines *l, struct series_name *ret)
{
	struct fault f = { 0 };
	int err;

	ret->metric = ret->unit = (struct span){ 0 };
	ret->n_labels = 0;
	if ((err = get_text(l, METRIC, &ret->metric)) < 0 || (err = get_text(l, UNIT, &ret->unit)) < 0 ||
	    (err = get_labels(l, ret)) < 0)
		return err;
	err = name_check_series(ret, &f);
	return err < 0 ? refuse(l, err, f.field, "%s", f.text) : 0;
}

static int get_step(struct lines *l, int64_t *ret, enum reject *code)
{
	*ret = STEP_NONE;
	if (l->at[STEP].kind == JSON_NONE)
		return 0;
	if (!json_integer(&l->at[STEP], ret))
		return refuse_type(l, STEP, "an integer of 64 bits");
	if (*ret == STEP_NONE)
		*code = REJECT_STEP_RANGE;
	return 0;
}

static int define(struct lines *l, const struct series_name *name, uint32_t *ret)
{
	struct batch *b = l->b;
	int err = intake_index(l->in, name, (uint32_t)b->n_series, ret);
	struct batch_series *p;
	size_t cap;

	if (err < 0 || *ret < b->n_series)
		return err;
	if (b->n_series >= limits.series)
		return refuse(l, ERR_TOO_LARGE, "series",
			      "more than %" PRIu64 " series in one request; split it", limits.series);
	if (b->n_series == l->series_cap) {
		cap = l->series_cap ? l->series_cap * 2 : 4;
		p = realloc(b->series, cap * sizeof(*p));
		if (!p)
			return ERR_NOMEM;
		b->series = p;
		l->series_cap = cap;
	}
	b->series[b->n_series++] = (struct batch_series){ .name = *name };
	return 0;
}

static int add_sample(struct lines *l)
{
	struct batch *b = l->b;
	size_t at = b->n_samples;
	struct series_name name;
	enum reject code = 0;
	int err;

	if (l->in->n_samples >= limits.samples)
		return refuse(l, ERR_TOO_LARGE, "samples",
			      "more than %" PRIu64 " samples in one request; split it", limits.samples);
	if ((err = get_name(l, &name)) < 0 || (err = get_value(l, &b->value[at])) < 0 ||
	    (err = get_time(l, &b->t_ns[at])) < 0 || (err = get_step(l, &b->step[at], &code)) < 0)
		return err;
	if (intake_judge_time(l->in, b->t_ns[at]))
		code = intake_judge_time(l->in, b->t_ns[at]);
	if (code)
		return intake_reject(l->in, 's', l->in->n_samples++, code);
	err = define(l, &name, &b->sid[at]);
	if (err < 0)
		return err;
	l->has_steps |= b->step[at] != STEP_NONE;
	b->n_samples++;
	l->in->n_samples++;
	return 0;
}

/* ---- logs ---- */

static int get_level(struct lines *l, enum level *ret)
{
	struct span text = { 0 };
	int err = get_text(l, LEVEL, &text), level;

	if (err < 0 || l->at[LEVEL].kind == JSON_NONE)
		return err;
	level = level_parse(text);
	if (level < 0)
		return refuse_type(l, LEVEL, "trace, debug, info, warn, error or fatal");
	*ret = (enum level)level;
	return 0;
}

static int get_rank(struct lines *l, int32_t *ret, enum reject *code)
{
	int64_t rank;

	if (l->at[RANK].kind == JSON_NONE)
		return 0;
	if (!json_integer(&l->at[RANK], &rank))
		return refuse_type(l, RANK, "an integer");
	if (rank < 0 || rank > INT32_MAX)
		*code = REJECT_LOG_RANK;
	else
		*ret = (int32_t)rank;
	return 0;
}

static int get_attrs(struct lines *l, struct log_record *r, enum reject *code)
{
	struct span at = l->at[ATTRS].text;
	struct label attrs[LOG_ATTRS_MAX], pair, *kept;
	size_t n = 0;
	int err;

	if (l->at[ATTRS].kind == JSON_NONE)
		return 0;
	if (l->at[ATTRS].kind != JSON_OBJECT)
		return refuse_type(l, ATTRS, "an object of strings: {\"host\":\"a1\"}");
	while ((err = next_pair(l, ATTRS, &at, &pair)) == 0)
		if (n++ < LOG_ATTRS_MAX)
			attrs[n - 1] = pair;
	if (err < 0 || n == 0)
		return err < 0 ? err : 0;
	if (!name_attributes_are_good(attrs, n)) {
		*code = REJECT_LOG_ATTRIBUTES;
		return 0;
	}
	l->in->n_attributes += n;
	if (l->in->n_attributes > REQUEST_ATTRIBUTES_MAX)
		return refuse(l, ERR_TOO_LARGE, "attrs", "more than %d attributes in one request; split it",
			      REQUEST_ATTRIBUTES_MAX);
	kept = arena_alloc(&l->b->memory, n * sizeof(*kept));
	if (!kept)
		return ERR_NOMEM;
	memcpy(kept, attrs, n * sizeof(*kept));
	r->attrs = kept;
	r->n_attrs = n;
	return 0;
}

static int add_record(struct lines *l)
{
	struct log_record r = { .rank = RANK_NONE };
	enum reject code = 0;
	int err;

	if (l->in->n_records >= limits.records)
		return refuse(l, ERR_TOO_LARGE, "logs",
			      "more than %" PRIu64 " log records in one request; split it", limits.records);
	if ((err = get_text(l, LOG, &r.text)) < 0 || (err = get_time(l, &r.t_ns)) < 0 ||
	    (err = get_level(l, &r.level)) < 0 || (err = get_text(l, STREAM, &r.stream)) < 0 ||
	    (err = get_rank(l, &r.rank, &code)) < 0 || (err = get_attrs(l, &r, &code)) < 0)
		return err;
	if (name_check(r.stream, "stream", 0, STREAM_NAME_MAX, NULL) < 0)
		code = REJECT_LOG_STREAM;
	return intake_record(l->in, &r, code);
}

/* ---- lines ---- */

static enum member find_member(struct span name)
{
	enum member m = 0;

	while (m < MEMBERS && !span_is(name, member_names[m]))
		m++;
	return m;
}

/* The members of an object that json_scan has found. */
static int take_members(struct lines *l, struct span object)
{
	struct json_value value;
	struct span name;
	char text[EXCERPT_MAX];
	unsigned seen = 0;

	memset(l->at, 0, sizeof(l->at));
	while (json_member(&object, &name, &value)) {
		enum member m = find_member(name);

		if (m == MEMBERS)
			return refuse(l, ERR_REFUSED, "", "\"%s\" is not a member that lines have",
				      name_excerpt(name, text));
		if (seen >> m & 1)
			return refuse(l, ERR_MALFORMED, member_names[m], "\"%s\" is there twice",
				      member_names[m]);
		seen |= 1u << m;
		if (!span_is(value.text, "null"))
			l->at[m] = value;
	}
	return 0;
}

static int check_members(struct lines *l, enum member what, enum member first, enum member last)
{
	for (enum member m = first; m <= last; m++)
		if (m != TIME && l->at[m].kind != JSON_NONE)
			return refuse(l, ERR_REFUSED, member_names[m],
				      "\"%s\" does not go with \"%s\"; one sample or one log record a line",
				      member_names[m], member_names[what]);
	return 0;
}

static int add_object(struct lines *l, struct span object)
{
	int err = take_members(l, object);

	if (err < 0)
		return err;
	if (l->at[METRIC].kind != JSON_NONE) {
		err = check_members(l, METRIC, LOG, ATTRS);
		return err < 0 ? err : add_sample(l);
	}
	if (l->at[LOG].kind != JSON_NONE) {
		err = check_members(l, LOG, METRIC, LABELS);
		return err < 0 ? err : add_record(l);
	}
	return refuse(l, ERR_REFUSED, "", "neither \"metric\" nor \"log\" is there");
}

static bool is_blank(struct span s)
{
	while (s.len && memchr(" \t\r\n", s.data[s.len - 1], 4))
		s.len--;
	return s.len == 0;
}

static int add_line(struct lines *l, struct span s)
{
	struct json_value v;
	struct span rest;

	if (is_blank(s))
		return 0;
	if (json_scan(s, &v) < 0)
		return refuse(l, ERR_MALFORMED, "", "not JSON, cut off, or nested deeper than %d",
			      JSON_DEPTH_MAX);
	rest = span_of(v.text.data + v.text.len, (size_t)(s.data + s.len - v.text.data) - v.text.len);
	if (!is_blank(rest))
		return refuse(l, ERR_MALFORMED, "", "something follows the JSON value; one a line");
	if (v.kind != JSON_OBJECT)
		return refuse(l, ERR_MALFORMED, "", "not a JSON object");
	return add_object(l, v.text);
}

/* The line that begins at *at, without its end; false when there is none. */
static bool next_line(struct span *at, struct span *ret)
{
	const uint8_t *end = at->len ? memchr(at->data, '\n', at->len) : NULL;
	size_t n = end ? (size_t)(end - at->data) : at->len;

	if (at->len == 0)
		return false;
	*ret = span_of(at->data, n);
	n += end != NULL;
	*at = span_of(at->data + n, at->len - n);
	return true;
}

char ndjson_kind(struct span line)
{
	struct json_value v, value;
	struct span name;

	if (json_scan(line, &v) < 0)
		return 0;
	while (json_member(&v.text, &name, &value)) {
		enum member m = find_member(name);

		if ((m == METRIC || m == LOG) && !span_is(value.text, "null"))
			return m == METRIC ? 's' : 'l';
	}
	return 0;
}

/* Columns for as many samples as the body can hold, and one that may prove bad. */
static int allocate(struct lines *l, size_t body_len)
{
	size_t n = body_len / SAMPLE_LINE_MIN;
	struct batch *b = l->b;

	n = (n < limits.samples ? n : limits.samples) + 1;
	b->sid = malloc(n * sizeof(*b->sid));
	b->t_ns = malloc(n * sizeof(*b->t_ns));
	b->step = malloc(n * sizeof(*b->step));
	b->value = malloc(n * sizeof(*b->value));
	return b->sid && b->t_ns && b->step && b->value ? 0 : ERR_NOMEM;
}

/* Names become ids where the store knows them. */
static void resolve(struct lines *l)
{
	struct batch *b = l->b;

	for (size_t i = 0; i < b->n_series; i++)
		if (store_series_find(l->in->store, b->rid, &b->series[i].name, &b->series[i].sid) < 0)
			b->series[i].sid = 0;
	for (size_t i = 0; i < b->n_samples; i++) {
		uint32_t sid = b->series[b->sid[i]].sid;

		b->sid[i] = sid ? sid : BATCH_NEW | b->sid[i];
	}
	if (!l->has_steps) {
		free(b->step);
		b->step = NULL;
	}
}

int ndjson_request(struct intake *in, struct span body)
{
	struct lines l = { .in = in, .b = in->batch, .number = 1 };
	struct span at = body, line;
	int err = allocate(&l, body.len);

	for (; err == 0 && next_line(&at, &line); l.number++)
		err = add_line(&l, line);
	if (err < 0)
		return fault_default(in->fault, err);
	resolve(&l);
	in->batch->content_hash = XXH3_64bits(body.data, body.len);
	return 0;
}

#include "ingest/ndjson.h"

#include <inttypes.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ingest/bucket_line.h"
#include "ingest/json_fields.h"
#include "ingest/line.h"
#include "ingest/names.h"
#include "store/base/array.h"
#include "store/base/limits.h"

#define SAMPLE_LINE_MIN 22 /* bytes of {"metric":"","value":0 */

/* ---- series ---- */

static int get_labels(struct lines *l, struct series_name *name)
{
	struct span at = l->at[LABELS].text;
	struct label label;
	int err;

	if (!line_has(l, LABELS))
		return 0;
	if (l->at[LABELS].kind != JSON_OBJECT)
		return line_refuse_type(l, LABELS, "an object of strings: {\"rank\":\"0\"}");
	while ((err = line_pair(l, LABELS, &at, &label)) == 0) {
		if (name->n_labels == LABELS_MAX)
			return line_refuse(l, ERR_REFUSED, "labels",
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
	if ((err = line_text(l, METRIC, &ret->metric)) < 0 || (err = line_text(l, UNIT, &ret->unit)) < 0 ||
	    (err = get_labels(l, ret)) < 0)
		return err;
	err = name_check_series(ret, &f);
	return err < 0 ? line_refuse(l, err, f.field, "%s", f.text) : 0;
}

static int define(struct lines *l, const struct series_name *name, uint32_t *ret)
{
	struct batch *b = l->b;
	int err = intake_index(l->in, name, (uint32_t)b->n_series, ret);

	if (err < 0 || *ret < b->n_series)
		return err;
	if (b->n_series >= limits.series)
		return line_refuse(l, ERR_TOO_LARGE, "series",
				   "more than %" PRIu64 " series in one request; split it", limits.series);
	if (array_grow(b->series, b->n_series, l->series_cap) < 0)
		return ERR_NOMEM;
	b->series[b->n_series++] = (struct batch_series){ .name = *name };
	return 0;
}

/* ---- samples ---- */

static int get_step(struct lines *l, int64_t *ret, enum reject *code)
{
	*ret = STEP_NONE;
	if (!line_has(l, STEP))
		return 0;
	if (!json_integer(&l->at[STEP], ret))
		return line_refuse_type(l, STEP, "an integer of 64 bits");
	if (*ret == STEP_NONE)
		*code = REJECT_STEP_RANGE;
	return 0;
}

static int get_value(struct lines *l, double *ret)
{
	const struct json_value *v = &l->at[VALUE];

	if (json_double(v, ret))
		return 0;
	if (v->kind == JSON_NONE)
		return line_refuse(l, ERR_REFUSED, "value", "\"value\" is not there; a sample needs one");
	if (v->kind == JSON_NUMBER)
		return line_refuse_type(l, VALUE, "within the range of doubles, or \"Infinity\"");
	return line_refuse_type(l, VALUE, "a number, \"NaN\", \"Infinity\" or \"-Infinity\"");
}

static int add_sample(struct lines *l)
{
	struct batch *b = l->b;
	size_t at = b->n_samples;
	struct series_name name;
	enum reject code = 0;
	int err;

	if (l->in->n_samples >= limits.samples)
		return line_refuse(l, ERR_TOO_LARGE, "samples",
				   "more than %" PRIu64 " samples in one request; split it", limits.samples);
	if ((err = get_name(l, &name)) < 0 || (err = get_value(l, &b->value[at])) < 0 ||
	    (err = line_time(l, TIME, &b->t_ns[at])) < 0 || (err = get_step(l, &b->step[at], &code)) < 0)
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

/* ---- buckets ---- */

/* An empty object: the series is there, and has no sample. */
static bool is_empty(struct span object)
{
	struct json_value value;
	struct span name;

	return !json_member(&object, &name, &value);
}

static int add_bucket(struct lines *l)
{
	struct span object = l->at[BUCKET].text;
	struct bucket_record record;
	struct series_name name;
	struct fault f = { 0 };
	int64_t every_ns;
	uint32_t index;
	int err;

	if (l->at[BUCKET].kind != JSON_OBJECT)
		return line_refuse_type(l, BUCKET, "an object: a window of the series");
	if ((err = get_name(l, &name)) < 0 || (err = define(l, &name, &index)) < 0 || is_empty(object))
		return err;
	err = bucket_line_read(object, &record, &every_ns, &f);
	if (err == 0) {
		record.sid = index;
		err = intake_bucket(l->in, &record, every_ns);
		f = *l->in->fault;
	}
	return err < 0 && f.err ? line_refuse(l, err, f.field, "%s", f.text) : err;
}

/* ---- lines ---- */

static int check_members(struct lines *l, enum member what, enum member first, enum member last)
{
	for (enum member m = first; m <= last; m++)
		if (line_has(l, m))
			return line_refuse(
			    l, ERR_REFUSED, member_names[m],
			    "\"%s\" does not go with \"%s\"; one sample or one log record a line",
			    member_names[m], member_names[what]);
	return 0;
}

static int add_object(struct lines *l, struct span object)
{
	struct fault f = { 0 };
	int err = json_fields(object, member_names, MEMBERS, "", l->at, &f);

	if (err < 0)
		return line_refuse(l, err, f.field, "%s", f.text);
	if (line_has(l, METRIC) && line_has(l, BUCKET)) {
		if ((err = check_members(l, BUCKET, VALUE, STEP)) == 0)
			err = check_members(l, BUCKET, TIME, ENDED_AT);
		return err < 0 ? err : add_bucket(l);
	}
	if (line_has(l, METRIC)) {
		err = check_members(l, METRIC, LOG, ENDED_AT);
		return err < 0 ? err : add_sample(l);
	}
	if (line_has(l, LOG) || line_has(l, TEXT_BASE64)) {
		if ((err = check_members(l, LOG, METRIC, LABELS)) == 0)
			err = check_members(l, LOG, PRODUCER, ENDED_AT);
		return err < 0 ? err : line_log(l);
	}
	for (enum member m = PRODUCER; m <= ENDED_AT; m++)
		if (line_has(l, m))
			return (err = check_members(l, m, METRIC, ATTRS)) < 0 ? err : line_request(l);
	return line_refuse(l, ERR_REFUSED, "", "neither \"metric\" nor \"log\" is there");
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
	int err;

	if (is_blank(s))
		return 0;
	if (json_scan(s, &v) < 0)
		return line_refuse(l, ERR_MALFORMED, "", "not JSON, cut off, or nested deeper than %d",
				   JSON_DEPTH_MAX);
	rest = span_of(v.text.data + v.text.len, (size_t)(s.data + s.len - v.text.data) - v.text.len);
	if (!is_blank(rest))
		return line_refuse(l, ERR_MALFORMED, "", "something follows the JSON value; one a line");
	if (v.kind != JSON_OBJECT)
		return line_refuse(l, ERR_MALFORMED, "", "not a JSON object");
	err = add_object(l, v.text);
	l->taken++;
	return err;
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
	struct json_value at[MEMBERS], v;
	struct fault f;

	if (json_scan(line, &v) < 0 || v.kind != JSON_OBJECT ||
	    json_fields(v.text, member_names, MEMBERS, "", at, &f) < 0)
		return 0;
	if (at[METRIC].kind != JSON_NONE)
		return at[BUCKET].kind == JSON_NONE ? 's' : 0;
	return at[LOG].kind != JSON_NONE || at[TEXT_BASE64].kind != JSON_NONE ? 'l' : 0;
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

static uint32_t sid_of(const struct batch *b, uint32_t index)
{
	return b->series[index].sid ? b->series[index].sid : BATCH_NEW | index;
}

/* Names become ids where the store knows them. */
static void resolve(struct lines *l)
{
	struct batch *b = l->b;

	for (size_t i = 0; i < b->n_series; i++)
		if (store_series_find(l->in->store, b->rid, &b->series[i].name, &b->series[i].sid) < 0)
			b->series[i].sid = 0;
	for (size_t i = 0; i < b->n_samples; i++)
		b->sid[i] = sid_of(b, b->sid[i]);
	for (size_t i = 0; i < b->n_buckets; i++)
		b->buckets[i].sid = sid_of(b, b->buckets[i].sid);
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

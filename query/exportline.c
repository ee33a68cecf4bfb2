#include "query/exportline.h"

#include <math.h>
#include <stdio.h>

#include "query/handler.h"
#include "query/jsontext.h"
#include "query/logread.h"
#include "query/picked.h"

const char csv_header[] = "metric,labels,unit,start,every,count,sum,min,max,first,last,nan,pos_inf,neg_inf,"
			  "first_time,first_step,last_time,last_step,step_min,step_max,bad_time,bad_step,"
			  "sum_rest\n";

#define CSV_CELLS_OF_NAME 3
#define NAN_USUAL         UINT64_C(0x7ff8000000000000)

/* ---- doubles ---- */

/* The word for a double that is not finite. */
static void out_word(struct out *o, double v)
{
	char text[24];

	if (!isnan(v)) {
		out_raw(o, v > 0 ? "Infinity" : "-Infinity");
		return;
	}
	out_raw(o, "NaN");
	if (double_bits(v) == NAN_USUAL)
		return;
	snprintf(text, sizeof text, ":%016llx", (unsigned long long)double_bits(v));
	out_raw(o, text);
}

static void out_exact(struct out *o, double v, bool quoted)
{
	if (isfinite(v)) {
		out_double(o, v);
		return;
	}
	if (quoted)
		out_ch(o, '"');
	out_word(o, v);
	if (quoted)
		out_ch(o, '"');
}

/* ---- the run ---- */

/* A spec may have been written over many lines; within strings there are no line ends. */
static void out_one_line(struct out *o, struct span json)
{
	for (size_t i = 0; i < json.len; i++)
		out_ch(o, json.data[i] == '\n' || json.data[i] == '\r' ? ' ' : (char)json.data[i]);
}

/* The window is the one of the lines that follow, which may be wider than what was recorded. */
static void out_metrics(struct out *o, struct span metrics, const char *window)
{
	struct span key, value;
	size_t at = 0, n = 0;

	out_ch(o, '{');
	while (json_member_next(metrics, &at, &key, &value)) {
		out_raw(o, n++ ? ",\"" : "\"");
		out_bytes(o, key.data, key.len);
		out_raw(o, "\":");
		if (span_is(key, "window"))
			out_string(o, span_str(window));
		else
			out_one_line(o, value);
	}
	out_ch(o, '}');
}

/* How the run came into this store ("imported_from") is no part of it. */
static void out_spec(struct out *o, struct span spec, const char *window)
{
	struct span key, value;
	size_t at = 0, n = 0;

	out_ch(o, '{');
	while (json_member_next(spec, &at, &key, &value)) {
		if (span_is(key, "imported_from"))
			continue;
		out_raw(o, n++ ? ",\"" : "\"");
		out_bytes(o, key.data, key.len);
		out_raw(o, "\":");
		if (span_is(key, "metrics"))
			out_metrics(o, value, window);
		else
			out_one_line(o, value);
	}
	out_ch(o, '}');
}

void out_export_run(struct out *o, const struct run *r, int64_t window_ns)
{
	char window[DURATION_TEXT_MAX];

	duration_print(window_ns, window);
	out_raw(o, "{\"run\":{\"id\":");
	out_string(o, span_str(r->id));
	out_run_state(o, r);
	out_time_or_null(o, ",\"started_at\":", r->started_ns);
	out_time_or_null(o, ",\"ended_at\":", r->ended_ns);
	out_raw(o, ",\"window\":");
	out_string(o, span_str(window));
	out_raw(o, ",\"spec\":");
	out_spec(o, buf_span(&r->spec_json), window);
	out_raw(o, "}}\n");
}

/* ---- windows as JSON ---- */

void out_export_name(struct out *o, const struct series_name *name)
{
	out_raw(o, "{\"metric\":");
	out_string(o, name->metric);
	out_raw(o, ",\"labels\":");
	out_labels(o, name);
	out_raw(o, ",\"unit\":");
	out_string(o, name->unit);
	out_ch(o, ',');
}

static void out_sum(struct out *o, const struct sum *s)
{
	double terms[SUM_TERMS_MAX];
	char hex[SUM_HEX_MAX];
	int n = sum_terms(s, terms);

	if (n < 0) {
		out_ch(o, '"');
		out_bytes(o, hex, sum_hex(s, hex));
		out_ch(o, '"');
		return;
	}
	out_ch(o, '[');
	for (int i = 0; i < n; i++) {
		if (i > 0)
			out_ch(o, ',');
		out_double(o, terms[i]);
	}
	out_ch(o, ']');
}

static void out_moment(struct out *o, int64_t t_ns, int64_t step)
{
	out_raw(o, "{\"time\":");
	out_time(o, t_ns);
	out_raw(o, ",\"step\":");
	out_step(o, step);
}

static void out_point(struct out *o, const char *key, const struct point *p)
{
	out_raw(o, key);
	out_moment(o, p->t_ns, p->step);
	out_raw(o, ",\"value\":");
	out_exact(o, p->value, true);
	out_ch(o, '}');
}

static void out_rare(struct out *o, const struct bucket_rare *r)
{
	const struct bucket_rare none = { 0 }, *rare = r ? r : &none;

	out_raw(o, ",\"nan\":");
	out_u64(o, rare->nan);
	out_raw(o, ",\"pos_inf\":");
	out_u64(o, rare->pos_inf);
	out_raw(o, ",\"neg_inf\":");
	out_u64(o, rare->neg_inf);
	out_raw(o, ",\"bad\":");
	if (r)
		out_moment(o, r->bad_t_ns, r->bad_step);
	out_raw(o, r ? "}" : "null");
}

void out_export_bucket(struct out *o, int64_t start_ns, int64_t every_ns, const struct bucket *b)
{
	char every[DURATION_TEXT_MAX];

	duration_print(every_ns, every);
	out_raw(o, "\"bucket\":{\"start\":");
	out_time(o, start_ns);
	out_raw(o, ",\"every\":\"");
	out_raw(o, every);
	out_raw(o, "\",\"count\":");
	out_u64(o, b->count);
	out_raw(o, ",\"sum\":");
	out_sum(o, &b->sum);
	out_raw(o, ",\"min\":");
	out_value(o, b->count, b->min);
	out_raw(o, ",\"max\":");
	out_value(o, b->count, b->max);
	out_point(o, ",\"first\":", &b->first);
	out_point(o, ",\"last\":", &b->last);
	out_raw(o, ",\"step_min\":");
	out_step(o, b->step_min);
	out_raw(o, ",\"step_max\":");
	out_step(o, b->step_max);
	out_rare(o, b->rare);
	out_raw(o, "}}\n");
}

void out_export_sample(struct out *o, int64_t every_ns, const struct point *p)
{
	(void)every_ns;
	out_raw(o, "\"time\":");
	out_time(o, p->t_ns);
	out_raw(o, ",\"step\":");
	out_step(o, p->step);
	out_raw(o, ",\"value\":");
	out_exact(o, p->value, true);
	out_raw(o, "}\n");
}

void out_export_no_bucket(struct out *o) { out_raw(o, "\"bucket\":{}}\n"); }

/* ---- windows as CSV ---- */

/* Quoted where it has to be (RFC 4180); the names of the store have no line ends. */
static void out_cell(struct out *o, struct span s)
{
	bool plain = true;

	for (size_t i = 0; i < s.len && plain; i++)
		plain = s.data[i] != ',' && s.data[i] != '"' && s.data[i] != ' ';
	if (plain) {
		out_bytes(o, s.data, s.len);
		return;
	}
	out_ch(o, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '"')
			out_ch(o, '"');
		out_ch(o, (char)s.data[i]);
	}
	out_ch(o, '"');
}

void out_csv_name(struct out *o, const struct series_name *name)
{
	struct out labels;

	out_cell(o, name->metric);
	out_ch(o, ',');
	if (name->n_labels > 0) {
		out_init(&labels, NULL);
		out_labels(&labels, name);
		if (labels.err < 0)
			o->err = labels.err;
		else
			out_cell(o, buf_span(&labels.b));
		out_release(&labels);
	}
	out_ch(o, ',');
	out_cell(o, name->unit);
}

static void out_csv_time(struct out *o, int64_t t_ns)
{
	char text[CLOCK_TEXT_MAX];

	out_ch(o, ',');
	out_bytes(o, text, clock_format(t_ns, text));
}

static void out_csv_count(struct out *o, uint64_t n)
{
	out_ch(o, ',');
	out_u64(o, n);
}

static void out_csv_step(struct out *o, int64_t step)
{
	out_ch(o, ',');
	if (step != STEP_NONE)
		out_i64(o, step);
}

static void out_csv_double(struct out *o, double v, bool there)
{
	out_ch(o, ',');
	if (there)
		out_exact(o, v, false);
}

static void out_csv_sum_rest(struct out *o, const struct sum *s)
{
	double terms[SUM_TERMS_MAX];
	char hex[SUM_HEX_MAX];
	int n = sum_terms(s, terms);

	out_ch(o, ',');
	if (n < 0)
		out_bytes(o, hex, sum_hex(s, hex));
	for (int i = 1; i < n; i++) {
		if (i > 1)
			out_ch(o, ' ');
		out_double(o, terms[i]);
	}
}

static void out_csv_rare(struct out *o, const struct bucket_rare *r)
{
	if (r)
		out_csv_time(o, r->bad_t_ns);
	else
		out_ch(o, ',');
	out_csv_step(o, r ? r->bad_step : STEP_NONE);
}

void out_csv_bucket(struct out *o, int64_t start_ns, int64_t every_ns, const struct bucket *b)
{
	const struct bucket_rare none = { 0 }, *rare = b->rare ? b->rare : &none;
	char every[DURATION_TEXT_MAX];

	duration_print(every_ns, every);
	out_csv_time(o, start_ns);
	out_ch(o, ',');
	out_raw(o, every);
	out_csv_count(o, b->count);
	out_csv_double(o, b->count ? sum_round(&b->sum) : 0, b->count);
	out_csv_double(o, b->min, b->count);
	out_csv_double(o, b->max, b->count);
	out_csv_double(o, b->first.value, true);
	out_csv_double(o, b->last.value, true);
	out_csv_count(o, rare->nan);
	out_csv_count(o, rare->pos_inf);
	out_csv_count(o, rare->neg_inf);
	out_csv_time(o, b->first.t_ns);
	out_csv_step(o, b->first.step);
	out_csv_time(o, b->last.t_ns);
	out_csv_step(o, b->last.step);
	out_csv_step(o, b->step_min);
	out_csv_step(o, b->step_max);
	out_csv_rare(o, b->rare);
	out_csv_sum_rest(o, &b->sum);
	out_ch(o, '\n');
}

/* Commas of the columns [from, to), as many as the rest has where to is NULL. */
static void out_csv_empty(struct out *o, const char *from, const char *to)
{
	const char *p = strstr(csv_header, from),
		   *end = to ? strstr(csv_header, to) : strchr(csv_header, '\n') + 1;

	for (; p < end; p++)
		if (*p == ',' || *p == '\n')
			out_ch(o, ',');
}

void out_csv_sample(struct out *o, int64_t every_ns, const struct point *p)
{
	char every[DURATION_TEXT_MAX];

	duration_print(every_ns, every);
	out_csv_empty(o, "start,", "every,");
	out_ch(o, ',');
	out_raw(o, every);
	out_csv_empty(o, "count,", "first,");
	out_csv_double(o, p->value, true);
	out_csv_empty(o, "last,", "first_time,");
	out_csv_time(o, p->t_ns);
	out_csv_step(o, p->step);
	out_csv_empty(o, "last_time,", NULL);
	out_ch(o, '\n');
}

void out_csv_no_bucket(struct out *o)
{
	size_t commas = 0;

	for (const char *p = csv_header; *p; p++)
		commas += *p == ',';
	while (commas-- >= CSV_CELLS_OF_NAME)
		out_ch(o, ',');
	out_ch(o, '\n');
}

/* ---- log records ---- */

void out_export_record(struct out *o, const struct log_record *r)
{
	out_raw(o, "{\"log\":");
	out_log_text(o, r);
	out_ch(o, ',');
	out_log_origin(o, r);
	out_ch(o, ',');
	out_log_attrs(o, r);
	out_raw(o, "}\n");
}

/*
 * rowjson.c - {"series":[{"run_id","metric","labels","columns","rows"}],...}, as in api 2.
 */
#include "query/picked.h"
#include "query/rowform.h"
#include "store/base/clock.h"

static void json_name(struct out *o, const struct series_name *name)
{
	out_raw(o, "\"metric\":");
	out_string(o, name->metric);
	out_raw(o, ",\"labels\":");
	out_labels(o, name);
}

static int json_begin(struct row_writer *w)
{
	out_raw(w->o, "{\"series\":[");
	return w->o->err;
}

static void series_close(struct row_writer *w)
{
	if (w->n_series > 0)
		out_raw(w->o, "]}");
}

static void json_series(struct row_writer *w, const char *run_id, struct span name)
{
	struct out *o = w->o;

	series_close(w);
	out_raw(o, w->n_series > 0 ? ",{\"run_id\":" : "{\"run_id\":");
	out_string(o, span_str(run_id));
	out_ch(o, ',');
	out_bytes(o, name.data, name.len);
	for (size_t i = 0; i < w->columns.n; i++) {
		out_raw(o, i > 0 ? "\",\"" : ",\"columns\":[\"");
		out_raw(o, column_name(w->columns.list[i]));
	}
	out_raw(o, "\"],\"rows\":[");
}

static void out_cell(struct out *o, struct cell c)
{
	if (c.null)
		out_raw(o, "null");
	else if (c.kind == CELL_COUNT)
		out_u64(o, c.u);
	else if (c.kind == CELL_NUMBER)
		out_double(o, c.v);
	else if (c.kind == CELL_STEP)
		out_i64(o, c.i);
	else if (c.kind == CELL_WINDOW)
		out_i64(o, c.i / NS_PER_MS);
	else
		out_time(o, c.i);
}

static void json_row(struct row_writer *w, int64_t start_ns, const struct bucket *b)
{
	out_raw(w->o, w->row ? ",[" : "[");
	for (size_t i = 0; i < w->columns.n; i++) {
		if (i > 0)
			out_ch(w->o, ',');
		out_cell(w->o, cell_of(w->columns.list[i], start_ns, b));
	}
	out_ch(w->o, ']');
}

static int json_end(struct row_writer *w, const struct answer_about *about, struct fault *f)
{
	struct out *o = w->o;
	char tier[DURATION_TEXT_MAX];

	(void)f;
	series_close(w);
	tier_print(about->tier_ns, tier);
	out_raw(o, "],\"tier\":");
	out_string(o, span_str(tier));
	out_raw(o, ",\"every_ms\":");
	out_i64(o, about->every_ns / NS_PER_MS);
	out_raw(o, ",\"complete_until\":");
	out_time(o, about->complete_until_ns);
	if (about->samples_since_ns != INT64_MIN) {
		out_raw(o, ",\"samples_since\":");
		out_time(o, about->samples_since_ns);
	}
	out_raw(o, ",\"partial\":");
	out_bool(o, about->partial);
	out_raw(o, "}\n");
	return o->err;
}

const struct row_form form_json = {
	.content_type = "application/json",
	.name = json_name,
	.begin = json_begin,
	.series = json_series,
	.row = json_row,
	.end = json_end,
};

/*
 * rowcsv.c - one line a row, as RFC 4180 has it: fields in quotes where they need them, lines end
 * in CRLF, the first line names the columns.
 *
 *   run_id,metric,labels,time_ms,count,mean
 *   bert-1,train/loss,"{""rank"":""0""}",1700000000000,3,0.5
 *
 * `labels` is the JSON object of the other form.  Numbers are written as there, non-finite ones as
 * NaN, Infinity, -Infinity, times without quotes, null as an empty field.  Width of the windows and
 * how far they are complete are header lines of the answer.  Nothing here could say that damaged
 * blocks were left out, so an answer that lacks something is broken off; JSON serves the rest.
 */
#include <math.h>

#include "query/picked.h"
#include "query/rowform.h"
#include "store/base/clock.h"

static void out_field(struct out *o, struct span s)
{
	bool quote = false;

	for (size_t i = 0; i < s.len && !quote; i++)
		quote = s.data[i] == '"' || s.data[i] == ',' || s.data[i] == '\r' || s.data[i] == '\n';
	if (!quote) {
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

static void csv_name(struct out *o, const struct series_name *name)
{
	struct out labels;

	out_init(&labels, NULL);
	out_labels(&labels, name);
	out_field(o, name->metric);
	out_ch(o, ',');
	out_field(o, buf_span(&labels.b));
	if (labels.err < 0)
		o->err = labels.err;
	out_release(&labels);
}

static int csv_begin(struct row_writer *w)
{
	out_raw(w->o, "run_id,metric,labels");
	for (size_t i = 0; i < w->columns.n; i++) {
		out_ch(w->o, ',');
		out_raw(w->o, column_name(w->columns.list[i]));
	}
	out_raw(w->o, "\r\n");
	return w->o->err;
}

static void csv_series(struct row_writer *w, const char *run_id, struct span name)
{
	w->run_id = run_id;
	w->name = name;
}

static void out_bare_double(struct out *o, double v)
{
	if (isfinite(v))
		out_double(o, v);
	else
		out_raw(o, isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
}

static void out_cell(struct out *o, struct cell c)
{
	char text[CLOCK_TEXT_MAX];

	if (c.null)
		return;
	if (c.kind == CELL_COUNT)
		out_u64(o, c.u);
	else if (c.kind == CELL_NUMBER)
		out_bare_double(o, c.v);
	else if (c.kind == CELL_STEP)
		out_i64(o, c.i);
	else if (c.kind == CELL_WINDOW)
		out_i64(o, c.i / NS_PER_MS);
	else
		out_bytes(o, text, clock_format(c.i, text));
}

static void csv_row(struct row_writer *w, int64_t start_ns, const struct bucket *b)
{
	struct out *o = w->o;

	out_raw(o, w->run_id);
	out_ch(o, ',');
	out_bytes(o, w->name.data, w->name.len);
	for (size_t i = 0; i < w->columns.n; i++) {
		out_ch(o, ',');
		out_cell(o, cell_of(w->columns.list[i], start_ns, b));
	}
	out_raw(o, "\r\n");
}

static int csv_end(struct row_writer *w, const struct answer_about *about, struct fault *f)
{
	if (about->partial)
		return fault_set(f, ERR_CORRUPT, "Accept",
				 "damaged blocks were left out, and CSV has no place to say so; ask for "
				 "application/json, which marks such an answer as partial");
	return w->o->err;
}

const struct row_form form_csv = {
	.content_type = "text/csv; charset=utf-8; header=present",
	.about_in_head = true,
	.name = csv_name,
	.begin = csv_begin,
	.series = csv_series,
	.row = csv_row,
	.end = csv_end,
};

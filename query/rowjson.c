/*
 * rowjson.c - {"series":[{"run_id","metric","labels","columns","rows"}],...}, as in api 2.
 */
#include "query/picked.h"
#include "query/rowform.h"
#include "store/base/clock.h"
#include "store/base/digits.h"

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

#define CELL_BYTES_MAX 48
_Static_assert(OUT_DOUBLE_BYTES < CELL_BYTES_MAX && CLOCK_TEXT_MAX + 2 < CELL_BYTES_MAX, "room for a cell");

static uint8_t *put_time(uint8_t *p, int64_t t_ns)
{
	*p++ = '"';
	p += clock_format(t_ns, (char *)p);
	*p++ = '"';
	return p;
}

static uint8_t *put_cell(struct out *o, uint8_t *p, struct cell c)
{
	if (c.null)
		return (uint8_t *)memcpy(p, "null", 4) + 4;
	switch (c.kind) {
	case CELL_NUMBER:
		return out_put_double(o, p, c.v);
	case CELL_WINDOW:
		return out_put_i64(p, c.i / NS_PER_MS);
	case CELL_COUNT:
		return out_put_u64(p, c.u);
	case CELL_STEP:
		return out_put_i64(p, c.i);
	default:
		return put_time(p, c.i);
	}
}

/* Most of what an answer costs: room is made once for the whole row. */
static void json_row(struct row_writer *w, int64_t start_ns, const struct bucket *b)
{
	uint8_t *p = out_room(w->o, (COLUMNS_ALL + 1) * CELL_BYTES_MAX);

	if (!p)
		return;
	if (w->row)
		*p++ = ',';
	*p++ = '[';
	for (size_t i = 0; i < w->columns.n; i++) {
		if (i > 0)
			*p++ = ',';
		p = put_cell(w->o, p, cell_of(w->columns.list[i], start_ns, b));
	}
	*p++ = ']';
	out_wrote(w->o, p);
}

/* ",[" and the time of a row in ms, which mostly agrees with the one before in all but its last eight digits.
 */
struct row_start {
	int64_t before; /* what stands before these */
	size_t len;
	uint8_t text[24];
};

static uint8_t *put_start(uint8_t *p, int64_t ms, struct row_start *s, bool comma)
{
	int64_t before = ms / 100000000;
	size_t from = !comma;

	if (before <= 0) {
		memcpy(p, &",["[from], 2 - from);
		return out_put_i64(p + 2 - from, ms);
	}
	if (before != s->before) {
		s->before = before;
		memcpy(s->text, ",[", 2);
		s->len = (size_t)(out_put_i64(s->text + 2, before) - s->text);
	}
	memcpy(p, s->text + from, 16);
	p += s->len - from;
	put_eight(p, (uint32_t)(ms - before * 100000000));
	return p + 8;
}

/* A cell of the i-th row of a sheet, by the same rules as cell_of. */
static inline uint8_t *put_sheet_cell(struct out *o, uint8_t *p, int column, const struct sheet *s, size_t i)
{
	uint64_t count = (uint64_t)s->count[i];

	switch (column) {
	case AGG_COUNT:
		return out_put_u64(p, count);
	case AGG_SUM:
		return out_put_double(o, p, sum_round(&s->sum[i]));
	case AGG_FIRST:
		return out_put_double(o, p, s->first[i]);
	case AGG_LAST:
		return out_put_double(o, p, s->last[i]);
	default:
		break;
	}
	if (!count)
		return (uint8_t *)memcpy(p, "null", 4) + 4;
	if (column == AGG_MEAN)
		return out_put_double(o, p, sum_mean(&s->sum[i], count));
	return out_put_double(o, p, column == AGG_MIN ? s->min[i] : s->max[i]);
}

#define SHEET_ROWS 64 /* that room is made for at once */

/* Copies, as what is written could be any of what is pointed to, for all that the compiler knows. */
static void json_sheet(struct row_writer *w, const struct sheet *sheet)
{
	const struct columns columns = w->columns;
	const struct sheet s = *sheet;
	struct out *o = w->o;
	struct row_start start = { 0 };
	bool comma = w->row;

	for (size_t i = 0; i < s.n;) {
		size_t end = s.n - i < SHEET_ROWS ? s.n : i + SHEET_ROWS;
		uint8_t *p = out_room(o, (end - i) * columns.n * CELL_BYTES_MAX);

		if (!p)
			return;
		for (; i < end; i++, comma = true) {
			p = put_start(p, s.start_ns[i] / NS_PER_MS, &start, comma);
			for (size_t c = 1; c < columns.n; c++) {
				*p++ = ',';
				p = put_sheet_cell(o, p, columns.list[c], &s, i);
			}
			*p++ = ']';
		}
		out_wrote(o, p);
	}
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
	.sheet = json_sheet,
	.end = json_end,
};

#include "ingest/import/export_csv.h"

#include <inttypes.h>
#include <stdio.h>

#include "ingest/import/csv_rows.h"

enum column {
	METRIC,
	LABELS,
	UNIT,
	START,
	EVERY,
	COUNT,
	SUM,
	MIN,
	MAX,
	FIRST,
	LAST,
	NANS,
	POS_INF,
	NEG_INF,
	FIRST_TIME,
	FIRST_STEP,
	LAST_TIME,
	LAST_STEP,
	STEP_MIN,
	STEP_MAX,
	BAD_TIME,
	BAD_STEP,
	SUM_REST,
	COLUMNS
};

static const char *const names[COLUMNS] = { "metric",     "labels",    "unit",      "start",    "every",
					    "count",      "sum",       "min",       "max",      "first",
					    "last",       "nan",       "pos_inf",   "neg_inf",  "first_time",
					    "first_step", "last_time", "last_step", "step_min", "step_max",
					    "bad_time",   "bad_step",  "sum_rest" };

#define LINE_BYTES_MAX (2 * CSV_ROW_MAX)

struct exported {
	struct import_sink *sink;
	struct fault *f;
	struct csv_rows rows;
	const struct span *at; /* the row's cells, COLUMNS of them */
	struct buf line;
	bool has_window;
};

/* ---- the header ---- */

int export_csv_begins(struct input *in, bool *ret, struct fault *f)
{
	static const char mark[] = "\xef\xbb\xbf"; /* a spreadsheet's */
	char header[512];
	size_t n = 0;
	struct span seen;
	int err;

	for (size_t i = 0; i < COLUMNS; i++)
		n += (size_t)snprintf(header + n, sizeof(header) - n, "%s%s", i ? "," : "", names[i]);
	err = input_peek(in, n + 1 + strlen(mark), &seen, f);
	if (err < 0)
		return err;
	if (seen.len >= 3 && memcmp(seen.data, mark, 3) == 0)
		seen = span_of(seen.data + 3, seen.len - 3);
	*ret = seen.len > n && memcmp(seen.data, header, n) == 0 &&
	       (seen.data[n] == '\n' || seen.data[n] == '\r');
	return 0;
}

static int malformed(struct exported *r, enum column c, const char *wanted)
{
	struct span s = r->at[c];

	return fault_set(r->f, ERR_MALFORMED, names[c],
			 "line %" PRIu64 ": column %s is \"%.*s\"; it has to be %s", r->rows.line, names[c],
			 (int)(s.len < 60 ? s.len : 60), (const char *)s.data, wanted);
}

/* ---- cells into a line of JSON ---- */

static int add_text(struct buf *b, const char *key, struct span s)
{
	int err = buf_addf(b, "\"%s\":\"", key);

	for (size_t i = 0; i < s.len && err == 0; i++) {
		if (s.data[i] == '"' || s.data[i] == '\\')
			err = buf_addch(b, '\\');
		if (err == 0)
			err = buf_addch(b, (char)s.data[i]);
	}
	return err < 0 ? err : buf_addch(b, '"');
}

static bool is_of(struct span s, const char *allowed)
{
	for (size_t i = 0; i < s.len; i++)
		if (!s.data[i] || !strchr(allowed, s.data[i]))
			return false;
	return true;
}

/* A number as it is, a word in quotes, nothing as null. */
static int add_number(struct exported *r, const char *key, enum column c)
{
	struct span s = r->at[c];
	int err = buf_addf(&r->line, "\"%s\":", key);

	if (err < 0)
		return err;
	if (s.len == 0)
		return buf_addstr(&r->line, "null");
	if (is_of(s, "0123456789+-.eE"))
		return buf_add(&r->line, s.data, s.len);
	if (!is_of(s, "0123456789abcdefINinty:-"))
		return malformed(r, c, "a number, NaN, Infinity or -Infinity");
	return buf_addf(&r->line, "\"%.*s\"", (int)s.len, (const char *)s.data);
}

/* The sum rounded and what is left of it, or the whole in hexadecimal. */
static int add_sum(struct exported *r)
{
	struct span rest = r->at[SUM_REST], sum = r->at[SUM];
	struct buf *b = &r->line;
	int err;

	if (memmem(rest.data, rest.len, "0x", 2))
		return add_text(b, "sum", rest);
	if (!is_of(rest, "0123456789+-.eE "))
		return malformed(r, SUM_REST, "doubles with a blank between them");
	if (!is_of(sum, "0123456789+-.eE"))
		return malformed(r, SUM, "a number");
	if (sum.len == 0)
		return buf_addstr(b, "\"sum\":null");
	if (span_is(sum, "0"))
		return buf_addstr(b, "\"sum\":[]");
	if ((err = buf_addstr(b, "\"sum\":[")) < 0 || (err = buf_add(b, sum.data, sum.len)) < 0)
		return err;
	if (rest.len && (err = buf_addch(b, ',')) < 0)
		return err;
	for (size_t i = 0; i < rest.len && err == 0; i++)
		err = buf_addch(b, rest.data[i] == ' ' ? ',' : (char)rest.data[i]);
	return err < 0 ? err : buf_addch(b, ']');
}

static int add_point(struct exported *r, const char *key, enum column time, enum column step,
		     enum column value)
{
	struct buf *b = &r->line;
	int err;

	if ((err = buf_addf(b, "\"%s\":{", key)) < 0 || (err = add_text(b, "time", r->at[time])) < 0 ||
	    (err = buf_addch(b, ',')) < 0 || (err = add_number(r, "step", step)) < 0)
		return err;
	if (value < COLUMNS && ((err = buf_addch(b, ',')) < 0 || (err = add_number(r, "value", value)) < 0))
		return err;
	return buf_addch(b, '}');
}

static int add_counts(struct exported *r)
{
	static const enum column columns[] = { COUNT, MIN, MAX, NANS, POS_INF, NEG_INF, STEP_MIN, STEP_MAX };
	int err = 0;

	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns) && err == 0; i++)
		if ((err = add_number(r, names[columns[i]], columns[i])) == 0)
			err = buf_addch(&r->line, ',');
	return err;
}

static int add_bucket(struct exported *r)
{
	struct buf *b = &r->line;
	int err;

	if (r->at[START].len == 0)
		return 0; /* a series without samples */
	if ((err = add_text(b, "start", r->at[START])) < 0 || (err = buf_addch(b, ',')) < 0 ||
	    (err = add_text(b, "every", r->at[EVERY])) < 0 || (err = buf_addch(b, ',')) < 0 ||
	    (err = add_counts(r)) < 0 || (err = add_sum(r)) < 0 || (err = buf_addch(b, ',')) < 0 ||
	    (err = add_point(r, "first", FIRST_TIME, FIRST_STEP, FIRST)) < 0 ||
	    (err = buf_addch(b, ',')) < 0 || (err = add_point(r, "last", LAST_TIME, LAST_STEP, LAST)) < 0)
		return err;
	if (r->at[BAD_TIME].len == 0)
		return 0;
	err = buf_addch(b, ',');
	return err < 0 ? err : add_point(r, "bad", BAD_TIME, BAD_STEP, COLUMNS);
}

static bool is_sample(const struct exported *r) { return r->at[START].len == 0 && r->at[FIRST_TIME].len; }

static int add_sample(struct exported *r)
{
	int err = add_text(&r->line, "time", r->at[FIRST_TIME]);

	if (err == 0)
		err = buf_addch(&r->line, ',');
	if (err == 0)
		err = add_number(r, "step", FIRST_STEP);
	if (err == 0)
		err = buf_addch(&r->line, ',');
	return err < 0 ? err : add_number(r, "value", FIRST);
}

static int make_line(struct exported *r)
{
	struct buf *b = &r->line;
	struct span labels = r->at[LABELS].len ? r->at[LABELS] : span_str("{}");
	int err;

	buf_clear(b);
	if ((err = buf_addch(b, '{')) < 0 || (err = add_text(b, "metric", r->at[METRIC])) < 0 ||
	    (err = buf_addstr(b, ",\"labels\":")) < 0 || (err = buf_add(b, labels.data, labels.len)) < 0 ||
	    (err = buf_addch(b, ',')) < 0 || (err = add_text(b, "unit", r->at[UNIT])) < 0 ||
	    (err = buf_addch(b, ',')) < 0)
		return err;
	if (is_sample(r)) {
		err = add_sample(r);
		return err < 0 ? err : buf_addch(b, '}');
	}
	if ((err = buf_addstr(b, "\"bucket\":{")) < 0 || (err = add_bucket(r)) < 0)
		return err;
	return buf_addstr(b, "}}");
}

/* ---- the file ---- */

/* All windows of a run are as wide as its first one. */
static int tell_window(struct exported *r)
{
	struct import_run run = { .state = RUN_FINISHED, .window = r->at[EVERY] };

	if (r->has_window || r->at[EVERY].len == 0)
		return 0;
	if (r->at[EVERY].len > 8 || !is_of(r->at[EVERY], "0123456789msdh"))
		return malformed(r, EVERY, "the width of the window, like 30s");
	r->has_window = true;
	return r->sink->run(r->sink, &run);
}

/* Names have none, and the lines of JSON are one line each. */
static int check_cells(struct exported *r)
{
	for (enum column c = 0; c < COLUMNS; c++)
		for (size_t i = 0; i < r->at[c].len; i++)
			if (r->at[c].data[i] < 0x20)
				return malformed(r, c, "text without control characters");
	return 0;
}

static int read_row(struct exported *r)
{
	struct import_line l = { .has_time = true, .number = r->rows.line };
	struct span first;
	int err;

	if (r->rows.n != COLUMNS)
		return fault_set(r->f, ERR_MALFORMED, "",
				 "line %" PRIu64 " has %zu cells; the rows of an export have %d",
				 r->rows.line, r->rows.n, COLUMNS);
	r->at = r->rows.cells;
	if ((err = check_cells(r)) < 0 || (err = tell_window(r)) < 0 || (err = make_line(r)) < 0)
		return err;
	first = r->at[FIRST_TIME];
	if (clock_parse((const char *)first.data, first.len, &l.time.ns))
		l.time.kind = TIME_ABSOLUTE;
	l.kind = r->at[START].len ? 'b' : is_sample(r) ? 's' : 0;
	l.text = buf_span(&r->line);
	return r->sink->line(r->sink, &l, r->f);
}

int export_csv_read(struct input *in, struct import_sink *k, struct fault *f)
{
	struct exported r = { .sink = k, .f = f };
	int err;

	csv_rows_init(&r.rows, in, 0);
	buf_init(&r.line, LINE_BYTES_MAX);
	err = csv_rows_next(&r.rows, f); /* the header */
	while (err == 0 && (err = csv_rows_next(&r.rows, f)) == 0)
		err = read_row(&r);
	csv_rows_release(&r.rows);
	buf_release(&r.line);
	return err < 0 ? err : 0;
}

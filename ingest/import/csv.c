/*
 * csv.c - tables: the columns are metrics, a row is a moment.
 *
 * Each cell that is a number, in any column that is nothing else, is a sample.  nan, inf and infinity are
 * numbers, in any case; empty cells are nothing; "2 MiB" and "0 %" are numbers with a unit, which is that of
 * the first number of its column.  Other text and other units are left out, and told once per column.
 *
 * Rows are RFC 4180: quotes, doubled quotes, line ends in quotes, CRLF, a byte order mark; blanks around a
 * bare cell do not count, empty lines are passed over.  A row with more or fewer cells than the first one is
 * refused with its line, so are two columns of one name, NUL bytes and a quote that stays open: a file is
 * imported whole or not at all.
 *
 * The time is --time-column, else the first column with a name of times (csv_table.c), in any case, else the
 * first column, where dates are in it (a number in it may be anything).  Numbers of nine or more digits count
 * from 1970 in s, ms, us or ns, by their size.  A column of that name with text that is no date is refused,
 * and so is any row whose time cannot be read, with its line; --time-column - says that there are no times.
 * The step is --step-column, else the first column with a name of steps that the first row has an integer or
 * nothing in; it is no metric then; --step-column - says that there are none.  The text of --label-column (up
 * to 16 times) is a label of all samples of the row.  A Monitor file of gym begins with #{"t_start": SECONDS,
 * ...}: with
 * --comment '#' relative times count from there, and its members are hyperparameters.
 */
#include <inttypes.h>

#include "ingest/import/csv_table.h"
#include "ingest/import/export_csv.h"
#include "ingest/import/json_span.h"
#include "ingest/import/time_format.h"

#define ROW_NS NS_PER_S /* between rows, or steps, that have no time */

/* ---- rows ---- */

static int row_width(const struct table *t, struct fault *f)
{
	if (t->rows.n == t->n)
		return 0;
	return fault_set(f, ERR_MALFORMED, "file",
			 "line %" PRIu64 " has %zu cell%s where the first row has %zu: mend that row; text "
			 "with commas goes in quotes, and --comment CHAR passes over comments",
			 t->rows.line, t->rows.n, t->rows.n == 1 ? "" : "s", t->n);
}

static int bad_time(const struct table *t, struct span cell, struct fault *f)
{
	return fault_set(f, ERR_MALFORMED, "file",
			 "line %" PRIu64
			 ": %.*s in column %.60s is no time%s; --time-format F tells how one is "
			 "written, --relative-time that it is seconds since the start",
			 t->rows.line, cell.len > 60 ? 60 : (int)cell.len, (const char *)cell.data,
			 t->time->name, t->time_format ? " of that form" : " that is known");
}

static int time_of_cell(struct table *t, struct import_time *ret, struct fault *f)
{
	struct span cell = table_cell(t, t->time);
	bool needs_origin = t->is_relative && !t->has_origin;
	int64_t ns;

	if (!(t->is_relative ? cell_seconds(cell, &ns) : table_moment(t, cell, &ns)) ||
	    (t->has_origin && t->is_relative && __builtin_add_overflow(ns, t->origin_ns, &ns)))
		return bad_time(t, cell, f);
	*ret = (struct import_time){ needs_origin ? TIME_RELATIVE : TIME_ABSOLUTE, ns };
	return 0;
}

/* A second a step; a row without a step is at the time of the one above. */
static int time_of_step(struct table *t, int64_t step, struct import_time *ret, struct fault *f)
{
	int64_t place = t->step ? step : (int64_t)t->n_rows;

	if (place != STEP_NONE && __builtin_mul_overflow(place, ROW_NS, &t->last_ns))
		return fault_set(f, ERR_MALFORMED, "file",
				 "line %" PRIu64 ": at a second a step, step %" PRId64
				 " is too far away: the file needs a --time-column",
				 t->rows.line, step);
	*ret = (struct import_time){ TIME_RELATIVE, t->last_ns };
	return 0;
}

static size_t row_labels(const struct table *t, struct label labels[LABELS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < t->n && n < LABELS_MAX; i++)
		if (t->columns[i].role == ROLE_LABEL && t->rows.cells[i].len > 0)
			labels[n++] = (struct label){ span_str(t->columns[i].name), t->rows.cells[i] };
	return n;
}

/* 900 MiB and 1.2 GiB are no values of one metric. */
static bool same_unit(const struct table *t, struct column *column, struct span unit)
{
	if (column->numbers == 0) {
		memcpy(column->unit_text, unit.data ? (const char *)unit.data : "", unit.len);
		column->unit = span_of(column->unit_text, unit.len);
	}
	if (span_equal(unit, column->unit))
		return true;
	if (column->other_units++ == 0)
		column->first_other = t->rows.line;
	return false;
}

static int add_cell(struct table *t, size_t i, struct import_sample *s, struct fault *f)
{
	struct column *column = &t->columns[i];
	struct span cell = t->rows.cells[i];

	if (column->role != ROLE_METRIC || cell.len == 0)
		return 0;
	if (!cell_number(cell, &s->value, &s->unit)) {
		if (column->texts++ == 0)
			column->first_text = t->rows.line;
		return 0;
	}
	if (!same_unit(t, column, s->unit))
		return 0;
	column->numbers++;
	s->metric = span_str(column->name);
	return t->sink->sample(t->sink, s, f);
}

static int add_row(struct table *t, struct fault *f)
{
	struct label labels[LABELS_MAX];
	struct import_sample s = { .labels = labels, .step = STEP_NONE };
	int err = row_width(t, f);

	if (err < 0)
		return err;
	if (t->step && !cell_step(table_cell(t, t->step), &s.step)) {
		s.step = STEP_NONE;
		t->bad_steps += table_cell(t, t->step).len > 0;
	}
	err = t->time ? time_of_cell(t, &s.time, f) : time_of_step(t, s.step, &s.time, f);
	s.n_labels = row_labels(t, labels);
	for (size_t i = 0; i < t->n && err == 0; i++)
		err = add_cell(t, i, &s, f);
	t->n_rows++;
	return err;
}

/* ---- the file ---- */

/* A Monitor file of gym begins with #{"t_start": SECONDS, "env_id": NAME}. */
static int take_comment(struct table *t)
{
	struct json_value v;
	struct span at, name;
	int err = 0;

	if (json_scan(t->rows.cells[0], &v) < 0 || v.kind != JSON_OBJECT)
		return 0;
	for (at = v.text; err == 0 && json_member(&at, &name, &v);) {
		if (span_is(name, "t_start") && v.kind == JSON_NUMBER)
			t->has_origin = decimal_time(v.text, NS_PER_S, &t->origin_ns);
		err = t->sink->param(t->sink, name, v.text);
	}
	return err;
}

/* 1: no more. */
static int next_row(struct table *t, struct fault *f)
{
	for (;;) {
		int err = csv_rows_next(&t->rows, f);

		if (err != 0 || !t->rows.is_comment)
			return err;
		err = take_comment(t);
		if (err < 0)
			return err;
	}
}

/* A first row of numbers and times only is none of names. */
static int check_header(const struct table *t, struct fault *f)
{
	struct span unit;
	double number;
	int64_t ns;

	for (size_t i = 0; i < t->rows.n; i++)
		if (t->rows.cells[i].len > 0 && !cell_number(t->rows.cells[i], &number, &unit) &&
		    !table_moment(t, t->rows.cells[i], &ns))
			return 0;
	return fault_set(f, ERR_MALFORMED, "file",
			 "line %" PRIu64
			 " holds values, no names of columns: --no-header names them column_1, "
			 "column_2 and so on",
			 t->rows.line);
}

static int read_table(struct table *t, struct fault *f)
{
	bool has_header = !import_arg(t->c->args, "no-header", 0);
	int err = next_row(t, f);

	if (err != 0)
		return err;
	if (has_header && (err = check_header(t, f)) < 0)
		return err;
	if ((err = table_name_columns(t, has_header, f)) < 0 || (has_header && (err = next_row(t, f)) != 0))
		return err;
	if ((err = row_width(t, f)) < 0 || (err = table_choose_roles(t, f)) < 0)
		return err;
	do
		err = add_row(t, f);
	while (err == 0 && (err = next_row(t, f)) == 0);
	return err;
}

static int csv_read(const struct import_context *c, struct input *in, struct import_sink *k, struct fault *f)
{
	const char *comment = import_arg(c->args, "comment", 0);
	struct table t = { .c = c,
			   .sink = k,
			   .time_format = import_arg(c->args, "time-format", 0),
			   .is_relative = import_arg(c->args, "relative-time", 0) != NULL,
			   .years = import_years(c) };
	bool is_export;
	int err = export_csv_begins(in, &is_export, f);

	if (err < 0 || is_export)
		return err < 0 ? err : export_csv_read(in, k, f);
	csv_rows_init(&t.rows, in, comment ? comment[0] : 0);
	err = read_table(&t, f);
	if (err >= 0)
		table_tell(&t);
	table_release_columns(&t);
	csv_rows_release(&t.rows);
	return err < 0 ? err : 0;
}

static int csv_check(const struct import_args *args, struct fault *f)
{
	const char *format = import_arg(args, "time-format", 0), *comment = import_arg(args, "comment", 0);
	const char *time = import_arg(args, "time-column", 0);
	bool is_relative = import_arg(args, "relative-time", 0) != NULL;

	if (comment && strlen(comment) != 1)
		return fault_set(f, ERR_REFUSED, "comment", "--comment takes one character, like #");
	if (is_relative && (!time || strcmp(time, "-") == 0))
		return fault_set(f, ERR_REFUSED, "relative-time",
				 "--relative-time says what is in the --time-column: name it");
	if (is_relative && format)
		return fault_set(f, ERR_REFUSED, "time-format",
				 "--relative-time is about seconds, --time-format about dates: one of them");
	if (import_arg(args, "label-column", LABELS_MAX))
		return fault_set(f, ERR_REFUSED, "label-column", "a series has at most %d labels",
				 LABELS_MAX);
	return format ? time_format_check(format, f) : 0;
}

static const struct import_option options[] = { { .name = "time-column" },
						{ .name = "step-column" },
						{ .name = "label-column", .repeatable = true },
						{ .name = "time-format" },
						{ .name = "relative-time", .is_flag = true },
						{ .name = "no-header", .is_flag = true },
						{ .name = "comment" },
						{ .name = NULL } };

static const char help[] =
    "Tables of comma-separated values: the header names the metrics, a row is a\n"
    "moment.  Empty cells are no samples; nan and inf are values; a unit behind a\n"
    "number (2 MiB) is the metric's; other text, and another unit, are left out and\n"
    "told.\n"
    "\n"
    "  --time-column NAME   else timestamp, time, datetime, date, starttime ... in\n"
    "                       any case, or the first column, where dates are in it.\n"
    "                       Dates as in `text`, or counted from 1970 in s, ms, us or\n"
    "                       ns.  Without times a row lasts a second, or a step does:\n"
    "                       they begin at --start, or end at --end or the file's\n"
    "                       modification time\n"
    "  --relative-time      that column holds seconds since the start\n"
    "  --time-format F      how its dates are written, in the words of strptime, and\n"
    "                       %f for a fraction\n"
    "  --step-column NAME   else global_step, step, iteration, epoch ..., where\n"
    "                       integers are in it (both: - for none)\n"
    "  --label-column NAME  a label of all samples of its row, not a metric; may be\n"
    "                       repeated\n"
    "  --no-header          the first row has values too; columns are column_1,\n"
    "                       column_2 ...\n"
    "  --comment CHAR       lines that begin with it are none; t_start in the first\n"
    "                       line of a Monitor file is what relative times count from\n"
    "\n"
    "What `astraml export --format csv` wrote is told by its header: windows, bit for\n"
    "bit.\n"
    "\n"
    "examples: astraml import csv cpu.csv.gz\n"
    "          astraml import csv --label-column VM_id noise.csv\n"
    "          astraml import csv --comment '#' --time-column t --relative-time a.csv\n";

const struct import_format csv_format = {
	.name = "csv",
	.version = "1",
	.summary = "tables: each column a metric, with times, steps, labels",
	.help = help,
	.options = options,
	.check = csv_check,
	.read = csv_read,
};

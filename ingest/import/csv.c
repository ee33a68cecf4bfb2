/*
 * csv.c - tables: the columns are metrics, a row is a moment.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "ingest/import/csv_rows.h"
#include "ingest/import/export_csv.h"
#include "ingest/import/format.h"
#include "ingest/import/json_span.h"
#include "ingest/import/time_format.h"
#include "store/base/number.h"

#define ROW_NS   NS_PER_S /* between rows, or steps, that have no time */
#define UNIT_LEN 16

enum role { ROLE_METRIC, ROLE_TIME, ROLE_STEP, ROLE_LABEL, ROLE_NONE };

struct column {
	char *name;
	enum role role;
	uint64_t numbers, texts;
	uint64_t first_text; /* the line it is in */
};

struct table {
	const struct import_context *c;
	struct import_sink *sink;
	struct csv_rows rows;
	struct column *columns;
	size_t n;
	const char *time_format;
	bool is_relative, has_origin;
	int64_t origin_ns; /* of relative times: a Monitor file tells it */
	struct year_rule years;
	struct column *time, *step; /* NULL: none */
	int64_t last_ns;            /* of the row before, where time comes from steps */
	uint64_t n_rows, bad_steps;
};

/* ---- cells ---- */

/* A number, perhaps with a unit behind a blank, as nvidia-smi writes it: "2 MiB", "0 %". */
static bool cell_number(struct span cell, double *ret, struct span *ret_unit)
{
	const char *text = (const char *)cell.data;
	const uint8_t *blank;
	size_t len;

	*ret_unit = span_of(NULL, 0);
	if (number_parse(text, cell.len, ret))
		return true;
	blank = cell.len ? memchr(cell.data, ' ', cell.len) : NULL;
	if (!blank)
		return false;
	len = (size_t)(blank - cell.data);
	*ret_unit = span_of(blank + 1, cell.len - len - 1);
	return ret_unit->len > 0 && ret_unit->len <= UNIT_LEN &&
	       !memchr(ret_unit->data, ' ', ret_unit->len) && number_parse(text, len, ret);
}

/* An integer, also one that a program wrote as 3.0. */
static bool cell_step(struct span cell, int64_t *ret)
{
	struct json_value v = { JSON_NUMBER, cell };
	double number;

	if (!number_parse((const char *)cell.data, cell.len, &number))
		return false;
	if (json_integer(&v, ret) && *ret != STEP_NONE)
		return true;
	if (!(fabs(number) < 0x1p53) || number != floor(number))
		return false;
	*ret = (int64_t)number;
	return true;
}

/* Seconds: exactly where they are plain decimals, by way of a double where they have an exponent. */
static bool cell_seconds(struct span cell, int64_t *ret_ns)
{
	double number;

	if (decimal_time(cell, NS_PER_S, ret_ns))
		return true;
	if (!number_parse((const char *)cell.data, cell.len, &number) || !(fabs(number) < 9e9))
		return false;
	*ret_ns = (int64_t)(number * 1e9);
	return true;
}

static bool cell_moment(const struct table *t, struct span cell, int64_t *ret_ns)
{
	if (t->time_format)
		return time_format_parse(t->time_format, cell, true, &t->years, ret_ns);
	return line_time_parse(cell, &t->years, ret_ns) || epoch_time(cell, ret_ns);
}

/* ---- columns ---- */

static void release_columns(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->columns[i].name);
	free(t->columns);
}

/* Names as the header has them; without one column_1, column_2 ... */
static int name_columns(struct table *t, bool has_header, struct fault *f)
{
	t->columns = calloc(t->rows.n, sizeof(*t->columns));
	if (!t->columns)
		return fault_default(f, ERR_NOMEM);
	for (t->n = 0; t->n < t->rows.n; t->n++) {
		const struct span *cell = &t->rows.cells[t->n];
		struct column *column = &t->columns[t->n];
		char made[32];

		snprintf(made, sizeof(made), "column_%zu", t->n + 1);
		column->name = has_header ? strndup((const char *)cell->data, cell->len) : strdup(made);
		if (!column->name)
			return fault_default(f, ERR_NOMEM);
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct column *const *)a)->name, (*(struct column *const *)b)->name);
}

/* Two columns of one name would be one metric. */
static int check_names(const struct table *t, struct fault *f)
{
	struct column **sorted = calloc(t->n, sizeof(*sorted));
	int err = 0;

	if (!sorted)
		return fault_default(f, ERR_NOMEM);
	for (size_t i = 0; i < t->n; i++)
		sorted[i] = &t->columns[i];
	qsort(sorted, t->n, sizeof(*sorted), by_name);
	for (size_t i = 1; i < t->n && err == 0; i++)
		if (sorted[i]->name[0] && by_name(&sorted[i - 1], &sorted[i]) == 0)
			err =
			    fault_set(f, ERR_MALFORMED, "file",
				      "columns %zu and %zu are both named %.100s: rename one of them in the "
				      "header",
				      (size_t)(sorted[i - 1] - t->columns) + 1,
				      (size_t)(sorted[i] - t->columns) + 1, sorted[i]->name);
	free(sorted);
	return err;
}

static void leave_out_bad_names(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct column *column = &t->columns[i];

		if (column->role == ROLE_METRIC && !column->name[0]) {
			column->role = ROLE_NONE;
			sink_note(t->sink, "column %zu has no name and is left out", i + 1);
		} else if (column->role == ROLE_METRIC && strlen(column->name) > METRIC_NAME_MAX) {
			column->role = ROLE_NONE;
			sink_note(
			    t->sink,
			    "column %zu has a name of %zu bytes and is left out: a metric's has at most %d",
			    i + 1, strlen(column->name), METRIC_NAME_MAX);
		}
	}
}

static struct column *find_column(const struct table *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->columns[i].name, name) == 0)
			return &t->columns[i];
	return NULL;
}

static int no_column(const struct table *t, const char *name, struct fault *f)
{
	char all[200] = "";
	size_t len = 0;

	for (size_t i = 0; i < t->n && len < sizeof(all); i++)
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%.60s", i ? ", " : "",
					t->columns[i].name);
	return fault_set(f, ERR_REFUSED, "column", "there is no column %.60s; there is: %s", name, all);
}

/* The column that an option names, if it was given. */
static int take_column(struct table *t, const char *option, size_t nth, enum role role, struct column **ret,
		       struct fault *f)
{
	const char *name = import_arg(t->c->args, option, nth);

	*ret = NULL;
	if (!name)
		return 0;
	*ret = find_column(t, name);
	if (!*ret)
		return no_column(t, name, f);
	if ((*ret)->role != ROLE_METRIC)
		return fault_set(f, ERR_REFUSED, "column", "column %.100s cannot be two things at once",
				 name);
	(*ret)->role = role;
	return 0;
}

/* The first column with one of these names, in their order. */
static struct column *guess_column(const struct table *t, const char *const *names)
{
	for (; *names; names++)
		for (size_t i = 0; i < t->n; i++)
			if (t->columns[i].role == ROLE_METRIC && strcasecmp(t->columns[i].name, *names) == 0)
				return &t->columns[i];
	return NULL;
}

static struct span first_cell(const struct table *t, const struct column *column)
{
	return t->rows.cells[column - t->columns];
}

/* The first row stands in t->rows. */
static int guess_time(struct table *t, struct fault *f)
{
	static const char *const names[] = { "timestamp", "time",      "datetime",   "date_time",
					     "date",      "starttime", "start_time", "wall_time",
					     "walltime",  "ts",        NULL };
	struct column *named = guess_column(t, names), *column = named ? named : &t->columns[0];
	struct span cell = first_cell(t, column);
	int64_t ns;

	/* a number in the first column may be anything */
	if (column->role == ROLE_METRIC &&
	    (named || t->time_format ? cell_moment(t, cell, &ns) : line_time_parse(cell, &t->years, &ns))) {
		column->role = ROLE_TIME;
		t->time = column;
	} else if (t->time_format) {
		return fault_set(f, ERR_REFUSED, "time-format",
				 "no column has times of the form %.60s: name it with --time-column",
				 t->time_format);
	} else if (named) {
		sink_note(t->sink,
			  "column %.100s holds no dates and is a metric; with --time-column %.100s "
			  "--relative-time it is seconds since the start",
			  column->name, column->name);
	}
	return 0;
}

static void guess_step(struct table *t)
{
	static const char *const names[] = { "global_step", "step", "_step", "steps",
					     "iteration",   "iter", "epoch", NULL };
	struct column *column = guess_column(t, names);
	int64_t step;

	if (!column || (first_cell(t, column).len > 0 && !cell_step(first_cell(t, column), &step)))
		return;
	column->role = ROLE_STEP;
	t->step = column;
}

static int choose_roles(struct table *t, struct fault *f)
{
	struct column *label;
	int err;

	for (size_t i = 0; import_arg(t->c->args, "label-column", i); i++)
		if ((err = take_column(t, "label-column", i, ROLE_LABEL, &label, f)) < 0)
			return err;
	if ((err = take_column(t, "time-column", 0, ROLE_TIME, &t->time, f)) < 0 ||
	    (err = take_column(t, "step-column", 0, ROLE_STEP, &t->step, f)) < 0)
		return err;
	if (!t->time && (err = guess_time(t, f)) < 0)
		return err;
	if (!t->step)
		guess_step(t);
	leave_out_bad_names(t);
	return 0;
}

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
	struct span cell = first_cell(t, t->time);
	int64_t ns;

	if (!(t->is_relative ? cell_seconds(cell, &ns) : cell_moment(t, cell, &ns)))
		return bad_time(t, cell, f);
	if (t->is_relative && !t->has_origin)
		*ret = (struct import_time){ TIME_RELATIVE, ns };
	else
		*ret = (struct import_time){ TIME_ABSOLUTE, ns + (t->is_relative ? t->origin_ns : 0) };
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
	if (t->step && !cell_step(first_cell(t, t->step), &s.step)) {
		s.step = STEP_NONE;
		t->bad_steps += first_cell(t, t->step).len > 0;
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
		    !cell_moment(t, t->rows.cells[i], &ns))
			return 0;
	return fault_set(f, ERR_MALFORMED, "file",
			 "line %" PRIu64
			 " holds values, no names of columns: --no-header names them column_1, "
			 "column_2 and so on",
			 t->rows.line);
}

static void tell(const struct table *t)
{
	char texts[160] = "";
	size_t len = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct column *column = &t->columns[i];

		if (column->texts > 0 && column->numbers == 0 && len < sizeof(texts))
			len += (size_t)snprintf(texts + len, sizeof(texts) - len, "%s%.60s", len ? ", " : "",
						column->name);
		else if (column->texts > 0 && column->numbers > 0)
			sink_note(t->sink,
				  "%" PRIu64
				  " cells of column %.100s are no numbers and are left out, the first in "
				  "line %" PRIu64,
				  column->texts, column->name, column->first_text);
	}
	if (len > 0)
		sink_note(t->sink, "text is left out: column %s; --label-column NAME makes a label of one",
			  texts);
	if (t->bad_steps > 0)
		sink_note(t->sink,
			  "%" PRIu64
			  " rows have something in column %.100s that is no integer: they have no step",
			  t->bad_steps, t->step->name);
	if (t->n_rows == 0)
		sink_note(t->sink, "there is no row with values");
}

static int read_table(struct table *t, struct fault *f)
{
	bool has_header = !import_arg(t->c->args, "no-header", 0);
	int err = next_row(t, f);

	if (err != 0)
		return err;
	if (has_header && (err = check_header(t, f)) < 0)
		return err;
	if ((err = name_columns(t, has_header, f)) < 0 || (err = check_names(t, f)) < 0 ||
	    (has_header && (err = next_row(t, f)) != 0))
		return err;
	if ((err = row_width(t, f)) < 0 || (err = choose_roles(t, f)) < 0)
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
		tell(&t);
	release_columns(&t);
	csv_rows_release(&t.rows);
	return err < 0 ? err : 0;
}

static int csv_check(const struct import_args *args, struct fault *f)
{
	const char *format = import_arg(args, "time-format", 0), *comment = import_arg(args, "comment", 0);
	bool is_relative = import_arg(args, "relative-time", 0) != NULL;

	if (comment && strlen(comment) != 1)
		return fault_set(f, ERR_REFUSED, "comment", "--comment takes one character, like #");
	if (is_relative && !import_arg(args, "time-column", 0))
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
    "Tables of comma-separated values: the header names the metrics, a row is a moment.  Empty cells\n"
    "are no samples; nan and inf are values; a unit behind a number (2 MiB) is the metric's; other text\n"
    "is left out and told.\n"
    "\n"
    "  --time-column NAME   else timestamp, time, datetime, date, starttime ... in any case, or the first\n"
    "                       column, where dates are in it.  Dates as in `text`, or counted from 1970 in s,\n"
    "                       ms, us or ns.  Without times a row lasts a second, or a step does: they begin\n"
    "                       at --start, or end at --end or the file's modification time\n"
    "  --relative-time      that column holds seconds since the start\n"
    "  --time-format F      how its dates are written, in the words of strptime, and %f for a fraction\n"
    "  --step-column NAME   else global_step, step, iteration, epoch ..., where integers are in it\n"
    "  --label-column NAME  a label of all samples of its row, not a metric; may be repeated\n"
    "  --no-header          the first row has values too; columns are column_1, column_2 ...\n"
    "  --comment CHAR       lines that begin with it are none; t_start in the first line of a Monitor\n"
    "                       file is what relative times count from\n"
    "\n"
    "What `astraml export --format csv` wrote is told by its header: windows, bit for bit.\n"
    "\n"
    "examples: astraml import csv cpu.csv.gz\n"
    "          astraml import csv --label-column VM_id noise.csv\n"
    "          astraml import csv --comment '#' --time-column t --relative-time 0.monitor.csv\n";

const struct import_format csv_format = {
	.name = "csv",
	.version = "1",
	.summary = "tables: each column a metric, with times, steps, labels",
	.help = help,
	.options = options,
	.check = csv_check,
	.read = csv_read,
};

#include "ingest/import/csv_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "ingest/import/time_format.h"
#include "store/base/number.h"

bool table_moment(const struct table *t, struct span cell, int64_t *ret_ns)
{
	if (t->time_format)
		return time_format_parse(t->time_format, cell, true, &t->years, ret_ns);
	return line_time_parse(cell, &t->years, ret_ns) || epoch_time(cell, ret_ns);
}

void table_release_columns(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->columns[i].name);
	free(t->columns);
}

/* Names as the header has them; without one column_1, column_2 ... */
static int copy_names(struct table *t, bool has_header, struct fault *f)
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

/* Semicolons and tabs would make one column of text of the whole table. */
static int check_commas(const struct table *t, struct fault *f)
{
	const char *name = t->columns[0].name;

	if (t->n > 1 || (!strchr(name, ';') && !strchr(name, '\t')))
		return 0;
	return fault_set(f, ERR_MALFORMED, "file",
			 "line %" PRIu64 " has no commas but semicolons or tabs: turn them into commas",
			 t->rows.line);
}

int table_name_columns(struct table *t, bool has_header, struct fault *f)
{
	int err = copy_names(t, has_header, f);

	if (err < 0 || (err = check_commas(t, f)) < 0)
		return err;
	return check_names(t, f);
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

/* The column that an option names, if it was given; "-" is none. */
static int take_column(struct table *t, const char *option, size_t nth, enum role role, struct column **ret,
		       struct fault *f)
{
	const char *name = import_arg(t->c->args, option, nth);

	*ret = NULL;
	if (!name || strcmp(name, "-") == 0)
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

struct span table_cell(const struct table *t, const struct column *column)
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
	struct span cell = table_cell(t, column);
	double number;
	int64_t ns;

	/* a number in the first column may be anything */
	if (column->role == ROLE_METRIC &&
	    (named || t->time_format ? table_moment(t, cell, &ns) : line_time_parse(cell, &t->years, &ns))) {
		column->role = ROLE_TIME;
		t->time = column;
	} else if (t->time_format) {
		return fault_set(f, ERR_REFUSED, "time-format",
				 "no column has times of the form %.60s: name it with --time-column",
				 t->time_format);
	} else if (named && !number_parse((const char *)cell.data, cell.len, &number)) {
		return fault_set(
		    f, ERR_MALFORMED, "file",
		    "line %" PRIu64
		    ": %.*s in column %.60s is no time that is known; --time-format F tells how one "
		    "is written, --time-column NAME which column has them, and - that none has",
		    t->rows.line, cell.len > 60 ? 60 : (int)cell.len, (const char *)cell.data, column->name);
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

	if (!column || (table_cell(t, column).len > 0 && !cell_step(table_cell(t, column), &step)))
		return;
	column->role = ROLE_STEP;
	t->step = column;
}

int table_choose_roles(struct table *t, struct fault *f)
{
	struct column *label;
	int err;

	for (size_t i = 0; import_arg(t->c->args, "label-column", i); i++)
		if ((err = take_column(t, "label-column", i, ROLE_LABEL, &label, f)) < 0)
			return err;
	if ((err = take_column(t, "time-column", 0, ROLE_TIME, &t->time, f)) < 0 ||
	    (err = take_column(t, "step-column", 0, ROLE_STEP, &t->step, f)) < 0)
		return err;
	if (!import_arg(t->c->args, "time-column", 0) && (err = guess_time(t, f)) < 0)
		return err;
	if (!import_arg(t->c->args, "step-column", 0))
		guess_step(t);
	leave_out_bad_names(t);
	return 0;
}

/* What of a column was left out though the column is a metric. */
static void tell_cells(const struct table *t, const struct column *column)
{
	if (column->texts > 0)
		sink_note(t->sink,
			  "cells of column %.100s that are no numbers are left out: %" PRIu64
			  ", the first in line %" PRIu64,
			  column->name, column->texts, column->first_text);
	if (column->other_units > 0)
		sink_note(
		    t->sink,
		    "cells of column %.100s with another unit than its first one, \"%.*s\", are left out: "
		    "%" PRIu64 ", the first in line %" PRIu64,
		    column->name, (int)column->unit.len, (const char *)column->unit.data, column->other_units,
		    column->first_other);
}

void table_tell(const struct table *t)
{
	char texts[160] = "";
	size_t len = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct column *column = &t->columns[i];

		if (column->numbers > 0)
			tell_cells(t, column);
		else if (column->texts > 0 && len < sizeof(texts))
			len += (size_t)snprintf(texts + len, sizeof(texts) - len, "%s%.60s", len ? ", " : "",
						column->name);
	}
	if (len > 0)
		sink_note(t->sink, "text is left out: column %s; --label-column NAME makes a label of one",
			  texts);
	if (t->bad_steps > 0)
		sink_note(t->sink,
			  "rows with something in column %.100s that is no integer have no step: %" PRIu64,
			  t->step->name, t->bad_steps);
	if (t->n_rows == 0)
		sink_note(t->sink, "there is no row with values");
}

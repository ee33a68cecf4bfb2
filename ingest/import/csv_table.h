/*
 * csv_table.h - a table that is being read: its columns and what each of them is.
 *
 * One thread.  csv.c reads the rows, csv_table.c knows the columns.
 */
#ifndef INGEST_IMPORT_CSV_TABLE_H
#define INGEST_IMPORT_CSV_TABLE_H

#include "ingest/import/csv_cell.h"
#include "ingest/import/csv_rows.h"
#include "ingest/import/format.h"

enum role { ROLE_METRIC, ROLE_TIME, ROLE_STEP, ROLE_LABEL, ROLE_NONE };

struct column {
	char *name;
	enum role role;
	uint64_t numbers, texts;
	uint64_t first_text; /* the line it is in */
	struct span unit;    /* of the first number; lies in unit_text */
	char unit_text[CELL_UNIT_MAX];
	uint64_t other_units;
	uint64_t first_other; /* the line it is in */
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

/* Names as the header, which stands in t->rows, has them; without one column_1, column_2 ...
 * ERR_MALFORMED: two are the same, or there are no commas. */
int table_name_columns(struct table *t, bool has_header, struct fault *f);
void table_release_columns(struct table *t);

/* What each column is, by the options, else by its name and the first row, which stands in t->rows.
 * ERR_REFUSED: an option names no column, or one is to be two things. */
int table_choose_roles(struct table *t, struct fault *f);

/* The cell of the row in t->rows that is in that column. */
struct span table_cell(const struct table *t, const struct column *column);

/* A date in a cell, by --time-format or in the forms that are known. */
bool table_moment(const struct table *t, struct span cell, int64_t *ret_ns);

/* Notes about what was left out, after the last row. */
void table_tell(const struct table *t);

#endif

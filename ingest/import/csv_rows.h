/*
 * csv_rows.h - the rows of a CSV file (RFC 4180): cells between commas, quoted ones with commas,
 * line ends and doubled quotes inside; LF or CRLF; a UTF-8 byte order mark is passed over, empty
 * lines too.
 *
 * Blanks around a cell that is not quoted are no part of it.  Memory is bounded by CSV_ROW_MAX.
 * One thread.
 */
#ifndef INGEST_IMPORT_CSV_ROWS_H
#define INGEST_IMPORT_CSV_ROWS_H

#include "ingest/import/input.h"

#define CSV_ROW_MAX   (16u << 20)
#define CSV_CELLS_MAX 100000

struct csv_rows {
	struct input *in;   /* borrowed */
	char comment;       /* lines that begin with it are comments; 0: there are none */
	uint64_t line;      /* number of the row's first line, from 1 */
	uint64_t next_line; /* how many lines have been read */
	bool is_comment;    /* the row in hand is one: a single cell, behind the mark */
	struct span *cells; /* of the row in hand; borrowed until the next call */
	size_t n, cap;
	struct buf text; /* a row with quotes, or over 1 MiB */
};

void csv_rows_init(struct csv_rows *r, struct input *in, char comment);
void csv_rows_release(struct csv_rows *r);

/* 1: no more.  ERR_MALFORMED names the line: NUL bytes, an open quote, text behind a quote, a row
 * too long. */
int csv_rows_next(struct csv_rows *r, struct fault *f);

#endif

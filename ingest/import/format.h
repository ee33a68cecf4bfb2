/*
 * format.h - what the importer needs to know of a format of text lines: how one line is read.
 *
 * Another format is one more file that exports one more of these, and a row in import.c's table.
 * Knows nothing of files, runs or the wire.
 */
#ifndef INGEST_IMPORT_FORMAT_H
#define INGEST_IMPORT_FORMAT_H

#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/clock.h"
#include "store/model.h"

/* Times of lines lie in [0, LINE_TIME_END_NS), which ends with the year 2261; others are none. */
#define LINE_TIME_END_NS (INT64_C(9214646400) * NS_PER_S)

/* One thing a line says: "at t_ns, key was value". */
struct line_record {
	struct span key; /* any bytes: not checked against the limits of names */
	bool has_time, is_number;
	int64_t t_ns;
	int64_t step;      /* STEP_NONE: none */
	double number;     /* when is_number */
	struct span value; /* JSON text of a string, number or boolean; else empty */
};

/* All that one line says, reused from line to line.  Spans are borrowed until the next line. */
struct line_facts {
	bool has_time;
	int64_t t_ns; /* the first time in the line */
	struct line_record *records;
	size_t n, cap;
	struct arena names;
};

struct import_format {
	const char *name;
	const char *version; /* goes into the producer id: rises when the same bytes give other records */

	/* The line comes with its end, and has at most LOG_TEXT_MAX bytes of any content; whatever it
	 * does not understand says nothing.  ERR_NOMEM. */
	int (*parse_line)(struct span line, struct line_facts *ret);

	/* Which of the keys whose first value is kept as a parameter of the run this is, from 0 to 63;
	 * -1: none of them. */
	int (*parameter)(struct span key);
};

extern const struct import_format mllog_format;

void line_facts_init(struct line_facts *f);
void line_facts_release(struct line_facts *f);
void line_facts_clear(struct line_facts *f);

/* Appends a record, and takes its time as the line's when it is the first.  ERR_NOMEM. */
int line_facts_add(struct line_facts *f, const struct line_record *r);

#endif

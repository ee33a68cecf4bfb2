/*
 * line_facts.h - what the lines of a log say that has records in them, as MLPerf's have.
 *
 * Pure apart from the memory it keeps from line to line.  One thread.
 */
#ifndef INGEST_IMPORT_LINE_FACTS_H
#define INGEST_IMPORT_LINE_FACTS_H

#include "ingest/import/sink.h"
#include "store/base/arena.h"

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

void line_facts_init(struct line_facts *f);
void line_facts_release(struct line_facts *f);
void line_facts_clear(struct line_facts *f);

/* Appends a record, and takes its time as the line's when it is the first.  ERR_NOMEM. */
int line_facts_add(struct line_facts *f, const struct line_record *r);

#endif

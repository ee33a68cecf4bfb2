/*
 * cell.h - the columns of a /query answer, and what a window has in each.  Pure.
 *
 * One place says what a column is; rowjson.c, rowcsv.c and rowproto.c say how it is written, so
 * that the three cannot disagree.
 */
#ifndef QUERY_CELL_H
#define QUERY_CELL_H

#include "query/ask.h"

/* Columns that come before the aggregates. */
enum axis { AXIS_TIME = AGGS, AXIS_STEP, AXIS_FIRST_STEP, AXIS_SAMPLE_TIME, AXIS_VALUE, COLUMNS_ALL };

enum cell_kind {
	CELL_COUNT,  /* u */
	CELL_NUMBER, /* v; no finite sample: null */
	CELL_STEP,   /* i; STEP_NONE: null */
	CELL_TIME,   /* i, nanoseconds since 1970; TIME_NONE: null */
	CELL_WINDOW, /* i, nanoseconds since 1970, of a window's start */
};

#define TIME_NONE INT64_MIN

struct cell {
	enum cell_kind kind;
	bool null;
	union {
		uint64_t u;
		int64_t i;
		double v;
	};
};

struct columns {
	int list[COLUMNS_ALL]; /* enum agg or enum axis */
	size_t n;
};

/* x=time: time_ms, then the aggregates.  x=step: step (the last sample's, or the greatest where the
 * last has none), first_step (the least), time_ms, then the aggregates but first_step.  samples=true:
 * time, step, value; with x=step the step comes first. */
void columns_of(const struct ask *a, struct columns *ret);

const char *column_name(int column);

struct cell cell_of(int column, int64_t start_ns, const struct bucket *b);

/* The step of a window as x=step has it; STEP_NONE when it has none. */
int64_t bucket_step(const struct bucket *b);

#endif

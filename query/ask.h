/*
 * ask.h - what a /query request asks for, and the windows that answer it.  Pure.
 *
 * Times are nanoseconds since 1970 UTC; every window of an answer starts at a multiple of its
 * width.  A window belongs to the range when its start is in [start, end).
 */
#ifndef QUERY_ASK_H
#define QUERY_ASK_H

#include "query/params.h"

#define ASK_RUNS_MAX 100
#define ASK_ROWS_MAX 1000000

enum agg {
	AGG_COUNT,
	AGG_SUM,
	AGG_MIN,
	AGG_MAX,
	AGG_MEAN,
	AGG_FIRST,
	AGG_LAST,
	AGG_NAN,
	AGG_POS_INF,
	AGG_NEG_INF,
	AGG_FIRST_TIME,
	AGG_LAST_TIME,
	AGG_FIRST_STEP,
	AGG_LAST_STEP,
	AGG_STEP_MIN,
	AGG_STEP_MAX,
	AGG_BAD_TIME,
	AGG_BAD_STEP,
	AGGS,
};

const char *agg_name(enum agg a);

struct ask {
	const struct params *params; /* borrowed; metric= and label.K= are looked up there */
	struct span runs[ASK_RUNS_MAX];
	size_t n_runs;
	bool has_start, has_end;
	int64_t start_ns, end_ns;
	int64_t every_ns; /* 0: the tier's own */
	uint64_t points;  /* 0: not asked for */
	enum agg aggs[AGGS];
	size_t n_aggs;
};

/* count,min,max,mean,last when agg= is not given. */
int ask_parse(const struct params *p, int64_t now_ns, struct ask *ret, struct fault *f);

/* Whether a series is meant: any of metric= (none: all), each label.K= (a label that is not there
 * is empty; the same K twice: either value). */
bool ask_wants(const struct ask *a, const struct series_name *name);

/* [from, to) in multiples of every_ns; from == to: nothing. */
struct windows {
	int64_t from_ns, to_ns, every_ns;
};

/* The windows that answer it, no more than points= where that is given (two for points=1, when a
 * boundary of every width lies in the range): tier_ns is the width of the tier's, [life_from, life_to) what
 * the runs hold (equal: nothing).  ERR_REFUSED: start after end. */
int ask_windows(const struct ask *a, int64_t tier_ns, int64_t life_from_ns, int64_t life_to_ns,
		struct windows *ret, struct fault *f);

/* The part of w that can hold something of [life_from, life_to). */
struct windows windows_clip(const struct windows *w, int64_t life_from_ns, int64_t life_to_ns);

/* A width that every tier width given so far divides: lcm of whole nanoseconds. */
int64_t width_join(int64_t a_ns, int64_t b_ns);

#endif

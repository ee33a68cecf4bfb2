/*
 * ask.h - what a /query request asks for, and the windows that answer it.  Pure.
 *
 *   run=R metric=GLOB label.K=V   which series: each may be repeated; '*' in metric stands for any text
 *   start= end= step_start= step_end=   a window belongs when its start is in [start, end), and its
 *                                 last step in [step_start, step_end)
 *   every=W | points=N            how wide a window is
 *   agg=LIST x=time|step          columns
 *   samples=true                  every sample by itself, as long as samples are kept: its time is in
 *                                 [start, end), its step in [step_start, step_end)
 *   by=K                          series of a run and metric that agree in label K (in each K, when it
 *                                 is repeated) become one; by= with no label: all of them become one
 *
 * x=step gives one row for each step, of its newest sample, while samples are kept for all of the range,
 * they are not too many, and none of every, points and by is there.  Else a row is a window: `step` is its
 * last sample's step, `first_step` the least, then time_ms; rows stay in the order of time.
 *
 * Times are nanoseconds since 1970 UTC; every window of an answer starts at a multiple of its
 * width.
 *
 * points=N gives the least width of tier, 2 tiers, 4 tiers, 8 ... whose windows are no more than N;
 * so there are at least N / 2 of them unless the tier's own are fewer.  As a run goes on its windows
 * stay as they are and new ones come behind, until there are N: then each two become one.  Each has
 * first, last, min and max of all its samples, so a chart that is N pixels wide misses no spike.  Which
 * tier that is, plan.c says.  With x=step points are strides of steps instead while samples are kept
 * (exact.h, strides.h).
 */
#ifndef QUERY_ASK_H
#define QUERY_ASK_H

#include "query/params.h"

#define ASK_RUNS_MAX 100
#define ASK_BY_MAX   LABELS_MAX
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
unsigned agg_fields(enum agg a); /* what it is told by (bucket.h) */

struct ask {
	const struct params *params; /* borrowed; metric= and label.K= are looked up there */
	struct span runs[ASK_RUNS_MAX];
	size_t n_runs;
	bool has_start, has_end;
	int64_t start_ns, end_ns;
	int64_t step_start, step_end; /* INT64_MIN, INT64_MAX: no bound */
	bool x_step, samples;
	bool merge; /* by= is there */
	struct span by[ASK_BY_MAX];
	size_t n_by;
	int64_t every_ns; /* 0: the tier's own */
	uint64_t points;  /* 0: not asked for */
	enum agg aggs[AGGS];
	size_t n_aggs;
};

/* count,min,max,mean,first,last when agg= is not given. */
int ask_parse(const struct params *p, int64_t now_ns, struct ask *ret, struct fault *f);

/* Whether a series is meant: any of metric= (none: all), each label.K= (a label that is not there
 * is empty; the same K twice: either value). */
bool ask_wants(const struct ask *a, const struct series_name *name);

/* The metrics that are asked for, when all of these are said without a '*'; else 0.  Borrowed from the
 * request; ret has room for ASK_METRICS_MAX. */
#define ASK_METRICS_MAX 64
size_t ask_metrics(const struct ask *a, struct span *ret);

/* Whether a window with this step (STEP_NONE: with none) is in the answer. */
bool ask_wants_step(const struct ask *a, int64_t step);

/* What a series is called that stands for all which agree with `name` in the labels of by=: its
 * metric, and these labels as far as it has them.  Borrows from `name`. */
struct series_name ask_merged_name(const struct ask *a, const struct series_name *name);

/* The least multiple of width_ns that is not before t_ns; the last one there is where that is none. */
int64_t window_end(int64_t t_ns, int64_t width_ns);

/* [from, to) in multiples of every_ns; from == to: nothing. */
struct windows {
	int64_t from_ns, to_ns, every_ns;
};

/* The windows that answer it, no more than points= where that is given (two for points=1 when the
 * greatest width there is has a boundary in the range): tier_ns is the width of the tier's,
 * [life_from, life_to) what the runs hold (equal: nothing).  ERR_REFUSED: start after end. */
int ask_windows(const struct ask *a, int64_t tier_ns, int64_t life_from_ns, int64_t life_to_ns,
		struct windows *ret, struct fault *f);

/* The part of w that can hold something of [life_from, life_to). */
struct windows windows_clip(const struct windows *w, int64_t life_from_ns, int64_t life_to_ns);

/* A width that every tier width given so far divides: lcm of whole nanoseconds. */
int64_t width_join(int64_t a_ns, int64_t b_ns);

#endif

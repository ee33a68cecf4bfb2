/*
 * curve.h - one series as a chart shows it: a point for each window (or sample), what it held, and
 * what the line shows of it.  Pure; one thread.
 *
 * x is in the unit of the chart's axis: seconds or training steps.  Points come in the order of x.
 */
#ifndef QUERY_CURVE_H
#define QUERY_CURVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct curve_point {
	double from, to;       /* x of its first and its last sample */
	double mean, min, max; /* of finite samples; NaN where count is 0 */
	double first, last;    /* as they came, finite or not */
	double shown;          /* what the line shows: the mean, or the smoothed one; NaN: nothing */
	uint64_t count, nan, pos_inf, neg_inf;
	bool after_gap; /* the line does not reach back to the point before */
};

struct curve {
	struct curve_point *points; /* owned */
	size_t n, room;
};

void curve_release(struct curve *c);

/* p is copied; shown becomes its mean.  ERR_NOMEM. */
int curve_add(struct curve *c, struct curve_point p);

/* x where the line passes. */
double curve_middle(const struct curve_point *p);

/*
 * The exponential moving average of the means as TensorBoard draws it (tf_scalar_dashboard, "smoothing"):
 * s = w * s + (1 - w) * mean from s = 0, shown = s / (1 - w^n) after n finite means, so that the
 * first ones are not drawn towards zero.  Points without finite samples change nothing and show
 * nothing.  0 <= w < 1.
 */
void curve_smooth(struct curve *c, double w);

/* Sets after_gap where two neighbours are more than CURVE_GAP times as far apart as is usual (the
 * median), and at least `least` apart. */
#define CURVE_GAP 4
int curve_gaps(struct curve *c, double least);

/* What the whole curve held. */
struct curve_sum {
	double min, max, last; /* of finite samples (last: whatever it was); NaN: there are none */
	double from, to;       /* x; NaN: no points */
	double least_positive; /* of min, mean and max; NaN: there is none */
	uint64_t count, nan, pos_inf, neg_inf;
	uint64_t most;       /* samples of a point */
	double widest;       /* of from to to */
	size_t not_positive; /* points with a finite sample that is not above zero */
};
struct curve_sum curve_sum(const struct curve *c);

#endif

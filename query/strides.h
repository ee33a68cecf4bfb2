/*
 * strides.h - x=step from samples: a row for each stride, a range of steps as wide as all others of its line.
 *
 * A line is a series, or with by= the series of a group; each has a width of its own: the least of 1, 2, 5,
 * 10, 20, 50 ... of which no more than `most` strides hold a sample, and every stride begins at a multiple
 * of it.  A line that goes on only adds samples to them, so its rows stay as they are until there are too
 * many. Where no width of 64 bits will do, all of the line is one row.
 *
 * A row is a bucket of its samples, but first and last are those with the least and the greatest step, and
 * of one step by (time, value); its start is the time of the first.
 *
 * The samples of a line are in memory.
 */
#ifndef QUERY_STRIDES_H
#define QUERY_STRIDES_H

#include "query/ask.h"
#include "query/samples.h"

#define STRIDE_ALL 0 /* a width: all steps are one stride */

/* Which stride of that width holds the step. */
static inline int64_t stride_of(int64_t step, int64_t width)
{
	return width == STRIDE_ALL ? 0 : step >= 0 ? step / width : ~(~step / width);
}

/* The width for samples that come by rising step.  most > 0. */
int64_t stride_width(const struct point *p, size_t n, uint64_t most);

struct stride_plan {
	const struct sample_scan *scan; /* by_step; its sample is not used, its arg is row's */
	const size_t *ends;             /* of each group: where in sids it ends; NULL: a series is a line */
	const struct ask *ask;          /* which steps are wanted */
	uint64_t most;                  /* rows of a line */
	/* series: the line's place.  Under a view: must not block. */
	int (*row)(void *arg, size_t series, int64_t start_ns, const struct bucket *b);
};

/* As samples_scan; ERR_TOO_LARGE: a line has more than limits.rows samples. */
int strides_run(const struct stride_plan *p, bool *ret_partial);

#endif

/*
 * steptime.h - when a training step was: what ties logs, which have times, to metrics, which have
 * steps too.  Inside query/ only.
 */
#ifndef QUERY_STEPTIME_H
#define QUERY_STEPTIME_H

#include "query/cli/source.h"

struct step_time {
	int64_t t_ns;
	int64_t step; /* the one asked for, or where it was not logged the next one that was */
};

/* From the metric of the run that was written most with steps: exact at the first and last step of
 * a window, else as far between their times as the step is between them.  Of a step logged again
 * after a resume, the newest.  ERR_NOT_FOUND: the run has no steps, or none so late. */
int step_time(struct source *s, const struct target *t, const char *run, int64_t step, struct step_time *ret,
	      struct fault *f);

#endif

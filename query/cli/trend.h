/*
 * trend.h - sparklines of metrics of one run, and which metric stands for a run.
 */
#ifndef QUERY_TREND_H
#define QUERY_TREND_H

#include "query/cli/term.h"
#include "query/cli/verb.h"

#define TREND_POINTS_MAX 32

/* Of a list of metrics (as the API gives it): the one that tells how training goes, the loss where
 * there is one; NULL where all are constant. */
struct json_object *trend_choose(struct json_object *metrics);

/* Greatest last_step of a list of metrics; false when none has steps. */
bool trend_steps(struct json_object *metrics, int64_t *ret);

/* Asks for the means of some metrics over the whole life of the run; the answer's tree, to be put.  Of a run
 * that has not lasted `points` windows, series are of samples where they are few and kept. */
struct json_object *trend_fetch(struct source *s, const struct target *t, const char *run,
				const char *const *metrics, size_t n, unsigned points, struct fault *f);

/* The series of an answer which has the metric's name and labels; NULL: it is not there. */
struct json_object *trend_series(struct json_object *answer, struct json_object *metric);

/* Draws the series of that answer which has the metric's name and labels; at most `points` wide. */
void trend_draw(FILE *out, struct json_object *answer, struct json_object *metric, unsigned points);

/* "name{key=value}" of a metric or a series of an answer. */
void trend_title(struct json_object *o, const char *name_key, struct buf *out);

#endif

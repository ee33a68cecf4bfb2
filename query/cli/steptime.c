#include "query/cli/steptime.h"

#include <inttypes.h>
#include <stdio.h>

#include "query/cli/trend.h"
#include "query/cli/verb.h"
#include "store/base/clock.h"

#define POINTS 1000 /* windows of a first look; a second one finds the finest in one of them */

/* Columns of the answers below: step and first_step come first where x=step. */
enum { AT_STEP, AT_FIRST_STEP, AT_TIME_MS, AT_FIRST_TIME, AT_LAST_TIME };

/* The metric with the most samples of those that have steps; NULL: none has. */
static struct json_object *best_metric(struct json_object *list)
{
	struct json_object *best = NULL;

	for (size_t i = 0; i < list_length(list); i++) {
		struct json_object *m = tree_item(list, i);

		if (tree_member(m, "last_step") && (!best || tree_u64(m, "count") > tree_u64(best, "count")))
			best = m;
	}
	return best;
}

/* Windows of the metric from that step on; [from, to) in milliseconds, or all: to 0. */
static struct json_object *windows(struct source *s, const struct target *t, const char *run,
				   struct json_object *metric, int64_t step, int64_t from_ms, int64_t to_ms,
				   struct fault *f)
{
	struct json_object *o;
	struct buf path;
	char text[24];

	snprintf(text, sizeof text, "%" PRId64, step);
	path_init(&path, t);
	path_add(&path, "/query");
	path_param(&path, "run", run);
	path_param(&path, "metric", tree_text(metric, "name"));
	path_param(&path, "x", "step");
	path_param(&path, "step_start", text);
	path_param(&path, "agg", "first_time,last_time");
	if (to_ms) {
		path_param_u64(&path, "start", (uint64_t)from_ms);
		path_param_u64(&path, "end", (uint64_t)to_ms);
	} else {
		path_param_u64(&path, "points", POINTS);
	}
	o = verb_tree(s, buf_cstr(&path), f);
	buf_release(&path);
	return o;
}

static int64_t number_at(struct json_object *row, size_t column)
{
	return json_object_get_int64(tree_item(row, column));
}

static int64_t time_at(struct json_object *row, size_t column)
{
	struct json_object *o = tree_item(row, column);
	int64_t t_ns = 0;

	clock_parse(json_object_get_string(o), (size_t)json_object_get_string_len(o), &t_ns);
	return t_ns;
}

/* The row of the window that reaches the step first; NULL: none. */
static struct json_object *first_row(struct json_object *answer, struct json_object *metric)
{
	struct json_object *rows = tree_list(trend_series(answer, metric), "rows"), *best = NULL;

	for (size_t i = 0; i < list_length(rows); i++) {
		struct json_object *row = tree_item(rows, i);

		if (!best || number_at(row, AT_STEP) < number_at(best, AT_STEP))
			best = row;
	}
	return best;
}

static struct step_time within(struct json_object *row, int64_t step)
{
	int64_t first = number_at(row, AT_FIRST_STEP), last = number_at(row, AT_STEP);
	int64_t from = time_at(row, AT_FIRST_TIME), to = time_at(row, AT_LAST_TIME);

	if (step <= first || last <= first)
		return (struct step_time){ from, step < first ? first : step };
	return (struct step_time){ from + (int64_t)((double)(to - from) *
						    ((double)(step - first) / (double)(last - first))),
				   step };
}

static int look_closer(struct source *s, const struct target *t, const char *run, struct json_object *metric,
		       int64_t step, struct json_object *coarse, struct step_time *ret, struct fault *f)
{
	struct json_object *row = first_row(coarse, metric), *fine;
	int64_t from_ms;

	if (!row)
		return fault_set(f, ERR_NOT_FOUND, "around-step",
				 "run %s has no step %" PRId64 " or later; its last is %s", run, step,
				 json_object_get_string(tree_member(metric, "last_step")));
	from_ms = number_at(row, AT_TIME_MS);
	fine = windows(s, t, run, metric, step, from_ms, from_ms + (int64_t)tree_u64(coarse, "every_ms"), f);
	if (!fine)
		return f->err;
	*ret = within(first_row(fine, metric) ? first_row(fine, metric) : row, step);
	json_object_put(fine);
	return 0;
}

int step_time(struct source *s, const struct target *t, const char *run, int64_t step, struct step_time *ret,
	      struct fault *f)
{
	struct json_object *metrics = verb_run_tree(s, t, run, "/metrics", f), *metric, *coarse;
	int err;

	if (!metrics)
		return f->err;
	metric = best_metric(tree_list(metrics, "metrics"));
	coarse = metric ? windows(s, t, run, metric, step, 0, 0, f) : NULL;
	if (!metric)
		err = fault_set(f, ERR_NOT_FOUND, "around-step",
				"no metric of run %s has steps; give a time with --since and --until", run);
	else
		err = coarse ? look_closer(s, t, run, metric, step, coarse, ret, f) : f->err;
	json_object_put(coarse);
	json_object_put(metrics);
	return err;
}

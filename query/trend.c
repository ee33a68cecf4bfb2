#include "query/trend.h"

#include <math.h>

/* How well a metric tells how training goes; 0: hardly. */
static int rank_of(const char *name)
{
	static const char *const best[] = { "train_loss", "train/loss", "loss" };

	for (size_t i = 0; i < sizeof best / sizeof *best; i++)
		if (strcmp(name, best[i]) == 0)
			return (int)i + 3;
	if (strncmp(name, "system/", 7) == 0 || strstr(name, "seed"))
		return -1;
	if (strstr(name, "loss") && !strstr(name, "scale"))
		return 2;
	return strstr(name, "accuracy") != NULL;
}

/* A setting that was written as a metric: it tells nothing of the course of a training. */
static bool is_constant(struct json_object *m)
{
	double low = NAN, high = NAN;

	tree_number(tree_member(m, "min"), &low);
	tree_number(tree_member(m, "max"), &high);
	return low == high;
}

struct json_object *trend_choose(struct json_object *metrics)
{
	struct json_object *best = NULL;
	int best_rank = -1;
	uint64_t best_count = 0;

	for (size_t i = 0; i < list_length(metrics); i++) {
		struct json_object *m = tree_item(metrics, i);
		int rank = rank_of(tree_text(m, "name"));
		uint64_t count = tree_u64(m, "count");

		if (rank <= 0 && is_constant(m))
			continue;
		if (!best || rank > best_rank || (rank == best_rank && count > best_count)) {
			best = m;
			best_rank = rank;
			best_count = count;
		}
	}
	return best;
}

bool trend_steps(struct json_object *metrics, int64_t *ret)
{
	struct json_object *step;
	bool any = false;

	for (size_t i = 0; i < list_length(metrics); i++) {
		json_object_object_get_ex(tree_item(metrics, i), "last_step", &step);
		if (!step || (any && json_object_get_int64(step) <= *ret))
			continue;
		*ret = json_object_get_int64(step);
		any = true;
	}
	return any;
}

struct json_object *trend_fetch(struct source *s, const struct target *t, const char *run,
				const char *const *metrics, size_t n, unsigned points, struct fault *f)
{
	struct json_object *o;
	struct buf path;

	path_init(&path, t);
	path_add(&path, "/query");
	path_param(&path, "run", run);
	for (size_t i = 0; i < n; i++)
		path_param(&path, "metric", metrics[i]);
	path_param_u64(&path, "points", points * 2); /* half of them come at least */
	path_param(&path, "agg", "mean,last");
	o = verb_tree(s, buf_cstr(&path), f);
	buf_release(&path);
	return o;
}

static bool same_series(struct json_object *series, struct json_object *metric)
{
	struct json_object *a, *b;

	return strcmp(tree_text(series, "metric"), tree_text(metric, "name")) == 0 &&
	       json_object_object_get_ex(series, "labels", &a) &&
	       json_object_object_get_ex(metric, "labels", &b) && json_object_equal(a, b);
}

/* The mean of a row, or the last value where only non-finite ones are. */
static double row_value(struct json_object *row)
{
	double v = NAN;

	if (!tree_number(tree_item(row, 1), &v))
		tree_number(tree_item(row, 2), &v);
	return v;
}

static int64_t time_of(struct json_object *rows, size_t i)
{
	return json_object_get_int64(tree_item(tree_item(rows, i), 0));
}

/* The mean of the windows that fall on each point; one that is not finite makes the point so. */
static size_t points_of(struct json_object *rows, int64_t every_ms, struct spark_point *p, unsigned points)
{
	size_t n = list_length(rows), windows, in_point = 0, last = SIZE_MAX;

	if (n == 0)
		return 0;
	windows = (size_t)((time_of(rows, n - 1) - time_of(rows, 0)) / every_ms) + 1;
	windows = windows ? windows : 1;
	points = windows < points ? (unsigned)windows : points;
	for (size_t i = 0; i < points; i++)
		p[i] = (struct spark_point){ .gap = true };
	for (size_t i = 0; i < n; i++) {
		size_t at = (size_t)((time_of(rows, i) - time_of(rows, 0)) / every_ms) * points / windows;
		double v = row_value(tree_item(rows, i));

		if (at >= points) /* not in the order of time: no answer of the API */
			continue;
		in_point = at == last ? in_point + 1 : 1;
		last = at;
		p[at].gap = false;
		p[at].value += (v - p[at].value) / (double)in_point;
	}
	return points;
}

struct json_object *trend_series(struct json_object *answer, struct json_object *metric)
{
	struct json_object *list = tree_list(answer, "series");

	for (size_t i = 0; i < list_length(list); i++) {
		struct json_object *series = tree_item(list, i);

		if (same_series(series, metric))
			return series;
	}
	return NULL;
}

void trend_draw(FILE *out, struct json_object *answer, struct json_object *metric, unsigned points)
{
	struct spark_point p[TREND_POINTS_MAX];
	struct json_object *series = trend_series(answer, metric);
	int64_t every_ms = (int64_t)tree_u64(answer, "every_ms");

	points = points < TREND_POINTS_MAX ? points : TREND_POINTS_MAX;
	if (series && every_ms > 0)
		spark(out, p, points_of(tree_list(series, "rows"), every_ms, p, points));
}

void trend_title(struct json_object *o, const char *name_key, struct buf *out)
{
	struct json_object *labels;
	size_t n = 0;

	buf_init(out, 16384);
	buf_addstr(out, tree_text(o, name_key));
	labels = tree_member(o, "labels");
	if (json_object_is_type(labels, json_type_object) && json_object_object_length(labels) > 0) {
		json_object_object_foreach(labels, key, value)
		    buf_addf(out, "%s%s=%s", n++ ? "," : "{", key, json_object_get_string(value));
		buf_addstr(out, "}");
	}
}

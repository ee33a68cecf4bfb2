#include "query/cli/trend.h"

#include <math.h>

#define SAMPLES_MOST 5000 /* of all series, where they are had to draw what has few windows */
#define COUNT_COLUMN 1

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

static bool same_series(struct json_object *series, struct json_object *other, const char *name_key)
{
	struct json_object *a, *b;

	return strcmp(tree_text(series, "metric"), tree_text(other, name_key)) == 0 &&
	       json_object_object_get_ex(series, "labels", &a) &&
	       json_object_object_get_ex(other, "labels", &b) && json_object_equal(a, b);
}

static struct json_object *series_like(struct json_object *answer, struct json_object *other,
				       const char *name_key)
{
	struct json_object *list = tree_list(answer, "series");

	for (size_t i = 0; i < list_length(list); i++)
		if (same_series(tree_item(list, i), other, name_key))
			return tree_item(list, i);
	return NULL;
}

struct json_object *trend_series(struct json_object *answer, struct json_object *metric)
{
	return series_like(answer, metric, "name");
}

static struct json_object *fetch(struct source *s, const struct target *t, const char *run,
				 const char *const *metrics, size_t n, unsigned points, struct fault *f)
{
	struct json_object *o;
	struct buf path;

	path_init(&path, t);
	path_add(&path, "/query");
	path_param(&path, "run", run);
	for (size_t i = 0; i < n; i++)
		path_param(&path, "metric", metrics[i]);
	if (points) {
		path_param_u64(&path, "points", points * 2); /* half of them come at least */
		path_param(&path, "agg", "count,mean,last");
	} else {
		path_param(&path, "samples", "true");
	}
	o = verb_tree(s, buf_cstr(&path), f);
	buf_release(&path);
	return o;
}

static struct json_object *rows_of(struct json_object *series) { return tree_list(series, "rows"); }

/* Whether samples are so few that they can be had, and would show more than windows do. */
static bool wants_samples(struct json_object *answer, unsigned points)
{
	struct json_object *list = tree_list(answer, "series");
	uint64_t samples = 0;
	bool short_one = false;

	for (size_t i = 0; i < list_length(list); i++) {
		struct json_object *rows = rows_of(tree_item(list, i));

		short_one = short_one || list_length(rows) < points;
		for (size_t k = 0; k < list_length(rows) && samples <= SAMPLES_MOST; k++)
			samples += json_object_get_uint64(tree_item(tree_item(rows, k), COUNT_COLUMN));
	}
	return short_one && samples > 0 && samples <= SAMPLES_MOST;
}

/* Puts series of samples in the place of those of which there are fewer windows than points. */
static void take_samples(struct json_object *answer, struct json_object *samples, unsigned points)
{
	struct json_object *list = tree_list(answer, "series");

	if (tree_text(samples, "samples_since")[0])
		return;
	for (size_t i = 0; i < list_length(list); i++) {
		struct json_object *old = tree_item(list, i), *new = series_like(samples, old, "metric");

		if (new &&list_length(rows_of(old)) < points)
			json_object_array_put_idx(list, i, json_object_get(new));
	}
}

struct json_object *trend_fetch(struct source *s, const struct target *t, const char *run,
				const char *const *metrics, size_t n, unsigned points, struct fault *f)
{
	struct json_object *o = fetch(s, t, run, metrics, n, points, f), *samples;

	if (!o || !wants_samples(o, points))
		return o;
	samples = fetch(s, t, run, metrics, n, 0, f);
	if (samples) {
		take_samples(o, samples, points);
		json_object_put(samples);
		return o;
	}
	json_object_put(o);
	return NULL;
}

/* The mean of a row, or the last value where only non-finite ones are; of samples the value. */
static double row_value(struct json_object *row)
{
	double v = NAN;

	if (!tree_number(tree_item(row, 2), &v))
		tree_number(tree_item(row, 3), &v);
	return v;
}

static int64_t time_of(struct json_object *rows, size_t i)
{
	return json_object_get_int64(tree_item(tree_item(rows, i), 0));
}

/* The place of a row, in windows since the first; samples are as far apart as windows. */
static size_t place_of(struct json_object *rows, size_t i, int64_t every_ms)
{
	return every_ms ? (size_t)((time_of(rows, i) - time_of(rows, 0)) / every_ms) : i;
}

/* The mean of the rows that fall on each point; one that is not finite makes the point so. */
static size_t points_of(struct json_object *rows, int64_t every_ms, struct spark_point *p, unsigned points)
{
	size_t n = list_length(rows), places, in_point = 0, last = SIZE_MAX;

	if (n == 0)
		return 0;
	places = place_of(rows, n - 1, every_ms) + 1;
	places = places ? places : 1;
	points = places < points ? (unsigned)places : points;
	for (size_t i = 0; i < points; i++)
		p[i] = (struct spark_point){ .gap = true };
	for (size_t i = 0; i < n; i++) {
		size_t at = place_of(rows, i, every_ms) * points / places;
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

void trend_draw(FILE *out, struct json_object *answer, struct json_object *metric, unsigned points)
{
	struct spark_point p[TREND_POINTS_MAX];
	struct json_object *series = trend_series(answer, metric);
	bool samples = strcmp(tree_item_text(tree_list(series, "columns"), 0), "time") == 0;
	int64_t every_ms = samples ? 0 : (int64_t)tree_u64(answer, "every_ms");

	points = points < TREND_POINTS_MAX ? points : TREND_POINTS_MAX;
	if (series && (samples || every_ms > 0))
		spark(out, p, points_of(rows_of(series), every_ms, p, points));
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

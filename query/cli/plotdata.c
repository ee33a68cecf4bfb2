#include "query/cli/plotdata.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/cli/trend.h"
#include "store/base/clock.h"

enum plot_column { FROM, TO, COUNT, MEAN, MIN, MAX, FIRST, LAST, NANS, POS_INFS, NEG_INFS, PLOT_COLUMNS };

/* Where x is a step, FROM and TO are first_step and step, which come unasked. */
static const char *const column_names[PLOT_COLUMNS] = { "first_time", "last_time", "count",  "mean",
							"min",        "max",       "first",  "last",
							"nan",        "pos_inf",   "neg_inf" };

const char *plot_data_aggs(enum chart_x x)
{
	return x == CHART_STEP ? "count,mean,min,max,first,last,nan,pos_inf,neg_inf"
			       : "first_time,last_time,count,mean,min,max,first,last,nan,pos_inf,neg_inf";
}

static int column_of(struct json_object *columns, const char *name)
{
	for (size_t i = 0; i < list_length(columns); i++)
		if (strcmp(tree_item_text(columns, i), name) == 0)
			return (int)i;
	return -1;
}

static int columns_find(struct plot_data *p, struct json_object *columns)
{
	p->columns = list_length(columns);
	p->at[FROM] = column_of(columns, "time");
	p->at[LAST] = column_of(columns, "value");
	p->samples = p->at[FROM] >= 0 && p->at[LAST] >= 0;
	if (p->samples)
		return 0;
	for (int i = 0; i < PLOT_COLUMNS; i++) {
		const char *name = column_names[i];

		if (p->x == CHART_STEP && i <= TO)
			name = i == FROM ? "first_step" : "step";
		p->at[i] = column_of(columns, name);
		if (p->at[i] < 0)
			return ERR_MALFORMED;
	}
	return 0;
}

static int take_series(void *arg, struct span object)
{
	struct plot_data *p = arg;
	struct json_object *o = tree_parse(object), *columns = tree_list(o, "columns");
	struct plot_series *s = &p->list[p->n];
	struct buf title;
	int err = 0;

	p->curve = NULL;
	if (!columns)
		err = ERR_MALFORMED;
	else if (p->n == CHART_CURVES_MAX)
		p->left_out++;
	else if ((err = columns_find(p, columns)) == 0) {
		trend_title(o, "metric", &title);
		s->run = p->run;
		s->title = strdup(buf_cstr(&title));
		buf_release(&title);
		p->curve = &s->curve;
		p->n++;
	}
	json_object_put(o);
	return err;
}

static struct json_object *item(const struct plot_data *p, struct json_object *row, enum plot_column column)
{
	return tree_item(row, (size_t)p->at[column]);
}

static double number_of(struct json_object *o)
{
	double v = NAN;

	return tree_number(o, &v) ? v : NAN;
}

/* Seconds of a time, or a step. */
static double x_of(const struct plot_data *p, struct json_object *o)
{
	int64_t t_ns = 0;

	if (p->x == CHART_STEP)
		return (double)json_object_get_int64(o);
	clock_parse(json_object_get_string(o), (size_t)json_object_get_string_len(o), &t_ns);
	return (double)(t_ns / NS_PER_S) + (double)(t_ns % NS_PER_S) / 1e9;
}

static struct curve_point sample_point(const struct plot_data *p, struct json_object *row)
{
	const char *text = json_object_get_string(item(p, row, LAST));
	double x = x_of(p, item(p, row, FROM)), v = number_of(item(p, row, LAST));

	return (struct curve_point){ .from = x,
				     .to = x,
				     .mean = v,
				     .min = v,
				     .max = v,
				     .first = v,
				     .last = v,
				     .count = isfinite(v),
				     .nan = strcmp(text, "NaN") == 0,
				     .pos_inf = strcmp(text, "Infinity") == 0,
				     .neg_inf = strcmp(text, "-Infinity") == 0 };
}

static struct curve_point window_point(const struct plot_data *p, struct json_object *row)
{
	return (struct curve_point){
		.from = x_of(p, item(p, row, FROM)),
		.to = x_of(p, item(p, row, TO)),
		.mean = number_of(item(p, row, MEAN)),
		.min = number_of(item(p, row, MIN)),
		.max = number_of(item(p, row, MAX)),
		.first = number_of(item(p, row, FIRST)),
		.last = number_of(item(p, row, LAST)),
		.count = json_object_get_uint64(item(p, row, COUNT)),
		.nan = json_object_get_uint64(item(p, row, NANS)),
		.pos_inf = json_object_get_uint64(item(p, row, POS_INFS)),
		.neg_inf = json_object_get_uint64(item(p, row, NEG_INFS)),
	};
}

static int take_row(void *arg, struct span array)
{
	struct plot_data *p = arg;
	struct json_object *row;
	int err;

	if (!p->curve)
		return 0;
	row = tree_parse(array);
	if (list_length(row) != p->columns) {
		json_object_put(row);
		return ERR_MALFORMED;
	}
	err = curve_add(p->curve, p->samples ? sample_point(p, row) : window_point(p, row));
	json_object_put(row);
	return err;
}

static int take_piece(void *arg, struct span piece)
{
	struct plot_data *p = arg;

	return rowtext_feed(&p->text, piece);
}

static void read_about(struct plot_data *p)
{
	struct json_object *rest = tree_parse(buf_span(&p->text.rest));

	free(p->complete_until);
	p->complete_until = strdup(tree_text(rest, "complete_until"));
	if (strcmp(tree_text(rest, "tier"), "raw") != 0)
		p->every_ms = tree_u64(rest, "every_ms");
	p->partial = p->partial || tree_flag(rest, "partial");
	json_object_put(rest);
}

int plot_data_read(struct plot_data *p, struct source *s, const char *run, const char *path, struct fault *f)
{
	size_t first = p->n;
	int err;

	p->run = run;
	rowtext_init(&p->text);
	p->text.series = take_series;
	p->text.row = take_row;
	p->text.arg = p;
	err = source_get(s, path, take_piece, p, f);
	if (err == ERR_GONE)
		err = fault_set(f, ERR_IO, "", "the answer is not what an astraml server sends");
	if (err == 0)
		read_about(p);
	for (size_t i = first; err == 0 && i < p->n; i++)
		err =
		    curve_gaps(&p->list[i].curve, p->x == CHART_STEP ? 0 : 1.5 * (double)p->every_ms / 1000);
	rowtext_release(&p->text);
	return fault_default(f, err);
}

/* ---- samples for windows ---- */

#define SHORT_WINDOWS 8
#define SHORT_SAMPLES 4000

static uint64_t samples_in(const struct curve *c)
{
	uint64_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->points[i].count + c->points[i].nan + c->points[i].pos_inf + c->points[i].neg_inf;
	return n;
}

bool plot_data_is_short(const struct plot_data *d, size_t first)
{
	uint64_t windows = 0, samples = 0;

	for (size_t i = first; i < d->n; i++) {
		if (d->list[i].curve.n > SHORT_WINDOWS)
			return false;
		windows += d->list[i].curve.n;
		samples += samples_in(&d->list[i].curve);
	}
	return samples > windows && samples <= SHORT_SAMPLES && d->left_out == 0;
}

/* Whether they are the same series, and every sample of the windows is there. */
static bool has_all(const struct plot_data *samples, const struct plot_series *windows, size_t n)
{
	bool all = samples->n == n && !samples->partial;

	for (size_t i = 0; i < n && all; i++)
		all = strcmp(samples->list[i].title, windows[i].title) == 0 &&
		      samples_in(&samples->list[i].curve) == samples_in(&windows[i].curve);
	return all;
}

int plot_data_read_samples(struct plot_data *d, size_t first, struct source *s, const char *path,
			   struct fault *f)
{
	struct plot_data samples = { .x = d->x };
	int err = plot_data_read(&samples, s, d->run, path, f);

	if (err == 0 && !has_all(&samples, d->list + first, d->n - first))
		err = 1;
	for (size_t i = first; i < d->n && err == 0; i++) {
		struct curve windows = d->list[i].curve;

		d->list[i].curve = samples.list[i - first].curve;
		samples.list[i - first].curve = windows;
	}
	plot_data_release(&samples);
	return err;
}

static double start_of(struct json_object *run, const struct plot_series *list, size_t n)
{
	int64_t started_ns = tree_time(run, "started_at");
	double start = started_ns ? (double)started_ns / 1e9 : INFINITY;

	for (size_t i = 0; i < n; i++)
		if (list[i].curve.n > 0)
			start = fmin(start, list[i].curve.points[0].from);
	return start;
}

void plot_data_count_from(struct plot_data *p, size_t first, struct json_object *run)
{
	double start = start_of(run, p->list + first, p->n - first);

	for (size_t i = first; i < p->n; i++) {
		struct curve *c = &p->list[i].curve;

		for (size_t k = 0; k < c->n; k++) {
			c->points[k].from -= start;
			c->points[k].to -= start;
		}
	}
}

void plot_data_name(struct plot_data *p)
{
	bool runs = false, titles = false;

	for (size_t i = 1; i < p->n; i++) {
		runs = runs || strcmp(p->list[i].run, p->list[0].run) != 0;
		titles = titles || strcmp(p->list[i].title, p->list[0].title) != 0;
	}
	for (size_t i = 0; i < p->n; i++) {
		struct plot_series *s = &p->list[i];

		if (asprintf(&s->name, "%s%s%s", runs ? s->run : "", runs && titles ? " " : "",
			     titles || !runs ? s->title : "") < 0)
			s->name = NULL;
	}
}

void plot_data_release(struct plot_data *p)
{
	for (size_t i = 0; i < p->n; i++) {
		curve_release(&p->list[i].curve);
		free(p->list[i].title);
		free(p->list[i].name);
	}
	free(p->complete_until);
}

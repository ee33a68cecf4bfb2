/*
 * verb_plot.c - `astraml plot`: a chart of a metric, of one run or several.
 *
 * Each run is asked for by itself, so that a short run beside a long one keeps its resolution.
 */
#include <math.h>
#include <stdlib.h>

#include "query/chart.h"
#include "query/params.h"
#include "query/rowtext.h"
#include "query/trend.h"
#include "store/base/clock.h"

#define WIDTH_DEFAULT  80
#define WIDTH_MOST     120 /* without --width: wider lines are hard to read */
#define HEIGHT_DEFAULT 16
#define HEIGHT_LEAST   8
#define AROUND_ROWS    8 /* what stands around the drawing of one curve, and the next prompt */

static const char help[] =
    "usage: astraml plot RUN... METRIC [--x time|rel|step] [--log-y] [--smooth W] [--since T] [--start T]\n"
    "                    [--end T] [--step A:B] [--label K=V] [--width N] [--height N] [--json]\n"
    "\n"
    "A chart: the line is the mean of each window, the band around it goes from the least to the\n"
    "greatest sample, so that a spike of one sample shows however far one looks from.  Where windows\n"
    "are wider than 4 columns the line begins at the very first sample and ends at the very last.\n"
    "x marks samples that are not finite: at the top NaN and Infinity, at the bottom -Infinity.  The\n"
    "line breaks where nothing came for 4 times as long as is usual.  METRIC may hold *, which stands\n"
    "for anything; up to 8 series are drawn, each with its letter and its own kind of line; where\n"
    "there are no colours, of their bands only spikes.\n"
    "\n"
    "  --x time        time of day, UTC (what is drawn when nothing is said)\n"
    "  --x rel         time since each run's start\n"
    "  --x step        training steps\n"
    "  --log-y         logarithmic; values that are not above 0 are not drawn, and counted\n"
    "  --smooth W      0 <= W < 1: the line is the exponential moving average of the windows' means,\n"
    "                  debiased as in TensorBoard; the band stays as it is\n"
    "  --since T       from T on; --start is the same.  T: 2025-07-06T12:00:00Z, milliseconds since\n"
    "                  1970, or 1h for an hour ago\n"
    "  --end T         windows that start before T\n"
    "  --step A:B      steps from A on and before B\n"
    "  --label K=V     only series with this label\n"
    "  --width N, --height N   characters of all, and rows of the drawing (else the terminal's; 80, 16)\n"
    "\n"
    "Without a UTF-8 locale, or with TERM=dumb, ASCII is drawn.  --json prints the windows (one run).\n"
    "\n"
    "example: astraml plot bert-lr3e5 bert-lr1e4 train/loss --x rel --smooth 0.9\n";

struct plot_options {
	const char *x, *smooth, *since, *start, *end, *step, *label, *width, *height;
	bool log_y;
};

struct series {
	struct curve curve;
	const char *run; /* borrowed */
	char *title;     /* "metric{k=v}" */
	char *name;      /* in the legend */
};

struct plot {
	const struct target *t;
	const struct plot_options *o;
	enum chart_x x;
	double smooth;
	uint64_t width, height; /* height 0: what the terminal has room for */
	struct source *s;
	struct series list[CHART_CURVES_MAX];
	size_t n, left_out;
	/* of the answer that is being read */
	const char *run;
	struct rowtext text;
	struct curve *curve; /* NULL: one too many */
	int at_from, at_to, at_count, at_mean, at_min, at_max, at_first, at_last, at_nan, at_pos_inf,
	    at_neg_inf;
	/* of the last answer read */
	char *complete_until;
	uint64_t every_ms;
	bool partial;
};

/* ---- answers into curves ---- */

static int column_of(struct json_object *columns, const char *name)
{
	for (size_t i = 0; i < list_length(columns); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(columns, i)), name) == 0)
			return (int)i;
	return -1;
}

static int columns_find(struct plot *p, struct json_object *columns)
{
	bool step = p->x == CHART_STEP;

	p->at_from = column_of(columns, step ? "first_step" : "first_time");
	p->at_to = column_of(columns, step ? "step" : "last_time");
	p->at_count = column_of(columns, "count");
	p->at_mean = column_of(columns, "mean");
	p->at_min = column_of(columns, "min");
	p->at_max = column_of(columns, "max");
	p->at_first = column_of(columns, "first");
	p->at_last = column_of(columns, "last");
	p->at_nan = column_of(columns, "nan");
	p->at_pos_inf = column_of(columns, "pos_inf");
	p->at_neg_inf = column_of(columns, "neg_inf");
	return p->at_from < 0 || p->at_to < 0 || p->at_count < 0 || p->at_mean < 0 || p->at_min < 0 ||
		       p->at_max < 0 || p->at_first < 0 || p->at_last < 0 || p->at_nan < 0 ||
		       p->at_pos_inf < 0 || p->at_neg_inf < 0
		   ? ERR_MALFORMED
		   : 0;
}

static int take_series(void *arg, struct span object)
{
	struct plot *p = arg;
	struct json_object *o = tree_parse(object), *columns = tree_list(o, "columns");
	struct series *s = &p->list[p->n];
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

static struct json_object *item(struct json_object *row, int at)
{
	return json_object_array_get_idx(row, (size_t)at);
}

static double number_of(struct json_object *o)
{
	double v = NAN;

	return tree_number(o, &v) ? v : NAN;
}

/* Seconds of a time, or a step. */
static double x_of(const struct plot *p, struct json_object *o)
{
	int64_t t_ns = 0;

	if (p->x == CHART_STEP)
		return (double)json_object_get_int64(o);
	clock_parse(json_object_get_string(o), (size_t)json_object_get_string_len(o), &t_ns);
	return (double)(t_ns / NS_PER_S) + (double)(t_ns % NS_PER_S) / 1e9;
}

static int take_row(void *arg, struct span array)
{
	struct plot *p = arg;
	struct json_object *row;
	int err;

	if (!p->curve)
		return 0;
	row = tree_parse(array);
	err = curve_add(p->curve, (struct curve_point){
				      .from = x_of(p, item(row, p->at_from)),
				      .to = x_of(p, item(row, p->at_to)),
				      .mean = number_of(item(row, p->at_mean)),
				      .min = number_of(item(row, p->at_min)),
				      .max = number_of(item(row, p->at_max)),
				      .first = number_of(item(row, p->at_first)),
				      .last = number_of(item(row, p->at_last)),
				      .count = json_object_get_uint64(item(row, p->at_count)),
				      .nan = json_object_get_uint64(item(row, p->at_nan)),
				      .pos_inf = json_object_get_uint64(item(row, p->at_pos_inf)),
				      .neg_inf = json_object_get_uint64(item(row, p->at_neg_inf)),
				  });
	json_object_put(row);
	return err;
}

static int take_piece(void *arg, struct span piece)
{
	struct plot *p = arg;

	return rowtext_feed(&p->text, piece);
}

/* ---- asking ---- */

static bool path_make(struct plot *p, const char *run, const char *metric, struct buf *path)
{
	const struct plot_options *o = p->o;

	path_init(path, p->t);
	path_add(path, "/query");
	path_param(path, "run", run);
	path_param(path, "metric", metric);
	path_param_since(path, "start", o->start ? o->start : o->since);
	path_param_since(path, "end", o->end);
	path_param_u64(path, "points", chart_points((int)p->width));
	path_param(path, "agg",
		   p->x == CHART_STEP ? "count,mean,min,max,first,last,nan,pos_inf,neg_inf"
				      : "count,mean,min,max,first,last,nan,pos_inf,neg_inf,first_time,"
					"last_time");
	path_param(path, "x", p->x == CHART_STEP ? "step" : NULL);
	return verb_steps(path, o->step) && verb_label(path, o->label);
}

static void read_about(struct plot *p)
{
	struct json_object *rest = tree_parse(buf_span(&p->text.rest));

	free(p->complete_until);
	p->complete_until = strdup(tree_text(rest, "complete_until"));
	p->every_ms = tree_u64(rest, "every_ms");
	p->partial = p->partial || tree_flag(rest, "partial");
	json_object_put(rest);
}

/* Where rel counts from: the run's start, or its first sample where that is older. */
static double start_of(struct json_object *run, const struct series *list, size_t n)
{
	int64_t started_ns = tree_time(run, "started_at");
	double start = started_ns ? (double)started_ns / 1e9 : INFINITY;

	for (size_t i = 0; i < n; i++)
		if (list[i].curve.n > 0)
			start = fmin(start, list[i].curve.points[0].from);
	return start;
}

static void count_from(struct series *list, size_t n, double start)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < list[i].curve.n; k++) {
			list[i].curve.points[k].from -= start;
			list[i].curve.points[k].to -= start;
		}
	}
}

static int fetch(struct plot *p, const char *run, const char *metric, struct json_object *about_run,
		 struct fault *f)
{
	size_t first = p->n;
	struct buf path;
	int err;

	path_make(p, run, metric, &path);
	p->run = run;
	rowtext_init(&p->text);
	p->text.series = take_series;
	p->text.row = take_row;
	p->text.arg = p;
	err = source_get(p->s, buf_cstr(&path), take_piece, p, f);
	if (err == ERR_GONE)
		err = fault_set(f, ERR_IO, "", "the answer is not what an astraml server sends");
	else if (err == 0 && p->n == first && p->left_out == 0)
		err = fault_set(f, ERR_NOT_FOUND, "metric",
				"run %s has no metric %s; `astraml metrics %s` lists what it has", run,
				metric, run);
	if (err == 0) {
		read_about(p);
		for (size_t i = first; err == 0 && i < p->n; i++)
			err = curve_gaps(&p->list[i].curve,
					 p->x == CHART_STEP ? 0 : 1.5 * (double)p->every_ms / 1000);
	}
	if (err == 0 && p->x == CHART_REL)
		count_from(p->list + first, p->n - first, start_of(about_run, p->list + first, p->n - first));
	buf_release(&path);
	rowtext_release(&p->text);
	return err;
}

static struct json_object *get_tree(struct plot *p, const char *run, const char *rest, struct fault *f)
{
	struct json_object *o;
	struct buf path;

	verb_run_path(&path, p->t, run, rest);
	o = verb_tree(p->s, buf_cstr(&path), f);
	buf_release(&path);
	return o;
}

/* ---- showing ---- */

/* The legend says what differs: the run, the metric, or both. */
static void names_make(struct plot *p)
{
	bool runs = false, titles = false;

	for (size_t i = 1; i < p->n; i++) {
		runs = runs || strcmp(p->list[i].run, p->list[0].run) != 0;
		titles = titles || strcmp(p->list[i].title, p->list[0].title) != 0;
	}
	for (size_t i = 0; i < p->n; i++) {
		struct series *s = &p->list[i];

		if (asprintf(&s->name, "%s%s%s", runs ? s->run : "", runs && titles ? " " : "",
			     titles || !runs ? s->title : "") < 0)
			s->name = NULL;
	}
}

static void add_unit(struct plot *p, const char *run, const char *metric, struct buf *title)
{
	struct fault f = { 0 };
	struct json_object *answer = get_tree(p, run, "/metrics", &f), *list = tree_list(answer, "metrics");

	for (size_t i = 0; i < list_length(list); i++) {
		struct json_object *m = json_object_array_get_idx(list, i);

		if (strcmp(tree_text(m, "name"), metric) == 0 && tree_text(m, "unit")[0]) {
			buf_addf(title, ", %s", tree_text(m, "unit"));
			break;
		}
	}
	json_object_put(answer);
}

/* What is drawn, of which run, how far it is complete. */
static void print_head(struct plot *p, const char *metric, struct json_object *run, size_t n_runs)
{
	const struct target *t = p->t;
	char every[DURATION_TEXT_MAX];
	struct buf title;

	buf_init(&title, 64 * 1024);
	buf_addstr(&title, n_runs == 1 && p->n == 1 ? p->list[0].title : metric);
	add_unit(p, p->list[0].run, metric, &title);
	if (n_runs == 1)
		buf_addf(&title, "  %s", p->list[0].run);
	fputs(color_start(t->color, COLOR_BOLD), stdout);
	cell_start(stdout, buf_cstr(&title), (int)p->width);
	printf("%s\n%s", color_end(t->color, COLOR_BOLD), color_start(t->color, COLOR_DIM));
	buf_release(&title);
	duration_print((int64_t)p->every_ms * NS_PER_MS, every);
	printf("%s%swindows of %s", n_runs == 1 ? tree_text(run, "state") : "", n_runs == 1 ? ", " : "",
	       every);
	if (strcmp(tree_text(run, "state"), "running") == 0)
		printf(", complete until %s", p->complete_until);
	printf("%s\n", color_end(t->color, COLOR_DIM));
}

/* Rows of the drawing: so many that all of the chart is seen above the next prompt. */
static int rows_fitting(const struct plot *p)
{
	int left = p->t->rows - AROUND_ROWS - (p->n > 1 ? (int)p->n - 1 : 0);

	if (p->height)
		return (int)p->height;
	if (p->t->rows == 0 || left > HEIGHT_DEFAULT)
		return HEIGHT_DEFAULT;
	return left > HEIGHT_LEAST ? left : HEIGHT_LEAST;
}

static int draw(struct plot *p, const char *metric, struct json_object *run, size_t n_runs, struct fault *f)
{
	struct curve curves[CHART_CURVES_MAX];
	struct chart c = { .x = p->x,
			   .log_y = p->o->log_y,
			   .smooth = p->smooth,
			   .width = (int)p->width,
			   .rows = rows_fitting(p),
			   .color = p->t->color,
			   .unicode = p->t->unicode,
			   .curves = curves,
			   .n = p->n };
	FILE *out;
	char *text = NULL;
	size_t len;
	int err;

	names_make(p);
	for (size_t i = 0; i < p->n; i++) {
		if (p->smooth > 0)
			curve_smooth(&p->list[i].curve, p->smooth);
		curves[i] = p->list[i].curve;
		c.names[i] = p->list[i].name ? p->list[i].name : "";
	}
	out = open_memstream(&text, &len);
	if (!out)
		return fault_default(f, ERR_NOMEM);
	err = chart_draw(&c, out);
	fclose(out);
	if (err == ERR_NOT_FOUND && p->x == CHART_STEP)
		fault_set(f, err, "x", "%s has no %s value with a step in this range; --x time draws all",
			  metric, c.log_y ? "positive" : "finite");
	else if (err == ERR_NOT_FOUND)
		fault_set(f, err, "metric", "%s has no %s value in this range; nothing can be drawn", metric,
			  c.log_y ? "positive" : "finite");
	if (err == 0) {
		print_head(p, metric, run, n_runs);
		fwrite(text, 1, len, stdout);
	}
	free(text);
	return err < 0 ? fault_default(f, err) : 0;
}

static int plot(struct plot *p, const char *const *runs, size_t n_runs, const char *metric)
{
	struct json_object *first = NULL;
	struct fault f = { 0 };
	int err = 0;

	for (size_t i = 0; err == 0 && i < n_runs; i++) {
		struct json_object *run = get_tree(p, runs[i], "", &f);

		err = run ? fetch(p, runs[i], metric, run, &f) : f.err;
		if (i == 0)
			first = run;
		else
			json_object_put(run);
	}
	if (err == 0)
		err = draw(p, metric, first, n_runs, &f);
	json_object_put(first);
	if (err < 0)
		return verb_fault(&f);
	if (p->left_out)
		fprintf(stderr,
			"astraml: %zu more series fit and are not drawn; narrow METRIC or give --label\n",
			p->left_out);
	if (p->partial)
		fprintf(stderr, "astraml: damaged blocks were left out; `astraml verify` names them\n");
	return EXIT_OK;
}

/* ---- options ---- */

static bool x_parse(struct plot *p, const char *text)
{
	if (!text || strcmp(text, "time") == 0)
		p->x = CHART_TIME;
	else if (strcmp(text, "rel") == 0)
		p->x = CHART_REL;
	else if (strcmp(text, "step") == 0)
		p->x = CHART_STEP;
	else
		fprintf(stderr, "astraml: --x %s is none of time, rel and step\n", text);
	return !text || p->x != CHART_TIME || strcmp(text, "time") == 0;
}

static bool smooth_parse(struct plot *p, const char *text)
{
	char *end;

	if (!text)
		return true;
	p->smooth = strtod(text, &end);
	if (*text && *end == 0 && p->smooth >= 0 && p->smooth < 1)
		return true;
	fprintf(stderr, "astraml: --smooth %s is not a number from 0 to below 1, such as 0.9\n", text);
	return false;
}

static bool size_parse(struct plot *p)
{
	const struct target *t = p->t;

	p->width = WIDTH_DEFAULT;
	if (t->columns >= CHART_WIDTH_LEAST)
		p->width = (uint64_t)(t->columns < WIDTH_MOST ? t->columns : WIDTH_MOST);
	return (!p->o->width || verb_number("--width", p->o->width, CHART_WIDTH_LEAST, 500, &p->width)) &&
	       (!p->o->height || verb_number("--height", p->o->height, CHART_ROWS_LEAST, 200, &p->height));
}

/* The windows as the API gives them. */
static int print_json(struct plot *p, const char *const *runs, size_t n_runs, const char *metric)
{
	struct buf path;
	int status;

	if (n_runs > 1) {
		fprintf(stderr, "astraml: plot --json prints the windows of one run; name one\n");
		return EXIT_USAGE;
	}
	path_make(p, runs[0], metric, &path);
	status = verb_print(p->s, buf_cstr(&path));
	buf_release(&path);
	return status;
}

static void plot_release(struct plot *p)
{
	for (size_t i = 0; i < p->n; i++) {
		curve_release(&p->list[i].curve);
		free(p->list[i].title);
		free(p->list[i].name);
	}
	free(p->complete_until);
	source_close(p->s);
}

static int start(struct plot *p, struct verb_args *a)
{
	const char *env_run = getenv("ASTRAML_RUN"), *runs[POSITIONALS_MAX], *metric;
	struct fault f = { 0 };
	struct buf path;
	size_t n = 0;
	bool ok;

	if (a->n_positional == 0 || (a->n_positional == 1 && !(env_run && *env_run))) {
		fprintf(stderr, "astraml plot: %s is missing; see astraml plot --help\n",
			a->n_positional ? "METRIC" : "the run's id");
		return EXIT_USAGE;
	}
	metric = a->positional[a->n_positional - 1];
	for (int i = 0; i + 1 < a->n_positional; i++)
		runs[n++] = a->positional[i];
	if (n == 0)
		runs[n++] = env_run;
	if (!x_parse(p, p->o->x) || !smooth_parse(p, p->o->smooth) || !size_parse(p))
		return EXIT_USAGE;
	ok = path_make(p, runs[0], metric, &path);
	buf_release(&path);
	if (!ok)
		return EXIT_USAGE;
	if (source_open(p->t, &p->s, &f) < 0)
		return verb_fault(&f);
	return p->t->json ? print_json(p, runs, n, metric) : plot(p, runs, n, metric);
}

int verb_plot(const struct target *t, int argc, char **argv)
{
	struct plot_options o = { 0 };
	const struct option_text options[] = {
		{ "--x", 0, &o.x, NULL },           { "--log-y", 0, NULL, &o.log_y },
		{ "--smooth", 0, &o.smooth, NULL }, { "--since", 0, &o.since, NULL },
		{ "--start", 0, &o.start, NULL },   { "--end", 0, &o.end, NULL },
		{ "--step", 0, &o.step, NULL },     { "--label", 0, &o.label, NULL },
		{ "--width", 0, &o.width, NULL },   { "--height", 0, &o.height, NULL },
	};
	struct verb_args args = { .help = help,
				  .options = options,
				  .n_options = sizeof options / sizeof *options,
				  .max_positional = CHART_CURVES_MAX + 1 };
	struct plot p = { .t = t, .o = &o };
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	status = start(&p, &args);
	plot_release(&p);
	return status;
}

/*
 * verb_plot.c - `astraml plot`: a chart of a metric, of one run or several.
 *
 * Each run is asked for by itself, so that a short run beside a long one keeps its resolution.
 */
#include <math.h>
#include <stdlib.h>

#include "query/cli/plotdata.h"
#include "query/cli/trend.h"
#include "query/params.h"
#include "store/base/clock.h"

#define WIDTH_DEFAULT  80
#define WIDTH_MOST     120 /* without --width: wider lines are hard to read */
#define HEIGHT_DEFAULT 16
#define HEIGHT_LEAST   8
#define AROUND_ROWS    8 /* what stands around the drawing of one curve, and the next prompt */

static const char help[] =
    "usage: astraml plot RUN... METRIC [--x time|rel|step] [--log-y] [--smooth W]\n"
    "                    [--since T] [--start T] [--end T] [--step A:B] [--label K=V]\n"
    "                    [--width N] [--height N] [--json]\n"
    "\n"
    "A chart: the line is the mean of each window (as long as samples are kept: where\n"
    "windows are few of each sample, with --x step of each step, or range of steps\n"
    "where there are many); the band around it goes from the least to the greatest\n"
    "sample, so that a spike of one sample shows however far one looks from.  Where\n"
    "windows are wider than 4 columns the line begins at the very first sample and\n"
    "ends at the very last.  x marks samples that are not finite: at the top NaN and\n"
    "Infinity, at the bottom -Infinity.  The line breaks where nothing came for 4\n"
    "times as long as is usual.  METRIC may hold *, which stands for anything; up to\n"
    "8 series are drawn, each with its letter and its own kind of line; where there\n"
    "are no colours, of their bands only spikes.\n"
    "\n"
    "  --x time        time of day, UTC (what is drawn when nothing is said)\n"
    "  --x rel         time since each run's start\n"
    "  --x step        training steps\n"
    "  --log-y         logarithmic; values that are not above 0 are not drawn, and\n"
    "                  counted\n"
    "  --smooth W      0 <= W < 1: the line is the exponential moving average of the\n"
    "                  windows' means, debiased as in TensorBoard; the band stays as\n"
    "                  it is\n"
    "  --since T       from T on; --start is the same.  T: 2025-07-06T12:00:00Z,\n"
    "                  milliseconds since 1970, or 1h for an hour ago\n"
    "  --end T         windows that start before T\n"
    "  --step A:B      steps from A on and before B\n"
    "  --label K=V     only series with this label\n"
    "  --width N, --height N   characters of all, and rows of the drawing (else the\n"
    "                          terminal's; 80, 16)\n"
    "\n"
    "Without a UTF-8 locale, or with TERM=dumb, ASCII is drawn.  --json prints the\n"
    "windows (one run).\n"
    "\n"
    "example: astraml plot bert-lr3e5 bert-lr1e4 train/loss --x rel --smooth 0.9\n";

struct plot_options {
	const char *x, *smooth, *since, *start, *end, *step, *label, *width, *height;
	bool log_y;
};

struct plot {
	const struct target *t;
	const struct plot_options *o;
	double smooth;
	uint64_t width, height; /* height 0: what the terminal has room for */
	struct source *s;
	struct plot_data data;
};

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
	path_param(path, "agg", plot_data_aggs(p->data.x));
	path_param(path, "x", p->data.x == CHART_STEP ? "step" : NULL);
	return verb_steps(path, o->step) && verb_label(path, o->label);
}

/* A run of a few windows is a lone band, or little more: its samples are drawn one by one.  every_ms is of
 * the runs before. */
static int fetch_samples(struct plot *p, const char *run, const char *metric, size_t first, uint64_t every_ms,
			 struct fault *f)
{
	const struct plot_options *o = p->o;
	struct buf path;
	int err;

	path_init(&path, p->t);
	path_add(&path, "/query");
	path_param(&path, "run", run);
	path_param(&path, "metric", metric);
	path_param_since(&path, "start", o->start ? o->start : o->since);
	path_param_since(&path, "end", o->end);
	path_param(&path, "samples", "true");
	verb_label(&path, o->label);
	err = plot_data_read_samples(&p->data, first, p->s, buf_cstr(&path), f);
	buf_release(&path);
	if (err == 0)
		p->data.every_ms = every_ms;
	return err < 0 ? err : 0;
}

static int fetch(struct plot *p, const char *run, const char *metric, struct json_object *about_run,
		 struct fault *f)
{
	struct plot_data *d = &p->data;
	uint64_t every_ms = d->every_ms;
	size_t first = d->n;
	struct buf path;
	int err;

	path_make(p, run, metric, &path);
	err = plot_data_read(d, p->s, run, buf_cstr(&path), f);
	buf_release(&path);
	if (err == 0 && d->x != CHART_STEP && !p->o->step && plot_data_is_short(d, first))
		err = fetch_samples(p, run, metric, first, every_ms, f);
	if (err == 0 && d->n == first && d->left_out == 0)
		return fault_set(f, ERR_NOT_FOUND, "metric",
				 "run %s has no metric %s; `astraml metrics %s` lists what it has", run,
				 metric, run);
	if (err == 0 && d->x == CHART_REL)
		plot_data_count_from(d, first, about_run);
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

static void add_unit(struct plot *p, const char *run, const char *metric, struct buf *title)
{
	struct fault f = { 0 };
	struct json_object *answer = get_tree(p, run, "/metrics", &f), *list = tree_list(answer, "metrics");

	for (size_t i = 0; i < list_length(list); i++) {
		struct json_object *m = tree_item(list, i);

		if (strcmp(tree_text(m, "name"), metric) == 0 && tree_text(m, "unit")[0]) {
			buf_addf(title, ", %s", tree_text(m, "unit"));
			break;
		}
	}
	json_object_put(answer);
}

/* What a point of the chart is made of. */
static void print_width(const struct plot_data *d)
{
	char every[DURATION_TEXT_MAX];
	double widest = 0;

	for (size_t i = 0; i < d->n; i++)
		widest = fmax(widest, curve_sum(&d->list[i].curve).widest);
	duration_print((int64_t)d->every_ms * NS_PER_MS, every);
	if (d->every_ms)
		printf("windows of %s", every);
	else if (d->x != CHART_STEP)
		printf("each sample by itself");
	else if (widest > 0)
		printf("ranges of up to %.0f steps", widest + 1);
	else
		printf("each step by itself");
}

/* What is drawn, of which run, how far it is complete. */
static void print_head(struct plot *p, const char *metric, struct json_object *run, size_t n_runs)
{
	const struct target *t = p->t;
	struct buf title;

	buf_init(&title, 64 * 1024);
	buf_addstr(&title, n_runs == 1 && p->data.n == 1 ? p->data.list[0].title : metric);
	add_unit(p, p->data.list[0].run, metric, &title);
	if (n_runs == 1)
		buf_addf(&title, "  %s", p->data.list[0].run);
	fputs(color_start(t->color, COLOR_BOLD), stdout);
	cell_start(stdout, buf_cstr(&title), (int)p->width);
	printf("%s\n%s", color_end(t->color, COLOR_BOLD), color_start(t->color, COLOR_DIM));
	buf_release(&title);
	if (n_runs == 1)
		printf("%s, ", tree_text(run, "state"));
	print_width(&p->data);
	if (p->data.every_ms && strcmp(tree_text(run, "state"), "running") == 0)
		printf(", complete until %s", p->data.complete_until);
	printf("%s\n", color_end(t->color, COLOR_DIM));
}

/* Rows of the drawing: so many that all of the chart is seen above the next prompt. */
static int rows_fitting(const struct plot *p)
{
	int left = p->t->rows - AROUND_ROWS - (p->data.n > 1 ? (int)p->data.n - 1 : 0);

	if (p->height)
		return (int)p->height;
	if (p->t->rows == 0 || left > HEIGHT_DEFAULT)
		return HEIGHT_DEFAULT;
	return left > HEIGHT_LEAST ? left : HEIGHT_LEAST;
}

static int draw(struct plot *p, const char *metric, struct json_object *run, size_t n_runs, struct fault *f)
{
	struct curve curves[CHART_CURVES_MAX];
	struct chart c = { .x = p->data.x,
			   .log_y = p->o->log_y,
			   .smooth = p->smooth,
			   .width = (int)p->width,
			   .rows = rows_fitting(p),
			   .color = p->t->color,
			   .unicode = p->t->unicode,
			   .curves = curves,
			   .n = p->data.n };
	FILE *out;
	char *text = NULL;
	size_t len;
	int err;

	plot_data_name(&p->data);
	for (size_t i = 0; i < p->data.n; i++) {
		if (p->smooth > 0)
			curve_smooth(&p->data.list[i].curve, p->smooth);
		curves[i] = p->data.list[i].curve;
		c.names[i] = p->data.list[i].name ? p->data.list[i].name : "";
	}
	out = open_memstream(&text, &len);
	if (!out)
		return fault_default(f, ERR_NOMEM);
	err = chart_draw(&c, out);
	fclose(out);
	if (err == ERR_NOT_FOUND && p->data.x == CHART_STEP)
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
	if (p->data.left_out)
		fprintf(stderr,
			"astraml: %zu more series fit and are not drawn; narrow METRIC or give --label\n",
			p->data.left_out);
	if (p->data.partial)
		fprintf(stderr, "astraml: what is damaged was left out; `astraml verify` tells of it\n");
	return EXIT_OK;
}

/* ---- options ---- */

static bool x_parse(struct plot *p, const char *text)
{
	if (!text || strcmp(text, "time") == 0)
		p->data.x = CHART_TIME;
	else if (strcmp(text, "rel") == 0)
		p->data.x = CHART_REL;
	else if (strcmp(text, "step") == 0)
		p->data.x = CHART_STEP;
	else
		fprintf(stderr, "astraml: --x %s is none of time, rel and step\n", text);
	return !text || p->data.x != CHART_TIME || strcmp(text, "time") == 0;
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
	plot_data_release(&p.data);
	source_close(p.s);
	return status;
}

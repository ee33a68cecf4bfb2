/*
 * verb_get.c - `astraml get`: one metric, window by window.
 */
#include "query/cli/rowtext.h"
#include "query/cli/trend.h"
#include "query/params.h"
#include "store/base/clock.h"

#define STEP_FIRST_COLUMN 1
#define STEP_TIME_COLUMN  2
#define AGG_DEFAULT       "count,mean,min,max,last"

#define SAMPLE_TIME_WIDTH 30

static const char help[] =
    "usage: astraml get RUN METRIC [--x time|step] [--step A:B] [--since T]\n"
    "                   [--start T] [--end T] [--every W | --points N] [--agg LIST]\n"
    "                   [--label K=V] [--by K] [--samples] [--csv | --json]\n"
    "\n"
    "A metric, window by window (UTC).  METRIC may hold *, which stands for anything.\n"
    "\n"
    "  --x step      by training step: each sample, or with --points ranges of steps,\n"
    "                as long as samples are kept and no --every is given; else\n"
    "                windows by the steps they hold\n"
    "  --step A:B    windows whose last step is from A on and before B; either may be\n"
    "                left out\n"
    "  --since T     from T on; --start is the same.  T: 2025-07-06T12:00:00Z,\n"
    "                milliseconds since 1970, or -1h, -30m, -2d (1h works too)\n"
    "  --end T       windows that start before T\n"
    "  --every W     windows this wide: 30s, 5m, 1h (rounded up to a multiple of the\n"
    "                run's own)\n"
    "  --points N    as wide as it takes for at most N windows, or ranges of steps\n"
    "  --agg LIST    of count sum min max mean first last nan pos_inf neg_inf\n"
    "                first_time last_time first_step last_step step_min step_max\n"
    "                bad_time bad_step (count,mean,min,max,last; --json, --csv:\n"
    "                count,min,max,mean,first,last)\n"
    "  --label K=V   only series with this label\n"
    "  --by K        series that agree in this label as one; --by '' all of them\n"
    "  --samples     every sample by itself: its time, step and value, as long as\n"
    "                samples are kept\n"
    "\n"
    "count, sum, min, max and mean are of finite samples; first and last of all.\n"
    "\n"
    "example: astraml get bert-lr3e5 train/loss --since 1h --every 5m\n";

struct table {
	const struct target *t;
	struct rowtext text;
	size_t n_series, n_rows;
	size_t columns;
	bool by_step; /* the columns are step, first_step, time_ms ...: the time is not shown then */
	bool samples; /* they are time and step, either first, and value */
	bool ranges;  /* there is a row of several steps */
	int width;    /* of a column */
};

static void columns_find(struct table *tab, struct json_object *columns)
{
	tab->columns = list_length(columns);
	tab->samples = strcmp(tree_item_text(columns, 2), "value") == 0;
	tab->by_step = !tab->samples && strcmp(tree_item_text(columns, 0), "time_ms") != 0;
	tab->width = tab->by_step ? 10 : 11;
}

static bool shown(const struct table *tab, size_t i) { return !(tab->by_step && i == STEP_TIME_COLUMN); }

/* Of a column of samples; a time has nine digits behind the second at most. */
static int sample_width(struct json_object *columns, size_t i)
{
	return strcmp(tree_item_text(columns, i), "time") == 0 ? SAMPLE_TIME_WIDTH : i == 2 ? -22 : -11;
}

static int print_head(void *arg, struct span object)
{
	struct table *tab = arg;
	struct json_object *series = tree_parse(object), *columns = tree_list(series, "columns");
	struct buf title;

	if (list_length(columns) == 0) {
		json_object_put(series);
		return ERR_MALFORMED;
	}
	trend_title(series, "metric", &title);
	printf("%s%s%s%s\n", tab->n_series++ ? "\n" : "", color_start(tab->t->color, COLOR_BOLD),
	       buf_cstr(&title), color_end(tab->t->color, COLOR_BOLD));
	buf_release(&title);
	columns_find(tab, columns);
	if (tab->samples)
		cell(stdout, tree_item_text(columns, 0), sample_width(columns, 0));
	else
		cell(stdout, tab->by_step ? "step" : "WINDOW", tab->by_step ? -tab->width : 20);
	for (size_t i = 1; tab->samples && i < tab->columns; i++) {
		printf(" ");
		cell(stdout, tree_item_text(columns, i), sample_width(columns, i));
	}
	for (size_t i = 1; !tab->samples && i < tab->columns; i++) {
		if (!shown(tab, i))
			continue;
		printf(" ");
		cell(stdout, tree_item_text(columns, i), -tab->width);
	}
	printf("\n");
	json_object_put(series);
	return 0;
}

static void print_value(struct json_object *v, int width)
{
	char text[SHORT_TEXT_MAX] = "-";
	int64_t t_ns;

	if (json_object_is_type(v, json_type_string) &&
	    clock_parse(json_object_get_string(v), (size_t)json_object_get_string_len(v), &t_ns)) {
		printf(" %s", json_object_get_string(v));
		return;
	}
	if (json_object_is_type(v, json_type_int))
		snprintf(text, sizeof text, "%s", json_object_get_string(v));
	else if (v) {
		double d = 0;

		tree_number(v, &d);
		short_number(d, width, text);
	}
	printf(" %*s", width, text);
}

/* Exactly as they are. */
static void print_sample(struct json_object *row)
{
	for (size_t i = 0; i < list_length(row); i++) {
		struct json_object *v = tree_item(row, i);
		const char *text = json_object_get_string(v);
		int64_t t_ns;

		if (i > 0)
			printf(" ");
		if (json_object_is_type(v, json_type_string) && clock_parse(text, strlen(text), &t_ns))
			cell(stdout, text, SAMPLE_TIME_WIDTH);
		else
			printf("%*s", i == 2 ? 22 : 11, v ? text : "-");
	}
	printf("\n");
}

static int print_row(void *arg, struct span array)
{
	struct table *tab = arg;
	struct json_object *row = tree_parse(array), *first = tree_item(row, 0);
	char time[CLOCK_TEXT_MAX];

	if (list_length(row) != tab->columns) {
		json_object_put(row);
		return ERR_MALFORMED;
	}
	if (tab->samples) {
		print_sample(row);
		json_object_put(row);
		tab->n_rows++;
		return ferror(stdout) ? ERR_GONE : 0;
	}
	clock_format(json_object_get_int64(first) * NS_PER_MS, time);
	tab->ranges =
	    tab->ranges || (tab->by_step && !json_object_equal(first, tree_item(row, STEP_FIRST_COLUMN)));
	if (tab->by_step)
		printf("%*s", tab->width, json_object_get_string(first));
	else
		printf("%-20s", time);
	for (size_t i = 1; i < tab->columns; i++)
		if (shown(tab, i))
			print_value(tree_item(row, i), tab->width);
	printf("\n");
	json_object_put(row);
	tab->n_rows++;
	return ferror(stdout) ? ERR_GONE : 0;
}

static int take_piece(void *arg, struct span piece)
{
	struct table *tab = arg;

	return rowtext_feed(&tab->text, piece);
}

/* What the answer says about itself, on stderr. */
static void print_about(struct table *tab)
{
	struct json_object *rest = tree_parse(buf_span(&tab->text.rest));
	char every[DURATION_TEXT_MAX];
	size_t n = tab->n_rows;

	duration_print((int64_t)tree_u64(rest, "every_ms") * NS_PER_MS, every);
	if (strcmp(tree_text(rest, "tier"), "raw") != 0)
		fprintf(stderr, "%zu window%s of %s; complete until %s\n", n, n == 1 ? "" : "s", every,
			tree_text(rest, "complete_until"));
	else if (tab->ranges)
		fprintf(stderr, "%zu range%s of steps\n", n, n == 1 ? "" : "s");
	else
		fprintf(stderr, "%zu %s%s%s%s\n", n, tab->by_step ? "step" : "sample", n == 1 ? "" : "s",
			tree_text(rest, "samples_since")[0] ? "; kept since " : "",
			tree_text(rest, "samples_since"));
	if (tree_flag(rest, "partial"))
		fprintf(stderr, "astraml: what is damaged was left out; `astraml verify` tells of it\n");
	json_object_put(rest);
}

static int print_table(struct source *s, const struct target *t, const char *path, const char *metric)
{
	struct table tab = { .t = t };
	struct fault f = { 0 };
	int err;

	rowtext_init(&tab.text);
	tab.text.series = print_head;
	tab.text.row = print_row;
	tab.text.arg = &tab;
	err = source_get(s, path, take_piece, &tab, &f);
	if (err == ERR_GONE && !ferror(stdout))
		err = fault_set(&f, ERR_IO, "", "the answer is not what an astraml server sends");
	else if (err == 0 && tab.n_series == 0)
		err = fault_set(&f, ERR_NOT_FOUND, "metric",
				"the run has no metric %s; `astraml metrics` lists what it has", metric);
	if (err == 0)
		print_about(&tab);
	rowtext_release(&tab.text);
	return err < 0 ? verb_fault(&f) : EXIT_OK;
}

struct get_options {
	const char *x, *step, *since, *start, *end, *every, *points, *agg, *label, *by;
	bool samples, csv;
};

/* False: told what is wrong. */
static bool path_make(struct buf *path, const struct target *t, const char *run, const char *metric,
		      const struct get_options *o)
{
	path_init(path, t);
	path_add(path, "/query");
	path_param(path, "run", run);
	path_param(path, "metric", metric);
	path_param(path, "x", o->x);
	path_param_since(path, "start", o->start ? o->start : o->since);
	path_param_since(path, "end", o->end);
	path_param(path, "every", o->every);
	path_param(path, "points", o->points);
	path_param(path, "agg", o->agg || t->json || o->csv || o->samples ? o->agg : AGG_DEFAULT);
	path_param(path, "by", o->by);
	path_param(path, "samples", o->samples ? "true" : NULL);
	return verb_steps(path, o->step) && verb_label(path, o->label);
}

static int get(const struct target *t, const char *path, const char *metric, bool csv)
{
	struct fault f = { 0 };
	struct source *s;
	int status;

	if (source_open(t, &s, &f) < 0)
		return verb_fault(&f);
	if (csv)
		status = verb_print_as(s, path, "text/csv");
	else
		status = t->json ? verb_print(s, path) : print_table(s, t, path, metric);
	source_close(s);
	return status;
}

int verb_get(const struct target *t, int argc, char **argv)
{
	struct get_options o = { 0 };
	const struct option_text options[] = {
		{ "--x", 0, &o.x, NULL },
		{ "--step", 0, &o.step, NULL },
		{ "--since", 0, &o.since, NULL },
		{ "--start", 0, &o.start, NULL },
		{ "--end", 0, &o.end, NULL },
		{ "--every", 0, &o.every, NULL },
		{ "--points", 0, &o.points, NULL },
		{ "--agg", 0, &o.agg, NULL },
		{ "--label", 0, &o.label, NULL },
		{ "--by", 0, &o.by, NULL },
		{ "--samples", 0, NULL, &o.samples },
		{ "--csv", 0, NULL, &o.csv },
	};
	struct verb_args args = { .help = help,
				  .options = options,
				  .n_options = sizeof options / sizeof *options,
				  .max_positional = 2 };
	const char *run;
	struct buf path;
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (!(run = verb_run_id(&args, "get", 2)))
		return EXIT_USAGE;
	if (o.csv && t->json) {
		fprintf(stderr, "astraml get: --csv and --json are two forms; leave one of them out\n");
		return EXIT_USAGE;
	}
	status = path_make(&path, t, run, args.positional[1], &o)
		     ? get(t, buf_cstr(&path), args.positional[1], o.csv)
		     : EXIT_USAGE;
	buf_release(&path);
	return status;
}

/*
 * verb_compare.c - `astraml compare`: runs beside each other, each a column with a letter.
 *
 * Shown is what tells the runs apart: parameters that are not the same everywhere, and the metrics
 * that two of them have, but for those that are one and the same number in all.
 */
#include <math.h>
#include <stdlib.h>

#include "query/cli/trend.h"
#include "query/params.h"

#define RUNS_MAX      8
#define WIDTH_DEFAULT 80
#define NAME_WIDE     25 /* of a row's name */
#define ID_WIDE       50
#define KIND_WIDE     4 /* "last" */
#define COLUMN_LEAST  10
#define COLUMN_MOST   20

static const char help[] =
    "usage: astraml compare RUN RUN... [--metric GLOB] [--json]\n"
    "\n"
    "Up to 8 runs beside each other: parameters that differ; best, last and other\n"
    "extreme of each metric that two of them have.  A metric whose name tells that\n"
    "less is better (loss, error, perplexity) or more (accuracy, reward ...), or that\n"
    "a run's early stopping watches, has its best marked with *; for others the table\n"
    "tells min and max.  - stands for what is not there.\n"
    "\n"
    "  --metric GLOB   only these metrics; * stands for anything\n"
    "\n"
    "--json prints {\"runs\":[{\"run\":...,\"metrics\":...}]}, both as the API gives them.\n"
    "\n"
    "example: astraml compare bert-lr3e5 bert-lr1e4 --metric 'train/*'\n";

struct compared {
	const char *id;
	struct json_object *run, *metrics; /* answers of the API; owned */
	struct json_object *params;        /* path -> text; owned */
	struct json_object *by_title;      /* metric's title -> metric; owned */
};

struct comparison {
	const struct target *t;
	const char *glob;
	struct compared runs[RUNS_MAX];
	size_t n;
	size_t from, to; /* the runs of the block that is being printed */
	int column;      /* width of one */
};

/* ---- fetching ---- */

/* Adds each value under o as path -> text. */
static void flatten(struct json_object *ret, const char *prefix, struct json_object *o)
{
	json_object_object_foreach(o, key, value)
	{
		char path[1024];

		snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key);
		if (json_object_is_type(value, json_type_object))
			flatten(ret, path, value);
		else
			json_object_object_add(
			    ret, path,
			    json_object_new_string(
				json_object_is_type(value, json_type_string)
				    ? json_object_get_string(value)
				    : json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN)));
	}
}

/* What a run was started with; its name and where it came from are no parameters. */
static struct json_object *params_of(struct json_object *run)
{
	static const char *const parts[] = { "hyperparams", "resources", "metrics" };
	struct json_object *ret = json_object_new_object(), *spec = tree_member(run, "spec");

	json_object_object_add(ret, "model", json_object_new_string(tree_text(spec, "model")));
	json_object_object_add(ret, "dataset", json_object_new_string(tree_text(spec, "dataset")));
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		struct json_object *o = tree_member(spec, parts[i]);

		if (json_object_is_type(o, json_type_object))
			flatten(ret, i == 0 ? "" : parts[i], o);
	}
	return ret;
}

static struct json_object *index_of(struct json_object *metrics, const char *glob)
{
	struct json_object *ret = json_object_new_object(), *list = tree_list(metrics, "metrics");

	for (size_t i = 0; i < list_length(list); i++) {
		struct json_object *m = tree_item(list, i);
		struct buf title;

		if (glob && !glob_match(span_str(glob), span_str(tree_text(m, "name"))))
			continue;
		trend_title(m, "name", &title);
		json_object_object_add(ret, buf_cstr(&title), json_object_get(m));
		buf_release(&title);
	}
	return ret;
}

static int fetch(struct comparison *c, struct source *s, struct compared *r, struct fault *f)
{
	r->run = verb_run_tree(s, c->t, r->id, "", f);
	r->metrics = r->run ? verb_run_tree(s, c->t, r->id, "/metrics", f) : NULL;
	if (!r->metrics)
		return f->err;
	r->params = params_of(r->run);
	r->by_title = index_of(r->metrics, c->glob);
	return 0;
}

static void comparison_release(struct comparison *c)
{
	for (size_t i = 0; i < c->n; i++) {
		json_object_put(c->runs[i].run);
		json_object_put(c->runs[i].metrics);
		json_object_put(c->runs[i].params);
		json_object_put(c->runs[i].by_title);
	}
}

/* ---- the table ---- */

static void print_runs(const struct comparison *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct compared *r = &c->runs[i];
		int64_t steps;

		printf("%s%c%s  ", color_start(c->t->color, COLOR_BOLD), (char)('a' + i),
		       color_end(c->t->color, COLOR_BOLD));
		cell_name(stdout, r->id, ID_WIDE);
		printf("  %s", tree_text(r->run, "state"));
		if (trend_steps(tree_list(r->metrics, "metrics"), &steps))
			printf(", step %lld", (long long)steps);
		printf("\n");
	}
}

static void print_head(const struct comparison *c, const char *what)
{
	printf("\n%s", color_start(c->t->color, COLOR_BOLD));
	cell(stdout, what, NAME_WIDE);
	for (size_t i = c->from; i < c->to; i++) {
		const char letter[] = { (char)('a' + i), 0 };

		printf(" ");
		cell(stdout, letter, -c->column);
	}
	printf("%s\n", color_end(c->t->color, COLOR_BOLD));
}

/* ---- parameters ---- */

static const char *param_text(const struct compared *r, const char *name)
{
	const char *text = tree_text(r->params, name);

	return *text ? text : "-";
}

static bool param_differs(const struct comparison *c, const char *name)
{
	for (size_t i = 1; i < c->n; i++)
		if (strcmp(param_text(&c->runs[i], name), param_text(&c->runs[0], name)) != 0)
			return true;
	return false;
}

/* Whether a run before the ith has that member too: then it was shown with that one. */
static bool shown_before(const struct comparison *c, size_t i, bool metric, const char *name)
{
	for (size_t k = 0; k < i; k++)
		if (tree_member(metric ? c->runs[k].by_title : c->runs[k].params, name))
			return true;
	return false;
}

/* Whether the block that is printed has anything to say there. */
static bool block_has(const struct comparison *c, bool metric, const char *name)
{
	for (size_t i = c->from; i < c->to; i++)
		if (metric ? tree_member(c->runs[i].by_title, name) != NULL
			   : *tree_text(c->runs[i].params, name) != 0)
			return true;
	return false;
}

static void print_param(const struct comparison *c, const char *name)
{
	cell_name(stdout, name, NAME_WIDE);
	for (size_t i = c->from; i < c->to; i++) {
		printf(" ");
		cell(stdout, param_text(&c->runs[i], name), -c->column);
	}
	printf("\n");
}

static void print_params(const struct comparison *c)
{
	size_t shown = 0, differ = 0;

	for (size_t i = 0; i < c->n; i++) {
		json_object_object_foreach(c->runs[i].params, name, value)
		{
			(void)value;
			if (shown_before(c, i, false, name) || !param_differs(c, name))
				continue;
			differ++;
			if (!block_has(c, false, name))
				continue;
			if (shown++ == 0)
				print_head(c, "PARAMETER");
			print_param(c, name);
		}
	}
	if (differ == 0 && c->from == 0)
		printf("\nno parameter differs\n");
}

/* ---- metrics ---- */

enum better { BETTER_UNKNOWN, BETTER_LESS, BETTER_MORE };

static bool has_any(const char *name, const char *const *words)
{
	for (; *words; words++)
		if (strcasestr(name, *words))
			return true;
	return false;
}

static enum better better_of(const struct comparison *c, const char *name)
{
	static const char *const less[] = { "loss", "error", "perplexity", "ppl", "bpb", NULL };
	static const char *const more[] = { "accuracy", "acc",       "auc",    "f1",       "bleu", "reward",
					    "score",    "precision", "recall", "hit_rate", "iou",  NULL };

	for (size_t i = 0; i < c->n; i++) {
		struct json_object *stop =
		    tree_member(tree_member(tree_member(c->runs[i].run, "spec"), "hyperparams"),
				"early_stopping");

		if (strcmp(tree_text(stop, "metric"), name) == 0)
			return strcmp(tree_text(stop, "mode"), "max") == 0 ? BETTER_MORE : BETTER_LESS;
	}
	return has_any(name, less) ? BETTER_LESS : has_any(name, more) ? BETTER_MORE : BETTER_UNKNOWN;
}

static double number_at(const struct compared *r, const char *title, const char *key)
{
	double v = NAN;

	tree_number(tree_member(tree_member(r->by_title, title), key), &v);
	return v;
}

/* The best of all runs, not of the block alone; NaN: there is none. */
static double best_of(const struct comparison *c, const char *title, const char *key, enum better better)
{
	double best = NAN;

	for (size_t i = 0; i < c->n; i++) {
		double v = number_at(&c->runs[i], title, key);

		best = better == BETTER_LESS ? fmin(best, v) : fmax(best, v);
	}
	return best;
}

static void print_values(const struct comparison *c, const char *title, const char *key, double best)
{
	for (size_t i = c->from; i < c->to; i++) {
		struct json_object *m = tree_member(c->runs[i].by_title, title);
		double v = number_at(&c->runs[i], title, key);
		char text[SHORT_TEXT_MAX + 1] = "-";
		bool marked = !isnan(best) && v == best;

		if (tree_member(m, key))
			short_number(v, c->column - 1, text);
		if (marked)
			strcat(text, "*");
		printf(" %s", color_start(c->t->color && marked, COLOR_GREEN));
		cell(stdout, text, -c->column);
		printf("%s", color_end(c->t->color && marked, COLOR_GREEN));
	}
	printf("\n");
}

static bool is_constant(const struct comparison *c, const char *title)
{
	for (size_t i = 0; i < c->n; i++) {
		double low = number_at(&c->runs[i], title, "min"),
		       high = number_at(&c->runs[i], title, "max");

		if (low < high)
			return false;
	}
	return true;
}

static void print_metric(const struct comparison *c, const char *title)
{
	enum better better = better_of(c, title);
	const char *first = better == BETTER_MORE ? "max" : "min";
	const char *second = better == BETTER_MORE ? "min" : "max";
	const int indent = NAME_WIDE - KIND_WIDE;

	if (is_constant(c, title)) {
		cell_name(stdout, title, NAME_WIDE);
		print_values(c, title, "last", NAN);
		return;
	}
	cell_name(stdout, title, indent);
	cell(stdout, better ? "best" : first, KIND_WIDE);
	print_values(c, title, first, better ? best_of(c, title, first, better) : NAN);
	printf("%*s", indent, "");
	cell(stdout, "last", KIND_WIDE);
	print_values(c, title, "last", NAN);
	printf("%*s", indent, "");
	cell(stdout, second, KIND_WIDE);
	print_values(c, title, second, NAN);
}

/* Worth a row: two runs have it, it is not one number in all that have it, and no parameter that was
 * written as a metric too. */
static bool metric_tells(const struct comparison *c, const char *title)
{
	double first = NAN;
	size_t have = 0;
	bool differs = false;

	for (size_t i = 0; i < c->n; i++) {
		double v = number_at(&c->runs[i], title, "last");

		if (tree_member(c->runs[i].params, title) && is_constant(c, title))
			return false;
		if (!tree_member(c->runs[i].by_title, title))
			continue;
		differs = differs || (have > 0 && v != first);
		first = have++ ? first : v;
	}
	return have >= 2 && (differs || !is_constant(c, title));
}

struct row {
	const char *title;
	uint64_t count;
};

/* Those with the most samples first: what was written once is a setting. */
static int by_count(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->count != y->count ? (x->count < y->count) - (x->count > y->count)
				    : strcmp(x->title, y->title);
}

static size_t rows_find(const struct comparison *c, struct row *rows, size_t *ret_left_out)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		json_object_object_foreach(c->runs[i].by_title, title, metric)
		{
			if (shown_before(c, i, true, title))
				continue;
			if (metric_tells(c, title))
				rows[n++] = (struct row){ title, tree_u64(metric, "count") };
			else
				++*ret_left_out;
		}
	}
	qsort(rows, n, sizeof *rows, by_count);
	return n;
}

static int print_metrics(const struct comparison *c)
{
	size_t room = 0, n, left_out = 0;
	struct row *rows;

	for (size_t i = 0; i < c->n; i++)
		room += (size_t)json_object_object_length(c->runs[i].by_title);
	rows = calloc(room + 1, sizeof *rows);
	if (!rows)
		return ERR_NOMEM;
	n = rows_find(c, rows, &left_out);
	for (size_t i = 0, shown = 0; i < n; i++) {
		if (!block_has(c, true, rows[i].title))
			continue;
		if (shown++ == 0)
			print_head(c, "METRIC");
		print_metric(c, rows[i].title);
	}
	if (left_out && c->to == c->n)
		fprintf(stderr,
			"%zu metrics are not shown: parameters, and what one run alone has or all the same\n",
			left_out);
	free(rows);
	return 0;
}

/* As many runs beside each other as the width has room for, then the others below. */
static int print_all(struct comparison *c)
{
	int width = c->t->columns > WIDTH_DEFAULT ? c->t->columns : WIDTH_DEFAULT;
	size_t fit = (size_t)(width - NAME_WIDE) / (COLUMN_LEAST + 1);
	int err = 0;

	fit = fit < c->n ? fit : c->n;
	c->column = (width - NAME_WIDE) / (int)fit - 1;
	c->column = c->column < COLUMN_MOST ? c->column : COLUMN_MOST;
	print_runs(c);
	for (c->from = 0; err == 0 && c->from < c->n; c->from = c->to) {
		c->to = c->from + fit < c->n ? c->from + fit : c->n;
		print_params(c);
		err = print_metrics(c);
	}
	return err;
}

static void print_json(const struct comparison *c)
{
	printf("{\"runs\":[");
	for (size_t i = 0; i < c->n; i++) {
		const struct compared *r = &c->runs[i];

		printf("%s{\"run\":%s,\"metrics\":%s}", i ? "," : "",
		       json_object_to_json_string_ext(r->run, JSON_C_TO_STRING_PLAIN),
		       json_object_to_json_string_ext(tree_list(r->metrics, "metrics"),
						      JSON_C_TO_STRING_PLAIN));
	}
	printf("]}\n");
}

static int compare(struct comparison *c)
{
	struct source *s;
	struct fault f = { 0 };
	int err = source_open(c->t, &s, &f);

	if (err < 0)
		return verb_fault(&f);
	for (size_t i = 0; err == 0 && i < c->n; i++)
		err = fetch(c, s, &c->runs[i], &f);
	source_close(s);
	if (err == 0 && c->t->json)
		print_json(c);
	else if (err == 0)
		err = fault_default(&f, print_all(c));
	return err < 0 ? verb_fault(&f) : EXIT_OK;
}

int verb_compare(const struct target *t, int argc, char **argv)
{
	struct comparison c = { .t = t };
	const struct option_text options[] = { { "--metric", 0, &c.glob, NULL } };
	struct verb_args args = {
		.help = help, .options = options, .n_options = 1, .max_positional = RUNS_MAX
	};
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (args.n_positional < 2) {
		fprintf(stderr, "astraml compare: name two runs or more; see astraml compare --help\n");
		return EXIT_USAGE;
	}
	for (int i = 0; i < args.n_positional; i++)
		c.runs[c.n++].id = args.positional[i];
	status = compare(&c);
	comparison_release(&c);
	return status;
}

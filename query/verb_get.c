/*
 * verb_get.c - `astraml get`: one metric, window by window.
 */
#include "query/rowtext.h"
#include "query/trend.h"
#include "store/base/clock.h"

#define AGG_DEFAULT "count,mean,min,max,last"

static const char help[] =
    "usage: astraml get RUN METRIC [--since T] [--start T] [--end T] [--every W | --points N]\n"
    "                   [--agg LIST] [--label K=V] [--json]\n"
    "\n"
    "A metric by windows of time (UTC).  METRIC may hold *, which stands for anything.\n"
    "\n"
    "  --since T     from T on; --start is the same.  T: 2025-07-06T12:00:00Z, milliseconds since\n"
    "                1970, or -1h, -30m, -2d (1h works too)\n"
    "  --end T       windows that start before T\n"
    "  --every W     windows this wide: 30s, 5m, 1h (rounded up to a multiple of the run's own)\n"
    "  --points N    as wide as it takes for at most N windows\n"
    "  --agg LIST    of count sum min max mean first last nan pos_inf neg_inf first_time last_time\n"
    "                first_step last_step step_min step_max bad_time bad_step\n"
    "                (count,mean,min,max,last; --json: count,min,max,mean,first,last)\n"
    "  --label K=V   only series with this label\n"
    "\n"
    "count, sum, min, max and mean are of finite samples; first and last of all.\n"
    "\n"
    "example: astraml get bert-lr3e5 train/loss --since 1h --every 5m\n";

struct table {
	const struct target *t;
	struct rowtext text;
	size_t n_series, n_rows;
	size_t columns;
};

static int print_head(void *arg, struct span object)
{
	struct table *tab = arg;
	struct json_object *series = tree_parse(object), *columns = tree_list(series, "columns");
	struct buf title;

	if (!columns)
		return ERR_MALFORMED;
	trend_title(series, "metric", &title);
	printf("%s%s%s%s\n", tab->n_series++ ? "\n" : "", color_start(tab->t->color, COLOR_BOLD),
	       buf_cstr(&title), color_end(tab->t->color, COLOR_BOLD));
	buf_release(&title);
	cell(stdout, "WINDOW", 20);
	tab->columns = list_length(columns);
	for (size_t i = 1; i < tab->columns; i++) {
		printf(" ");
		cell(stdout, json_object_get_string(json_object_array_get_idx(columns, i)), -11);
	}
	printf("\n");
	json_object_put(series);
	return 0;
}

static void print_value(struct json_object *v)
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
		short_number(d, 11, text);
	}
	printf(" %11s", text);
}

static int print_row(void *arg, struct span array)
{
	struct table *tab = arg;
	struct json_object *row = tree_parse(array);
	char time[CLOCK_TEXT_MAX];

	if (list_length(row) != tab->columns) {
		json_object_put(row);
		return ERR_MALFORMED;
	}
	clock_format(json_object_get_int64(json_object_array_get_idx(row, 0)) * NS_PER_MS, time);
	printf("%-20s", time);
	for (size_t i = 1; i < tab->columns; i++)
		print_value(json_object_array_get_idx(row, i));
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
	uint64_t every_s = tree_u64(rest, "every_ms") / 1000;
	struct json_object *partial;

	fprintf(stderr, "%zu window%s of %llu s; complete until %s\n", tab->n_rows,
		tab->n_rows == 1 ? "" : "s", (unsigned long long)every_s, tree_text(rest, "complete_until"));
	if (json_object_object_get_ex(rest, "partial", &partial) && json_object_get_boolean(partial))
		fprintf(stderr, "astraml: damaged blocks were left out; `astraml verify` names them\n");
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

static bool label_param(struct buf *path, const char *label)
{
	char key[256 + 6];
	const char *equals = label ? strchr(label, '=') : NULL;

	if (!label)
		return true;
	if (!equals || equals == label || equals - label > 250) {
		fprintf(stderr, "astraml: --label %s is not KEY=VALUE\n", label);
		return false;
	}
	snprintf(key, sizeof key, "label.%.*s", (int)(equals - label), label);
	path_param(path, key, equals + 1);
	return true;
}

int verb_get(const struct target *t, int argc, char **argv)
{
	const char *since = NULL, *start = NULL, *end = NULL, *every = NULL, *points = NULL, *agg = NULL,
		   *label = NULL;
	const struct option_text options[] = {
		{ "--since", 0, &since, NULL }, { "--start", 0, &start, NULL },   { "--end", 0, &end, NULL },
		{ "--every", 0, &every, NULL }, { "--points", 0, &points, NULL }, { "--agg", 0, &agg, NULL },
		{ "--label", 0, &label, NULL },
	};
	struct verb_args args = { .help = help,
				  .options = options,
				  .n_options = sizeof options / sizeof *options,
				  .max_positional = 2 };
	const char *run;
	struct source *s;
	struct fault f = { 0 };
	struct buf path;
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (!(run = verb_run_id(&args, "get", 2)))
		return EXIT_USAGE;
	path_init(&path, t);
	path_add(&path, "/query");
	path_param(&path, "run", run);
	path_param(&path, "metric", args.positional[1]);
	path_param_since(&path, "start", start ? start : since);
	path_param_since(&path, "end", end);
	path_param(&path, "every", every);
	path_param(&path, "points", points);
	path_param(&path, "agg", agg || t->json ? agg : AGG_DEFAULT);
	if (!label_param(&path, label))
		status = EXIT_USAGE;
	else if (source_open(t, &s, &f) < 0)
		status = verb_fault(&f);
	else {
		status = t->json ? verb_print(s, buf_cstr(&path))
				 : print_table(s, t, buf_cstr(&path), args.positional[1]);
		source_close(s);
	}
	buf_release(&path);
	return status;
}

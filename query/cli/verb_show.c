/*
 * verb_show.c - `astraml show`: one run at a glance.
 */
#include "query/cli/curve.h"
#include "query/cli/trend.h"
#include "query/params.h"
#include "store/base/clock.h"

#define METRICS_SHOWN  16
#define SETTINGS_SHOWN 40
#define TREND_WIDTH    16
#define WIDTH          80
#define FIELD_WIDE     10
#define PAIR_BYTES_MAX (2 * 1024 * 1024)
#define LINES_SHOWN    "10"
#define GAP_POINTS     1000 /* windows that are looked at for gaps */
#define GAPS_SHOWN     3

static const char help[] = "usage: astraml show RUN [--json]\n"
			   "\n"
			   "One run: state and times, the spec, its metrics with their course, the last\n"
			   "lines of its log.  --json prints the run as the API gives it.\n"
			   "\n"
			   "example: astraml show bert-lr3e5\n";

static void print_field(const char *name, const char *value)
{
	if (*value)
		printf("%-*s %s\n", FIELD_WIDE, name, value);
}

static void print_time(const char *name, int64_t t_ns)
{
	char text[CLOCK_TEXT_MAX], age[SHORT_TEXT_MAX];

	if (t_ns == 0)
		return;
	clock_format(t_ns - t_ns % NS_PER_S, text);
	short_age(clock_now_ns() - t_ns, age);
	printf("%-*s %s (%s ago)\n", FIELD_WIDE, name, text, age);
}

/* One of a list of pairs, on a new line where the page ends. */
static void print_pair(const char *key, const char *text, size_t *column)
{
	size_t n = strlen(key) + strlen(text) + 2;
	struct buf pair;

	if (*column + n > WIDTH && *column > FIELD_WIDE) {
		printf("\n%*s", FIELD_WIDE, "");
		*column = FIELD_WIDE;
	}
	buf_init(&pair, PAIR_BYTES_MAX);
	if (buf_addf(&pair, "%s=%s", key, text) == 0) {
		printf(" ");
		cell_start(stdout, buf_cstr(&pair), WIDTH - FIELD_WIDE - 1);
	}
	buf_release(&pair);
	*column += n;
}

/* "key=value key=value" of an object in the spec; import_* tags are an importer's own book-keeping. */
static void print_pairs(const char *name, struct json_object *o)
{
	size_t column = FIELD_WIDE;

	if (!o || !json_object_is_type(o, json_type_object) || json_object_object_length(o) == 0)
		return;
	printf("%-*s", FIELD_WIDE, name);
	json_object_object_foreach(o, key, value)
	{
		if (strncmp(key, "import_", 7) == 0)
			continue;
		print_pair(key,
			   json_object_is_type(value, json_type_string)
			       ? json_object_get_string(value)
			       : json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN),
			   &column);
	}
	printf("\n");
}

static void print_window(struct json_object *run)
{
	const char *source = tree_text(tree_member(run, "sources"), "metrics.window");
	char text[64];

	snprintf(text, sizeof text, *source ? "%s (%s)" : "%s", tree_text(run, "window"), source);
	print_field("window", text);
}

static void print_run(const struct target *t, struct json_object *run)
{
	struct json_object *spec = NULL, *o;
	const char *imported = "";

	json_object_object_get_ex(run, "spec", &spec);
	if (json_object_object_get_ex(run, "imported", &o) && json_object_get_boolean(o))
		imported = " (imported)";
	printf("%s%s%s%s\n", color_start(t->color, COLOR_BOLD), tree_text(run, "id"),
	       color_end(t->color, COLOR_BOLD), imported);
	print_field("project", tree_text(run, "project_id"));
	print_field("state", tree_text(run, "state"));
	if (json_object_object_get_ex(run, "exit_code", &o) && o)
		print_field("exit code", json_object_get_string(o));
	print_time("created", tree_time(run, "created_at"));
	print_time("started", tree_time(run, "started_at"));
	print_time("ended", tree_time(run, "ended_at"));
	print_time("heartbeat", tree_time(run, "heartbeat_at"));
	print_field("name", tree_text(spec, "name"));
	print_field("model", tree_text(spec, "model"));
	print_field("dataset", tree_text(spec, "dataset"));
	print_window(run);
	if (json_object_object_get_ex(spec, "hyperparams", &o))
		print_pairs("params", o);
	if (json_object_object_get_ex(spec, "resources", &o))
		print_pairs("resources", o);
	if (json_object_object_get_ex(spec, "tags", &o))
		print_pairs("tags", o);
}

static void print_number(struct json_object *m, const char *key)
{
	char text[SHORT_TEXT_MAX] = "-";
	struct json_object *o = NULL;
	double v;

	json_object_object_get_ex(m, key, &o);
	if (tree_number(o, &v))
		short_number(v, 9, text);
	printf(" ");
	cell(stdout, text, -9);
}

static void print_metric(const struct target *t, struct json_object *m, struct json_object *trend)
{
	uint64_t bad = tree_u64(m, "nan") + tree_u64(m, "pos_inf") + tree_u64(m, "neg_inf");
	struct buf title;

	trend_title(m, "name", &title);
	cell_name(stdout, buf_cstr(&title), 24);
	buf_release(&title);
	print_number(m, "last");
	print_number(m, "min");
	print_number(m, "max");
	printf(" %s%4llu%s ", color_start(t->color && bad, COLOR_RED), (unsigned long long)bad,
	       color_end(t->color && bad, COLOR_RED));
	trend_draw(stdout, trend, m, TREND_WIDTH);
	printf("\n");
}

/* What was written once and is finite: a setting rather than a curve. */
static bool is_setting(struct json_object *m)
{
	return tree_u64(m, "count") == 1 && !tree_u64(m, "nan") && !tree_u64(m, "pos_inf") &&
	       !tree_u64(m, "neg_inf");
}

/* Those that were written most come first, settings last. */
static int by_count(const void *a, const void *b)
{
	struct json_object *const *x = a, *const *y = b;
	uint64_t nx = tree_u64(*x, "count"), ny = tree_u64(*y, "count");

	if (is_setting(*x) != is_setting(*y))
		return is_setting(*x) - is_setting(*y);
	return nx != ny ? (nx < ny) - (nx > ny) : strcmp(tree_text(*x, "name"), tree_text(*y, "name"));
}

static void print_table(const struct target *t, struct json_object *list, size_t n, struct json_object *trend)
{
	printf("\n%s%-24s %9s %9s %9s %4s %s%s\n", color_start(t->color, COLOR_BOLD), "METRIC", "LAST", "MIN",
	       "MAX", "BAD", "TREND", color_end(t->color, COLOR_BOLD));
	for (size_t i = 0; i < n; i++)
		print_metric(t, tree_item(list, i), trend);
}

static void print_settings(struct json_object *list, size_t from, size_t to)
{
	size_t column = FIELD_WIDE;

	printf("\n%-*s", FIELD_WIDE, "once");
	for (size_t i = from; i < to; i++) {
		struct json_object *m = tree_item(list, i);
		char text[SHORT_TEXT_MAX];
		struct buf title;
		double v = 0;

		tree_number(tree_member(m, "last"), &v);
		short_number(v, 9, text);
		trend_title(m, "name", &title);
		print_pair(buf_cstr(&title), text, &column);
		buf_release(&title);
	}
	printf("\n");
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Curves in a table, settings in a list, so many of each that the page stays short. */
static int print_metrics(struct source *s, const struct target *t, const char *run, struct json_object *list,
			 struct fault *f)
{
	const char *names[METRICS_SHOWN];
	size_t all = list_length(list), curves = 0, shown, once;
	struct json_object *trend = NULL;

	while (curves < all && !is_setting(tree_item(list, curves)))
		curves++;
	shown = least(curves, METRICS_SHOWN);
	once = least(all - curves, SETTINGS_SHOWN);
	for (size_t i = 0; i < shown; i++)
		names[i] = tree_text(tree_item(list, i), "name");
	if (shown && !(trend = trend_fetch(s, t, run, names, shown, TREND_WIDTH, f)))
		return f->err;
	if (shown)
		print_table(t, list, shown, trend);
	if (once)
		print_settings(list, curves, curves + once);
	if (all > shown + once)
		printf("and %zu more: astraml metrics %s\n", all - shown - once, run);
	json_object_put(trend);
	return 0;
}

/* The text of one record, each of its lines cut to the width of the page. */
static void print_text(struct json_object *text)
{
	struct buf shown;
	char *line, *end;

	buf_init(&shown, SOURCE_WHOLE_MAX);
	shown_text(span_of(json_object_get_string(text), (size_t)json_object_get_string_len(text)), false,
		   &shown);
	buf_cstr(&shown);
	for (line = (char *)shown.data; line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = 0;
		cell_start(stdout, line, WIDTH);
		printf("\n");
		if (end && !*end)
			break;
	}
	buf_release(&shown);
}

/* The newest lines come newest first; they are shown the other way round. */
static int print_lines(struct source *s, const struct target *t, const char *run, struct fault *f)
{
	struct buf path, text = { 0 };
	size_t end, at, n = 0;
	int err;

	verb_run_path(&path, t, run, "/logs");
	path_param(&path, "direction", "backward");
	path_param(&path, "limit", LINES_SHOWN);
	err = source_fetch(s, buf_cstr(&path), &text, f);
	buf_release(&path);
	for (end = err < 0 ? 0 : text.len; end > 0; end = at) {
		struct json_object *o, *v;

		at = end - 1;
		while (at > 0 && text.data[at - 1] != '\n')
			at--;
		o = tree_parse(span_of(text.data + at, end - at));
		if (json_object_object_get_ex(o, "text", &v)) {
			if (n++ == 0)
				printf("\n");
			print_text(v);
		}
		json_object_put(o);
	}
	buf_release(&text);
	return err;
}

/* ---- how complete it is ---- */

static double seconds_of(struct json_object *row, size_t column)
{
	struct json_object *o = tree_item(row, column);
	int64_t t_ns = 0;

	clock_parse(json_object_get_string(o), (size_t)json_object_get_string_len(o), &t_ns);
	return (double)t_ns / 1e9;
}

/* "2026-03-16T23:41:30Z for 13m" of the times at which nothing came although it was due. */
static void print_gaps(const struct curve *c)
{
	size_t n = 0;

	for (size_t i = 1; i < c->n; i++) {
		double from = c->points[i - 1].to, to = c->points[i].from;
		char time[CLOCK_TEXT_MAX], age[SHORT_TEXT_MAX];

		if (!c->points[i].after_gap || n++ >= GAPS_SHOWN)
			continue;
		clock_format((int64_t)from * NS_PER_S, time);
		short_age((int64_t)((to - from) * 1e9), age);
		printf("%-*s %s for %s\n", FIELD_WIDE, n == 1 ? "gaps" : "", time, age);
	}
	if (n > GAPS_SHOWN)
		printf("%-*s and %zu more\n", FIELD_WIDE, "", n - GAPS_SHOWN);
}

static int gaps_of(struct json_object *answer, struct json_object *metric, struct curve *ret)
{
	struct json_object *series = trend_series(answer, metric), *rows = tree_list(series, "rows");
	int err = 0;

	for (size_t i = 0; err == 0 && i < list_length(rows); i++) {
		struct json_object *row = tree_item(rows, i);

		err = curve_add(ret,
				(struct curve_point){ .from = seconds_of(row, 1), .to = seconds_of(row, 2) });
	}
	return err < 0 ? err : curve_gaps(ret, 1.5 * (double)tree_u64(answer, "every_ms") / 1000);
}

/* Of the metric that was written most. */
static int print_complete(struct source *s, const struct target *t, const char *run,
			  struct json_object *metric, struct fault *f)
{
	struct curve c = { 0 };
	struct json_object *answer;
	struct buf path;
	int err;

	path_init(&path, t);
	path_add(&path, "/query");
	path_param(&path, "run", run);
	path_param(&path, "metric", tree_text(metric, "name"));
	path_param_u64(&path, "points", GAP_POINTS);
	path_param(&path, "agg", "first_time,last_time");
	answer = verb_tree(s, buf_cstr(&path), f);
	buf_release(&path);
	if (!answer)
		return f->err;
	print_field("complete", tree_text(answer, "complete_until"));
	err = gaps_of(answer, metric, &c);
	if (err == 0)
		print_gaps(&c);
	curve_release(&c);
	json_object_put(answer);
	return fault_default(f, err);
}

static int show(struct source *s, const struct target *t, const char *run)
{
	struct fault f = { 0 };
	struct json_object *o = verb_run_tree(s, t, run, "", &f);
	struct json_object *metrics = o ? verb_run_tree(s, t, run, "/metrics", &f) : NULL;
	struct json_object *list = tree_list(metrics, "metrics");
	int err = metrics ? 0 : f.err;

	if (list)
		json_object_array_sort(list, by_count);
	if (err == 0)
		print_run(t, o);
	if (err == 0 && list_length(list) > 0)
		err = print_complete(s, t, run, tree_item(list, 0), &f);
	if (err == 0)
		err = print_metrics(s, t, run, list, &f);
	if (err == 0)
		err = print_lines(s, t, run, &f);
	json_object_put(o);
	json_object_put(metrics);
	return err < 0 ? verb_fault(&f) : EXIT_OK;
}

int verb_show(const struct target *t, int argc, char **argv)
{
	struct verb_args args = { .help = help, .max_positional = 1 };
	const char *run;
	struct source *s;
	struct fault f = { 0 };
	struct buf path;
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (!(run = verb_run_id(&args, "show", 1)))
		return EXIT_USAGE;
	if (source_open(t, &s, &f) < 0)
		return verb_fault(&f);
	verb_run_path(&path, t, run, "");
	status = t->json ? verb_print(s, buf_cstr(&path)) : show(s, t, run);
	buf_release(&path);
	source_close(s);
	return status;
}

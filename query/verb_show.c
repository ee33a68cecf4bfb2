/*
 * verb_show.c - `astraml show`: one run at a glance.
 */
#include "query/trend.h"
#include "store/base/clock.h"

#define METRICS_SHOWN 16
#define TREND_WIDTH   16
#define WIDTH         80
#define LINES_SHOWN   "10"

static const char help[] =
    "usage: astraml show RUN [--json]\n"
    "\n"
    "One run: state and times, the spec, its metrics with their course, the last lines of its log.\n"
    "--json prints the run as the API gives it.\n"
    "\n"
    "example: astraml show bert-lr3e5\n";

static void print_field(const char *name, const char *value)
{
	if (*value)
		printf("%-10s %s\n", name, value);
}

static void print_time(const char *name, int64_t t_ns)
{
	char text[CLOCK_TEXT_MAX], age[SHORT_TEXT_MAX];

	if (t_ns == 0)
		return;
	clock_format(t_ns - t_ns % NS_PER_S, text);
	short_age(clock_now_ns() - t_ns, age);
	printf("%-10s %s (%s ago)\n", name, text, age);
}

/* "key=value key=value" of an object in the spec, wrapped at 80 columns. */
static void print_pairs(const char *name, struct json_object *o)
{
	size_t column = 10;

	if (!o || !json_object_is_type(o, json_type_object) || json_object_object_length(o) == 0)
		return;
	printf("%-10s", name);
	json_object_object_foreach(o, key, value)
	{
		const char *text = json_object_is_type(value, json_type_string)
				       ? json_object_get_string(value)
				       : json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
		size_t n = strlen(key) + strlen(text) + 2;

		if (column + n > 80 && column > 10) {
			printf("\n%-10s", "");
			column = 10;
		}
		printf(" %s=%s", key, text);
		column += n;
	}
	printf("\n");
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
	print_field("window", tree_text(run, "window"));
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

static void print_metric(struct json_object *m, struct json_object *trend)
{
	uint64_t bad = tree_u64(m, "nan") + tree_u64(m, "pos_inf") + tree_u64(m, "neg_inf");
	struct buf title;

	trend_title(m, "name", &title);
	cell_name(stdout, buf_cstr(&title), 24);
	buf_release(&title);
	print_number(m, "last");
	print_number(m, "min");
	print_number(m, "max");
	printf(" %4llu ", (unsigned long long)bad);
	trend_draw(stdout, trend, m, TREND_WIDTH);
	printf("\n");
}

/* Those that were written most come first: hyperparameters that were written once come last. */
static int by_count(const void *a, const void *b)
{
	struct json_object *const *x = a, *const *y = b;
	uint64_t nx = tree_u64(*x, "count"), ny = tree_u64(*y, "count");

	return nx != ny ? (nx < ny) - (nx > ny) : strcmp(tree_text(*x, "name"), tree_text(*y, "name"));
}

static int print_metrics(struct source *s, const struct target *t, const char *run, struct fault *f)
{
	const char *names[METRICS_SHOWN];
	struct json_object *answer, *list, *trend;
	struct buf path;
	size_t n;

	verb_run_path(&path, t, run, "/metrics");
	answer = verb_tree(s, buf_cstr(&path), f);
	buf_release(&path);
	if (!answer)
		return f->err;
	list = tree_list(answer, "metrics");
	if (list)
		json_object_array_sort(list, by_count);
	n = list_length(list) < METRICS_SHOWN ? list_length(list) : METRICS_SHOWN;
	for (size_t i = 0; i < n; i++)
		names[i] = tree_text(json_object_array_get_idx(list, i), "name");
	trend = n ? trend_fetch(s, t, run, names, n, TREND_WIDTH, f) : NULL;
	if (trend) {
		print_field("complete", tree_text(trend, "complete_until"));
		printf("\n%s%-24s %9s %9s %9s %4s %s%s\n", color_start(t->color, COLOR_BOLD), "METRIC",
		       "LAST", "MIN", "MAX", "BAD", "TREND", color_end(t->color, COLOR_BOLD));
	}
	for (size_t i = 0; trend && i < n; i++)
		print_metric(json_object_array_get_idx(list, i), trend);
	if (list_length(list) > n)
		printf("and %zu more: astraml metrics %s\n", list_length(list) - n, run);
	json_object_put(answer);
	json_object_put(trend);
	return n && !trend ? f->err : 0;
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

static int show(struct source *s, const struct target *t, const char *run)
{
	struct fault f = { 0 };
	struct json_object *o;
	struct buf path;
	int err;

	verb_run_path(&path, t, run, "");
	o = verb_tree(s, buf_cstr(&path), &f);
	buf_release(&path);
	if (!o)
		return verb_fault(&f);
	print_run(t, o);
	json_object_put(o);
	err = print_metrics(s, t, run, &f);
	if (err == 0)
		err = print_lines(s, t, run, &f);
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

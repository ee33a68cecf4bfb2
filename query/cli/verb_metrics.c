/*
 * verb_metrics.c - `astraml metrics`: what each metric of a run has held in its whole life.
 */

#include "query/cli/trend.h"

static const char help[] =
    "usage: astraml metrics RUN [--json]\n"
    "\n"
    "Every metric of a run over its whole life: finite samples, last, least, greatest\n"
    "and mean value, and how many samples were NaN or infinite.\n"
    "\n"
    "example: astraml metrics bert-lr3e5\n";

static void print_value(struct json_object *metric, const char *key)
{
	struct json_object *o = NULL;
	char text[SHORT_TEXT_MAX] = "-";
	double v;

	json_object_object_get_ex(metric, key, &o);
	if (tree_number(o, &v))
		short_number(v, 9, text);
	printf(" ");
	cell(stdout, text, -9);
}

static void print_count(uint64_t n, int width)
{
	char text[SHORT_TEXT_MAX];

	snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	printf(" ");
	cell(stdout, text, -width);
}

static void print_metric(const struct target *t, struct json_object *m)
{
	uint64_t bad = tree_u64(m, "nan") + tree_u64(m, "pos_inf") + tree_u64(m, "neg_inf");
	struct buf title;

	trend_title(m, "name", &title);
	cell_name(stdout, buf_cstr(&title), 26);
	buf_release(&title);
	print_count(tree_u64(m, "count"), 8);
	print_value(m, "last");
	print_value(m, "min");
	print_value(m, "max");
	print_value(m, "mean");
	fputs(color_start(t->color && bad, COLOR_RED), stdout);
	print_count(bad, 4);
	printf("%s\n", color_end(t->color && bad, COLOR_RED));
}

static int by_name(const void *a, const void *b)
{
	struct json_object *const *x = a, *const *y = b;
	struct buf tx, ty;
	int order;

	trend_title(*x, "name", &tx);
	trend_title(*y, "name", &ty);
	order = strcmp(buf_cstr(&tx), buf_cstr(&ty));
	buf_release(&tx);
	buf_release(&ty);
	return order;
}

static int print_table(struct source *s, const struct target *t, const char *path)
{
	struct fault f = { 0 };
	struct json_object *answer = verb_tree(s, path, &f), *list = tree_list(answer, "metrics");

	if (!answer)
		return verb_fault(&f);
	if (list_length(list) == 0)
		fprintf(stderr, "the run has no metrics yet\n");
	else
		printf("%s%-26s %8s %9s %9s %9s %9s %4s%s\n", color_start(t->color, COLOR_BOLD), "METRIC",
		       "COUNT", "LAST", "MIN", "MAX", "MEAN", "BAD", color_end(t->color, COLOR_BOLD));
	if (list)
		json_object_array_sort(list, by_name);
	for (size_t i = 0; i < list_length(list); i++)
		print_metric(t, tree_item(list, i));
	json_object_put(answer);
	return EXIT_OK;
}

int verb_metrics(const struct target *t, int argc, char **argv)
{
	struct verb_args args = { .help = help, .max_positional = 1 };
	const char *run;
	struct source *s;
	struct fault f = { 0 };
	struct buf path;
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (!(run = verb_run_id(&args, "metrics", 1)))
		return EXIT_USAGE;
	if (source_open(t, &s, &f) < 0)
		return verb_fault(&f);
	verb_run_path(&path, t, run, "/metrics");
	status = t->json ? verb_print(s, buf_cstr(&path)) : print_table(s, t, buf_cstr(&path));
	buf_release(&path);
	source_close(s);
	return status;
}

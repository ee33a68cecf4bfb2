/*
 * verb_runs.c - `astraml runs`: the runs of a project, newest first.
 */
#include "query/cli/trend.h"
#include "store/base/clock.h"

#define TREND_WIDTH   8
#define WIDTH         80
#define ID_WIDE       24
#define ID_WIDE_MOST  64 /* where the terminal has room */
#define LIMIT_DEFAULT "20"

static const char help[] = "usage: astraml runs [--state STATE] [--name GLOB] [--tag K[=V]] [--deleted]\n"
			   "                    [--limit N] [--json]\n"
			   "\n"
			   "The runs of a project, newest first: state, age, last step, and the metric that\n"
			   "tells how training goes (the loss, where there is one) with its course.\n"
			   "\n"
			   "  --state STATE   queued, running, preempted, finished, failed, killed or lost\n"
			   "  --name GLOB     runs whose name fits; * stands for anything\n"
			   "  --tag K[=V]     runs that have the tag\n"
			   "  --deleted       those that `astraml undelete` can bring back, and until when\n"
			   "  --limit N       at most so many (20; with --json 100)\n"
			   "\n"
			   "example: astraml runs --state running --project p-demo\n";

static enum color state_color(const char *state)
{
	if (strcmp(state, "running") == 0)
		return COLOR_GREEN;
	if (strcmp(state, "failed") == 0 || strcmp(state, "killed") == 0 || strcmp(state, "lost") == 0)
		return COLOR_RED;
	return strcmp(state, "finished") == 0 ? COLOR_NONE : COLOR_YELLOW;
}

/* Columns of the terminal past the 80 that the table takes go to the ids. */
static int id_width(const struct target *t)
{
	int width = ID_WIDE + (t->columns > WIDTH ? t->columns - WIDTH : 0);

	return width < ID_WIDE_MOST ? width : ID_WIDE_MOST;
}

static void print_head(const struct target *t)
{
	printf("%s%-*s %-9s %4s %9s %-12s %8s %s%s\n", color_start(t->color, COLOR_BOLD), id_width(t), "RUN",
	       "STATE", "AGE", "STEP", "METRIC", "LAST", "TREND", color_end(t->color, COLOR_BOLD));
}

/* The columns that tell of the metrics. */
static int print_course(struct source *s, const struct target *t, const char *run, struct fault *f)
{
	struct json_object *metrics = verb_run_tree(s, t, run, "/metrics", f), *best, *trend = NULL,
			   *last = NULL;
	const char *name;
	char text[SHORT_TEXT_MAX] = "-";
	int64_t step;
	double v;

	if (!metrics)
		return f->err;
	best = trend_choose(tree_list(metrics, "metrics"));
	if (trend_steps(tree_list(metrics, "metrics"), &step))
		snprintf(text, sizeof text, "%lld", (long long)step);
	printf(" ");
	cell(stdout, text, -9);
	if (!best)
		printf(" %-12s %8s", "-", "-");
	else {
		name = tree_text(best, "name");
		json_object_object_get_ex(best, "last", &last);
		printf(" ");
		cell(stdout, name, 12);
		printf(" ");
		snprintf(text, sizeof text, "-");
		if (tree_number(last, &v))
			short_number(v, 8, text);
		cell(stdout, text, -8);
		printf(" ");
		trend = trend_fetch(s, t, run, &name, 1, TREND_WIDTH, f);
		if (trend)
			trend_draw(stdout, trend, best, TREND_WIDTH);
	}
	printf("\n");
	json_object_put(trend);
	json_object_put(metrics);
	return best && !trend ? f->err : 0;
}

static int print_run(struct source *s, const struct target *t, struct json_object *run, struct fault *f)
{
	const char *state = tree_text(run, "state"), *id = tree_text(run, "id");
	int64_t started_ns = tree_time(run, "started_at");
	char age[SHORT_TEXT_MAX];

	short_age(clock_now_ns() - (started_ns ? started_ns : tree_time(run, "created_at")), age);
	cell_name(stdout, id, id_width(t));
	printf(" %s", color_start(t->color, state_color(state)));
	cell(stdout, state, 9);
	printf("%s ", color_end(t->color, state_color(state)));
	cell(stdout, age, -4);
	return print_course(s, t, id, f);
}

static void print_nothing(const struct target *t, bool filtered)
{
	if (filtered)
		fprintf(stderr, "no run of project %s fits; `astraml runs` lists all\n", t->project);
	else
		fprintf(stderr,
			"no runs in project %s yet; make one with\n"
			"  echo '{\"metric\":\"loss\",\"value\":0.5,\"step\":1}' | astraml push --run first\n"
			"  astraml import mllog result_0.txt\n",
			t->project);
}

/* What can be brought back, and until when. */
static int print_deleted(struct source *s, const struct target *t, const char *path)
{
	struct fault f = { 0 };
	struct json_object *answer = verb_tree(s, path, &f), *runs = tree_list(answer, "runs");

	if (!answer)
		return verb_fault(&f);
	if (list_length(runs) == 0)
		fprintf(stderr, "no deleted run of project %s that fits can be brought back\n", t->project);
	else
		printf("%s%-*s %-9s %-20s %s%s\n", color_start(t->color, COLOR_BOLD), id_width(t), "RUN",
		       "STATE", "DELETED", "UNTIL", color_end(t->color, COLOR_BOLD));
	for (size_t i = 0; i < list_length(runs); i++) {
		struct json_object *run = tree_item(runs, i);

		cell_name(stdout, tree_text(run, "id"), id_width(t));
		printf(" %-9s %.19sZ %.19sZ\n", tree_text(run, "state"), tree_text(run, "deleted_at"),
		       tree_text(run, "undelete_until"));
	}
	if (tree_text(answer, "next_page_token")[0])
		fprintf(stderr, "there are more; see --limit\n");
	json_object_put(answer);
	return EXIT_OK;
}

static int print_table(struct source *s, const struct target *t, const char *path, bool filtered)
{
	struct fault f = { 0 };
	struct json_object *answer = verb_tree(s, path, &f), *runs = tree_list(answer, "runs");
	int err = answer ? 0 : f.err;

	if (answer && list_length(runs) == 0)
		print_nothing(t, filtered);
	else if (answer)
		print_head(t);
	for (size_t i = 0; err == 0 && i < list_length(runs); i++)
		err = print_run(s, t, tree_item(runs, i), &f);
	if (err == 0 && tree_text(answer, "next_page_token")[0])
		fprintf(stderr, "there are more; see --limit\n");
	json_object_put(answer);
	return err < 0 ? verb_fault(&f) : EXIT_OK;
}

int verb_runs(const struct target *t, int argc, char **argv)
{
	const char *state = NULL, *name = NULL, *tag = NULL, *limit = t->json ? NULL : LIMIT_DEFAULT;
	bool deleted = false;
	const struct option_text options[] = {
		{ "--state", 0, &state, NULL }, { "--name", 0, &name, NULL },
		{ "--tag", 0, &tag, NULL },     { "--deleted", 0, NULL, &deleted },
		{ "--limit", 0, &limit, NULL },
	};
	struct verb_args args = { .help = help,
				  .options = options,
				  .n_options = sizeof options / sizeof *options };
	struct source *s;
	struct fault f = { 0 };
	struct buf path;
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (source_open(t, &s, &f) < 0)
		return verb_fault(&f);
	path_init(&path, t);
	path_add(&path, "/runs");
	path_param(&path, "state", state);
	path_param(&path, "name", name);
	path_param(&path, "tag", tag);
	path_param(&path, "deleted", deleted ? "true" : NULL);
	path_param(&path, "limit", limit);
	status = t->json   ? verb_print(s, buf_cstr(&path))
		 : deleted ? print_deleted(s, t, buf_cstr(&path))
			   : print_table(s, t, buf_cstr(&path), state || name || tag);
	buf_release(&path);
	source_close(s);
	return status;
}

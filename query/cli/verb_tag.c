/*
 * verb_tag.c - `astraml tag` and `astraml wait`: small things about one run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "query/cli/verb.h"
#include "query/params.h"
#include "store/base/clock.h"

static const char tag_help[] =
    "usage: astraml tag R [KEY=VALUE | -KEY]... [--server URL | --data DIR]\n"
    "                   [--project P] [--json]\n"
    "\n"
    "Sets tags of a run, and takes those with a '-' before them away; then shows the\n"
    "tags it has.  `astraml runs --tag KEY=VALUE` finds runs by them.\n"
    "\n"
    "example: astraml tag r1 baseline=yes reviewed=2025-07-06 -draft\n";

static const char wait_help[] =
    "usage: astraml wait R [--timeout T] [--server URL | --data DIR] [--project P]\n"
    "\n"
    "Waits until a run has ended, and ends as it did: with its exit code; without one\n"
    "with 0 when it finished and 1 when it failed or was killed.  After T (1h, 90s)\n"
    "it gives up with 5.\n"
    "\n"
    "example: astraml wait r1 && astraml compare r1 r2\n";

#define POLL_MS 500

/* ---- tag ---- */

/* {"tags":{...}} of the arguments; NULL: told what is wrong. */
static struct json_object *tags_of(int argc, char **argv)
{
	struct json_object *body = json_object_new_object(), *tags = json_object_new_object();

	json_object_object_add(body, "tags", tags);
	for (int i = 0; i < argc; i++) {
		const char *equals = strchr(argv[i], '=');
		char key[256];

		if (argv[i][0] == '-' && argv[i][1] && argv[i][1] != '-') {
			json_object_object_add(tags, argv[i] + 1, NULL);
			continue;
		}
		if (!equals || equals == argv[i] || argv[i][0] == '-' ||
		    equals - argv[i] >= (long)sizeof key) {
			fprintf(stderr,
				"astraml tag: \"%s\" is neither KEY=VALUE nor -KEY; see astraml tag --help\n",
				argv[i]);
			json_object_put(body);
			return NULL;
		}
		snprintf(key, sizeof key, "%.*s", (int)(equals - argv[i]), argv[i]);
		json_object_object_add(tags, key, json_object_new_string(equals + 1));
	}
	return body;
}

static int print_tags(const struct target *t, struct span answer)
{
	struct json_object *run, *tags;

	if (t->json)
		return fwrite(answer.data, 1, answer.len, stdout) == answer.len ? EXIT_OK : EXIT_TROUBLE;
	run = tree_parse(answer);
	tags = tree_member(tree_member(run, "spec"), "tags");
	if (json_object_is_type(tags, json_type_object)) {
		json_object_object_foreach(tags, key, value)
		{
			printf("%s=%s\n", key, json_object_get_string(value));
		}
	}
	json_object_put(run);
	return EXIT_OK;
}

static int tag(const struct target *t, const char *run, struct json_object *body, bool change)
{
	struct buf answer = { 0 }, path;
	struct fault f = { 0 };
	struct source *s;
	int err = source_open(t, &s, &f), status;

	if (err < 0)
		return verb_fault(&f);
	verb_run_path(&path, t, run, "");
	if (change)
		err = source_send(s, "PATCH", buf_cstr(&path), span_str(json_object_to_json_string(body)),
				  &answer, &f);
	else
		err = source_fetch(s, buf_cstr(&path), &answer, &f);
	status = err < 0 ? verb_fault(&f) : print_tags(t, buf_span(&answer));
	buf_release(&path);
	buf_release(&answer);
	source_close(s);
	return status;
}

int verb_tag(const struct target *t, int argc, char **argv)
{
	bool asks_help = false;
	struct json_object *body;
	int status;

	for (int i = 1; i < argc; i++)
		asks_help |= strcmp(argv[i], "--help") == 0;
	if (asks_help || (argc > 1 && strcmp(argv[1], "-h") == 0)) {
		fputs(tag_help, stdout);
		return EXIT_OK;
	}
	if (argc < 2 || argv[1][0] == '-') {
		fprintf(stderr, "astraml tag: which run? see astraml tag --help\n");
		return EXIT_USAGE;
	}
	body = tags_of(argc - 2, argv + 2);
	if (!body)
		return EXIT_USAGE;
	status = tag(t, argv[1], body, argc > 2);
	json_object_put(body);
	return status;
}

/* ---- wait ---- */

/* -1: it goes on; else how it ended. */
static int ended_as(struct json_object *run)
{
	struct json_object *code = tree_member(run, "exit_code");
	const char *state = tree_text(run, "state");

	if (strcmp(state, "finished") != 0 && strcmp(state, "failed") != 0 && strcmp(state, "killed") != 0)
		return -1;
	if (code)
		return json_object_get_int(code) & 255;
	return strcmp(state, "finished") == 0 ? 0 : 1;
}

static int wait_for(struct source *s, const char *path, int64_t until_ns, struct fault *f)
{
	const struct timespec pause = { 0, POLL_MS * NS_PER_MS };

	for (;;) {
		struct json_object *run = verb_tree(s, path, f);
		int status;

		if (!run)
			return verb_fault(f);
		status = ended_as(run);
		if (status < 0 && clock_mono_ns() >= until_ns) {
			fprintf(stderr, "astraml wait: the run is still %s\n", tree_text(run, "state"));
			status = EXIT_TROUBLE;
		}
		json_object_put(run);
		if (status >= 0)
			return status;
		nanosleep(&pause, NULL);
	}
}

int verb_wait(const struct target *t, int argc, char **argv)
{
	const char *timeout = NULL, *run;
	const struct option_text options[] = { { "--timeout", 0, &timeout, NULL } };
	struct verb_args args = {
		.help = wait_help, .options = options, .n_options = 1, .max_positional = 1
	};
	int64_t ns = INT64_MAX / 2;
	struct fault f = { 0 };
	struct source *s;
	struct buf path;
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (!(run = verb_run_id(&args, "wait", 1)))
		return EXIT_USAGE;
	if (timeout && !duration_parse(span_str(timeout), &ns)) {
		fprintf(stderr, "astraml wait: --timeout %s is no time, as 90s or 1h\n", timeout);
		return EXIT_USAGE;
	}
	if (source_open(t, &s, &f) < 0)
		return verb_fault(&f);
	verb_run_path(&path, t, run, "");
	status = wait_for(s, buf_cstr(&path), clock_mono_ns() + ns, &f);
	buf_release(&path);
	source_close(s);
	return status;
}

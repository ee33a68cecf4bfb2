/*
 * verb_rm.c - `astraml rm` and `astraml undelete`.
 */
#include <stdio.h>

#include "query/cli/verb.h"

static const char rm_help[] =
    "usage: astraml rm R... [--server URL | --data DIR] [--project P] [--json]\n"
    "\n"
    "Deletes runs with their metrics and logs.  A deleted run is not there for\n"
    "anybody: it is not listed, its followers end, what its workers still send is\n"
    "refused; its id may be used again at once.  For 7 days `astraml undelete` brings\n"
    "it back as it was; then it goes for good.\n"
    "\n"
    "Exit status 3: one of them is not there; the others are deleted all the same.\n"
    "\n"
    "example: astraml rm failed-7 failed-8 --project p-demo\n";

static const char undelete_help[] =
    "usage: astraml undelete R... [--server URL | --data DIR] [--project P] [--json]\n"
    "\n"
    "Brings back runs that were deleted in the last 7 days, with everything they had.\n"
    "Of several runs that had the id the one deleted last comes back; none does while\n"
    "another run has the id.\n"
    "\n"
    "example: astraml undelete failed-7 --project p-demo\n";

struct act {
	const char *verb, *method, *suffix;
	void (*tell)(struct json_object *run);
};

static void tell_deleted(struct json_object *run)
{
	const char *id = tree_text(run, "id");

	printf("deleted %s; until %.19sZ `astraml undelete %s` brings it back\n", id,
	       tree_text(run, "undelete_until"), id);
}

static void tell_back(struct json_object *run)
{
	printf("%s is back: %s\n", tree_text(run, "id"), tree_text(run, "state"));
}

static int act_on(struct source *s, const struct target *t, const struct act *act, const char *run,
		  struct buf *answer)
{
	struct json_object *o;
	struct fault f = { 0 };
	struct buf path;
	int err;

	verb_run_path(&path, t, run, act->suffix);
	err = source_send(s, act->method, buf_cstr(&path), span_of(NULL, 0), answer, &f);
	buf_release(&path);
	if (err < 0)
		return verb_fault(&f);
	if (t->json) {
		fwrite(answer->data, 1, answer->len, stdout);
		return EXIT_OK;
	}
	o = tree_parse(buf_span(answer));
	act->tell(o);
	json_object_put(o);
	return EXIT_OK;
}

/* Every run is tried; the first trouble is the verb's. */
static int act_on_all(const struct target *t, const struct act *act, int argc, char **argv)
{
	struct buf answer = { 0 };
	struct fault f = { 0 };
	struct source *s;
	int status = EXIT_OK;

	if (source_open(t, &s, &f) < 0)
		return verb_fault(&f);
	for (int i = 1; i < argc; i++) {
		int one = act_on(s, t, act, argv[i], &answer);

		status = status == EXIT_OK ? one : status;
	}
	buf_release(&answer);
	source_close(s);
	return status;
}

static int run_verb(const struct target *t, const struct act *act, const char *help, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (argv[i][0] == '-') {
			fprintf(stderr, "astraml %s: there is no option %s; see astraml %s --help\n",
				act->verb, argv[i], act->verb);
			return EXIT_USAGE;
		}
	}
	if (argc > 1)
		return act_on_all(t, act, argc, argv);
	fprintf(stderr, "astraml %s: which runs? see astraml %s --help\n", act->verb, act->verb);
	return EXIT_USAGE;
}

int verb_rm(const struct target *t, int argc, char **argv)
{
	static const struct act act = { "rm", "DELETE", "", tell_deleted };

	return run_verb(t, &act, rm_help, argc, argv);
}

int verb_undelete(const struct target *t, int argc, char **argv)
{
	static const struct act act = { "undelete", "POST", ":undelete", tell_back };

	return run_verb(t, &act, undelete_help, argc, argv);
}

/*
 * verb_project.c - `astraml project`: the projects there are, and new ones.
 */
#include <stdio.h>

#include "query/cli/term.h"
#include "query/cli/verb.h"
#include "store/base/clock.h"

static const char help[] = "usage: astraml project [--json]\n"
			   "       astraml project create NAME [--json]\n"
			   "\n"
			   "Lists the projects there are, by name, or makes one: 1 to 64 of A-Z a-z 0-9\n"
			   ". _ -  A project also comes into being with its first run or policy.  Needs\n"
			   "the owner's token.\n"
			   "\n"
			   "example: astraml project create p-demo\n";

static void print_projects(const struct target *t, struct json_object *list)
{
	printf("%s%-32s %s%s\n", color_start(t->color, COLOR_BOLD), "PROJECT", "CREATED",
	       color_end(t->color, COLOR_BOLD));
	for (size_t i = 0; i < list_length(list); i++) {
		struct json_object *project = tree_item(list, i);
		int64_t created_ns = tree_time(project, "created_at");
		char created[CLOCK_TEXT_MAX];

		clock_format(created_ns - created_ns % NS_PER_S, created);
		cell_name(stdout, tree_text(project, "name"), 32);
		printf(" %s\n", created);
	}
}

static int list_projects(struct source *s, const struct target *t)
{
	struct json_object *answer;
	struct fault f = { 0 };

	if (t->json)
		return verb_print(s, "/v2/projects");
	answer = verb_tree(s, "/v2/projects", &f);
	if (!answer)
		return verb_fault(&f);
	print_projects(t, tree_list(answer, "projects"));
	json_object_put(answer);
	return EXIT_OK;
}

static int create_project(struct source *s, const struct target *t, const char *name)
{
	struct json_object *body = json_object_new_object();
	struct buf answer = { 0 };
	struct fault f = { 0 };
	int err;

	json_object_object_add(body, "name", json_object_new_string(name));
	err =
	    source_send(s, "POST", "/v2/projects",
			span_str(json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN)), &answer, &f);
	if (err == 0 && t->json)
		printf("%s", buf_cstr(&answer));
	else if (err == 0)
		printf("project %s is made\n", name);
	json_object_put(body);
	buf_release(&answer);
	return err < 0 ? verb_fault(&f) : EXIT_OK;
}

int verb_project(const struct target *t, int argc, char **argv)
{
	struct verb_args args = { .help = help, .max_positional = 2 };
	struct source *s;
	struct fault f = { 0 };
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (args.n_positional == 1 || (args.n_positional == 2 && strcmp(args.positional[0], "create") != 0)) {
		fprintf(stderr, "astraml project: say create NAME, or nothing; see astraml project --help\n");
		return EXIT_USAGE;
	}
	if (source_open(t, &s, &f) < 0)
		return verb_fault(&f);
	status = args.n_positional == 2 ? create_project(s, t, args.positional[1]) : list_projects(s, t);
	source_close(s);
	return status;
}

/*
 * verb_policy.c - `astraml policy`: how long a project's data is kept, and in which windows.
 */
#include <stdio.h>

#include "query/cli/term.h"
#include "query/cli/verb.h"

static const char help[] =
    "usage: astraml policy [--json]\n"
    "       astraml policy set FIELD=VALUE... [--json]\n"
    "\n"
    "How long the project's data is kept, in which windows, and whether the project\n"
    "chose that itself.\n"
    "\n"
    "  window=30s          windows of runs to come that ask for none: 1s to 5m\n"
    "  grace=30s           how long after a window's end its data is waited for\n"
    "  tiers=30s:14d,...   widths of windows, rising, and how long each is kept: 14d,\n"
    "                      2y, forever\n"
    "  raw_keep=7d         samples one by one\n"
    "  log_keep=30d        log records\n"
    "\n"
    "FIELD=default puts a field back to its default.  Age counts from the later of a\n"
    "window's end and its arrival; a change holds for what is there already.  --json\n"
    "prints the policy as the API does.\n"
    "\n"
    "example: astraml policy set tiers=30s:14d,5m:90d,1h:2y,1d:forever log_keep=60d\n";

/* ---- show ---- */

static void print_row(const char *field, const char *value, const char *source)
{
	if (*source)
		printf("%-9s %-20s %s\n", field, value, source);
	else
		printf("%-9s %s\n", field, value);
}

static void print_tiers(struct json_object *list, const char *source)
{
	for (size_t i = 0; i < list_length(list); i++) {
		struct json_object *tier = tree_item(list, i);
		const char *keep = tree_text(tier, "keep");
		char value[64];

		snprintf(value, sizeof value, "%-4s %s%s", tree_text(tier, "every"),
			 strcmp(keep, "forever") == 0 ? "" : "for ", keep);
		print_row(i == 0 ? "tiers" : "", value, i == 0 ? source : "");
	}
}

static int print_policy(const struct target *t, struct span text)
{
	static const char *const fields[] = { "window", "grace", "raw_keep", "log_keep" };
	struct json_object *policy, *source;

	if (t->json)
		return printf("%.*s", (int)text.len, (const char *)text.data) < 0 ? EXIT_TROUBLE : EXIT_OK;
	policy = tree_parse(text);
	source = tree_member(policy, "source");
	if (!source) {
		fprintf(stderr, "astraml: the answer is no policy; is this an astraml server?\n");
		json_object_put(policy);
		return EXIT_TROUBLE;
	}
	printf("%s%-9s %-20s %s%s\n", color_start(t->color, COLOR_BOLD), "FIELD", "VALUE", "SOURCE",
	       color_end(t->color, COLOR_BOLD));
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		print_row(fields[i], tree_text(policy, fields[i]), tree_text(source, fields[i]));
	print_tiers(tree_list(policy, "tiers"), tree_text(source, "tiers"));
	json_object_put(policy);
	return EXIT_OK;
}

/* ---- set ---- */

/* "30s:14d,5m:90d" as [{"every":"30s","keep":"14d"},...]; NULL: told what is wrong. */
static struct json_object *tiers_of(const char *text)
{
	struct json_object *list = json_object_new_array();

	for (;;) {
		size_t n = strcspn(text, ","), width = strcspn(text, ":,");
		struct json_object *tier;

		if (text[width] != ':') {
			fprintf(stderr,
				"astraml policy: tiers has \"%.*s\"; each is WIDTH:KEEP, as in 5m:90d\n",
				(int)n, text);
			json_object_put(list);
			return NULL;
		}
		tier = json_object_new_object();
		json_object_object_add(tier, "every", json_object_new_string_len(text, (int)width));
		json_object_object_add(tier, "keep",
				       json_object_new_string_len(text + width + 1, (int)(n - width - 1)));
		json_object_array_add(list, tier);
		if (!text[n])
			return list;
		text += n + 1;
	}
}

/* Adds one FIELD=VALUE; false: told what is wrong. */
static bool take_setting(struct json_object *change, const char *setting)
{
	const char *equals = strchr(setting, '=');
	struct json_object *value = NULL;
	char field[64];

	if (!equals || equals == setting || equals - setting >= (int)sizeof field) {
		fprintf(stderr, "astraml policy: \"%s\" is not FIELD=VALUE; see astraml policy --help\n",
			setting);
		return false;
	}
	snprintf(field, sizeof field, "%.*s", (int)(equals - setting), setting);
	if (json_object_object_get_ex(change, field, NULL)) {
		fprintf(stderr, "astraml policy: %s is said twice\n", field);
		return false;
	}
	if (strcmp(equals + 1, "default") != 0) {
		value =
		    strcmp(field, "tiers") == 0 ? tiers_of(equals + 1) : json_object_new_string(equals + 1);
		if (!value)
			return false;
	}
	json_object_object_add(change, field, value);
	return true;
}

static int set_policy(struct source *s, const struct target *t, const struct verb_args *args,
		      const char *path)
{
	struct json_object *change = json_object_new_object();
	struct buf answer = { 0 };
	struct fault f = { 0 };
	bool ok = true;
	int status = EXIT_USAGE;

	for (int i = 1; ok && i < args->n_positional; i++)
		ok = take_setting(change, args->positional[i]);
	if (ok) {
		const char *body = json_object_to_json_string_ext(change, JSON_C_TO_STRING_PLAIN);
		int err = source_send(s, "PUT", path, span_str(body), &answer, &f);

		status = err < 0 ? verb_fault(&f) : print_policy(t, buf_span(&answer));
	}
	json_object_put(change);
	buf_release(&answer);
	return status;
}

static int show_policy(struct source *s, const struct target *t, const char *path)
{
	struct buf answer = { 0 };
	struct fault f = { 0 };
	int err = source_fetch(s, path, &answer, &f);
	int status = err < 0 ? verb_fault(&f) : print_policy(t, buf_span(&answer));

	buf_release(&answer);
	return status;
}

int verb_policy(const struct target *t, int argc, char **argv)
{
	struct verb_args args = { .help = help, .max_positional = POSITIONALS_MAX };
	bool set;
	struct source *s;
	struct fault f = { 0 };
	struct buf path;
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	set = args.n_positional > 0 && strcmp(args.positional[0], "set") == 0;
	if ((args.n_positional > 0 && !set) || (set && args.n_positional == 1)) {
		fprintf(stderr, "astraml policy: %s; see astraml policy --help\n",
			set ? "set needs FIELD=VALUE" : "without set it takes no argument");
		return EXIT_USAGE;
	}
	if (source_open(t, &s, &f) < 0)
		return verb_fault(&f);
	path_init(&path, t);
	path_add(&path, "/policy");
	status = set ? set_policy(s, t, &args, buf_cstr(&path)) : show_policy(s, t, buf_cstr(&path));
	buf_release(&path);
	source_close(s);
	return status;
}

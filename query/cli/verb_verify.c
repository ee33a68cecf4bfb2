/*
 * verb_verify.c - `astraml verify`: is everything stored as it was written?
 */
#include <stdio.h>

#include "query/cli/repair.h"
#include "query/cli/term.h"
#include "query/cli/verb.h"

static const char verify_help[] =
    "usage: astraml verify [--repair] [--json]\n"
    "\n"
    "Walks everything stored and checks its structure, its form and its checksums.\n"
    "Works without a server too (--data DIR).  Exit status 5 when something is wrong;\n"
    "each trouble is one line.\n"
    "\n"
    "  --repair   of a directory that nobody serves: makes damaged parts again of\n"
    "             finer ones that are kept, sets aside what else is damaged (in\n"
    "             DIR/quarantine; answers that miss it stay partial), removes\n"
    "             left-over files, and says what only a backup can bring back\n"
    "\n"
    "example: astraml verify --data ./data\n";

struct check {
	const struct target *t;
	struct buf line;
	uint64_t troubles;
	bool ended;
};

static void check_line(struct check *c, struct span line)
{
	struct json_object *o, *end;

	if (c->t->json)
		printf("%.*s\n", (int)line.len, (const char *)line.data);
	o = tree_parse(line);
	if (json_object_object_get_ex(o, "end", &end)) {
		c->ended = true;
		c->troubles = tree_u64(end, "troubles");
		if (!c->t->json && json_object_is_type(end, json_type_object)) {
			json_object_object_foreach(end, key, value)
			{
				printf("%-24s %16s\n", key, json_object_get_string(value));
			}
		}
	} else if (json_object_object_get_ex(o, "error", &end)) {
		fprintf(stderr, "astraml: %s\n", tree_text(end, "message"));
	} else if (!c->t->json) {
		printf("%s%s%s\n", color_start(c->t->color, COLOR_RED), tree_text(o, "trouble"),
		       color_end(c->t->color, COLOR_RED));
	}
	json_object_put(o);
}

static int check_piece(void *arg, struct span piece)
{
	struct check *c = arg;
	const uint8_t *end;
	int err = buf_add(&c->line, piece.data, piece.len);

	while (err == 0 && (end = memchr(c->line.data, '\n', c->line.len))) {
		size_t n = (size_t)(end - c->line.data);

		check_line(c, span_of(c->line.data, n));
		buf_consume(&c->line, n + 1);
	}
	return err;
}

static int verify(void *arg)
{
	struct check *c = arg;
	struct fault f = { 0 };
	struct source *s;
	int err;

	if (source_open(c->t, &s, &f) < 0)
		return verb_fault(&f);
	buf_init(&c->line, SOURCE_WHOLE_MAX);
	err = source_get(s, "/v2/verify", check_piece, c, &f);
	source_close(s);
	buf_release(&c->line);
	if (err < 0)
		return verb_fault(&f);
	if (c->ended && c->troubles == 0)
		return EXIT_OK;
	if (!c->ended)
		fprintf(stderr,
			"astraml: the answer ended in the middle; nothing is said of what was not checked\n");
	else
		fprintf(stderr,
			"astraml: %llu trouble%s; what is named above is damaged, the rest is served\n",
			(unsigned long long)c->troubles, c->troubles == 1 ? "" : "s");
	return EXIT_TROUBLE;
}

static int repair(void *arg) { return repair_directory(((struct check *)arg)->t); }

int verb_verify(const struct target *t, int argc, char **argv)
{
	bool wants_repair = false;
	const struct option_text options[] = { { "--repair", 0, NULL, &wants_repair } };
	struct verb_args args = { .help = verify_help, .options = options, .n_options = 1 };
	struct check c = { .t = t };
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (wants_repair && !t->data_dir) {
		fprintf(stderr,
			"astraml verify: which directory? --repair needs --data DIR, or ASTRAML_DATA\n");
		return EXIT_USAGE;
	}
	if (wants_repair)
		return verb_apart(t->data_dir, repair, &c);
	return t->url ? verify(&c) : verb_apart(t->data_dir, verify, &c);
}

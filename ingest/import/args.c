#include "ingest/import/args.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define FIRST 256 /* what getopt returns for the first option: above every character */

const char *import_arg(const struct import_args *a, const char *name, size_t nth)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->given[i].option->name, name) == 0 && nth-- == 0)
			return a->given[i].value;
	return NULL;
}

/* Appends to what getopt_long wants; val is the position in both tables. */
static size_t add_options(const struct import_option *from, const struct import_option **options,
			  struct option *known, size_t n)
{
	for (; from && from->name && n < IMPORT_ARGS_MAX; from++, n++) {
		options[n] = from;
		known[n] = (struct option){ from->name, from->is_flag ? no_argument : required_argument, NULL,
					    (int)n + FIRST };
	}
	return n;
}

static void insert(struct import_args *a, struct import_arg arg)
{
	size_t at = a->n++;

	for (; at > 0 && a->given[at - 1].place > arg.place; at--)
		a->given[at] = a->given[at - 1];
	a->given[at] = arg;
}

static bool take(struct import_args *a, const struct import_option *o, size_t place, const char *value,
		 char why[ARGS_WHY_MAX])
{
	if (a->n == IMPORT_ARGS_MAX)
		snprintf(why, ARGS_WHY_MAX, "more than %d options", IMPORT_ARGS_MAX);
	else if (!o->repeatable && import_arg(a, o->name, 0))
		snprintf(why, ARGS_WHY_MAX, "--%s may be given once", o->name);
	else
		insert(a, (struct import_arg){ o, place, value ? value : "" });
	return !why[0];
}

bool import_args_parse(int argc, char **argv, const struct import_option *common,
		       const struct import_option *of_format, struct import_args *ret, int *ret_rest,
		       char why[ARGS_WHY_MAX])
{
	const struct import_option *options[IMPORT_ARGS_MAX];
	struct option known[IMPORT_ARGS_MAX + 1] = { 0 };
	size_t n = add_options(common, options, known, 0);
	struct import_args args = { .n = 0 };
	int c;

	add_options(of_format, options, known, n);
	why[0] = 0;
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", known, NULL)) != -1) {
		size_t place = (size_t)c - FIRST;

		if (c == ':')
			snprintf(why, ARGS_WHY_MAX, "%.100s needs a value", argv[optind - 1]);
		else if (c == '?')
			snprintf(why, ARGS_WHY_MAX, "there is no option %.100s", argv[optind - 1]);
		if (why[0] || !take(&args, options[place], place, optarg, why))
			return false;
	}
	*ret = args;
	*ret_rest = optind;
	return true;
}

/*
 * args.h - the options of an import as they were given: the importer's own, and those of a format.
 */
#ifndef INGEST_IMPORT_ARGS_H
#define INGEST_IMPORT_ARGS_H

#include <stdbool.h>
#include <stddef.h>

struct import_option {
	const char *name; /* without --; NULL ends a table */
	bool is_flag;     /* takes no value */
	bool repeatable;
	bool is_silent; /* does not change what is imported: not a part of the producer id */
};

#define IMPORT_ARGS_MAX 64

struct import_arg {
	const struct import_option *option;
	size_t place;      /* of the option in the tables */
	const char *value; /* borrowed from argv; "" of a flag */
};

/* In the order of the tables, values of one option as given: how options are ordered means nothing. */
struct import_args {
	struct import_arg given[IMPORT_ARGS_MAX];
	size_t n;
};

/* The nth value given to an option, from 0: "" of a flag, NULL when it was not given so often. */
const char *import_arg(const struct import_args *a, const char *name, size_t nth);

/* Takes the options of both tables (either may be NULL) out of argv, which is reordered so that
 * what is left stands from *ret_rest on.  false: they are wrong, and why[] says what about them. */
#define ARGS_WHY_MAX 200
bool import_args_parse(int argc, char **argv, const struct import_option *common,
		       const struct import_option *of_format, struct import_args *ret, int *ret_rest,
		       char why[ARGS_WHY_MAX]);

#endif

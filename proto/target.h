/*
 * target.h - what a verb of the program talks to, and how it ends.
 *
 * tools/astraml.c fills it from the command line, the environment and ~/.config/astraml/config,
 * and takes the common options (--server --data --project --json --no-color) out of argv.
 * Verbs that write always find a URL (a server was started in this process when --data named a
 * directory that nobody serves); verbs that read get either a URL or a data directory.
 */
#ifndef PROTO_TARGET_H
#define PROTO_TARGET_H

#include <stdbool.h>

struct target {
	const char *url;      /* NULL: read data_dir */
	const char *token;    /* NULL: none */
	const char *data_dir; /* set when --data was given */
	const char *project;  /* never NULL; "default" */
	bool json, color;     /* color: --no-color, NO_COLOR and whether stdout is a terminal are in it */
	bool unicode;         /* the locale is UTF-8 and the terminal is not a dumb one */
	int columns, rows;    /* of the terminal that stdout is; 0: it is none */
};

/* Exit status of the program (api 1). */
enum { EXIT_OK = 0, EXIT_USAGE = 2, EXIT_NOT_FOUND = 3, EXIT_NOT_ALLOWED = 4, EXIT_TROUBLE = 5 };

int exit_status_of(int err);

/* argv[0] is the verb.  Returns an exit status.  "--help" prints usage with an example and is OK. */
typedef int (*verb_fn)(const struct target *t, int argc, char **argv);

#endif

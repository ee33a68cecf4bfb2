/*
 * verb.h - what the verbs share: options, faults, answers as trees.  Inside query/ only.
 */
#ifndef QUERY_VERB_H
#define QUERY_VERB_H

#include <json-c/json.h>

#include "query/cli/source.h"
#include "query/cli/verbs.h"

struct option_text {
	const char *name;   /* "--grep" */
	char letter;        /* 'C' for -C; 0: none */
	const char **value; /* where its value goes; NULL: a flag */
	bool *flag;
};

#define POSITIONALS_MAX 9

struct verb_args {
	const char *help; /* printed for --help */
	const struct option_text *options;
	size_t n_options;
	const char *positional[POSITIONALS_MAX]; /* filled in */
	int n_positional, max_positional;
};

/* True: go on.  False: *ret_status says how the verb ends (help was printed, or what is wrong). */
bool verb_parse(struct verb_args *a, int argc, char **argv, int *ret_status);

/* A run's id from the first positional or ASTRAML_RUN; `wanted` positionals are needed, the id
 * among them.  NULL: told what is missing. */
const char *verb_run_id(struct verb_args *a, const char *verb, int wanted);

/* Says the sentence on stderr; returns the exit status. */
int verb_fault(const struct fault *f);

/* Calls fn in a process of its own, for work on a directory that may be damaged: where LMDB dies of its own
 * file, that is told.  Returns what fn returns. */
int verb_apart(const char *dir, int (*fn)(void *arg), void *arg);

/* Whether text is a whole number from least to most; says so on stderr when it is not. */
bool verb_number(const char *option, const char *text, uint64_t least, uint64_t most, uint64_t *ret);

/* Whether an option's value (NULL: not given) is KEY=VALUE; told if it is not. */
bool verb_pair(const char *option, const char *pair);
void verb_pair_param(struct buf *path, const char *prefix, const char *pair); /* prefix.KEY=VALUE */

/* Adds label.K=V of "K=V" (NULL: nothing), step_start and step_end of "A:B" (either may be missing).
 * False: told what is wrong. */
bool verb_label(struct buf *path, const char *label);
bool verb_steps(struct buf *path, const char *steps);

/* "/runs/RUN" and rest, as a fresh path. */
void verb_run_path(struct buf *path, const struct target *t, const char *run, const char *rest);

/* Prints the answer as it is. */
int verb_print(struct source *s, const char *path);
int verb_print_as(struct source *s, const char *path, const char *accept); /* in this content type */

/* JSON of the API as a tree, to be put; NULL when it is none. */
struct json_object *tree_parse(struct span text);

/* An answer as a tree, to be put; NULL: f is filled. */
struct json_object *verb_tree(struct source *s, const char *path, struct fault *f);
struct json_object *verb_run_tree(struct source *s, const struct target *t, const char *run, const char *rest,
				  struct fault *f); /* of verb_run_path(run, rest) */

/* ---- members of a tree; text and list are borrowed from it ---- */

const char *tree_text(struct json_object *o, const char *key); /* "" when it is no string */
struct json_object *tree_list(struct json_object *o, const char *key);
size_t list_length(struct json_object *list);                            /* 0 for what is no list */
struct json_object *tree_item(struct json_object *list, size_t i);       /* NULL: null, or not there */
const char *tree_item_text(struct json_object *list, size_t i);          /* "" when it is no string */
struct json_object *tree_member(struct json_object *o, const char *key); /* NULL: null, or not there */
bool tree_flag(struct json_object *o, const char *key);
uint64_t tree_u64(struct json_object *o, const char *key);

/* Nanoseconds of a time member; 0 for null. */
int64_t tree_time(struct json_object *o, const char *key);

/* A number of the API: also "NaN", "Infinity", "-Infinity"; false for null. */
bool tree_number(struct json_object *o, double *ret);

#endif

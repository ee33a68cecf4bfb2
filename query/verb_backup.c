/*
 * verb_backup.c - `astraml backup` and `astraml restore`: the verbs that work on a directory itself.
 */
#include <stdio.h>

#include "query/term.h"
#include "query/verb.h"
#include "store/admin.h"

static const char backup_help[] =
    "usage: astraml backup TO --data DIR [--json]\n"
    "\n"
    "Copies everything in the data directory DIR, as of one moment, into the directory TO, also while\n"
    "DIR is served.  The copy is read again and verified before it takes its place.  TO is new, empty,\n"
    "or an earlier backup, which is then replaced.  owner.token stays behind.\n"
    "\n"
    "A backup can be looked at as it is (astraml runs --data TO); to serve it, restore it.\n"
    "\n"
    "example: astraml backup /backup/astraml --data ./data\n";

static const char restore_help[] =
    "usage: astraml restore FROM --data DIR [--json]\n"
    "\n"
    "Makes the data directory DIR, which must not be there or be empty, of the backup FROM.  The next\n"
    "`astraml serve --data DIR` writes a new owner.token; the token of the old owner is not valid there.\n"
    "\n"
    "example: astraml restore /backup/astraml --data ./data\n";

static int need_directory(const struct target *t, const char *verb)
{
	if (t->data_dir)
		return EXIT_OK;
	fprintf(stderr,
		"astraml %s: which data directory? say --data DIR (a server's is not reached by URL)\n",
		verb);
	return EXIT_USAGE;
}

static int say(const struct target *t, const char *what, const char *path, const struct verify_counts *n)
{
	if (t->json)
		printf(
		    "{\"values\":%llu,\"runs\":%llu,\"series\":%llu,\"buckets\":%llu,\"log_records\":%llu}\n",
		    (unsigned long long)n->values, (unsigned long long)n->runs, (unsigned long long)n->series,
		    (unsigned long long)n->buckets, (unsigned long long)n->log_records);
	else
		printf("%s %s: %llu run%s, %llu series, %llu log records; verified\n", what, path,
		       (unsigned long long)n->runs, n->runs == 1 ? "" : "s", (unsigned long long)n->series,
		       (unsigned long long)n->log_records);
	return EXIT_OK;
}

int verb_backup(const struct target *t, int argc, char **argv)
{
	struct verb_args args = { .help = backup_help, .max_positional = 1 };
	struct store_options o = { .read_only = true };
	struct verify_counts counts;
	struct fault f = { 0 };
	struct store *s;
	int status, err;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (args.n_positional == 0) {
		fprintf(stderr, "astraml backup: where to? see astraml backup --help\n");
		return EXIT_USAGE;
	}
	status = need_directory(t, "backup");
	if (status != EXIT_OK)
		return status;
	err = store_open(t->data_dir, &o, &s, &f);
	if (err == 0) {
		err = store_backup(s, args.positional[0], &counts, &f);
		store_close(s);
	}
	return err < 0 ? verb_fault(&f) : say(t, "backup in", args.positional[0], &counts);
}

int verb_restore(const struct target *t, int argc, char **argv)
{
	struct verb_args args = { .help = restore_help, .max_positional = 1 };
	struct verify_counts counts;
	struct fault f = { 0 };
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (args.n_positional == 0) {
		fprintf(stderr, "astraml restore: from where? see astraml restore --help\n");
		return EXIT_USAGE;
	}
	status = need_directory(t, "restore");
	if (status != EXIT_OK)
		return status;
	if (store_restore(args.positional[0], t->data_dir, &counts, &f) < 0)
		return verb_fault(&f);
	return say(t, "restored", t->data_dir, &counts);
}

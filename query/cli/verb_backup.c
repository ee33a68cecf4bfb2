/*
 * verb_backup.c - `astraml backup` and `astraml restore`: the verbs that work on a directory itself.
 */
#include <stdio.h>
#include <string.h>

#include "query/cli/term.h"
#include "query/cli/verb.h"
#include "store/admin.h"
#include "store/base/progress.h"

static const char backup_help[] =
    "usage: astraml backup TO --data DIR [--json]\n"
    "\n"
    "Copies everything in the data directory DIR, as of one moment, also while DIR is\n"
    "served.  The copy is read again and verified before it takes its place.\n"
    "owner.token stays behind.\n"
    "\n"
    "  TO a directory         new, empty, or an earlier backup, which is then\n"
    "                         replaced: sealed parts that it has already are kept, so\n"
    "                         that a daily backup copies what is new\n"
    "  TO ends in .tar or     one archive, new or in the place of an earlier one;\n"
    "  .tar.zst               while it is made, TO.new holds what goes into it\n"
    "\n"
    "A backup directory can be looked at as it is (astraml runs --data TO); to serve\n"
    "it, restore it.  `sha256sum -c SHA256SUMS` in a directory, or in an unpacked\n"
    "archive, checks its files.\n"
    "\n"
    "example: astraml backup /backup/astraml --data ./data\n"
    "         astraml backup astraml-monday.tar.zst --data ./data\n";

static const char restore_help[] =
    "usage: astraml restore FROM --data DIR [--json]\n"
    "\n"
    "Makes the data directory DIR, which must not be there or be empty, of the backup\n"
    "FROM: a directory or an archive.  It is verified before it takes its place.  The\n"
    "next `astraml serve --data DIR` writes a new owner.token; the token of the old\n"
    "owner is not valid there.\n"
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

/* Without the end of the line, or of the object. */
static void say_counts(const struct target *t, const char *what, const char *path,
		       const struct verify_counts *n)
{
	if (t->json)
		printf("{\"values\":%llu,\"runs\":%llu,\"series\":%llu,\"buckets\":%llu,\"log_records\":%llu",
		       (unsigned long long)n->values, (unsigned long long)n->runs,
		       (unsigned long long)n->series, (unsigned long long)n->buckets,
		       (unsigned long long)n->log_records);
	else
		printf("%s %s: %llu run%s, %llu series, %llu log records; verified", what, path,
		       (unsigned long long)n->runs, n->runs == 1 ? "" : "s", (unsigned long long)n->series,
		       (unsigned long long)n->log_records);
}

static int say_backup(const struct target *t, const char *path, const struct backup_report *r)
{
	char bytes[SHORT_TEXT_MAX];

	say_counts(t, "backup in", path, &r->counts);
	short_bytes(r->bytes, bytes);
	if (t->json)
		printf(",\"parts\":%llu,\"parts_kept\":%llu,\"bytes_written\":%llu}\n",
		       (unsigned long long)r->parts, (unsigned long long)r->parts_kept,
		       (unsigned long long)r->bytes);
	else if (r->parts_kept)
		printf("; %s written, %llu of %llu parts were there already\n", bytes,
		       (unsigned long long)r->parts_kept, (unsigned long long)r->parts);
	else
		printf("; %s written\n", bytes);
	return EXIT_OK;
}

struct copying {
	const struct target *target;
	const char *place; /* TO, or FROM */
};

static int backup(void *arg)
{
	const struct copying *c = arg;
	struct store_options o = { .read_only = true };
	struct backup_report report;
	struct progress progress;
	struct fault f = { 0 };
	struct store *s;
	int err = store_open(c->target->data_dir, &o, &s, &f);

	if (err == 0) {
		err = store_backup(s, c->place, &progress, &report, &f);
		store_close(s);
	}
	return err < 0 ? verb_fault(&f) : say_backup(c->target, c->place, &report);
}

/* A directory called copy.zip would surprise. */
static bool is_other_archive(const char *to)
{
	static const char *const ends[] = { ".zip", ".tgz", ".gz", ".xz", ".bz2", ".7z" };
	size_t n = strlen(to);

	if (n > 4 && strcmp(to + n - 4, ".zst") == 0)
		return n < 8 || strcmp(to + n - 8, ".tar.zst") != 0;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (n > strlen(ends[i]) && strcmp(to + n - strlen(ends[i]), ends[i]) == 0)
			return true;
	return false;
}

int verb_backup(const struct target *t, int argc, char **argv)
{
	struct verb_args args = { .help = backup_help, .max_positional = 1 };
	struct copying c = { .target = t };
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	c.place = args.positional[0];
	if (args.n_positional == 0) {
		fprintf(stderr, "astraml backup: where to? see astraml backup --help\n");
		return EXIT_USAGE;
	}
	if (is_other_archive(c.place)) {
		fprintf(
		    stderr,
		    "astraml backup: archives are made as .tar and .tar.zst; name %s so, or a directory\n",
		    c.place);
		return EXIT_USAGE;
	}
	status = need_directory(t, "backup");
	return status == EXIT_OK ? verb_apart(t->data_dir, backup, &c) : status;
}

static int restore(void *arg)
{
	const struct copying *c = arg;
	struct verify_counts counts;
	struct progress progress;
	struct fault f = { 0 };

	if (store_restore(c->place, c->target->data_dir, &progress, &counts, &f) < 0)
		return verb_fault(&f);
	say_counts(c->target, "restored", c->target->data_dir, &counts);
	printf(c->target->json ? "}\n" : "\n");
	return EXIT_OK;
}

int verb_restore(const struct target *t, int argc, char **argv)
{
	struct verb_args args = { .help = restore_help, .max_positional = 1 };
	struct copying c = { .target = t };
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	c.place = args.positional[0];
	if (args.n_positional == 0) {
		fprintf(stderr, "astraml restore: from where? see astraml restore --help\n");
		return EXIT_USAGE;
	}
	status = need_directory(t, "restore");
	return status == EXIT_OK ? verb_apart(c.place, restore, &c) : status;
}

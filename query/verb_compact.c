/*
 * verb_compact.c - `astraml compact`: seals and drops what a server's own thread would, at once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "query/out.h"
#include "query/params.h"
#include "query/term.h"
#include "query/verb.h"
#include "store/admin.h"

static const char help[] =
    "usage: astraml compact [--until TIME] [--dry-run] --data DIR\n"
    "\n"
    "Seals what ended by TIME (now) into parts of every tier, with all that came late, drops what the\n"
    "parts hold from the hot store, and parts that are past the time their project keeps them.  For a\n"
    "directory that nobody serves: a server compacts by itself.  Answers stay the same, to the last bit.\n"
    "\n"
    "  --until TIME   RFC 3339, integer milliseconds, or relative (-1h)\n"
    "  --dry-run      only tell what would be sealed and dropped next\n"
    "\n"
    "example: astraml compact --data ./data\n";

static void tell(void *arg, const char *sentence)
{
	const struct target *t = arg;

	if (!t->json)
		printf("%s\n", sentence);
}

static void print_report(const struct target *t, const struct compact_report *r)
{
	char bytes[SHORT_TEXT_MAX];

	if (t->json) {
		printf("{\"parts\":%llu,\"buckets\":%llu,\"bytes\":%llu,\"replaced\":%llu,\"dropped\":%llu,"
		       "\"flushes\":%llu,\"failed\":%llu}\n",
		       (unsigned long long)r->parts, (unsigned long long)r->buckets,
		       (unsigned long long)r->bytes, (unsigned long long)r->replaced,
		       (unsigned long long)r->dropped, (unsigned long long)r->flushes,
		       (unsigned long long)r->failed);
		return;
	}
	short_bytes(r->bytes, bytes);
	printf("%llu parts made, %llu buckets, %s; %llu older parts taken in; %llu parts and %llu flushes "
	       "dropped\n",
	       (unsigned long long)r->parts, (unsigned long long)r->buckets, bytes,
	       (unsigned long long)r->replaced, (unsigned long long)r->dropped,
	       (unsigned long long)r->flushes);
}

static int compact(const struct target *t, int64_t until_ns, bool dry_run)
{
	struct store_options o = { .no_compactor = true };
	struct compact_report report;
	struct fault f = { 0 };
	struct store *s;
	int err = store_open(t->data_dir, &o, &s, &f);

	if (err < 0)
		return verb_fault(&f);
	err = store_compact(s, until_ns, dry_run, tell, (void *)(uintptr_t)t, &report);
	store_close(s);
	if (err < 0) {
		fault_set(&f, err, "",
			  "compaction of %s ended early (%s); what was sealed so far stays, run it again",
			  t->data_dir, err_name(err));
		return verb_fault(&f);
	}
	print_report(t, &report);
	if (report.failed == 0)
		return EXIT_OK;
	fprintf(stderr, "astraml: %llu slots hold damage and stay as they are; see astraml verify\n",
		(unsigned long long)report.failed);
	return EXIT_TROUBLE;
}

int verb_compact(const struct target *t, int argc, char **argv)
{
	const char *until = NULL;
	bool dry_run = false;
	const struct option_text options[] = { { "--until", 0, &until, NULL },
					       { "--dry-run", 0, NULL, &dry_run } };
	struct verb_args args = { .help = help, .options = options, .n_options = 2 };
	int64_t now_ns = clock_now_ns(), until_ns = now_ns;
	struct fault f = { 0 };
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (!t->data_dir) {
		fprintf(stderr, "astraml compact: which directory? say --data DIR, or set ASTRAML_DATA\n");
		return EXIT_USAGE;
	}
	if (until && time_parse("--until", span_str(until), now_ns, &until_ns, &f) < 0) {
		fprintf(stderr, "astraml compact: %s\n", f.text);
		return EXIT_USAGE;
	}
	return compact(t, until_ns, dry_run);
}

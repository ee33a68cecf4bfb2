/*
 * verb_compact.c - `astraml compact`: seals and drops what a server's own thread would, at once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "query/cli/term.h"
#include "query/cli/verb.h"
#include "query/out.h"
#include "query/params.h"
#include "store/admin.h"
#include "store/base/progress.h"

static const char help[] = "usage: astraml compact [--until TIME] [--dry-run] --data DIR\n"
			   "\n"
			   "Seals what ended by TIME (now) into parts of every tier, with all that came\n"
			   "late, drops what the parts hold from the hot store, and parts and log records\n"
			   "that are past the time their project keeps them.  Runs that were deleted 7 days\n"
			   "ago go for good.  For a directory that nobody serves: a server compacts by\n"
			   "itself.  Answers stay the same, to the last bit.\n"
			   "\n"
			   "When more than half of the data file is free after that, it is written anew\n"
			   "without what is free.\n"
			   "\n"
			   "  --until TIME   RFC 3339, integer milliseconds, or relative (-1h)\n"
			   "  --dry-run      only tell what would be sealed and dropped next, tier by tier\n"
			   "\n"
			   "example: astraml compact --data ./data\n";

struct work {
	const struct target *target;
	struct progress progress;
};

static void tell(void *arg, const char *sentence)
{
	struct work *w = arg;

	if (w->target->json)
		return;
	progress_clear(&w->progress);
	printf("%s\n", sentence);
}

static void print_json(const struct compact_report *r, const struct shrink_report *file)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = { { "parts", r->parts },
			{ "buckets", r->buckets },
			{ "bytes", r->bytes },
			{ "replaced", r->replaced },
			{ "dropped", r->dropped },
			{ "flushes", r->flushes },
			{ "failed", r->failed },
			{ "runs", r->runs },
			{ "log_records", r->log_records },
			{ "log_parts", r->log_parts },
			{ "moved_records", r->moved_records },
			{ "file_before_bytes", file->before_bytes },
			{ "file_bytes", file->after_bytes } };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		printf("%s\"%s\":%llu", i ? "," : "{", numbers[i].name, (unsigned long long)numbers[i].value);
	printf("}\n");
}

static void print_report(const struct compact_report *r, const struct shrink_report *file)
{
	char bytes[SHORT_TEXT_MAX], before[SHORT_TEXT_MAX];

	short_bytes(r->bytes, bytes);
	printf("%llu parts made, %llu buckets, %s; %llu older parts taken in; %llu parts and %llu flushes "
	       "dropped\n",
	       (unsigned long long)r->parts, (unsigned long long)r->buckets, bytes,
	       (unsigned long long)r->replaced, (unsigned long long)r->dropped,
	       (unsigned long long)r->flushes);
	if (r->log_parts)
		printf("%llu log records moved into %llu log parts\n", (unsigned long long)r->moved_records,
		       (unsigned long long)r->log_parts);
	if (r->runs || r->log_records)
		printf("%llu deleted runs are gone for good, and %llu log records older than log_keep\n",
		       (unsigned long long)r->runs, (unsigned long long)r->log_records);
	if (file->after_bytes < file->before_bytes) {
		short_bytes(file->before_bytes, before);
		short_bytes(file->after_bytes, bytes);
		printf("the data file has %s, it had %s\n", bytes, before);
	}
}

static int report_all(const struct target *t, const struct compact_report *r,
		      const struct shrink_report *file)
{
	if (t->json)
		print_json(r, file);
	else
		print_report(r, file);
	if (r->failed == 0)
		return EXIT_OK;
	fprintf(stderr, "astraml: %llu slots hold damage and stay as they are; see astraml verify\n",
		(unsigned long long)r->failed);
	return EXIT_TROUBLE;
}

static int compact(const struct target *t, int64_t until_ns, bool dry_run)
{
	struct store_options o = { .no_compactor = true };
	struct shrink_report file = { 0 };
	struct compact_report report;
	struct work w = { .target = t };
	struct fault f = { 0 };
	struct store *s;
	char url[256];
	long pid;
	int status, err = store_open(t->data_dir, &o, &s, &f);

	if (err == ERR_HELD && store_holder(t->data_dir, &pid, url, sizeof(url)) == 0)
		fault_set(
		    &f, err, "data",
		    "%s is held by process %ld%s%s, and is compacted there; stop that first to do so here",
		    t->data_dir, pid, url[0] ? ", which serves " : "", url);
	if (err < 0)
		return verb_fault(&f);
	err = store_compact(s, until_ns, dry_run, tell, &w, &w.progress, &report);
	store_close(s);
	if (err < 0) {
		fault_set(&f, err, "",
			  "compaction of %s ended early (%s); what was sealed so far stays, run it again",
			  t->data_dir, err_name(err));
		return verb_fault(&f);
	}
	if (!dry_run)
		err = store_shrink(t->data_dir, &file, &f);
	status = report_all(t, &report, &file);
	if (err < 0 && verb_fault(&f) != EXIT_OK && err != ERR_BUSY) /* one that reads is told of, no more */
		status = EXIT_TROUBLE;
	return status;
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

/*
 * format.h - what the importer needs to know of a format: its options, and how a file is read.
 *
 * Another format is one more file that exports one of these, and a row in import.c's table.  It
 * knows nothing of runs, requests or the wire.  The frame opens files, unpacks and hashes them,
 * walks them twice (the first time to find what a run is made of, the second time to send), chooses
 * the run, cuts requests, shows progress and goes on where an import broke off.
 */
#ifndef INGEST_IMPORT_FORMAT_H
#define INGEST_IMPORT_FORMAT_H

#include "ingest/import/args.h"
#include "ingest/import/input.h"
#include "ingest/import/sink.h"
#include "ingest/line_time.h"
#include "proto/target.h"

/* What stands around one walk; the same in both. */
struct import_context {
	const struct import_args *args;

	/* When the file was last changed, as it was when it was first imported: later than what is in
	 * it.  The run keeps it. */
	int64_t reference_ns;

	bool has_start, has_end; /* --start, --end */
	int64_t start_ns, end_ns;
};

/* Which year times without one are of. */
struct year_rule import_years(const struct import_context *c);

/* An import as it was asked for, of a format that does all of it. */
struct import_job {
	const struct target *target;
	const struct import_args *args;
	const char *run; /* --run; NULL */
	char **paths;
	size_t n_paths;
};

struct client;

struct import_format {
	const char *name;
	const char *version; /* goes into the producer id: rises when the same bytes give other facts */
	const char *summary; /* half a line of `import --help` */
	const char *help;    /* what `import NAME --help` says below the first line: what becomes of a
			      * file, the options of the format, an example */
	const struct import_option *options; /* its own, ended by a name NULL; NULL: none */

	/* false: each file is a run.  true: all files of one directory that it takes are a run, read in
	 * the order of their names; a file that is named itself is one too. */
	bool run_is_directory;
	bool (*takes)(const char *name); /* which files of a directory; NULL: all */

	/* Whether the options make sense, before any file is opened: ERR_REFUSED and a sentence.  NULL:
	 * they always do. */
	int (*check)(const struct import_args *args, struct fault *f);

	/* One walk over one file: from its start as far as it likes.  A file that is not of this format
	 * is ERR_MALFORMED with the place and the way out. */
	int (*read)(const struct import_context *c, struct input *in, struct import_sink *k, struct fault *f);

	/* In the place of all that, where the files are no fixed bytes to be hashed and walked twice.
	 * Returns an exit status.  NULL: the frame imports. */
	int (*import)(const struct import_job *job, struct client *client);
};

extern const struct import_format csv_format, hf_trainer_format, jsonl_format, mllog_format,
    tensorboard_format, text_format;

#endif

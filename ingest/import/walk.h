/*
 * walk.h - one walk over the files of a run: open, read by the format, compare.
 */
#ifndef INGEST_IMPORT_WALK_H
#define INGEST_IMPORT_WALK_H

#include "ingest/import/file_list.h"
#include "ingest/import/format.h"

/* What both walks have in common. */
struct walk {
	const struct import_item *item;
	const struct import_format *format;
	struct import_context context;
	int64_t latest_ns;             /* times after it are in the future, and none */
	struct input_content *content; /* of each file: n_paths; filled by the first walk */
	struct progress *progress;
};

/* Everything goes to k.  second: files must be what they were; ERR_CONFLICT when they changed. */
int walk_files(const struct walk *w, bool second, struct import_sink *k, struct fault *f);

#endif

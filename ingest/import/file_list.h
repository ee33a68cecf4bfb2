/*
 * file_list.h - which files an import takes, and which run each of them becomes.
 */
#ifndef INGEST_IMPORT_FILE_LIST_H
#define INGEST_IMPORT_FILE_LIST_H

#include "ingest/import/format.h"

/* One run to be. */
struct import_item {
	char *name; /* owned; for people: the path below the directory that was named, of a file that
		     * was named itself the last part */
	char run[ID_MAX + 1];
	char **paths;    /* owned; one file, or all of a directory where the format wants that */
	uint64_t *sizes; /* owned; of each, as it is on the disk */
	size_t n_paths;
	uint64_t bytes;   /* of all */
	int64_t mtime_ns; /* the latest of all */
};

struct file_list {
	struct import_item *items;
	size_t n, cap;
};

/* The id of a run made of a file of that name: the name without .gz, .txt, .log and the like;
 * what may not stand in an id becomes '-'; a name too long is cut, and gets a hash of all of it. */
void run_id_of_name(const char *name, char ret[ID_MAX + 1]);

/* Whether a run may have this id: 1 to ID_MAX of [A-Za-z0-9._-], neither "." nor "..". */
bool run_id_ok(const char *id);

/* Adds a file, or all files below a directory that the format takes, by name, those that begin
 * with a dot left out.  ERR_NOT_FOUND, ERR_DENIED, ERR_IO, ERR_NOMEM. */
int file_list_add(struct file_list *l, const char *path, const struct import_format *format, struct fault *f);

/* ERR_REFUSED: two items would become one run. */
int file_list_check(const struct file_list *l, struct fault *f);
void file_list_release(struct file_list *l);

#endif

/*
 * rawmake.h - how a raw part comes to be, whatever it is made from.
 *
 * It is written into DIR/tmp, synced, read again and compared by its digest, renamed into DIR/parts, and
 * both directories are synced.  Nothing counts until the caller has put the row: whatever ends before
 * leaves a file to sweep.
 */
#ifndef STORE_RAWMAKE_H
#define STORE_RAWMAKE_H

#include "store/raw/rawrow.h"
#include "store/store.h"

struct raw_made {
	struct raw_row row; /* its runs are those below */
	struct buf runs;    /* owned */
};

/* Adds all samples, of series whose runs are there. */
typedef int (*raw_fill_fn)(void *arg, struct rawpart_writer *w);

/* ret is to be released, whatever is returned.  1: there was nothing to add, and nothing was made.
 * ERR_CORRUPT, ERR_DISK_FULL, ERR_IO; what fill returned. */
int raw_make(struct store *s, struct rawpart_id id, int64_t arrived_ns, raw_fill_fn fill, void *arg,
	     struct raw_made *ret);
void raw_made_release(struct raw_made *m); /* zeroed is fine */

/* The path of its file, into ret of FILE_PATH_MAX bytes. */
int raw_path(const char *dir, const struct rawpart_id *id, char *ret);

/* Opens the part of a row, in a data directory.  ERR_NOT_FOUND: the file is gone, so the row may be out of
 * date; ERR_CORRUPT also when it is another than the row says. */
int raw_open(const char *dir, const struct raw_row *row, struct rawpart **ret);

#endif

/*
 * logmake.h - how a log part comes to be, whatever its blocks come from.
 *
 * Small neighbours of one run are sealed again together (logpile.h); what is large enough already, or
 * damaged, is copied byte for byte.  The file is written into DIR/tmp, synced, read again and compared,
 * renamed into DIR/parts, and both directories are synced.  Nothing counts until the caller has put the row:
 * whatever ends before leaves a file to sweep.  One thread; memory is a pile of records, and the index.
 */
#ifndef STORE_LOGMAKE_H
#define STORE_LOGMAKE_H

#include "store/base/progress.h"
#include "store/log/logparts.h"
#include "store/store.h"

struct logmaker; /* logmake.c */

/* The id's number is chosen here; first and upto are that number where they are 0.  Each byte that is added
 * is a step of progress, which may be NULL. */
int logmake_begin(struct store *s, struct logpart_id id, struct progress *progress, struct logmaker **ret);

/* A block, as it is stored, by rising (run, sequence); borrowed for the call.  ERR_GONE: there is no such run
 * any more. */
int logmake_add(struct logmaker *m, const struct logpart_block *b, struct span value);

struct logmade {
	struct logpart_row row; /* its runs are those below */
	struct buf runs;        /* owned */
};

/* The part in its place.  m is freed, and ret is to be released, whatever is returned.  1: nothing was added,
 * and nothing made.  ERR_CORRUPT: the file is not what was written into it. */
int logmake_end(struct logmaker *m, struct logmade *ret);
void logmade_release(struct logmade *m);  /* zeroed is fine */
void logmake_abandon(struct logmaker *m); /* NULL is fine */

#endif

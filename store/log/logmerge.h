/*
 * logmerge.h - log parts that follow each other become one; one is made again without some of its runs.
 */
#ifndef STORE_LOGMERGE_H
#define STORE_LOGMERGE_H

#include "store/log/logmake.h"

#define LOGMERGE_MOST 64

/* Whether a run is to be in the new part. */
typedef bool (*log_keep_fn)(void *arg, uint32_t rid);

/* The rows are of one project, by rising first, LOGMERGE_MOST of them at most; blocks that are damaged go
 * along as they are.  ret is to be released, whatever is returned.  1: no run is kept, and nothing was made.
 * ERR_CORRUPT, ERR_NOT_FOUND, ERR_IO: a file cannot be read; ERR_GONE: *stop was set. */
int log_merge(struct store *s, const struct logpart_row *rows, size_t n, log_keep_fn keep, void *arg,
	      const atomic_bool *stop, struct progress *progress, struct logmade *ret);

#endif

/*
 * source.h - where a verb gets answers of the read API: a server, or a data directory opened for
 * reading in this process.  One thread.
 */
#ifndef QUERY_SOURCE_H
#define QUERY_SOURCE_H

#include "proto/target.h"
#include "store/base/buf.h"

#define SOURCE_WHOLE_MAX (256u * 1024 * 1024) /* an answer kept whole */

struct source;

/* The target is borrowed until source_close. */
int source_open(const struct target *t, struct source **ret, struct fault *f);
void source_close(struct source *s); /* NULL is fine */

/* Non-zero cancels: the call returns ERR_GONE. */
typedef int (*source_fn)(void *arg, struct span piece);

/* path with its query string, encoded.  0 for a complete answer. */
int source_get(struct source *s, const char *path, source_fn fn, void *arg, struct fault *f);
/* As that, in a content type ("text/csv") where there are several. */
int source_get_as(struct source *s, const char *path, const char *accept, source_fn fn, void *arg,
		  struct fault *f);
int source_fetch(struct source *s, const char *path, struct buf *out, struct fault *f);

/* Sends JSON to the server, for a change; the answer into out.  A directory that is open for reading
 * takes none: a verb that writes is given a server (tools/astraml.c). */
int source_send(struct source *s, const char *method, const char *path, struct span body, struct buf *out,
		struct fault *f);

/* ---- paths ---- */

/* Begins "/v2/projects/PROJECT" in a fresh buffer. */
void path_init(struct buf *b, const struct target *t);
void path_add(struct buf *b, const char *text);                      /* as it is */
void path_part(struct buf *b, const char *text);                     /* '/' and the text, escaped */
void path_param(struct buf *b, const char *name, const char *value); /* value NULL: nothing */
/* A time: "1h" is taken as "-1h", everything else as it is. */
void path_param_since(struct buf *b, const char *name, const char *value);
void path_param_u64(struct buf *b, const char *name, uint64_t value);

#endif

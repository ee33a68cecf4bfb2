/*
 * service.h - POST /v2/projects/{project}/runs/{run}/ingest, from request to answer.
 *
 * On an I/O thread the body is decoded into a batch, sealed and submitted; the answer goes out from
 * the writer's thread after the commit, as protobuf or JSON.  Batches on their way hold at most
 * INGEST_BYTES_MAX of memory together, besides the bodies: past that, 503.  tools/serve.c has
 * routed and authenticated.
 */
#ifndef INGEST_SERVICE_H
#define INGEST_SERVICE_H

#include "proto/http.h"
#include "store/admin.h"

#define INGEST_BYTES_MAX ((size_t)512 * 1024 * 1024)

struct ingest;

/* The store is borrowed until ingest_free, which comes after the store was closed. */
int ingest_new(struct store *s, struct ingest **ret);
void ingest_free(struct ingest *g); /* NULL is fine */

/* Answers the request, now or later; body and headers are borrowed until then, the rest only for
 * the call.  I/O threads. */
void ingest_handle(struct ingest *g, struct http_request *rq, const struct caller *caller,
		   const char *project, const char *run);

#endif

/*
 * service.h - the reading side of the server: answers requests of the read API on its own threads.
 *
 * tools/serve.c authenticates and hands over; a bounded queue feeds a few threads that run
 * api_call.  An answer under SERVICE_WHOLE_BYTES goes out with its length, a longer one in chunks
 * whose writes wait for the client: that is the back-pressure, and how work for a client that went
 * away ends.  Followers of logs are served by follow.h and hold no thread; they wait in a queue of
 * their own for the moment that joining takes.
 *
 * At shutdown: query_service_stop (followers are told and ended), then http_server_drain, then
 * query_service_free.
 */
#ifndef QUERY_SERVICE_H
#define QUERY_SERVICE_H

#include "proto/http.h"
#include "store/admin.h"

#define SERVICE_WHOLE_BYTES (256 << 10)
#define SERVICE_QUEUE_MAX   64 /* reads waiting for a thread; more get 503 */

struct query_service;

/* Store and server are borrowed until query_service_free; the limits, which /version tells, are
 * copied. */
int query_service_new(struct store *s, struct http_server *server, const struct http_limits *limits,
		      int threads, struct query_service **ret);

/* Takes the request over and answers it.  On an I/O thread; does not block.  caller is copied: for
 * /healthz, /readyz, /version and /metrics any will do (ROLE_NONE). */
void query_service_handle(struct query_service *q, struct http_request *rq, const struct caller *caller);

void query_service_stop(struct query_service *q); /* ends followers; later ones get 503 */

/* Answers what waits, then joins the threads.  NULL is fine. */
void query_service_free(struct query_service *q);

#endif

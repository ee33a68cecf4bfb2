/*
 * client.h - the HTTP client of the verbs and tools: blocking calls over libcurl.
 *
 * base URL: "http://host:port", "https://...", "unix:/path".  Proxies are never used.  One client
 * keeps one connection alive and belongs to one thread.
 */
#ifndef PROTO_CLIENT_H
#define PROTO_CLIENT_H

#include "store/base/buf.h"

struct client;

/* token NULL: none.  timeout_ms: for connecting; a whole call has no bound (follow lasts). */
int client_new(const char *base_url, const char *token, int timeout_ms, struct client **ret, struct fault *f);
void client_free(struct client *c); /* NULL is fine */

struct client_request {
	const char *method;           /* "GET", "POST", ... */
	const char *path;             /* with query, encoded: "/v2/projects/default/runs?limit=10" */
	const char *content_type;     /* NULL: no body */
	const char *accept;           /* NULL: application/json */
	const char *idempotency_key;  /* NULL: none */
	const char *content_encoding; /* NULL: none */
	struct span body;
};

/* Called for each piece of a 2xx answer's body; non-zero cancels (the call returns ERR_GONE). */
typedef int (*client_sink)(void *arg, struct span piece);

/* 0 for a complete 2xx answer.  Else the error of the status (http_status_of backwards), with the
 * server's sentence in f; ERR_IO: no connection, or an answer cut short.  *ret_status (may be
 * NULL) is 0 when there was no answer. */
int client_call(struct client *c, const struct client_request *rq, client_sink sink, void *arg,
		int *ret_status, struct fault *f);

/* As client_call, the body appended to out. */
int client_fetch(struct client *c, const struct client_request *rq, struct buf *out, int *ret_status,
		 struct fault *f);

#endif

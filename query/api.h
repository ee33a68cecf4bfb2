/*
 * api.h - the read API and the runs API (api 2): one request in, one answer written piece by piece.
 *
 * Knows nothing of sockets: a sink takes the answer.  service.c puts it on a connection, source.c
 * hands it to a verb in the same process, so both give the same bytes.  Every handler first asks
 * caller_may.  Any thread; a call uses the calling thread only and may block in sink->write, but
 * never does so while it holds a view of the store.
 */
#ifndef QUERY_API_H
#define QUERY_API_H

#include "proto/http.h"
#include "store/admin.h"

/* The server around the API, for /metrics and /version. */
struct api_server {
	uint64_t connections, requests, refused, bytes_in, bytes_out, body_budget_used;
	uint64_t by_status[6];
	uint64_t reads, reads_waiting, followers;
	const struct http_limits *limits;
};

struct api_request {
	struct span method, path, query;  /* as sent: path before '?', neither decoded */
	struct span accept, content_type; /* headers; empty when absent */
	struct span idempotency_key, body;
	const struct caller *caller;
	const struct api_server *server; /* NULL: no server around */
};

struct api_sink {
	/* Once, before any write.  extra: further header lines, each ending in CRLF; NULL: none. */
	int (*begin)(void *arg, int status, const char *content_type, const char *extra);
	/* 0, or ERR_GONE to cancel.  Nothing (s.len 0): only asks, amid long work that has nothing to say,
	 * before a line of JSON: on a connection a space may be sent to find out. */
	int (*write)(void *arg, struct span s);
	void *arg;
};

/* 0: the answer is complete.  An error before sink->begin was called: the answer is to be made of
 * f.  An error after it: the answer is broken off, and the client must be able to tell. */
int api_call(struct store *s, const struct api_request *rq, const struct api_sink *sink, struct fault *f);

/* A request that asks for logs with follow=true: it does not end by itself. */
bool api_is_follow(const struct api_request *rq);

#endif

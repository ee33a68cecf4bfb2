/*
 * serve.h - the server put together: a store, the ingest service, the query service, one HTTP
 * server in front; who calls is decided here and nowhere else.
 */
#ifndef TOOLS_SERVE_H
#define TOOLS_SERVE_H

#include "proto/http.h"
#include "proto/target.h"
#include "store/admin.h"
#include "store/base/limits.h"

#define LISTEN_MAX 16

struct serve_options {
	const char *data;
	const char *listen[LISTEN_MAX];
	size_t n_listen;
	int io_threads, query_threads;
	struct http_limits limits;
	struct store_options store;
	struct limits records;
};

struct serve;

int serve_start(const struct serve_options *o, struct serve **ret, struct fault *f);
const char *serve_url(const struct serve *s); /* of the first listener */

/* Takes no more requests, answers those under way, commits, closes.  NULL is fine. */
void serve_stop(struct serve *s);

void serve_defaults(struct serve_options *o);

int verb_serve(const struct target *t, int argc, char **argv);

#endif

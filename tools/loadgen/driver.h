/*
 * driver.h - sends prepared requests and times their answers.
 *
 * One thread, epoll.  Closed loop: each connection sends its next request when it has its answer.
 * Open loop: request i is due at i / rate, whoever is late, and its time counts from when it was
 * due, so that a server that stalls cannot slow the measurement down with it.  Connections are kept
 * alive, or made anew for each request; then connecting is part of its time.
 */
#ifndef LOADGEN_DRIVER_H
#define LOADGEN_DRIVER_H

#include <netinet/in.h>

#include "tools/loadgen/answer.h"

struct driver_plan {
	struct sockaddr_in address;
	const struct buf *requests; /* whole HTTP requests, borrowed */
	size_t n_requests;
	unsigned connections;
	double rate; /* requests a second; 0: closed loop */
	bool fresh;  /* a connection for each request */
};

struct driver_result {
	int64_t wall_ns;
	int64_t *latency_ns; /* n_requests of them, owned: malloc */
	size_t bytes_in;     /* of the answers' bodies */
	size_t errors;       /* answers that were not 2xx */
	char first_error[512];
};

/* ERR_IO with a sentence in f when a connection fails; that is no measurement. */
int driver_run(const struct driver_plan *plan, struct driver_result *ret, struct fault *f);
void driver_result_release(struct driver_result *r);

/* A blocking connection, owned by the caller.  ERR_IO. */
int driver_dial(struct sockaddr_in address, struct fault *f);

/* One request over a blocking connection, and its whole answer.  ERR_IO. */
int driver_exchange(int fd, struct span request, struct answer *answer, struct fault *f);

/* The same over a connection of its own. */
int driver_call(struct sockaddr_in address, struct span request, struct answer *answer, struct fault *f);

/* "http://127.0.0.1:PORT".  ERR_MALFORMED. */
int driver_address(const char *url, struct sockaddr_in *ret);

#endif

/*
 * follow.h - many clients that follow logs, served by one thread.
 *
 * A waiter thread sleeps in store_log_wait; the tail thread wakes for news, for room in a
 * connection, for new followers, and every FOLLOW_BEAT_MS.  Each follower has a cursor, so
 * catching up and live are one path: slices of at most FOLLOW_SLICE_BYTES, round robin, written
 * only as far as the connection has room.  A client that reconnects with after_seq loses nothing
 * and gets nothing twice.  An empty line is sent when FOLLOW_BEAT_MS have passed without a line.
 *
 * Nobody waits for a follower: one that makes no room for stall_ms while lines wait for it is told
 * so, with the record to come back after ({"error":{"code":"timeout",...}}), and is ended.
 */
#ifndef QUERY_FOLLOW_H
#define QUERY_FOLLOW_H

#include "proto/http.h"
#include "query/logread.h"

#define FOLLOW_SLICE_BYTES 65536
#define FOLLOW_BEAT_MS     15000
#define FOLLOWERS_MAX      4096

struct follow;

int follow_new(struct store *s, int stall_ms, struct follow **ret);

/* Ends every follower with {"end":{"reason":"shutdown"}} and takes no more.  Twice is fine. */
void follow_stop(struct follow *f);
void follow_free(struct follow *f); /* stops; NULL is fine */

/* Begins the answer to rq and serves it from now on.  ask (on the heap: malloc) and reader are
 * handed over when 0 is returned.  ERR_BUSY: too many followers, or stopping. */
int follow_add(struct follow *f, struct http_request *rq, struct log_ask *ask,
	       const struct log_reader *reader);

uint64_t follow_count(struct follow *f);

#endif

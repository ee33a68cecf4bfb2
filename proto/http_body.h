/*
 * http_body.h - the body of a request as it arrives: framing, decoding, and what memory it may hold.
 *
 * No I/O: bytes are fed in, or received by the caller straight into http_body_window.  Memory grows
 * with what has arrived, never with what a header promises, and every byte of it is charged
 * to one budget shared by all threads.  One body belongs to one thread.
 */
#ifndef PROTO_HTTP_BODY_H
#define PROTO_HTTP_BODY_H

#include <stdatomic.h>

#include "proto/http_parse.h"
#include "store/base/compress.h"

struct http_budget {
	_Atomic size_t used;
	size_t max;
};

/* zstd decoders between two bodies; one set per thread. */
struct http_unpackers {
	struct decompressor *spare[4];
	size_t n;
};

void http_unpackers_release(struct http_unpackers *u);

/* What bodies of one thread share; borrowed by each body. */
struct http_body_env {
	const struct http_limits *limits;
	struct http_budget *budget;
	struct http_unpackers *unpackers;
};

struct http_body {
	const struct http_body_env *env;
	struct buf out; /* decoded content */
	struct decompressor *unpacker;
	struct http_chunks chunks;
	bool chunked, zstd, complete;
	uint64_t left;  /* of Content-Length */
	uint64_t taken; /* content bytes before decoding */
	size_t charged;
};

/* Begins the body that head announces (an empty one is complete at once).  413: too long by its
 * Content-Length.  Any error of these calls is the end of the body: release it. */
int http_body_begin(struct http_body *b, const struct http_body_env *env, const struct http_head *head,
		    struct http_refusal *r);

/* Takes bytes from the wire; *ret_used is less than in.len only when the body is complete.
 * 400, 413, 431 as the bytes deserve; 503: the budget is used up. */
int http_body_feed(struct http_body *b, struct span in, size_t *ret_used, struct http_refusal *r);

/* Where the next bytes from the wire may be received directly, at most *ret_len of them; NULL when
 * they must be fed (*ret_len: at most so many) because they need decoding.  503 as above. */
int http_body_window(struct http_body *b, uint8_t **ret, size_t *ret_len, struct http_refusal *r);

/* n bytes have been received into the window. */
void http_body_received(struct http_body *b, size_t n);

/* Frees, and gives back to the budget.  A zeroed body is fine. */
void http_body_release(struct http_body *b);

#endif

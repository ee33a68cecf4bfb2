/*
 * http_parse.h - the head of a request, from bytes to fields (RFC 9112 sections 2 to 6).
 *
 * Pure: no I/O, no allocation, spans borrowed from the bytes given.  Strict where two parsers
 * could read the same bytes differently: then the request is refused, never repaired.
 */
#ifndef PROTO_HTTP_PARSE_H
#define PROTO_HTTP_PARSE_H

#include "proto/http.h"

/* Why the server itself refuses a request: the status, and the sentence for the error document. */
struct http_refusal {
	int status;
	struct fault fault;
};

/* Fills r and returns the (negative) enum err that goes with the status. */
int http_refuse(struct http_refusal *r, int status, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

struct http_head {
	enum http_method method;
	struct span target, path, query;
	struct span fields; /* the header lines, each with its CRLF */
	int minor;          /* HTTP/1.minor: 0, or 1 for all later ones */
	bool keep_alive, chunked, has_length, expect_continue, zstd;
	uint64_t length; /* Content-Length, when has_length */

	/* for the parser */
	bool has_host, has_coding, says_close, says_keep_alive;
};

/* Length of the head at the start of `in`, its empty line included; 0: not all there yet;
 * ERR_MALFORMED: a line that ends in LF without CR.  A lone CRLF counts as a head of 2 bytes.
 * *scanned (0 at first) remembers complete lines between calls with more bytes of the same head. */
long http_head_end(struct span in, size_t *scanned);

/* head: what http_head_end measured (more than 2 bytes).  On error *ret is undefined. */
int http_head_parse(struct span head, size_t target_max, struct http_head *ret, struct http_refusal *r);

/* The value of the first field of that name in lines that http_head_parse accepted; data NULL
 * when there is none. */
struct span http_field(struct span fields, const char *name);

/* Characters of a token, and of a field's value (RFC 9110 5.5, 5.6.2). */
bool http_is_token_char(uint8_t c);
bool http_is_value_char(uint8_t c);

/* ---- chunked bodies (RFC 9112 section 7.1) ---- */

struct http_chunks {
	int state;
	unsigned digits;
	uint64_t left;       /* of the chunk at hand */
	size_t overhead;     /* bytes of extensions and trailers so far; both are skipped */
	size_t overhead_max; /* and their bound */
	bool done;
};

void http_chunks_init(struct http_chunks *k, size_t overhead_max);

/* Reads on in `in`: *ret_used bytes were consumed, *ret_data (borrowed from in, may be empty) is
 * the run of content among them.  Call again with the rest until all is used or k->done. */
int http_chunks_next(struct http_chunks *k, struct span in, size_t *ret_used, struct span *ret_data,
		     struct http_refusal *r);

#endif

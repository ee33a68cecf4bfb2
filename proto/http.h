/*
 * http.h - the HTTP/1.1 server: connections, limits, deadlines, streamed answers (RFC 9110, 9112).
 *
 * One libevent base per I/O thread; a connection lives on one thread.  The parser is our own and
 * strict: a request that two parsers could read differently is refused and the connection closed
 * (two Content-Length, Transfer-Encoding or Host; Content-Length with Transfer-Encoding; codings
 * but one final "chunked"; bare CR, folded lines, spaces before a colon; chunk sizes that are not
 * plain hex).  Bodies are read straight into one buffer, under a per-request cap and one budget for
 * all connections; Content-Encoding: zstd is decoded as the bytes arrive.
 *
 * Life of a request: `admit` is called on the I/O thread when the headers are there (it may refuse
 * before a byte of body is read), `handle` when the body is.  The handler answers then or later,
 * from any thread, exactly once: http_reply, or http_stream_begin .. http_stream_end.  The request
 * and all its spans live until that answer has been given; then they must not be touched.
 * Requests on one connection are handled one after another; answers keep their order.
 */
#ifndef PROTO_HTTP_H
#define PROTO_HTTP_H

#include "store/base/buf.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_OTHER };

struct http_limits {
	size_t header_bytes;    /* request line and headers: 16 KiB */
	size_t body_bytes;      /* on the wire: 8 MiB */
	size_t unpacked_bytes;  /* after Content-Encoding: 64 MiB */
	size_t budget_bytes;    /* all bodies together: 256 MiB */
	int connections;        /* 4,096 */
	int request_timeout_ms; /* first byte to last byte of a request: 60,000 */
	int idle_timeout_ms;    /* between requests: 60,000 */
	int write_timeout_ms;   /* an answer that makes no progress: 30,000 */
	size_t pending_bytes;   /* of a streamed answer not yet taken by the client: 256 KiB */
};
extern const struct http_limits http_limits_default;

struct http_request {
	enum http_method method;
	struct span target; /* as sent */
	struct span path;   /* the target before '?', not decoded */
	struct span query;  /* after '?', not decoded */
	struct span body;   /* decoded */
	char id[17];        /* X-Request-Id of the answer */
	void *user;         /* the handler's own */
};

/* First header of that name (case-insensitive); empty span with data NULL when there is none. */
struct span http_header(const struct http_request *rq, const char *name);

/* The part of a path or query with %XX decoded (and '+' as a space when plus_is_space), into out.
 * False for bad escapes. */
bool http_unescape(struct span s, bool plus_is_space, struct buf *out);

/* Appends to out the value of the nth (from 0) parameter of that name in a query string; false
 * when there is none, or its escapes are bad. */
bool http_param(struct span query, const char *name, size_t nth, struct buf *out);

struct http_handlers {
	/* 0: go on.  Anything else: an answer has been given (http_reply), the body is not read, and
	 * the connection closes after the answer.  It keeps nothing that must be freed: when the body
	 * does not come, handle is never called.  May be NULL. */
	int (*admit)(struct http_request *rq, void *arg);
	void (*handle)(struct http_request *rq, void *arg);
	void *arg;
};

/* ---- answers ---- */

/* extra: further header lines, each ending in CRLF; NULL: none.  Content-Length, Astraml-Version,
 * X-Request-Id and Connection are added; to HEAD the body is left out.  Copies everything. */
void http_reply(struct http_request *rq, int status, const char *content_type, const char *extra,
		struct span body);

/* The error document of api 2: {"error":{"code","message","field","retryable","request_id"}}, with
 * the status that belongs to f->err, Retry-After where it should be there. */
void http_reply_fault(struct http_request *rq, const struct fault *f);

int http_status_of(int err);

/* A chunked answer.  The stream takes over the request: only the stream may be used after begin. */
struct http_stream;
struct http_stream *http_stream_begin(struct http_request *rq, int status, const char *content_type,
				      const char *extra);

/* Copies.  wait: blocks while pending_bytes are waiting (never call so on an I/O thread), else
 * takes all, so that the caller asks http_stream_room first.  ERR_GONE: the client went away, or
 * took nothing for write_timeout_ms; call end. */
int http_stream_write(struct http_stream *st, struct span s, bool wait);
size_t http_stream_room(struct http_stream *st);
bool http_stream_gone(struct http_stream *st);

/* fn is called (on the I/O thread) whenever there is room again, and once when the client has
 * gone; never after http_stream_end returned. */
void http_stream_on_room(struct http_stream *st, void (*fn)(void *arg), void *arg);

/* Complete: the last chunk is sent.  Not complete: the connection is cut, so that the client can
 * tell.  Frees the stream. */
void http_stream_end(struct http_stream *st, bool complete);

/* ---- the server ---- */

struct http_server;

/* listen: "127.0.0.1:7480", "[::1]:0", "unix:/path".  io_threads >= 1.  The addresses are bound
 * (a unix socket left by a dead server is replaced), but nothing is accepted before start. */
int http_server_new(const char *const *listen, size_t n_listen, int io_threads,
		    const struct http_limits *limits, const struct http_handlers *handlers,
		    const char *version, struct http_server **ret, struct fault *f);

/* URL of the nth listener, with the port the system chose: "http://127.0.0.1:40123",
 * "unix:/path".  Borrowed until free. */
const char *http_server_url(const struct http_server *s, size_t nth);

int http_server_start(struct http_server *s);

/* Stops accepting; requests already here may finish, for at most grace_ms; idle connections close
 * at once; new requests get 503 with Retry-After.  Then joins the threads. */
void http_server_drain(struct http_server *s, int grace_ms);
void http_server_free(struct http_server *s); /* after drain; NULL is fine */

/* connections, body_budget_used: at this moment; the others: since the start. */
struct http_stats {
	uint64_t connections, requests, refused, bytes_in, bytes_out, body_budget_used;
	uint64_t by_status[6]; /* [2]: 2xx ... */
};
void http_server_stats(struct http_server *s, struct http_stats *ret);

#endif

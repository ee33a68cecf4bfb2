/*
 * http_server.h - the inside of the HTTP server: server, I/O threads, connections, streams.
 *
 * Only proto/http*.c include this.  A connection belongs to one loop (I/O thread), and only that
 * thread touches it, but for one time: from the call of handle until the answer has been given
 * (state BUSY) the request, `out` and `answer` belong to whoever answers, on whatever thread.
 * Giving the answer posts the connection to its loop, whose mutex hands everything back.  The
 * loop never frees a connection in that time, even when its socket is long closed (fd -1).
 *
 *   HEAD -> BODY -> BUSY -> SEND -> HEAD ...           an answer in one piece
 *                        -> STREAM -> SEND -> HEAD ... a streamed one
 *   HEAD, BODY -> SEND -> LINGER                       refused by the server itself
 *
 * Sockets are watched edge-triggered by one event for their whole life, so that a request costs
 * no epoll_ctl: `readable` remembers an edge that was not yet read dry (`drained`: and the last
 * read was short), `eof` that the peer has shut down its side.  A second event waits for room to
 * send, only when a send fell short.
 */
#ifndef PROTO_HTTP_SERVER_H
#define PROTO_HTTP_SERVER_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>

#include "proto/http_body.h"

enum conn_state { CONN_HEAD, CONN_BODY, CONN_BUSY, CONN_SEND, CONN_STREAM, CONN_LINGER };

struct http_answer {
	int status;
	bool close;  /* after this answer */
	bool linger; /* close so that a client that still sends can read the answer */
	bool cut;    /* no answer can be given: close at once */
};

struct http_stream {
	struct http_conn *conn;
	bool chunked, no_body; /* no_body: the answer to HEAD */
	size_t limit;          /* pending_bytes */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* under mutex */
	struct buf pending; /* not yet in conn->out */
	size_t unsent;      /* bytes in conn->out */
	bool gone, told, complete, calling;
	void (*on_room)(void *arg);
	void *on_room_arg;
};

struct http_conn {
	struct http_request rq; /* first: conn_of() */
	struct http_loop *loop;
	struct http_conn *prev, *next; /* in loop->conns */
	/* under loop->mutex */
	struct http_conn *posted_next;
	bool posted, stream_ended;

	int fd; /* -1: closed, kept for an answer yet to come */
	enum conn_state state;
	bool readable, drained, eof, watched, begun, skipped_blank, dispatching, answered;
	struct event event, room_event;

	struct buf in; /* received, not yet parsed; from in_at on */
	size_t in_at, scanned;
	struct buf head_bytes;
	struct http_head head;
	struct http_body body;

	struct buf out; /* of the answer; sent up to out_at */
	size_t out_at;
	struct http_answer answer;
	struct http_stream stream;
	bool streaming, stream_over, last_chunk; /* over: stream_ended was seen; last_chunk: it is in out */

	int64_t started_ms;  /* first byte of the request at hand; 0: none yet */
	int64_t progress_ms; /* last time that something moved in the present state */
	size_t lingered;     /* bytes thrown away in LINGER */
};

struct http_loop {
	struct http_server *server;
	struct event_base *base;
	pthread_t thread;
	bool running;
	int wake_fd;
	struct event wake_event, sweep_event;
	int sweep_ms;
	struct http_conn *conns;
	uint8_t *scratch; /* SCRATCH_BYTES, for one receive at a time */
	struct http_unpackers unpackers;
	struct http_body_env body_env;
	uint64_t id_next;
	bool drained;

	pthread_mutex_t mutex;
	/* under mutex */
	struct http_conn *posted, **posted_tail;
	bool poked;

	_Atomic uint64_t requests, refused, bytes_in, bytes_out, by_status[6];
};

struct http_listener {
	int fd;
	struct event event;
	char *url;
	char *unix_path; /* NULL: TCP */
};

struct http_server {
	struct http_limits limits;
	struct http_handlers handlers;
	char *version;
	struct http_budget budget;
	struct http_listener *listeners;
	size_t n_listeners;
	struct http_loop *loops;
	int n_loops, next_loop;
	struct event resume_event; /* accepting again after the process ran out of descriptors */
	bool accepting;            /* http_accept_start was called */
	_Atomic bool draining, cutting;
	_Atomic int connections;
	_Atomic uint64_t turned_away;
	pthread_mutex_t mutex;
	pthread_cond_t calm; /* connections reached 0, or another loop has drained */
	int n_drained;       /* loops that take no new connection or request; under mutex */
};

#define SCRATCH_BYTES (256 << 10)

/* The loop whose thread this is; NULL on other threads. */
extern _Thread_local struct http_loop *http_loop_here;

static inline struct http_conn *conn_of(const struct http_request *rq) { return (struct http_conn *)rq; }

static inline void http_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- http_loop.c ---- */

int64_t http_now_ms(void); /* coarse (a few ms), monotonic, never 0 */
int http_loop_init(struct http_loop *loop, struct http_server *s);
void http_loop_release(struct http_loop *loop);
int http_loop_start(struct http_loop *loop);

/* Any thread: the loop will call conn_posted.  ended: no more of the stream comes; the connection
 * must not be touched after that. */
void http_loop_post(struct http_conn *c, bool ended);

/* The loop has a connection, so deadlines must be looked at. */
void http_loop_watch(struct http_loop *loop);

/* Any thread: the loop will look at the server's flags. */
void http_loop_poke(struct http_loop *loop);

/* ---- http_listen.c ---- */

int http_listen(struct http_listener *l, const char *address, struct fault *f);
int http_accept_start(struct http_server *s); /* on loops[0], before its thread runs */
void http_accept_end(struct http_server *s);  /* on loops[0]'s thread; closes the listeners */
void http_listener_release(struct http_listener *l);

/* ---- http_conn.c: on the loop's thread ---- */

/* What a call left to do: go on with the connection, or leave it alone: it waits or is freed. */
enum step { STEP_STOP, STEP_AGAIN };

/* Any thread; the loop starts with it when it is posted.  NULL: no memory, fd is still open. */
struct http_conn *conn_new(struct http_loop *loop, int fd);
void conn_posted(struct http_conn *c);

void conn_sweep(struct http_conn *c, int64_t now_ms);
void conn_drain(struct http_conn *c); /* closes it if it is idle */

/* Closes the socket, and frees c unless an answer or the end of a stream is still to come. */
void conn_close(struct http_conn *c);
void conn_free(struct http_conn *c);

/* Sends what is in out: 1 all, 0 the socket is full (room_event waits), -1 the peer is gone. */
int conn_flush(struct http_conn *c);

/* The answer is there (c->out, or the stream): sends it. */
enum step conn_answered(struct http_conn *c);

/* The answer has been sent: on to the next request, or close. */
enum step conn_finish(struct http_conn *c);

/* ---- http_request.c: on the loop's thread ---- */

#define RECV_BYTES (64 << 10) /* one receive where a head may begin */

/* One receive in state HEAD, BODY or LINGER, and what follows from it.  In LINGER what the client
 * still sends is thrown away, so that no reset destroys the answer on its way. */
enum step conn_read_head(struct http_conn *c);
enum step conn_read_body(struct http_conn *c);
enum step conn_read_off(struct http_conn *c);

/* The server itself answers, and the connection closes. */
enum step conn_refuse(struct http_conn *c, const struct http_refusal *r);

/* Answers 503 to a connection past the limit, and closes it; takes fd over. */
void conn_turn_away(struct http_loop *loop, int fd);

/* ---- http_answer.c ---- */

/* length of the body, or one of these. */
#define LENGTH_CHUNKED     -1
#define LENGTH_UNTIL_CLOSE -2
int answer_head(struct http_conn *c, int status, const char *content_type, const char *extra, int64_t length);
void answer_given(struct http_conn *c); /* by the thread that answers */

/* The error document into c->out, with close and linger; the caller sends it. */
void answer_refusal(struct http_conn *c, const struct http_refusal *r);

/* ---- http_stream.c: on the loop's thread ---- */

/* Moves what is pending to the socket; when the stream is over, goes on to conn_finish. */
enum step stream_pump(struct http_conn *c);
void stream_gone(struct http_conn *c);
void stream_release(struct http_conn *c);

#endif

/* Connections: birth and death, sending, and what events, deadlines and other threads want of them. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/http_server.h"

#define KEEP_BYTES 4096 /* a buffer larger than that is not kept between requests */
#define TURN_STEPS 32   /* steps before other connections get their turn */
#define LINGER_MS  2000

static void on_event(evutil_socket_t fd, short what, void *arg);
static void on_room(evutil_socket_t fd, short what, void *arg);
static void conn_run(struct http_conn *c);

/* ---- birth and death ---- */

struct http_conn *conn_new(struct http_loop *loop, int fd)
{
	struct http_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->loop = loop;
	c->fd = fd;
	buf_init(&c->in, loop->server->limits.header_bytes + RECV_BYTES);
	buf_init(&c->head_bytes, loop->server->limits.header_bytes);
	atomic_fetch_add(&loop->server->connections, 1);
	return c;
}

static void conn_start(struct http_conn *c)
{
	struct http_loop *loop = c->loop;

	c->watched = true;
	c->next = loop->conns;
	if (c->next)
		c->next->prev = c;
	loop->conns = c;
	c->progress_ms = http_now_ms();
	http_loop_watch(loop);
	event_assign(&c->event, loop->base, c->fd, EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, on_event, c);
	event_assign(&c->room_event, loop->base, c->fd, EV_WRITE | EV_ET, on_room, c);
	if (atomic_load(&loop->server->draining) || event_add(&c->event, NULL) < 0)
		conn_close(c);
}

void conn_free(struct http_conn *c)
{
	struct http_server *s = c->loop->server;

	if (c->watched) {
		if (c->prev)
			c->prev->next = c->next;
		else
			c->loop->conns = c->next;
		if (c->next)
			c->next->prev = c->prev;
	}
	if (c->fd >= 0)
		close(c->fd);
	http_body_release(&c->body);
	stream_release(c);
	buf_release(&c->in);
	buf_release(&c->head_bytes);
	buf_release(&c->out);
	free(c);
	pthread_mutex_lock(&s->mutex);
	if (atomic_fetch_sub(&s->connections, 1) == 1)
		pthread_cond_broadcast(&s->calm);
	pthread_mutex_unlock(&s->mutex);
}

/* An HTTP/1.0 client can tell a cut answer from a complete one only by a reset. */
static void close_socket(struct http_conn *c)
{
	struct linger reset = { .l_onoff = 1 };

	event_del(&c->event);
	event_del(&c->room_event);
	if (c->answer.cut && c->head.minor == 0)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(c->fd);
	c->fd = -1;
}

void conn_close(struct http_conn *c)
{
	if (c->fd >= 0)
		close_socket(c);
	if (c->state == CONN_STREAM)
		stream_gone(c);
	if (c->state == CONN_BUSY || (c->state == CONN_STREAM && !c->stream_over))
		return;
	conn_free(c);
}

/* ---- sending ---- */

int conn_flush(struct http_conn *c)
{
	struct buf *out = &c->out;

	while (c->out_at < out->len) {
		size_t n = out->len - c->out_at;
		ssize_t sent = send(c->fd, out->data + c->out_at, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN)
			return -1;
		if (sent > 0) {
			c->out_at += (size_t)sent;
			c->progress_ms = http_now_ms();
			http_count(&c->loop->bytes_out, (uint64_t)sent);
		}
		if (sent < (ssize_t)n)
			return event_add(&c->room_event, NULL);
	}
	buf_clear(out);
	c->out_at = 0;
	if (out->cap > KEEP_BYTES && !c->streaming) /* a stream swaps it with pending again and again */
		buf_release(out);
	return 1;
}

static enum step conn_send(struct http_conn *c)
{
	int sent = conn_flush(c);

	if (sent > 0)
		return conn_finish(c);
	if (sent < 0)
		conn_close(c);
	return STEP_STOP;
}

static enum step linger_begin(struct http_conn *c)
{
	c->state = CONN_LINGER;
	c->progress_ms = http_now_ms();
	shutdown(c->fd, SHUT_WR);
	return STEP_AGAIN;
}

enum step conn_finish(struct http_conn *c)
{
	if (c->answer.close && !c->eof && (c->answer.linger || c->readable || c->in.len > c->in_at))
		return linger_begin(c);
	if (c->answer.close) {
		conn_close(c);
		return STEP_STOP;
	}
	if (c->out.cap > KEEP_BYTES)
		buf_release(&c->out);
	if (c->head_bytes.cap > KEEP_BYTES)
		buf_release(&c->head_bytes);
	c->state = CONN_HEAD;
	c->begun = false;
	c->answer = (struct http_answer){ 0 };
	c->progress_ms = http_now_ms();
	c->started_ms = c->in.len > c->in_at ? c->progress_ms : 0;
	if (c->started_ms == 0 && c->in.cap > KEEP_BYTES)
		buf_release(&c->in);
	return STEP_AGAIN;
}

enum step conn_answered(struct http_conn *c)
{
	http_body_release(&c->body);
	c->answered = false;
	c->started_ms = 0;
	c->progress_ms = http_now_ms();
	c->state = c->streaming ? CONN_STREAM : CONN_SEND;
	if (c->fd < 0 || c->answer.cut) {
		conn_close(c);
		return STEP_STOP;
	}
	http_count(&c->loop->by_status[c->answer.status / 100 % 6], 1);
	return c->streaming ? stream_pump(c) : conn_send(c);
}

/* ---- events ---- */

static void conn_run(struct http_conn *c)
{
	enum step step = STEP_AGAIN;

	for (int i = 0; i < TURN_STEPS && step == STEP_AGAIN; i++) {
		switch (c->state) {
		case CONN_HEAD:
			step = conn_read_head(c);
			break;
		case CONN_BODY:
			step = conn_read_body(c);
			break;
		case CONN_LINGER:
			step = conn_read_off(c);
			break;
		default:
			step = STEP_STOP;
		}
	}
	if (step == STEP_AGAIN)
		event_active(&c->event, EV_READ, 0);
}

/* While an answer streams, only whether the client is still there is of interest. */
static bool peer_left(struct http_conn *c, bool news)
{
	char byte;
	ssize_t n;

	if (news)
		return true;
	n = recv(c->fd, &byte, 1, MSG_PEEK);
	return n < 0 ? errno != EAGAIN && errno != EINTR : n == 0 && !c->eof;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct http_conn *c = arg;
	bool news = (what & EV_CLOSED) && !c->eof;

	(void)fd;
	c->eof |= news;
	c->readable = true;
	c->drained = false;
	if (c->state == CONN_STREAM && peer_left(c, news))
		conn_close(c);
	else
		conn_run(c);
}

static void on_room(evutil_socket_t fd, short what, void *arg)
{
	struct http_conn *c = arg;
	enum step step = STEP_STOP;

	(void)fd;
	(void)what;
	if (c->state == CONN_SEND)
		step = conn_send(c);
	else if (c->state == CONN_STREAM)
		step = stream_pump(c);
	if (step == STEP_AGAIN)
		conn_run(c);
}

void conn_posted(struct http_conn *c)
{
	enum step step = STEP_STOP;

	if (!c->watched)
		conn_start(c);
	else if (c->state == CONN_BUSY)
		step = conn_answered(c);
	else if (c->state == CONN_STREAM && c->fd >= 0)
		step = stream_pump(c);
	else if (c->state == CONN_STREAM)
		conn_close(c);
	if (step == STEP_AGAIN)
		conn_run(c);
}

static void time_out(struct http_conn *c)
{
	struct http_refusal r;
	int limit_ms = c->loop->server->limits.request_timeout_ms;
	enum step step;

	http_refuse(&r, 408, "", "the request was not complete after %g s; send it faster or split it",
		    limit_ms / 1e3);
	step = conn_refuse(c, &r);
	if (step == STEP_AGAIN)
		conn_run(c);
}

void conn_sweep(struct http_conn *c, int64_t now_ms)
{
	const struct http_limits *limits = &c->loop->server->limits;
	int64_t still_ms = now_ms - c->progress_ms;
	bool unsent;

	if (c->fd < 0 || c->state == CONN_BUSY)
		return;
	unsent = c->out.len > c->out_at;
	if (c->state <= CONN_BODY && c->started_ms) {
		if (now_ms - c->started_ms > limits->request_timeout_ms)
			time_out(c);
	} else if ((c->state == CONN_HEAD && still_ms > limits->idle_timeout_ms) ||
		   (c->state == CONN_LINGER && still_ms > LINGER_MS) ||
		   (c->state >= CONN_SEND && c->state <= CONN_STREAM && unsent &&
		    still_ms > limits->write_timeout_ms)) {
		conn_close(c);
	}
}

void conn_drain(struct http_conn *c)
{
	if (c->state == CONN_LINGER || (c->state == CONN_HEAD && c->started_ms == 0))
		conn_close(c);
}

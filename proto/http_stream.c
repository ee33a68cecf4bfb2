/*
 * Streamed answers.  Writers on any thread append to `pending`; the loop frames all of it as one
 * chunk, moves it to conn->out and sends.  The writers keep what is pending and unsent together
 * under pending_bytes (they wait, or ask http_stream_room).
 */
#include <assert.h>
#include <stdio.h>

#include "proto/http_server.h"

#define PENDING_MAX ((size_t)1 << 30)
#define SMALL_BYTES (64 << 10) /* appended to what is unsent, rather than sent by itself */

/* A chunk's size line has a fixed width, so that its place can be left open while content gathers.
 * Leading zeros are in the grammar (1*HEXDIG). */
#define SIZE_LINE     "00000000\r\n"
#define SIZE_LINE_LEN 10

struct http_stream *http_stream_begin(struct http_request *rq, int status, const char *content_type,
				      const char *extra)
{
	struct http_conn *c = conn_of(rq);
	struct http_stream *st = &c->stream;

	*st = (struct http_stream){ .conn = c,
				    .chunked = c->head.minor > 0,
				    .no_body = rq->method == HTTP_HEAD,
				    .limit = c->loop->server->limits.pending_bytes };
	pthread_mutex_init(&st->mutex, NULL);
	pthread_cond_init(&st->changed, NULL);
	buf_init(&st->pending, PENDING_MAX);
	if (answer_head(c, status, content_type, extra, st->chunked ? LENGTH_CHUNKED : LENGTH_UNTIL_CLOSE) <
	    0)
		c->answer.cut = true;
	c->streaming = true;
	answer_given(c);
	return st;
}

void stream_release(struct http_conn *c)
{
	struct http_stream *st = &c->stream;

	if (!c->streaming)
		return;
	buf_release(&st->pending);
	pthread_cond_destroy(&st->changed);
	pthread_mutex_destroy(&st->mutex);
	c->streaming = c->stream_over = c->last_chunk = false;
}

static size_t waiting(const struct http_stream *st) { return st->pending.len + st->unsent; }

/* Whether the loop looks at the stream anyway, after the callback that this thread is in. */
static bool loop_looks_soon(const struct http_stream *st)
{
	return http_loop_here == st->conn->loop && (st->conn->dispatching || st->calling);
}

static int append(struct http_stream *st, struct span s)
{
	int err = 0;

	if (st->no_body)
		return 0;
	if (st->pending.len == 0 && st->chunked)
		err = buf_add(&st->pending, SIZE_LINE, SIZE_LINE_LEN);
	return err ? err : buf_add(&st->pending, s.data, s.len);
}

static struct span cut_piece(struct span *s, size_t n)
{
	struct span piece = { s->data, s->len < n ? s->len : n };

	s->data += piece.len;
	s->len -= piece.len;
	return piece;
}

int http_stream_write(struct http_stream *st, struct span s, bool wait)
{
	int err = 0;

	assert(!wait || http_loop_here == NULL);
	pthread_mutex_lock(&st->mutex);
	while (s.len && !err && !st->gone) {
		while (wait && !st->gone && waiting(st) >= st->limit)
			pthread_cond_wait(&st->changed, &st->mutex);
		if (st->gone)
			break;
		err = append(st, cut_piece(&s, wait ? st->limit - waiting(st) : s.len));
		if (!loop_looks_soon(st))
			http_loop_post(st->conn, false);
	}
	if (st->gone)
		err = ERR_GONE;
	pthread_mutex_unlock(&st->mutex);
	return err == ERR_FULL ? ERR_NOMEM : err;
}

size_t http_stream_room(struct http_stream *st)
{
	size_t used;

	pthread_mutex_lock(&st->mutex);
	used = waiting(st);
	pthread_mutex_unlock(&st->mutex);
	return used < st->limit ? st->limit - used : 0;
}

bool http_stream_gone(struct http_stream *st)
{
	bool gone;

	pthread_mutex_lock(&st->mutex);
	gone = st->gone;
	pthread_mutex_unlock(&st->mutex);
	return gone;
}

/* Sets on_room, once no call of the old one runs any more, unless this is that call. */
static void set_on_room(struct http_stream *st, void (*fn)(void *arg), void *arg)
{
	while (st->calling && http_loop_here != st->conn->loop)
		pthread_cond_wait(&st->changed, &st->mutex);
	st->on_room = fn;
	st->on_room_arg = arg;
	st->told = false;
}

void http_stream_on_room(struct http_stream *st, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&st->mutex);
	set_on_room(st, fn, arg);
	if (st->gone)
		http_loop_post(st->conn, false);
	pthread_mutex_unlock(&st->mutex);
}

void http_stream_end(struct http_stream *st, bool complete)
{
	bool soon;

	pthread_mutex_lock(&st->mutex);
	set_on_room(st, NULL, NULL);
	st->complete = complete && !st->gone;
	soon = loop_looks_soon(st);
	pthread_mutex_unlock(&st->mutex);
	if (soon)
		st->conn->stream_over = true;
	else
		http_loop_post(st->conn, true);
}

/* ---- on the loop's thread ---- */

/* Called and returns with the mutex held, but fn runs without. */
static void call_on_room(struct http_stream *st)
{
	void (*fn)(void *arg) = st->on_room;
	void *arg = st->on_room_arg;

	if (!fn || st->calling)
		return;
	st->told |= st->gone;
	st->calling = true;
	pthread_mutex_unlock(&st->mutex);
	fn(arg);
	pthread_mutex_lock(&st->mutex);
	st->calling = false;
	pthread_cond_broadcast(&st->changed);
}

void stream_gone(struct http_conn *c)
{
	struct http_stream *st = &c->stream;

	pthread_mutex_lock(&st->mutex);
	st->gone = true;
	buf_release(&st->pending);
	st->unsent = 0;
	pthread_cond_broadcast(&st->changed);
	if (!st->told)
		call_on_room(st);
	pthread_mutex_unlock(&st->mutex);
}

/* Closes the chunk that gathered in pending. */
static int seal_chunk(struct http_stream *st)
{
	char line[SIZE_LINE_LEN + 1];

	if (!st->chunked || st->pending.len == 0)
		return 0;
	snprintf(line, sizeof(line), "%08x\r\n", (unsigned)(st->pending.len - SIZE_LINE_LEN));
	memcpy(st->pending.data, line, SIZE_LINE_LEN);
	return buf_addstr(&st->pending, "\r\n");
}

static bool can_take(const struct http_conn *c, const struct http_stream *st)
{
	return c->out.len == 0 || st->pending.len <= SMALL_BYTES;
}

/* pending -> out, and the last chunk behind it when the stream is over; with the mutex held. */
static int take_pending(struct http_conn *c)
{
	struct http_stream *st = &c->stream;
	int err = can_take(c, st) ? seal_chunk(st) : 0;

	if (err || !can_take(c, st))
		return err;
	if (c->out.len == c->out_at)
		c->progress_ms = http_now_ms();
	if (c->out.len == 0) {
		struct buf empty = c->out;

		c->out = st->pending;
		st->pending = empty;
	} else {
		err = buf_add(&c->out, st->pending.data, st->pending.len);
		buf_clear(&st->pending);
	}
	if (!err && c->stream_over && st->complete && st->chunked && !st->no_body && !c->last_chunk) {
		c->last_chunk = true;
		err = buf_addstr(&c->out, "0\r\n\r\n");
	}
	st->unsent = c->out.len - c->out_at;
	return err;
}

/* Tells writers of the room that sending has made. */
static void tell_room(struct http_conn *c)
{
	struct http_stream *st = &c->stream;

	pthread_mutex_lock(&st->mutex);
	st->unsent = c->out.len - c->out_at;
	if (waiting(st) < st->limit)
		pthread_cond_broadcast(&st->changed);
	if (waiting(st) <= st->limit / 2)
		call_on_room(st);
	pthread_mutex_unlock(&st->mutex);
}

static enum step stream_finish(struct http_conn *c)
{
	bool complete = c->stream.complete;

	stream_release(c);
	c->state = CONN_SEND;
	if (complete)
		return conn_finish(c);
	c->answer.cut = true;
	conn_close(c);
	return STEP_STOP;
}

enum step stream_pump(struct http_conn *c)
{
	struct http_stream *st = &c->stream;
	int sent, err;

	for (;;) {
		pthread_mutex_lock(&st->mutex);
		err = take_pending(c);
		pthread_mutex_unlock(&st->mutex);
		if (!err && c->out.len == 0)
			break;
		sent = err ? -1 : conn_flush(c);
		if (sent < 0) {
			conn_close(c);
			return STEP_STOP;
		}
		tell_room(c);
		if (sent == 0)
			return STEP_STOP;
	}
	return c->stream_over ? stream_finish(c) : STEP_STOP;
}

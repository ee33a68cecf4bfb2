/* A real server in this process, a worker thread that answers later, and a raw client that reads
 * answers byte by byte, independent of the server's own parser. */
#ifndef TESTS_HTTP_FIXTURE_H
#define TESTS_HTTP_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/http.h"

#define PATIENCE_MS 20000 /* for things that must happen at once; only a failure takes that long */

/* ---- the application under the server ---- */

struct app {
	struct http_server *server;
	pthread_t worker;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct http_request *queue[2048];
	size_t queued, taken;
	bool stop, hold;
	int last_err;     /* of the last streamed answer */
	int streams_over; /* streamed answers that ended */
	int held;         /* requests that wait for release */
	_Atomic int handled, admitted;
};

static inline unsigned long number_param(const struct http_request *rq, const char *name)
{
	struct buf b;
	unsigned long n = 0;

	buf_init(&b, 64);
	if (http_param(rq->query, name, 0, &b))
		n = strtoul(buf_cstr(&b), NULL, 10);
	buf_release(&b);
	return n;
}

static inline uint8_t pattern(size_t i) { return (uint8_t)("0123456789abcdefghijklmnopqrstuvwxyz+"[i % 37]); }

static inline void app_stream(struct app *a, struct http_request *rq)
{
	unsigned long n = number_param(rq, "n"), cut = number_param(rq, "cut"),
		      piece = number_param(rq, "piece");
	struct http_stream *st = http_stream_begin(rq, 200, "text/plain", NULL);
	uint8_t *data = malloc(piece ? piece : 1000);
	int err = 0;

	for (size_t at = 0; at < n && !err;) {
		size_t len = 0;

		while (len < (piece ? piece : 1000) && at < n)
			data[len++] = pattern(at++);
		err = http_stream_write(st, span_of(data, len), true);
	}
	http_stream_end(st, !cut);
	free(data);
	pthread_mutex_lock(&a->mutex);
	a->last_err = err;
	a->streams_over++;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->mutex);
}

static inline void *app_work(void *arg)
{
	struct app *a = arg;

	pthread_mutex_lock(&a->mutex);
	for (;;) {
		struct http_request *rq;

		while ((a->taken == a->queued || a->hold) && !a->stop)
			pthread_cond_wait(&a->changed, &a->mutex);
		if (a->taken == a->queued)
			break;
		rq = a->queue[a->taken++ % 2048];
		pthread_mutex_unlock(&a->mutex);
		if (span_is(rq->path, "/stream"))
			app_stream(a, rq);
		else
			http_reply(rq, 200, "application/octet-stream", NULL, rq->body);
		pthread_mutex_lock(&a->mutex);
	}
	pthread_mutex_unlock(&a->mutex);
	return NULL;
}

static inline void app_later(struct app *a, struct http_request *rq)
{
	pthread_mutex_lock(&a->mutex);
	a->queue[a->queued++ % 2048] = rq;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->mutex);
}

/* An event-driven follower: fills the room there is, until n bytes are out. */
struct follower {
	struct app *app;
	struct http_stream *stream;
	size_t at, n;
};

static inline void follower_over(struct follower *f, int err)
{
	struct app *a = f->app;

	http_stream_end(f->stream, err == 0);
	free(f);
	pthread_mutex_lock(&a->mutex);
	a->last_err = err;
	a->streams_over++;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->mutex);
}

static inline void follower_step(void *arg)
{
	struct follower *f = arg;
	size_t room;

	while (f->at < f->n && (room = http_stream_room(f->stream)) > 0) {
		uint8_t data[5000];
		size_t len = 0;

		while (len < sizeof(data) && len < room && f->at < f->n)
			data[len++] = pattern(f->at++);
		if (http_stream_write(f->stream, span_of(data, len), false) < 0)
			break;
	}
	if (http_stream_gone(f->stream))
		follower_over(f, ERR_GONE);
	else if (f->at == f->n && f->n != SIZE_MAX)
		follower_over(f, 0);
}

/* n=0: says nothing, and waits for the client to go. */
static inline void app_follow(struct app *a, struct http_request *rq)
{
	struct follower *f = calloc(1, sizeof(*f));
	struct http_stream *st;

	f->app = a;
	f->n = number_param(rq, "n");
	if (f->n == 0)
		f->at = f->n = SIZE_MAX;
	f->stream = st = http_stream_begin(rq, 200, "text/plain", NULL);
	http_stream_on_room(st, follower_step, f);
	follower_step(f);
}

static inline void app_handle(struct http_request *rq, void *arg)
{
	struct app *a = arg;
	char text[64];

	atomic_fetch_add(&a->handled, 1);
	if (span_is(rq->path, "/later") || span_is(rq->path, "/stream")) {
		app_later(a, rq);
	} else if (span_is(rq->path, "/follow")) {
		app_follow(a, rq);
	} else if (span_is(rq->path, "/len")) {
		int n = snprintf(text, sizeof(text), "%zu", rq->body.len);

		http_reply(rq, 200, "text/plain", NULL, span_of(text, (size_t)n));
	} else if (span_is(rq->path, "/fault")) {
		struct fault f;

		fault_set(&f, -(int)number_param(rq, "err"), "a \"field\"", "a\nsentence \xff with \xc3\xa9");
		http_reply_fault(rq, &f);
	} else if (span_is(rq->path, "/bytes")) {
		size_t n = number_param(rq, "n");
		uint8_t *data = malloc(n + 1);

		for (size_t i = 0; i < n; i++)
			data[i] = pattern(i);
		http_reply(rq, 200, "text/plain", NULL, span_of(data, n));
		free(data);
	} else {
		struct span type = http_header(rq, "content-type");
		char extra[200];

		snprintf(extra, sizeof(extra), "X-Type: %.*s\r\n", (int)type.len, (const char *)type.data);
		http_reply(rq, 200, "text/plain", type.data ? extra : NULL, rq->body);
	}
}

static inline int app_admit(struct http_request *rq, void *arg)
{
	struct app *a = arg;
	struct fault f;

	atomic_fetch_add(&a->admitted, 1);
	if (!span_is(rq->path, "/secret"))
		return 0;
	fault_set(&f, ERR_UNAUTHENTICATED, "", "send a token");
	http_reply_fault(rq, &f);
	return 1;
}

static inline struct app *app_start_on(const char *const *listen, size_t n, const struct http_limits *limits)
{
	struct app *a = calloc(1, sizeof(*a));
	struct http_handlers handlers = { app_admit, app_handle, a };
	struct fault f = { 0 };

	pthread_mutex_init(&a->mutex, NULL);
	pthread_cond_init(&a->changed, NULL);
	if (http_server_new(listen, n, 2, limits, &handlers, "9.9.9", &a->server, &f) != 0)
		fail_msg("server: %s", f.text);
	assert_int_equal(http_server_start(a->server), 0);
	assert_int_equal(pthread_create(&a->worker, NULL, app_work, a), 0);
	return a;
}

static inline struct app *app_start(const struct http_limits *limits)
{
	const char *listen[] = { "127.0.0.1:0" };

	return app_start_on(listen, 1, limits);
}

static inline void app_hold(struct app *a, bool hold)
{
	pthread_mutex_lock(&a->mutex);
	a->hold = hold;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->mutex);
}

static inline void app_stop(struct app *a)
{
	struct http_stats stats;

	app_hold(a, false);
	http_server_drain(a->server, 3000);
	pthread_mutex_lock(&a->mutex);
	a->stop = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->mutex);
	pthread_join(a->worker, NULL);
	http_server_stats(a->server, &stats);
	http_server_free(a->server);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->mutex);
	free(a);
	assert_int_equal(stats.body_budget_used, 0);
	assert_int_equal(stats.connections, 0);
}

static inline struct timespec deadline(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += PATIENCE_MS / 1000;
	return t;
}

/* Until so many streamed answers have ended; the error of the last. */
static inline int app_wait_streams(struct app *a, int n)
{
	struct timespec until = deadline();
	int rc = 0, err;

	pthread_mutex_lock(&a->mutex);
	while (a->streams_over < n && rc == 0)
		rc = pthread_cond_timedwait(&a->changed, &a->mutex, &until);
	err = a->last_err;
	pthread_mutex_unlock(&a->mutex);
	assert_int_equal(rc, 0);
	return err;
}

static inline void app_wait_queued(struct app *a, size_t n)
{
	struct timespec until = deadline();
	int rc = 0;

	pthread_mutex_lock(&a->mutex);
	while (a->queued < n && rc == 0)
		rc = pthread_cond_timedwait(&a->changed, &a->mutex, &until);
	pthread_mutex_unlock(&a->mutex);
	assert_int_equal(rc, 0);
}

/* ---- the raw client ---- */

struct wire {
	int fd;
	uint8_t data[65536];
	size_t at, len;
};

struct answer {
	int status, minor;
	char head[8192];
	uint8_t *body;
	size_t len, cap;
	bool complete; /* by its Content-Length or last chunk */
	bool chunked;
};

static inline void wire_open(struct wire *w, const char *url)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	bool is_unix = strncmp(url, "unix:", 5) == 0;

	w->at = w->len = 0;
	w->fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (is_unix) {
		strcpy(un.sun_path, url + 5);
		assert_int_equal(connect(w->fd, (struct sockaddr *)&un, sizeof(un)), 0);
		return;
	}
	in.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(w->fd, (struct sockaddr *)&in, sizeof(in)), 0);
}

static inline void wire_to(struct wire *w, struct app *a) { wire_open(w, http_server_url(a->server, 0)); }

static inline void wire_close(struct wire *w) { close(w->fd); }

static inline bool wire_send(struct wire *w, const void *data, size_t len)
{
	while (len) {
		ssize_t n = send(w->fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		data = (const uint8_t *)data + n;
		len -= (size_t)n;
	}
	return true;
}

static inline bool wire_say(struct wire *w, const char *text) { return wire_send(w, text, strlen(text)); }

/* The next byte; -1 at the end, or when the connection broke. */
static inline int wire_byte(struct wire *w)
{
	struct pollfd p = { w->fd, POLLIN, 0 };
	ssize_t n;

	if (w->at < w->len)
		return w->data[w->at++];
	if (poll(&p, 1, PATIENCE_MS) != 1)
		fail_msg("no answer in %d ms", PATIENCE_MS);
	n = recv(w->fd, w->data, sizeof(w->data), 0);
	if (n <= 0)
		return -1;
	w->at = 1;
	w->len = (size_t)n;
	return w->data[0];
}

static inline bool wire_closed(struct wire *w) { return wire_byte(w) < 0; }

static inline bool read_run(struct wire *w, struct answer *a, size_t n)
{
	if (a->len + n >= a->cap) {
		a->cap = 2 * (a->len + n) + 1;
		a->body = realloc(a->body, a->cap);
	}
	while (n--) {
		int c = wire_byte(w);

		if (c < 0)
			return false;
		a->body[a->len++] = (uint8_t)c;
	}
	a->body[a->len] = 0;
	return true;
}

static inline bool read_chunks(struct wire *w, struct answer *a)
{
	for (;;) {
		size_t size = 0;
		int c;

		while ((c = wire_byte(w)) != '\r') {
			if (c < 0)
				return false;
			assert_true((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
			size = size * 16 + (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
		}
		assert_int_equal(wire_byte(w), '\n');
		if (!read_run(w, a, size))
			return false;
		c = wire_byte(w);
		if (c < 0)
			return false;
		assert_int_equal(c, '\r');
		assert_int_equal(wire_byte(w), '\n');
		if (size == 0)
			return true;
	}
}

static inline const char *answer_field(const struct answer *a, const char *name)
{
	static char value[512];
	const char *p = a->head;
	size_t n = strlen(name);

	while ((p = strstr(p, "\r\n")) != NULL) {
		p += 2;
		if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(p + n + 2, "\r"), p + n + 2);
			return value;
		}
	}
	return NULL;
}

/* False when the connection ended before a head was there. */
static inline bool read_answer(struct wire *w, struct answer *a, bool has_body)
{
	size_t n = 0;
	const char *length;

	*a = (struct answer){ 0 };
	while (n < 4 || memcmp(a->head + n - 4, "\r\n\r\n", 4) != 0) {
		int c = wire_byte(w);

		if (c < 0)
			return false;
		a->head[n++] = (char)c;
		assert_true(n < sizeof(a->head));
	}
	assert_int_equal(sscanf(a->head, "HTTP/1.%d %d ", &a->minor, &a->status), 2);
	length = answer_field(a, "Content-Length");
	a->body = calloc(1, 1);
	a->chunked = answer_field(a, "Transfer-Encoding") != NULL;
	if (a->status == 100 || a->status == 204 || !has_body)
		a->complete = true;
	else if (a->chunked)
		a->complete = read_chunks(w, a);
	else if (length)
		a->complete = read_run(w, a, strtoul(length, NULL, 10));
	else
		while ((n = a->len, read_run(w, a, 1)))
			;
	return true;
}

static inline void answer_free(struct answer *a) { free(a->body); }

/* Sends, reads one answer, returns its status (0: the connection ended without). */
static inline int ask(struct wire *w, const char *request, struct answer *a)
{
	wire_say(w, request);
	return read_answer(w, a, true) ? a->status : 0;
}

#endif

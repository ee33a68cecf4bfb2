/* I/O threads: an event base each, a queue of connections that other threads ask it to look at,
 * and a sweep over the deadlines of all its connections. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "proto/http_server.h"

#define SWEEP_MS       250
#define CALLBACKS_TURN 64 /* callbacks before the sockets are polled again */

_Thread_local struct http_loop *http_loop_here;

int64_t http_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000 + 1;
}

/* ---- from other threads ---- */

/* Only the first of several posts costs a system call, and one wake-up serves them all. */
static void wake(struct http_loop *loop)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write(loop->wake_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	assert(n == sizeof(one));
}

void http_loop_post(struct http_conn *c, bool ended)
{
	struct http_loop *loop = c->loop;
	bool first;

	pthread_mutex_lock(&loop->mutex);
	first = !loop->posted && !loop->poked;
	c->stream_ended |= ended;
	if (!c->posted) {
		c->posted = true;
		c->posted_next = NULL;
		*loop->posted_tail = c;
		loop->posted_tail = &c->posted_next;
	}
	pthread_mutex_unlock(&loop->mutex);
	if (first)
		wake(loop);
}

void http_loop_poke(struct http_loop *loop)
{
	pthread_mutex_lock(&loop->mutex);
	loop->poked = true;
	pthread_mutex_unlock(&loop->mutex);
	wake(loop);
}

/* ---- on the thread ---- */

static struct http_conn *next_posted(struct http_loop *loop)
{
	struct http_conn *c;

	pthread_mutex_lock(&loop->mutex);
	loop->poked = false;
	c = loop->posted;
	if (c) {
		loop->posted = c->posted_next;
		if (!loop->posted)
			loop->posted_tail = &loop->posted;
		c->posted = false;
		c->stream_over |= c->stream_ended;
		c->stream_ended = false;
	}
	pthread_mutex_unlock(&loop->mutex);
	return c;
}

static void close_all(struct http_loop *loop)
{
	struct http_conn *next;

	for (struct http_conn *c = loop->conns; c; c = next) {
		next = c->next;
		c->answer.cut |= c->fd >= 0 && c->state != CONN_BUSY && c->state != CONN_HEAD;
		conn_close(c);
	}
}

static void drain(struct http_loop *loop)
{
	struct http_server *s = loop->server;
	struct http_conn *next;

	if (loop == &s->loops[0])
		http_accept_end(s);
	for (struct http_conn *c = loop->conns; c; c = next) {
		next = c->next;
		if (c->fd >= 0)
			conn_drain(c);
	}
	loop->drained = true;
	pthread_mutex_lock(&s->mutex);
	s->n_drained++;
	pthread_cond_broadcast(&s->calm);
	pthread_mutex_unlock(&s->mutex);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct http_loop *loop = arg;
	struct http_conn *c;

	(void)fd;
	(void)what;
	/* the eventfd is watched edge-triggered, so its count need not be read */
	while ((c = next_posted(loop)))
		conn_posted(c);
	if (atomic_load(&loop->server->draining) && !loop->drained)
		drain(loop);
	if (atomic_load(&loop->server->cutting)) {
		close_all(loop);
		event_base_loopbreak(loop->base);
	}
}

void http_loop_watch(struct http_loop *loop)
{
	struct timeval after = { loop->sweep_ms / 1000, loop->sweep_ms % 1000 * 1000 };

	if (!event_pending(&loop->sweep_event, EV_TIMEOUT, NULL))
		event_add(&loop->sweep_event, &after);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct http_loop *loop = arg;
	struct http_conn *next;
	int64_t now_ms = http_now_ms();

	(void)fd;
	(void)what;
	for (struct http_conn *c = loop->conns; c; c = next) {
		next = c->next;
		conn_sweep(c, now_ms);
	}
	if (loop->conns)
		http_loop_watch(loop);
}

static void *run(void *arg)
{
	http_loop_here = arg;
	event_base_dispatch(http_loop_here->base);
	http_unpackers_release(&http_loop_here->unpackers);
	return NULL;
}

/* ---- life ---- */

static int sweep_interval_ms(const struct http_limits *l)
{
	int ms = SWEEP_MS * 4;

	if (l->request_timeout_ms < ms)
		ms = l->request_timeout_ms;
	if (l->idle_timeout_ms < ms)
		ms = l->idle_timeout_ms;
	if (l->write_timeout_ms < ms)
		ms = l->write_timeout_ms;
	return ms / 4 > 5 ? ms / 4 : 5;
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	/* only the loop's own thread calls the base; others write its eventfd */
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
	    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE) == 0 &&
	    event_config_set_max_dispatch_interval(config, NULL, CALLBACKS_TURN, 0) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

int http_loop_init(struct http_loop *loop, struct http_server *s)
{
	loop->server = s;
	loop->wake_fd = -1;
	loop->posted_tail = &loop->posted;
	loop->sweep_ms = sweep_interval_ms(&s->limits);
	loop->body_env = (struct http_body_env){ &s->limits, &s->budget, &loop->unpackers };
	pthread_mutex_init(&loop->mutex, NULL);
	if (getrandom(&loop->id_next, sizeof(loop->id_next), 0) != sizeof(loop->id_next))
		return ERR_IO;
	loop->scratch = malloc(SCRATCH_BYTES);
	loop->base = new_base();
	if (!loop->scratch || !loop->base)
		return ERR_NOMEM;
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (loop->wake_fd < 0)
		return ERR_IO;
	event_assign(&loop->sweep_event, loop->base, -1, 0, on_sweep, loop);
	event_assign(&loop->wake_event, loop->base, loop->wake_fd, EV_READ | EV_ET | EV_PERSIST, on_wake,
		     loop);
	return event_add(&loop->wake_event, NULL) < 0 ? ERR_IO : 0;
}

int http_loop_start(struct http_loop *loop)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the threads of the program */
	rc = pthread_create(&loop->thread, NULL, run, loop);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	loop->running = rc == 0;
	return rc ? ERR_IO : 0;
}

void http_loop_release(struct http_loop *loop)
{
	struct http_conn *c;

	if (!loop->server)
		return;
	while ((c = next_posted(loop)))
		if (!c->watched)
			conn_free(c);
	while (loop->conns)
		conn_free(loop->conns);
	if (loop->base)
		event_base_free(loop->base);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	free(loop->scratch);
	http_unpackers_release(&loop->unpackers);
	pthread_mutex_destroy(&loop->mutex);
}

/*
 * The list of followers belongs to the tail thread; `incoming` and the flags are under the lock.
 * http_stream_end waits for a room callback that is running, so it is never called with the lock
 * held: the callback takes it.
 */
#include "query/follow.h"

#include <pthread.h>
#include <stdlib.h>

#define WAIT_MS     500 /* of the waiter: how long a stop may take */
#define LEAST_ROOM  4096
#define VIEW_MAX_NS (200 * NS_PER_MS)

struct follower {
	struct http_stream *stream;
	struct log_ask *ask;
	struct log_reader reader;
	struct out pending; /* lines read and not yet written */
	size_t sent;        /* of pending */
	int64_t beat_ns;    /* when something went out last */
	bool behind;        /* the last slice did not reach the end of the log */
	bool ended;
	struct follower *next;
};

struct follow {
	struct store *store;
	int64_t stall_ns;
	pthread_t tail, waiter;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct follower *incoming; /* under the lock, as all below but list */
	bool work, stopping;
	uint64_t count;
	struct follower *list;
};

static void follower_free(struct follower *w)
{
	log_reader_release(&w->reader);
	if (w->ask)
		log_ask_release(w->ask);
	free(w->ask);
	out_release(&w->pending);
	free(w);
}

static void wake(struct follow *f)
{
	pthread_mutex_lock(&f->lock);
	f->work = true;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
}

static void room_again(void *arg) { wake(arg); }

/* Writes what is pending as far as there is room.  ERR_GONE. */
static int follower_write(struct follower *w)
{
	while (w->sent < w->pending.b.len) {
		size_t room = http_stream_room(w->stream), left = w->pending.b.len - w->sent;
		size_t n = left < room ? left : room;
		int err;

		if (n == 0 || (n < left && n < LEAST_ROOM))
			return http_stream_gone(w->stream) ? ERR_GONE : 0;
		err = http_stream_write(w->stream, span_of(w->pending.b.data + w->sent, n), false);
		if (err < 0)
			return err;
		w->sent += n;
		w->beat_ns = clock_mono_ns();
	}
	w->sent = 0;
	buf_clear(&w->pending.b);
	if (w->pending.b.cap > 8 * FOLLOW_SLICE_BYTES)
		buf_release(&w->pending.b);
	return 0;
}

static void follower_end_line(struct follower *w, const struct fault *fault)
{
	if (fault) {
		out_raw(&w->pending, "{\"error\":");
		out_fault(&w->pending, fault);
		out_raw(&w->pending, "}\n");
	} else {
		out_raw(&w->pending, "{\"end\":{\"reason\":\"shutdown\"}}\n");
	}
	w->ended = true;
}

/* It took nothing for too long: what is pending and the reason go into its stream, whatever room there
 * is, for when it looks again. */
static int follower_stalled(struct follower *w, int64_t stall_ns)
{
	struct fault fault = { 0 };
	int err;

	fault_set(&fault, ERR_TIMEOUT, "after_seq",
		  "this follower took nothing for %g s while records waited; come back with after_seq=%llu",
		  (double)stall_ns / NS_PER_S, (unsigned long long)(w->reader.from_seq - 1));
	if (!w->ended)
		follower_end_line(w, &fault);
	err = http_stream_write(w->stream, span_of(w->pending.b.data + w->sent, w->pending.b.len - w->sent),
				false);
	buf_clear(&w->pending.b);
	return err;
}

/* One slice: reads when everything read before has been written, then writes. */
static int follower_step(struct follower *w, struct view *v, int64_t stall_ns)
{
	struct fault fault = { 0 };
	int more, err = http_stream_gone(w->stream) ? ERR_GONE : follower_write(w);

	if (err == 0 && w->pending.b.len > 0 && clock_mono_ns() - w->beat_ns > stall_ns)
		return follower_stalled(w, stall_ns);
	if (err < 0 || w->pending.b.len > 0 || w->ended)
		return err;
	more = log_slice(&w->reader, v, &w->pending, FOLLOW_SLICE_BYTES, &fault);
	w->behind = more == 1;
	if (more < 0) {
		fault_default(&fault, more);
		follower_end_line(w, &fault);
	}
	if (w->pending.b.len == 0 && clock_mono_ns() - w->beat_ns > FOLLOW_BEAT_MS * NS_PER_MS)
		out_ch(&w->pending, '\n');
	return follower_write(w);
}

static void drop(struct follow *f, struct follower *w, bool complete)
{
	http_stream_end(w->stream, complete);
	follower_free(w);
	pthread_mutex_lock(&f->lock);
	f->count--;
	pthread_mutex_unlock(&f->lock);
}

/* A view that is not older than VIEW_MAX_NS: the one given, or a new one in its place. */
static int view_renew(struct follow *f, struct view **v, int64_t *until_ns)
{
	int64_t now_ns = clock_mono_ns();
	struct view *fresh;
	int err;

	if (*v && now_ns < *until_ns)
		return 0;
	view_close(*v);
	*v = NULL;
	if ((err = view_open(f->store, &fresh)) < 0)
		return err;
	*v = fresh;
	*until_ns = now_ns + VIEW_MAX_NS;
	return 0;
}

/* Steps once through all followers; true when one of them could go on at once. */
static bool round_run(struct follow *f)
{
	struct follower **at = &f->list, *w;
	struct view *v = NULL;
	int64_t until_ns = 0;
	bool again = false;

	while ((w = *at) && view_renew(f, &v, &until_ns) == 0) {
		int err = follower_step(w, v, f->stall_ns);

		if (err < 0 || (w->ended && w->pending.b.len == 0)) {
			*at = w->next;
			drop(f, w, err == 0);
			continue;
		}
		again = again || (w->behind && w->pending.b.len == 0);
		at = &w->next;
	}
	view_close(v);
	return again;
}

/* Told that the server shuts down, and ended. */
static void end_one(struct follower *w)
{
	int err;

	follower_end_line(w, NULL);
	err = follower_write(w);
	http_stream_end(w->stream, err == 0 && w->pending.b.len == 0);
	follower_free(w);
}

static void end_all(struct follow *f)
{
	while (f->list) {
		struct follower *w = f->list;

		f->list = w->next;
		end_one(w);
	}
}

static void take_incoming(struct follow *f)
{
	while (f->incoming) {
		struct follower *w = f->incoming;

		f->incoming = w->next;
		w->next = f->list;
		f->list = w;
	}
}

static void *tail_main(void *arg)
{
	struct follow *f = arg;
	bool again = false;

	pthread_mutex_lock(&f->lock);
	while (!f->stopping) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++; /* heartbeats are looked after this often */
		if (!f->work && !again)
			pthread_cond_timedwait(&f->wake, &f->lock, &until);
		f->work = false;
		take_incoming(f);
		pthread_mutex_unlock(&f->lock);
		again = round_run(f);
		pthread_mutex_lock(&f->lock);
	}
	take_incoming(f);
	pthread_mutex_unlock(&f->lock);
	end_all(f);
	return NULL;
}

static void *waiter_main(void *arg)
{
	struct follow *f = arg;
	uint64_t seen = store_log_news(f->store);

	for (;;) {
		uint64_t now = store_log_wait(f->store, seen, WAIT_MS);
		bool stop;

		pthread_mutex_lock(&f->lock);
		stop = f->stopping;
		if (now != seen) {
			f->work = true;
			pthread_cond_signal(&f->wake);
		}
		pthread_mutex_unlock(&f->lock);
		if (stop)
			return NULL;
		seen = now;
	}
}

int follow_new(struct store *s, int stall_ms, struct follow **ret)
{
	struct follow *f = calloc(1, sizeof *f);

	if (!f)
		return ERR_NOMEM;
	f->store = s;
	f->stall_ns = stall_ms * NS_PER_MS;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->wake, NULL);
	if (pthread_create(&f->tail, NULL, tail_main, f) != 0) {
		free(f);
		return ERR_NOMEM;
	}
	if (pthread_create(&f->waiter, NULL, waiter_main, f) != 0) {
		pthread_mutex_lock(&f->lock);
		f->stopping = true;
		pthread_cond_signal(&f->wake);
		pthread_mutex_unlock(&f->lock);
		pthread_join(f->tail, NULL);
		free(f);
		return ERR_NOMEM;
	}
	*ret = f;
	return 0;
}

void follow_stop(struct follow *f)
{
	bool first;

	pthread_mutex_lock(&f->lock);
	first = !f->stopping;
	f->stopping = true;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
	if (!first)
		return;
	pthread_join(f->tail, NULL);
	pthread_join(f->waiter, NULL);
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	follow_stop(f);
	pthread_cond_destroy(&f->wake);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

int follow_add(struct follow *f, struct http_request *rq, struct log_ask *ask,
	       const struct log_reader *reader)
{
	struct follower *w = calloc(1, sizeof *w);
	bool full, stopped;

	if (!w)
		return ERR_NOMEM;
	pthread_mutex_lock(&f->lock);
	full = f->stopping || f->count >= FOLLOWERS_MAX;
	f->count += !full;
	pthread_mutex_unlock(&f->lock);
	if (full) {
		free(w);
		return ERR_BUSY;
	}
	w->ask = ask;
	w->reader = *reader;
	w->reader.ask = ask;
	w->beat_ns = clock_mono_ns();
	out_init(&w->pending, NULL);
	w->stream = http_stream_begin(rq, 200, "application/x-ndjson", NULL);
	http_stream_on_room(w->stream, room_again, f);
	pthread_mutex_lock(&f->lock);
	stopped = f->stopping; /* meanwhile: the tail thread may have ended the others already */
	if (!stopped) {
		w->next = f->incoming;
		f->incoming = w;
		f->work = true;
		pthread_cond_signal(&f->wake);
	}
	pthread_mutex_unlock(&f->lock);
	if (stopped)
		end_one(w);
	return 0;
}

uint64_t follow_count(struct follow *f)
{
	uint64_t n;

	pthread_mutex_lock(&f->lock);
	n = f->count;
	pthread_mutex_unlock(&f->lock);
	return n;
}

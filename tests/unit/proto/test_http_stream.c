/* Streamed answers: back-pressure, both ways of writing, clients that go, and the drain of a server. */
#include "tests/unit/proto/http_fixture.h"

#include "store/base/clock.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void expect_pattern(const struct answer *a, size_t n)
{
	assert_int_equal(a->len, n);
	for (size_t i = 0; i < n; i++)
		if (a->body[i] != pattern(i))
			fail_msg("byte %zu differs", i);
}

static void both_ways_give_the_same(void **state)
{
	static const size_t sizes[] = { 0, 1, 999, 1000, 65536, 262144, 300000, 5000000 };
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (int way = 0; way < 3; way++) {
			char rq[120];

			if (way == 2 && sizes[i] == 0)
				continue; /* to a follower, n=0 means to stay silent */
			snprintf(rq, sizeof(rq), "GET /%s?n=%zu%s HTTP/1.1\r\nHost: x\r\n\r\n",
				 way == 2 ? "follow" : "stream", sizes[i], way == 1 ? "&piece=600000" : "");
			assert_int_equal(ask(&w, rq, &a), 200);
			assert_true(a.chunked && a.complete);
			expect_pattern(&a, sizes[i]);
			answer_free(&a);
		}
	}
	wire_close(&w);
	app_stop(app);
}

/* A client that does not read holds the writer back, and little memory waits for it. */
static void writers_wait_for_slow_readers(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w[2];
	struct answer a;
	size_t n = 15000000;

	(void)state;
	for (int i = 0; i < 2; i++) {
		wire_to(&w[i], app);
		wire_say(&w[i], i ? GET("/follow?n=15000000") : GET("/stream?n=15000000"));
	}
	for (int i = 1; i >= 0; i--) { /* the worker's turn comes while the follower is read */
		assert_true(read_answer(&w[i], &a, true));
		assert_true(a.complete);
		expect_pattern(&a, n);
		answer_free(&a);
		wire_close(&w[i]);
	}
	assert_int_equal(app_wait_streams(app, 2), 0);
	app_stop(app);
}

/* ---- pending bytes, seen by a handler that asks ---- */

struct filler {
	struct http_limits limits;
	struct http_server *server;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct http_stream *stream;
	size_t written;
	int calls;
};

static void count_call(void *arg)
{
	struct filler *f = arg;

	pthread_mutex_lock(&f->mutex);
	f->calls++;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

static void hand_stream_over(struct http_request *rq, void *arg)
{
	struct filler *f = arg;
	struct http_stream *st = http_stream_begin(rq, 200, "text/plain", NULL);

	http_stream_on_room(st, count_call, f);
	pthread_mutex_lock(&f->mutex);
	f->stream = st;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

static void room_is_bounded(void **state)
{
	struct filler f = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	struct http_handlers handlers = { NULL, hand_stream_over, &f };
	const char *listen[] = { "127.0.0.1:0" };
	uint8_t data[10000];
	struct fault fault;
	struct wire w;
	size_t room, most = http_limits_default.pending_bytes;
	int stalls = 0;

	(void)state;
	memset(data, 'x', sizeof(data));
	assert_int_equal(http_server_new(listen, 1, 1, &http_limits_default, &handlers, "1", &f.server,
					 &fault),
			 0);
	assert_int_equal(http_server_start(f.server), 0);
	wire_open(&w, http_server_url(f.server, 0));
	wire_say(&w, GET("/"));
	pthread_mutex_lock(&f.mutex);
	while (!f.stream)
		pthread_cond_wait(&f.changed, &f.mutex);
	pthread_mutex_unlock(&f.mutex);
	while (stalls < 100) { /* the client takes nothing: the sockets fill up, then there is no room */
		room = http_stream_room(f.stream);
		assert_true(room <= most);
		if (room == 0) {
			stalls++;
			poll(NULL, 0, 1);
			continue;
		}
		if (room > sizeof(data))
			room = sizeof(data);
		assert_int_equal(http_stream_write(f.stream, span_of(data, room), false), 0);
		f.written += room;
		stalls = 0;
	}
	pthread_mutex_lock(&f.mutex);
	f.calls = 0;
	pthread_mutex_unlock(&f.mutex);
	for (size_t i = 0; i < f.written; i++) /* it reads on: there is room, and the handler is told */
		assert_true(wire_byte(&w) >= 0);
	pthread_mutex_lock(&f.mutex);
	while (f.calls == 0)
		pthread_cond_wait(&f.changed, &f.mutex);
	pthread_mutex_unlock(&f.mutex);
	assert_true(http_stream_room(f.stream) >= most / 2);
	http_stream_end(f.stream, true);
	wire_close(&w);
	http_server_drain(f.server, 1000);
	http_server_free(f.server);
}

/* ---- clients that go ---- */

static void silent_stream_notices_the_client_leave(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct linger reset = { .l_onoff = 1 };
	struct wire w;

	(void)state;
	for (int i = 0; i < 2; i++) {
		wire_to(&w, app);
		wire_say(&w, GET("/follow?n=0"));
		for (int n = 0; n < 4;) /* the head comes at once, before any content */
			n = wire_byte(&w) == (n % 2 ? '\n' : '\r') ? n + 1 : 0;
		if (i == 1)
			setsockopt(w.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		wire_close(&w);
		assert_int_equal(app_wait_streams(app, i + 1), ERR_GONE);
	}
	app_stop(app);
}

static void blocked_writer_notices_the_client_leave(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w;

	(void)state;
	wire_to(&w, app);
	wire_say(&w, GET("/stream?n=900000000"));
	for (int i = 0; i < 100000; i++)
		assert_true(wire_byte(&w) >= 0);
	wire_close(&w);
	assert_int_equal(app_wait_streams(app, 1), ERR_GONE);
	app_stop(app);
}

/* The answer comes after the client has gone: harmless, for whole and streamed ones. */
static void late_answers_to_dead_connections(void **state)
{
	static const char *const requests[] = { GET("/later"), GET("/stream?n=100"),
						GET("/stream?n=9000000") };
	struct app *app = app_start(&http_limits_default);
	struct linger reset = { .l_onoff = 1 };
	struct http_stats stats;
	struct wire w;

	(void)state;
	app_hold(app, true);
	for (int i = 0; i < 30; i++) {
		wire_to(&w, app);
		wire_say(&w, requests[i % 3]);
		app_wait_queued(app, (size_t)i + 1);
		setsockopt(w.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		wire_close(&w);
	}
	app_hold(app, false);
	app_wait_streams(app, 20);
	do
		http_server_stats(app->server, &stats);
	while (stats.connections != 0);
	app_stop(app);
}

static void incomplete_stream_is_cut(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	assert_int_equal(ask(&w, GET("/stream?n=100000&cut=1"), &a), 200);
	assert_false(a.complete);
	answer_free(&a);
	wire_close(&w);
	app_stop(app);
}

/* ---- drain ---- */

struct draining {
	pthread_t thread;
	struct http_server *server;
	int grace_ms;
};

static void *drain(void *arg)
{
	struct draining *d = arg;

	http_server_drain(d->server, d->grace_ms);
	return NULL;
}

/* Returns when nobody listens any more. */
static void drain_begin(struct draining *d, struct app *app, int grace_ms)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int rc;

	d->server = app->server;
	d->grace_ms = grace_ms;
	in.sin_port = htons((uint16_t)atoi(strrchr(http_server_url(app->server, 0), ':') + 1));
	assert_int_equal(pthread_create(&d->thread, NULL, drain, d), 0);
	do {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		rc = connect(fd, (struct sockaddr *)&in, sizeof(in));
		close(fd);
	} while (rc == 0);
}

static void app_free(struct app *app)
{
	app_hold(app, false);
	pthread_mutex_lock(&app->mutex);
	app->stop = true;
	pthread_cond_broadcast(&app->changed);
	pthread_mutex_unlock(&app->mutex);
	pthread_join(app->worker, NULL);
	http_server_free(app->server);
	free(app);
}

static void drain_finishes_what_is_here(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire idle, busy, reading, late;
	int64_t began_ns = clock_mono_ns();
	struct draining d;
	struct answer a;

	(void)state;
	app_hold(app, true);
	wire_to(&idle, app);
	assert_int_equal(ask(&idle, GET("/"), &a), 200);
	answer_free(&a);
	wire_to(&busy, app);
	wire_say(&busy, GET("/later"));
	wire_to(&reading, app);
	wire_say(&reading,
		 "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
	assert_true(read_answer(&reading, &a, false)); /* so its head is known to be there */
	answer_free(&a);
	wire_to(&late, app);
	wire_say(&late, GET("/bytes?n=1") "GET /echo HT");
	assert_true(read_answer(&late, &a, true)); /* so is the first half of its second request */
	answer_free(&a);
	app_wait_queued(app, 1);

	drain_begin(&d, app, 10000);
	assert_true(wire_closed(&idle));
	wire_say(&late, "TP/1.1\r\nHost: x\r\n\r\n");
	assert_true(read_answer(&late, &a, true));
	assert_int_equal(a.status, 503);
	assert_string_equal(answer_field(&a, "Retry-After"), "1");
	assert_non_null(strstr((char *)a.body, "shutting down"));
	answer_free(&a);
	assert_true(wire_closed(&late));
	wire_close(&late);
	wire_say(&reading, "abcd");
	assert_true(read_answer(&reading, &a, true));
	assert_int_equal(a.status, 200);
	assert_string_equal(answer_field(&a, "Connection"), "close");
	answer_free(&a);
	app_hold(app, false);
	assert_true(read_answer(&busy, &a, true));
	assert_int_equal(a.status, 200);
	answer_free(&a);
	pthread_join(d.thread, NULL);
	assert_true(clock_mono_ns() - began_ns < 8 * NS_PER_S); /* it did not wait for the grace to pass */
	wire_close(&idle);
	wire_close(&busy);
	wire_close(&reading);
	app_free(app);
}

static void drain_cuts_what_stays(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire follow, held, reading;
	struct draining d;
	struct answer a;

	(void)state;
	app_hold(app, true);
	wire_to(&follow, app);
	wire_say(&follow, GET("/follow?n=0"));
	for (int n = 0; n < 4;)
		n = wire_byte(&follow) == (n % 2 ? '\n' : '\r') ? n + 1 : 0;
	wire_to(&held, app);
	wire_say(&held, GET("/later"));
	app_wait_queued(app, 1);
	wire_to(&reading, app);
	wire_say(&reading,
		 "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
	assert_true(read_answer(&reading, &a, false));
	answer_free(&a);
	drain_begin(&d, app, 100);
	assert_int_equal(app_wait_streams(app, 1), ERR_GONE);
	pthread_join(d.thread, NULL);
	assert_true(wire_closed(&follow));
	assert_true(wire_closed(&held));
	assert_true(wire_closed(&reading));
	wire_close(&follow);
	wire_close(&held);
	wire_close(&reading);
	app_free(app); /* the held request is answered only now, after the loops have ended */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_give_the_same),
		cmocka_unit_test(writers_wait_for_slow_readers),
		cmocka_unit_test(room_is_bounded),
		cmocka_unit_test(silent_stream_notices_the_client_leave),
		cmocka_unit_test(blocked_writer_notices_the_client_leave),
		cmocka_unit_test(late_answers_to_dead_connections),
		cmocka_unit_test(incomplete_stream_is_cut),
		cmocka_unit_test(drain_finishes_what_is_here),
		cmocka_unit_test(drain_cuts_what_stays),
	};

	return cmocka_run_group_tests_name("http_stream", tests, NULL, NULL);
}

/* Each limit over a real socket: refused with the limit in the sentence, and the server is as before. */
#include "tests/unit/proto/http_fixture.h"

#include "store/base/clock.h"
#include "store/base/compress.h"

#define POST11 "POST /len HTTP/1.1\r\nHost: x\r\n"

static void say_length(struct wire *w, const char *path, const char *more, size_t len)
{
	char head[300];
	int n = snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n",
			 path, more, len);

	assert_true(wire_send(w, head, (size_t)n));
}

/* Reads a refusal of that status whose sentence has `text` in it, after which the connection closes. */
static void expect_refusal(struct wire *w, int status, const char *text)
{
	struct answer a;

	assert_true(read_answer(w, &a, true));
	assert_int_equal(a.status, status);
	if (!strstr((char *)a.body, text))
		fail_msg("\"%s\" lacks \"%s\"", (char *)a.body, text);
	assert_string_equal(answer_field(&a, "Connection"), "close");
	if (status == 503)
		assert_string_equal(answer_field(&a, "Retry-After"), "1");
	assert_true(wire_closed(w));
	answer_free(&a);
	wire_close(w);
}

static char *filled(size_t n)
{
	char *s = malloc(n + 1);

	memset(s, 'a', n);
	s[n] = 0;
	return s;
}

/* ---- heads ---- */

static void head_sizes(void **state)
{
	struct app *app = app_start(&http_limits_default);
	char *a = filled(20000), *rq = malloc(50000);
	struct wire w;
	struct answer answer;

	(void)state;
	for (int i = 0; i < 2; i++) { /* exactly at the limit, then one byte over it */
		int n =
		    snprintf(rq, 50000, "GET / HTTP/1.1\r\nHost: x\r\nA: %.*s\r\n\r\n", 16384 - 32 + i, a);

		assert_int_equal(n, 16384 + i);
		wire_to(&w, app);
		wire_say(&w, rq);
		if (i == 1) {
			expect_refusal(&w, 431, "16384");
			continue;
		}
		assert_true(read_answer(&w, &answer, true));
		assert_int_equal(answer.status, 200);
		answer_free(&answer);
		wire_close(&w);
	}
	wire_to(&w, app); /* no end in sight */
	snprintf(rq, 50000, "GET / HTTP/1.1\r\nHost: x\r\nA: %s", a);
	wire_say(&w, rq);
	expect_refusal(&w, 431, "16384");
	wire_to(&w, app);
	snprintf(rq, 50000, "GET /%.*s HTTP/1.1\r\nHost: x\r\n\r\n", 8192, a);
	wire_say(&w, rq);
	expect_refusal(&w, 414, "8192");
	wire_to(&w, app);
	snprintf(rq, 50000, "GET /%.*s", 9000, a);
	wire_say(&w, rq);
	expect_refusal(&w, 414, "8256");
	wire_to(&w, app);
	snprintf(rq, 50000, POST11 "Transfer-Encoding: chunked\r\n\r\n1;%.*s", 17000, a);
	wire_say(&w, rq);
	expect_refusal(&w, 431, "16384");
	assert_int_equal(atomic_load(&app->handled), 1);
	free(a);
	free(rq);
	app_stop(app);
}

/* ---- bodies ---- */

static void body_too_long_is_refused_unread(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w;

	(void)state;
	wire_to(&w, app);
	say_length(&w, "/len", "", (8 << 20) + 1);
	expect_refusal(&w, 413, "8388609 bytes; the limit of a request is 8388608");
	wire_to(&w, app);
	wire_say(&w, POST11 "Content-Length: 999999999999999999\r\nExpect: 100-continue\r\n\r\n");
	expect_refusal(&w, 413, "999999999999999999");
	assert_int_equal(atomic_load(&app->admitted), 0);
	app_stop(app);
}

/* The refusal reaches a client that sends on all the while: no reset comes in between. */
static void refused_client_may_send_on(void **state)
{
	struct app *app = app_start(&http_limits_default);
	char *megabyte = filled(1 << 20);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	say_length(&w, "/len", "", 9 << 20);
	assert_true(read_answer(&w, &a, true));
	assert_int_equal(a.status, 413);
	answer_free(&a);
	for (int i = 0; i < 9; i++)
		assert_true(wire_send(&w, megabyte, 1 << 20));
	assert_true(wire_closed(&w));
	free(megabyte);
	wire_close(&w);
	app_stop(app);
}

static void chunked_body_too_long(void **state)
{
	struct http_limits limits = http_limits_default;
	struct app *app;
	struct wire w;
	struct answer a;

	(void)state;
	limits.body_bytes = 10;
	app = app_start(&limits);
	wire_to(&w, app);
	assert_int_equal(ask(&w,
			     POST11 "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n6\r\nefghij\r\n0\r\n\r\n",
			     &a),
			 200);
	assert_string_equal((char *)a.body, "10");
	answer_free(&a);
	wire_say(&w, POST11 "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n7\r\nefghijk\r\n0\r\n\r\n");
	expect_refusal(&w, 413, "10 bytes");
	wire_to(&w, app);
	wire_say(&w, POST11 "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nabcdefghijk");
	expect_refusal(&w, 413, "10 bytes");
	app_stop(app);
}

/* ---- zstd ---- */

static void zip(const void *data, size_t n, struct buf *out)
{
	assert_int_equal(compress_block(span_of(data, n), 9, out), 0);
}

static void zstd_bodies(void **state)
{
	struct app *app = app_start(&http_limits_default);
	size_t n = 3000000;
	uint8_t *data = malloc(n);
	struct wire w;
	struct answer a;
	struct buf packed;

	(void)state;
	for (size_t i = 0; i < n; i++)
		data[i] = pattern(i * i / 100);
	buf_init(&packed, 1 << 24);
	zip(data, n / 2, &packed); /* two frames are one body */
	zip(data + n / 2, n - n / 2, &packed);
	wire_to(&w, app);
	say_length(&w, "/echo", "Content-Encoding: zstd\r\n", packed.len);
	for (size_t at = 0; at < packed.len; at += 1000)
		wire_send(&w, packed.data + at, packed.len - at < 1000 ? packed.len - at : 1000);
	assert_true(read_answer(&w, &a, true));
	assert_int_equal(a.status, 200);
	assert_int_equal(a.len, n);
	assert_memory_equal(a.body, data, n);
	answer_free(&a);
	for (int i = 0; i < 20; i++) { /* small ones, some in two halves */
		buf_clear(&packed);
		zip(data, 500, &packed);
		say_length(&w, "/later", "Content-Encoding: zstd\r\n", packed.len);
		wire_send(&w, packed.data, 9);
		wire_send(&w, packed.data + 9, packed.len - 9);
		assert_true(read_answer(&w, &a, true));
		assert_int_equal(a.len, 500);
		assert_memory_equal(a.body, data, 500);
		answer_free(&a);
	}
	buf_release(&packed);
	free(data);
	wire_close(&w);
	app_stop(app);
}

/* A frame of RFC 8878 written by hand: magic, header (window 1 KiB), one raw block "hello". */
static const uint8_t hello_zst[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00, 0x29,
				     0x00, 0x00, 'h',  'e',  'l',  'l',  'o' };

static void zstd_frame_by_hand(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	for (size_t cut = 0; cut <= sizeof(hello_zst); cut++) {
		say_length(&w, "/echo", "Content-Encoding: zstd\r\n", cut);
		wire_send(&w, hello_zst, cut);
		if (cut < sizeof(hello_zst)) {
			expect_refusal(&w, 400, "cut short");
			wire_to(&w, app);
			continue;
		}
		assert_true(read_answer(&w, &a, true));
		assert_string_equal((char *)a.body, "hello");
		answer_free(&a);
	}
	wire_close(&w);
	assert_int_equal(atomic_load(&app->handled), 1);
	app_stop(app);
}

static void zstd_garbage(void **state)
{
	static const uint8_t wide[] = {
		0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x70, 0x29, 0x00, 0x00
	}; /* window 16 MiB */
	struct app *app = app_start(&http_limits_default);
	uint8_t followed[sizeof(hello_zst) + 4];
	struct wire w;

	(void)state;
	memcpy(followed, hello_zst, sizeof(hello_zst));
	memcpy(followed + sizeof(hello_zst), "tail", 4);
	wire_to(&w, app);
	say_length(&w, "/echo", "Content-Encoding: zstd\r\n", sizeof(followed));
	wire_send(&w, followed, sizeof(followed));
	expect_refusal(&w, 400, "not zstd");
	wire_to(&w, app);
	say_length(&w, "/echo", "Content-Encoding: zstd\r\n", 10);
	wire_say(&w, "plain text");
	expect_refusal(&w, 400, "not zstd");
	wire_to(&w, app);
	say_length(&w, "/echo", "Content-Encoding: zstd\r\n", sizeof(wide));
	wire_send(&w, wide, sizeof(wide));
	expect_refusal(&w, 400, "window of at most 8 MiB");
	assert_int_equal(atomic_load(&app->handled), 0);
	app_stop(app);
}

static void zstd_bomb(void **state)
{
	struct app *app = app_start(&http_limits_default);
	size_t n = 100 << 20;
	uint8_t *zeros = calloc(1, n);
	struct buf packed;
	struct wire w;

	(void)state;
	buf_init(&packed, 1 << 24);
	zip(zeros, n, &packed);
	assert_true(packed.len < 16384);
	for (int i = 0; i < 3; i++) {
		wire_to(&w, app);
		say_length(&w, "/len", "Content-Encoding: zstd\r\n", packed.len);
		wire_send(&w, packed.data, packed.len);
		expect_refusal(&w, 413, "67108864 bytes");
	}
	assert_int_equal(atomic_load(&app->handled), 0);
	free(zeros);
	buf_release(&packed);
	app_stop(app);
}

static void zstd_exactly_at_the_cap(void **state)
{
	struct http_limits limits = http_limits_default;
	uint8_t data[100001] = { 1, 2, 3 };
	struct buf packed;
	struct app *app;
	struct wire w;
	struct answer a;

	(void)state;
	limits.unpacked_bytes = 100000;
	app = app_start(&limits);
	buf_init(&packed, 1 << 20);
	zip(data, 100000, &packed);
	wire_to(&w, app);
	say_length(&w, "/len", "Content-Encoding: zstd\r\n", packed.len);
	wire_send(&w, packed.data, packed.len);
	assert_true(read_answer(&w, &a, true));
	assert_string_equal((char *)a.body, "100000");
	answer_free(&a);
	buf_clear(&packed);
	zip(data, 100001, &packed);
	say_length(&w, "/len", "Content-Encoding: zstd\r\n", packed.len);
	wire_send(&w, packed.data, packed.len);
	expect_refusal(&w, 413, "100000 bytes");
	buf_release(&packed);
	app_stop(app);
}

/* ---- the budget of all bodies ---- */

static void budget(void **state)
{
	struct http_limits limits = http_limits_default;
	char *megabyte = filled(1 << 20);
	struct http_stats stats;
	struct app *app;
	struct wire w[3], other;
	struct answer a;

	(void)state;
	limits.budget_bytes = (3 << 20) + 1000;
	app = app_start(&limits);
	app_hold(app, true);
	for (int i = 0; i < 3; i++) { /* three megabytes wait for the worker */
		wire_to(&w[i], app);
		say_length(&w[i], "/later", "", 1 << 20);
		assert_true(wire_send(&w[i], megabyte, 1 << 20));
	}
	app_wait_queued(app, 3);
	http_server_stats(app->server, &stats);
	assert_int_equal(stats.body_budget_used, 3 << 20);
	wire_to(&other, app);
	say_length(&other, "/len", "", 1001);
	wire_send(&other, megabyte, 1001);
	expect_refusal(&other, 503, "no memory left for request bodies");
	wire_to(&other, app); /* what fits is served */
	say_length(&other, "/len", "", 1000);
	wire_send(&other, megabyte, 1000);
	assert_true(read_answer(&other, &a, true));
	assert_int_equal(a.status, 200);
	answer_free(&a);
	app_hold(app, false);
	for (int i = 0; i < 3; i++) {
		assert_true(read_answer(&w[i], &a, true));
		assert_int_equal(a.len, 1 << 20);
		answer_free(&a);
		wire_close(&w[i]);
	}
	say_length(&other, "/len", "", 1 << 20); /* and all of it came back */
	wire_send(&other, megabyte, 1 << 20);
	assert_true(read_answer(&other, &a, true));
	assert_int_equal(a.status, 200);
	answer_free(&a);
	wire_close(&other);
	free(megabyte);
	app_stop(app);
}

/* A length that only promises costs no memory: a thousand of them are far over the budget. */
static void promises_are_not_believed(void **state)
{
	struct app *app = app_start(&http_limits_default);
	enum { N = 500 };
	struct wire *w = calloc(N, sizeof(*w));
	struct http_stats stats;
	struct wire other;
	struct answer a;

	(void)state;
	for (int i = 0; i < N; i++) {
		wire_to(&w[i], app);
		say_length(&w[i], "/len", "", 8 << 20);
		wire_say(&w[i], "a");
	}
	do { /* until all have been read; each holds its first piece only */
		wire_to(&other, app);
		assert_int_equal(ask(&other, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", &a), 200);
		answer_free(&a);
		wire_close(&other);
	} while (atomic_load(&app->admitted) - atomic_load(&app->handled) < N);
	http_server_stats(app->server, &stats);
	assert_true(stats.body_budget_used <= N * 65536);
	for (int i = 0; i < N; i++)
		wire_close(&w[i]);
	free(w);
	app_stop(app);
}

/* ---- connections ---- */

static void connection_cap(void **state)
{
	struct http_limits limits = http_limits_default;
	struct wire w[10], extra;
	struct app *app;
	struct answer a;

	(void)state;
	limits.connections = 10;
	app = app_start(&limits);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 10; i++) {
			wire_to(&w[i], app);
			assert_int_equal(ask(&w[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n", &a), 200);
			answer_free(&a);
		}
		wire_to(&extra, app);
		expect_refusal(&extra, 503, "10 connections");
		for (int i = 0; i < 10; i++) {
			say_length(&w[i], "/len", "Connection: close\r\n", 0);
			assert_true(read_answer(&w[i], &a, true));
			answer_free(&a);
			assert_true(wire_closed(&w[i]));
			wire_close(&w[i]);
		}
	}
	app_stop(app);
}

/* ---- time ---- */

static void trickle(struct app *app, const char *start, const char *drop)
{
	int64_t began_ns = clock_mono_ns();
	struct pollfd p = { .events = POLLIN };
	struct wire w;

	wire_to(&w, app);
	p.fd = w.fd;
	wire_say(&w, start);
	while (poll(&p, 1, 10) == 0) /* always some progress, never an end */
		wire_say(&w, drop);
	expect_refusal(&w, 408, "0.3 s");
	assert_in_range(clock_mono_ns() - began_ns, 250 * NS_PER_MS, 10 * NS_PER_S);
}

static void slow_senders(void **state)
{
	struct http_limits limits = http_limits_default;
	struct app *app;

	(void)state;
	limits.request_timeout_ms = 300;
	app = app_start(&limits);
	trickle(app, "GET / HTTP/1.1\r\nHost: x\r\n", "A: b\r\n");
	trickle(app, "GET /", "a");
	trickle(app, POST11 "Content-Length: 1000000\r\n\r\n", "a");
	trickle(app, POST11 "Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n");
	trickle(app, "\r\n", "");
	assert_int_equal(atomic_load(&app->handled), 0);
	app_stop(app);
}

static void idle_connections_close(void **state)
{
	struct http_limits limits = http_limits_default;
	struct wire fresh, used;
	struct app *app;
	struct answer a;

	(void)state;
	limits.idle_timeout_ms = 200;
	app = app_start(&limits);
	wire_to(&fresh, app);
	wire_to(&used, app);
	assert_int_equal(ask(&used, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", &a), 200);
	answer_free(&a);
	assert_true(wire_closed(&fresh)); /* without a word */
	assert_true(wire_closed(&used));
	wire_close(&fresh);
	wire_close(&used);
	app_stop(app);
}

/* The handler's own time is not the client's: it may take longer than any deadline. */
static void slow_handlers_are_waited_for(void **state)
{
	struct http_limits limits = http_limits_default;
	struct app *app;
	struct wire w, idle;
	struct answer a;

	(void)state;
	limits.idle_timeout_ms = limits.request_timeout_ms = limits.write_timeout_ms = 100;
	app = app_start(&limits);
	app_hold(app, true);
	wire_to(&w, app);
	wire_say(&w, POST11 "Content-Length: 0\r\n\r\n");
	assert_true(read_answer(&w, &a, true));
	answer_free(&a);
	say_length(&w, "/later", "", 2);
	wire_say(&w, "ab");
	app_wait_queued(app, 1);
	for (int i = 0; i < 3; i++) { /* three idle timeouts pass meanwhile */
		wire_to(&idle, app);
		assert_true(wire_closed(&idle));
		wire_close(&idle);
	}
	app_hold(app, false);
	assert_true(read_answer(&w, &a, true));
	assert_string_equal((char *)a.body, "ab");
	answer_free(&a);
	wire_close(&w);
	app_stop(app);
}

static void wait_for_connections(struct app *app, uint64_t n)
{
	struct http_stats stats;
	int64_t until_ns = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;

	do {
		assert_true(clock_mono_ns() < until_ns);
		poll(NULL, 0, 1);
		http_server_stats(app->server, &stats);
	} while (stats.connections != n);
}

static void readers_that_do_not_read(void **state)
{
	struct http_limits limits = http_limits_default;
	struct wire whole, streamed;
	struct app *app;

	(void)state;
	limits.write_timeout_ms = 200;
	app = app_start(&limits);
	wire_to(&streamed, app);
	wire_say(&streamed, "GET /stream?n=900000000 HTTP/1.1\r\nHost: x\r\n\r\n");
	wire_to(&whole, app);
	wire_say(&whole, "GET /bytes?n=30000000 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(app_wait_streams(app, 1), ERR_GONE);
	wait_for_connections(app, 0);
	wire_close(&streamed);
	wire_close(&whole);
	app_stop(app);
}

static void client_aborts_in_its_body(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct linger reset = { .l_onoff = 1 };
	struct answer a;
	struct wire w;

	(void)state;
	for (int i = 0; i < 2; i++) { /* with a reset, and with an orderly end */
		wire_to(&w, app);
		say_length(&w, "/len", "", 1000000);
		wire_say(&w, "only this");
		if (i == 0) {
			setsockopt(w.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		} else {
			shutdown(w.fd, SHUT_WR);
			assert_true(read_answer(&w, &a, true));
			assert_int_equal(a.status, 400);
			assert_non_null(strstr((char *)a.body, "ends in the middle of its body"));
			answer_free(&a);
		}
		wire_close(&w);
		wait_for_connections(app, 0);
	}
	assert_int_equal(atomic_load(&app->handled), 0);
	app_stop(app);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_sizes),
		cmocka_unit_test(body_too_long_is_refused_unread),
		cmocka_unit_test(refused_client_may_send_on),
		cmocka_unit_test(chunked_body_too_long),
		cmocka_unit_test(zstd_bodies),
		cmocka_unit_test(zstd_frame_by_hand),
		cmocka_unit_test(zstd_garbage),
		cmocka_unit_test(zstd_bomb),
		cmocka_unit_test(zstd_exactly_at_the_cap),
		cmocka_unit_test(budget),
		cmocka_unit_test(promises_are_not_believed),
		cmocka_unit_test(connection_cap),
		cmocka_unit_test(slow_senders),
		cmocka_unit_test(idle_connections_close),
		cmocka_unit_test(slow_handlers_are_waited_for),
		cmocka_unit_test(readers_that_do_not_read),
		cmocka_unit_test(client_aborts_in_its_body),
	};

	return cmocka_run_group_tests_name("http_limits", tests, NULL, NULL);
}

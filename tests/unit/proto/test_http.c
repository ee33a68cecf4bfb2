/* Requests and answers over real sockets: routing, bodies, order, keep-alive, unix sockets. */
#include "tests/unit/proto/http_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void small_request(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(&w, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
				     &a),
				 200);
		assert_string_equal((char *)a.body, "hello");
		assert_true(a.complete);
		assert_string_equal(answer_field(&a, "Astraml-Version"), "9.9.9");
		assert_int_equal(strlen(answer_field(&a, "X-Request-Id")), 16);
		assert_non_null(answer_field(&a, "Date"));
		assert_null(answer_field(&a, "Connection"));
		answer_free(&a);
	}
	wire_close(&w);
	app_stop(app);
}

static void request_ids_differ(void **state)
{
	struct app *app = app_start(&http_limits_default);
	char first[17];
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	ask(&w, GET("/"), &a);
	snprintf(first, sizeof(first), "%.16s", answer_field(&a, "X-Request-Id"));
	answer_free(&a);
	ask(&w, GET("/"), &a);
	assert_string_not_equal(first, answer_field(&a, "X-Request-Id"));
	answer_free(&a);
	wire_close(&w);
	app_stop(app);
}

static void answers_from_another_thread(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w[20];
	struct answer a;

	(void)state;
	for (int i = 0; i < 20; i++)
		wire_to(&w[i], app);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 20; i++) {
			char rq[120];

			snprintf(rq, sizeof(rq),
				 "POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n%02d %02d\n",
				 round, i);
			wire_say(&w[i], rq);
		}
		for (int i = 0; i < 20; i++) {
			char want[8];

			snprintf(want, sizeof(want), "%02d %02d\n", round, i);
			assert_true(read_answer(&w[i], &a, true));
			assert_string_equal((char *)a.body, want);
			answer_free(&a);
		}
	}
	for (int i = 0; i < 20; i++)
		wire_close(&w[i]);
	app_stop(app);
}

static void head_has_no_body(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	wire_say(&w, "HEAD /bytes?n=1234 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(read_answer(&w, &a, false));
	assert_string_equal(answer_field(&a, "Content-Length"), "1234");
	answer_free(&a);
	wire_say(&w, "HEAD /stream?n=1234 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(read_answer(&w, &a, false));
	assert_int_equal(a.status, 200);
	answer_free(&a);
	assert_int_equal(ask(&w, GET("/bytes?n=3"), &a), 200); /* so nothing came in between */
	assert_string_equal((char *)a.body, "012");
	answer_free(&a);
	wire_close(&w);
	app_stop(app);
}

static void http_1_0(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	assert_int_equal(ask(&w, "GET /bytes?n=3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &a), 200);
	assert_string_equal(answer_field(&a, "Connection"), "keep-alive");
	answer_free(&a);
	assert_int_equal(ask(&w, "GET /bytes?n=3 HTTP/1.0\r\n\r\n", &a), 200);
	assert_string_equal(answer_field(&a, "Connection"), "close");
	assert_true(wire_closed(&w));
	answer_free(&a);
	wire_close(&w);
	wire_to(&w, app);
	assert_int_equal(ask(&w, "GET /stream?n=5000 HTTP/1.0\r\n\r\n", &a), 200);
	assert_false(a.chunked);
	assert_int_equal(a.len, 5000);
	answer_free(&a);
	wire_close(&w);
	app_stop(app);
}

static void pipelining_keeps_order(void **state)
{
	enum { N = 1000 };
	static const char *const paths[] = { "/echo", "/later", "/stream?n=4" };
	struct app *app = app_start(&http_limits_default);
	char *all = malloc(N * 100);
	size_t len = 0;
	struct wire w;
	struct answer a;

	(void)state;
	for (int i = 0; i < N; i++)
		len +=
		    (size_t)sprintf(all + len, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n%04d",
				    paths[i % 3], i);
	wire_to(&w, app);
	assert_true(wire_send(&w, all, len));
	for (int i = 0; i < N; i++) {
		char want[5];

		snprintf(want, sizeof(want), "%04d", i);
		assert_true(read_answer(&w, &a, true));
		assert_string_equal((char *)a.body, i % 3 == 2 ? "0123" : want);
		answer_free(&a);
	}
	assert_int_equal(atomic_load(&app->handled), N);
	free(all);
	wire_close(&w);
	app_stop(app);
}

/* Two requests in one piece, and a third while the first is still handled. */
static void arrivals_meanwhile_are_not_lost(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w, others[2];
	struct answer a;

	(void)state;
	app_hold(app, true);
	wire_to(&w, app);
	wire_say(&w, GET("/later") GET("/bytes?n=1"));
	app_wait_queued(app, 1);
	wire_say(&w, GET("/bytes?n=2"));
	for (int i = 0; i < 2; i++) { /* one for each loop: answered after it has seen the arrival */
		wire_to(&others[i], app);
		assert_int_equal(ask(&others[i], GET("/"), &a), 200);
		answer_free(&a);
		wire_close(&others[i]);
	}
	app_hold(app, false);
	for (size_t i = 0; i < 3; i++) {
		assert_true(read_answer(&w, &a, true));
		assert_int_equal(a.len, i);
		answer_free(&a);
	}
	wire_close(&w);
	app_stop(app);
}

/* Each byte by itself, so that every state of the parsers meets the end of its input. */
static void byte_by_byte(void **state)
{
	static const char rq[] = "\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n"
				 "Transfer-Encoding: chunked\r\n\r\n"
				 "3;ext=\"1;2\"\r\nabc\r\n00A \t;x\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	for (size_t i = 0; i < sizeof(rq) - 1; i++)
		assert_true(wire_send(&w, rq + i, 1));
	assert_true(read_answer(&w, &a, true));
	assert_int_equal(a.status, 200);
	assert_string_equal((char *)a.body, "abc0123456789");
	assert_string_equal(answer_field(&a, "X-Type"), "a/b");
	answer_free(&a);
	wire_close(&w);
	app_stop(app);
}

static void large_bodies(void **state)
{
	static const size_t sizes[] = { 1, 65535, 65536, 65537, 262144, 1000003, 8 << 20 };
	struct app *app = app_start(&http_limits_default);
	uint8_t *body = malloc(8 << 20);
	struct wire w;
	struct answer a;

	(void)state;
	for (size_t i = 0; i < 8 << 20; i++)
		body[i] = pattern(i * 7919 + i / 65536);
	wire_to(&w, app);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		char head[120];
		int n = snprintf(head, sizeof(head),
				 "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
				 i % 2 ? "later" : "echo", sizes[i]);

		assert_true(wire_send(&w, head, (size_t)n));
		assert_true(wire_send(&w, body, sizes[i]));
		assert_true(read_answer(&w, &a, true));
		assert_int_equal(a.len, sizes[i]);
		assert_memory_equal(a.body, body, sizes[i]);
		answer_free(&a);
	}
	free(body);
	wire_close(&w);
	app_stop(app);
}

static void expect_continue(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	wire_say(&w, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	assert_true(read_answer(&w, &a, false));
	assert_int_equal(a.status, 100);
	answer_free(&a);
	assert_int_equal(ask(&w, "abc", &a), 200);
	assert_string_equal((char *)a.body, "abc");
	answer_free(&a);
	wire_say(&w, "POST /secret HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	assert_true(read_answer(&w, &a, true));
	assert_int_equal(a.status, 401);
	assert_string_equal(answer_field(&a, "WWW-Authenticate"), "Bearer");
	assert_true(wire_closed(&w));
	assert_int_equal(atomic_load(&app->handled), 1);
	answer_free(&a);
	wire_close(&w);
	app_stop(app);
}

static void unix_socket(void **state)
{
	char path[64], url[80];
	const char *listen[] = { "127.0.0.1:0", url };
	struct http_handlers handlers = { 0 };
	struct http_server *second;
	struct app *app;
	struct fault f;
	struct wire w;
	struct answer a;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/test_http.%d.sock", (int)getpid());
	snprintf(url, sizeof(url), "unix:%s", path);
	for (int round = 0; round < 2; round++) {
		app = app_start_on(listen, 2, &http_limits_default);
		assert_string_equal(http_server_url(app->server, 1), url);
		wire_open(&w, url);
		assert_int_equal(ask(&w, "POST /later HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n\r\nhi", &a),
				 200);
		assert_string_equal((char *)a.body, "hi");
		answer_free(&a);
		wire_close(&w);
		assert_int_equal(http_server_new(&listen[1], 1, 1, &http_limits_default, &handlers, "1",
						 &second, &f),
				 ERR_HELD);
		app_stop(app);
		assert_int_equal(access(path, F_OK), -1);
		if (round == 0) { /* what a dead server leaves behind */
			struct sockaddr_un un = { .sun_family = AF_UNIX };
			int fd = socket(AF_UNIX, SOCK_STREAM, 0);

			strcpy(un.sun_path, path);
			assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
			close(fd);
		}
	}
}

static void bad_addresses(void **state)
{
	static const char *const bad[] = { "",          "7480",   ":7480", "localhost",     "127.0.0.1:",
					   "1.2.3.4:x", "::1:80", "unix:", "1.2.3.4:123456" };
	struct http_handlers handlers = { 0 };
	struct http_server *s;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct fault f = { 0 };

		assert_int_equal(http_server_new(&bad[i], 1, 1, &http_limits_default, &handlers, "1", &s, &f),
				 ERR_REFUSED);
		assert_true(strlen(f.text) > 20);
	}
}

static void error_documents(void **state)
{
	static const struct {
		int err, status;
		bool retryable;
	} table[] = {
		{ ERR_NOMEM, 500, true },        { ERR_MALFORMED, 400, false },
		{ ERR_UNSUPPORTED, 415, false }, { ERR_REFUSED, 422, false },
		{ ERR_DENIED, 403, false },      { ERR_UNAUTHENTICATED, 401, false },
		{ ERR_NOT_FOUND, 404, false },   { ERR_CONFLICT, 409, false },
		{ ERR_TOO_LARGE, 413, false },   { ERR_BUSY, 503, true },
		{ ERR_AHEAD, 503, true },        { ERR_DISK_FULL, 507, true },
		{ ERR_IO, 500, true },           { ERR_CORRUPT, 500, true },
		{ ERR_TIMEOUT, 408, true },      { ERR_HELD, 503, true },
	};
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		char rq[100], want[400];

		snprintf(rq, sizeof(rq), "GET /fault?err=%d HTTP/1.1\r\nHost: x\r\n\r\n", -table[i].err);
		assert_int_equal(ask(&w, rq, &a), table[i].status);
		snprintf(
		    want, sizeof(want),
		    "{\"error\":{\"code\":\"%s\",\"message\":\"a\\u000asentence \xef\xbf\xbd with \xc3\xa9\","
		    "\"field\":\"a \\\"field\\\"\",\"retryable\":%s,\"request_id\":\"%.16s\"}}\n",
		    err_name(table[i].err), table[i].retryable ? "true" : "false",
		    answer_field(&a, "X-Request-Id"));
		assert_string_equal((char *)a.body, want);
		assert_string_equal(answer_field(&a, "Content-Type"), "application/json");
		if (table[i].status == 503)
			assert_string_equal(answer_field(&a, "Retry-After"), "1");
		else
			assert_null(answer_field(&a, "Retry-After"));
		answer_free(&a);
	}
	wire_close(&w);
	app_stop(app);
}

/* The client sends its requests, shuts down its side, and still gets every answer. */
static void half_closed_client(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	wire_say(&w, GET("/bytes?n=2") GET("/later"));
	shutdown(w.fd, SHUT_WR);
	assert_true(read_answer(&w, &a, true));
	assert_string_equal((char *)a.body, "01");
	answer_free(&a);
	assert_true(read_answer(&w, &a, true));
	answer_free(&a);
	assert_true(wire_closed(&w));
	wire_close(&w);
	app_stop(app);
}

static void slow_reader_of_a_large_answer(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app); /* nothing is read before all is said, and 30 MB are more than sockets hold */
	assert_int_equal(ask(&w, GET("/bytes?n=30000000") GET("/bytes?n=3"), &a), 200);
	assert_int_equal(a.len, 30000000);
	for (size_t i = 0; i < a.len; i++)
		if (a.body[i] != pattern(i))
			fail_msg("byte %zu differs", i);
	answer_free(&a);
	assert_true(read_answer(&w, &a, true));
	assert_string_equal((char *)a.body, "012");
	answer_free(&a);
	wire_close(&w);
	app_stop(app);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_request),
		cmocka_unit_test(request_ids_differ),
		cmocka_unit_test(answers_from_another_thread),
		cmocka_unit_test(head_has_no_body),
		cmocka_unit_test(http_1_0),
		cmocka_unit_test(pipelining_keeps_order),
		cmocka_unit_test(arrivals_meanwhile_are_not_lost),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(large_bodies),
		cmocka_unit_test(expect_continue),
		cmocka_unit_test(unix_socket),
		cmocka_unit_test(bad_addresses),
		cmocka_unit_test(error_documents),
		cmocka_unit_test(half_closed_client),
		cmocka_unit_test(slow_reader_of_a_large_answer),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}

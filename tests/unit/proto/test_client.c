/* The client against the real server, and against servers that misbehave. */
#include "tests/unit/proto/http_fixture.h"

#include "proto/client.h"
#include "proto/target.h"

static struct client *client_to(const char *url)
{
	struct client *c = NULL;
	struct fault f = { 0 };

	if (client_new(url, "token", 2000, &c, &f) != 0)
		fail_msg("client: %s", f.text);
	return c;
}

static void fetches_and_posts(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct client *c = client_to(http_server_url(app->server, 0));
	struct client_request get = { .method = "GET", .path = "/bytes?n=100000" };
	struct client_request post = { .method = "POST",
				       .path = "/later",
				       .content_type = "application/x-ndjson",
				       .idempotency_key = "k1",
				       .body = span_str("some bytes") };
	struct client_request empty = { .method = "POST", .path = "/len", .content_type = "a/b" };
	struct client_request put = {
		.method = "PUT", .path = "/len", .content_type = "a/b", .body = span_str("12345")
	};
	struct http_stats stats;
	struct buf out;
	struct fault f;
	int status;

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(client_fetch(c, &get, &out, &status, &f), 0);
	assert_int_equal(status, 200);
	assert_int_equal(out.len, 100000);
	assert_int_equal(out.data[99999], pattern(99999));
	buf_clear(&out);
	assert_int_equal(client_fetch(c, &post, &out, NULL, &f), 0);
	assert_true(span_is(buf_span(&out), "some bytes"));
	buf_clear(&out);
	assert_int_equal(client_fetch(c, &empty, &out, NULL, &f), 0);
	assert_true(span_is(buf_span(&out), "0"));
	buf_clear(&out);
	assert_int_equal(client_fetch(c, &put, &out, NULL, &f), 0);
	assert_true(span_is(buf_span(&out), "5"));
	http_server_stats(app->server, &stats);
	assert_int_equal(stats.connections, 1); /* one kept alive for all of it */
	buf_release(&out);
	client_free(c);
	app_stop(app);
}

static void head_then_get(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct client *c = client_to(http_server_url(app->server, 0));
	struct client_request head = { .method = "HEAD", .path = "/bytes?n=50" };
	struct client_request get = { .method = "GET", .path = "/bytes?n=50" };
	struct buf out;
	struct fault f;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(client_fetch(c, &head, &out, NULL, &f), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(client_fetch(c, &get, &out, NULL, &f), 0);
	assert_int_equal(out.len, 50);
	buf_release(&out);
	client_free(c);
	app_stop(app);
}

static void over_a_unix_socket(void **state)
{
	char url[80];
	const char *listen[] = { url };
	struct client_request rq = { .method = "GET", .path = "/bytes?n=7" };
	struct client *c;
	struct app *app;
	struct buf out;
	struct fault f;

	(void)state;
	snprintf(url, sizeof(url), "unix:/tmp/test_client.%d.sock", (int)getpid());
	app = app_start_on(listen, 1, &http_limits_default);
	c = client_to(url);
	buf_init(&out, 1000);
	assert_int_equal(client_fetch(c, &rq, &out, NULL, &f), 0);
	assert_true(span_is(buf_span(&out), "0123456"));
	buf_release(&out);
	client_free(c);
	app_stop(app);
}

static void errors_come_back(void **state)
{
	static const int errs[] = { ERR_MALFORMED, ERR_UNSUPPORTED, ERR_REFUSED,   ERR_UNAUTHENTICATED,
				    ERR_DENIED,    ERR_NOT_FOUND,   ERR_CONFLICT,  ERR_TOO_LARGE,
				    ERR_BUSY,      ERR_AHEAD,       ERR_DISK_FULL, ERR_TIMEOUT };
	struct app *app = app_start(&http_limits_default);
	struct client *c = client_to(http_server_url(app->server, 0));
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof(errs) / sizeof(*errs); i++) {
		struct client_request rq = { .method = "GET" };
		struct fault f = { 0 };
		char path[40];
		int status;

		snprintf(path, sizeof(path), "/fault?err=%d", -errs[i]);
		rq.path = path;
		assert_int_equal(client_fetch(c, &rq, &out, &status, &f), errs[i]);
		assert_int_equal(status, http_status_of(errs[i]));
		assert_int_equal(f.err, errs[i]);
		assert_string_equal(f.field, "a \"field\"");
		assert_string_equal(f.text, "a\nsentence \xef\xbf\xbd with \xc3\xa9");
		assert_int_equal(out.len, 0);
	}
	buf_release(&out);
	client_free(c);
	app_stop(app);
}

static void refusal_of_a_large_body_is_read(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct client *c = client_to(http_server_url(app->server, 0));
	size_t n = http_limits_default.body_bytes + 1;
	struct client_request rq = { .method = "POST", .path = "/len", .content_type = "a/b" };
	struct buf out;
	struct fault f;

	(void)state;
	buf_init(&out, 1000);
	rq.body = span_of(calloc(1, n), n);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(client_fetch(c, &rq, &out, NULL, &f), ERR_TOO_LARGE);
		assert_non_null(strstr(f.text, "8388608"));
	}
	free((void *)rq.body.data);
	buf_release(&out);
	client_free(c);
	app_stop(app);
}

static int count_then_cancel(void *arg, struct span piece)
{
	size_t *n = arg;

	*n += piece.len;
	return *n > 1000000;
}

static void sink_streams_and_cancels(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct client *c = client_to(http_server_url(app->server, 0));
	struct client_request rq = { .method = "GET", .path = "/stream?n=900000000" };
	struct client_request small = { .method = "GET", .path = "/stream?n=1000000" };
	struct fault f;
	size_t n = 0;

	(void)state;
	assert_int_equal(client_call(c, &small, count_then_cancel, &n, NULL, &f), 0);
	assert_int_equal(n, 1000000);
	assert_int_equal(client_call(c, &rq, count_then_cancel, &n, NULL, &f), ERR_GONE);
	assert_int_equal(app_wait_streams(app, 2), ERR_GONE); /* the server's work ended too */
	client_free(c);
	app_stop(app);
}

static void cut_answer_is_an_error(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct client *c = client_to(http_server_url(app->server, 0));
	struct client_request rq = { .method = "GET", .path = "/stream?n=5000&cut=1" };
	struct fault f;
	size_t n = 0;

	(void)state;
	assert_int_equal(client_call(c, &rq, count_then_cancel, &n, NULL, &f), ERR_IO);
	assert_non_null(strstr(f.text, "cut short"));
	client_free(c);
	app_stop(app);
}

static void too_much_to_hold(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct client *c = client_to(http_server_url(app->server, 0));
	struct client_request rq = { .method = "GET", .path = "/bytes?n=2000" };
	struct buf out;
	struct fault f;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(client_fetch(c, &rq, &out, NULL, &f), ERR_FULL);
	assert_int_equal(out.len, 0);
	buf_release(&out);
	client_free(c);
	app_stop(app);
}

static void nobody_listens(void **state)
{
	struct app *app = app_start(&http_limits_default);
	struct client_request rq = { .method = "GET", .path = "/" };
	char url[80];
	struct client *c;
	struct buf out;
	struct fault f;
	int status = 7;

	(void)state;
	snprintf(url, sizeof(url), "%s", http_server_url(app->server, 0));
	app_stop(app);
	c = client_to(url);
	buf_init(&out, 1000);
	assert_int_equal(client_fetch(c, &rq, &out, &status, &f), ERR_IO);
	assert_int_equal(status, 0);
	assert_non_null(strstr(f.text, url));
	assert_non_null(strstr(f.text, "is `astraml serve` running there?"));
	assert_int_equal(exit_status_of(f.err), EXIT_TROUBLE);
	client_free(c);
}

/* ---- servers that are not ours ---- */

struct stranger {
	int fd;
	pthread_t thread;
	const char *answer;
	char url[60];
};

static void *stranger_answer(void *arg)
{
	struct stranger *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	char rq[4096];

	recv(fd, rq, sizeof(rq), 0);
	send(fd, s->answer, strlen(s->answer), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static int ask_stranger(const char *answer, int *ret_status, struct fault *f)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct stranger s = { .fd = socket(AF_INET, SOCK_STREAM, 0), .answer = answer };
	struct client_request rq = { .method = "GET", .path = "/" };
	socklen_t len = sizeof(in);
	struct client *c;
	struct buf out;
	int err;

	assert_int_equal(bind(s.fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(s.fd, 1), 0);
	getsockname(s.fd, (struct sockaddr *)&in, &len);
	snprintf(s.url, sizeof(s.url), "http://127.0.0.1:%d/", ntohs(in.sin_port));
	pthread_create(&s.thread, NULL, stranger_answer, &s);
	c = client_to(s.url);
	buf_init(&out, 1000);
	*f = (struct fault){ 0 };
	err = client_fetch(c, &rq, &out, ret_status, f);
	pthread_join(s.thread, NULL);
	close(s.fd);
	client_free(c);
	buf_release(&out);
	return err;
}

static void strange_answers(void **state)
{
	static const struct {
		const char *answer;
		int err, status;
		const char *text;
	} table[] = {
		{ "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope", ERR_NOT_FOUND, 404,
		  "is it an astraml" },
		{ "HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", ERR_BUSY, 502, "502" },
		{ "HTTP/1.1 500 Bad\r\nContent-Length: 14\r\n\r\n{\"error\":\"no\"}", ERR_IO, 500, "500" },
		{ "HTTP/1.1 400 Bad\r\n\r\n{\"error\":{\"message\":[1,2,3]}}", ERR_MALFORMED, 400, "400" },
		{ "HTTP/1.1 422 Bad\r\n\r\n{\"error\":{\"message\":\"a \\u00e9 "
		  "thing\"}}",
		  ERR_REFUSED, 422, "a \xc3\xa9 thing" },
		{ "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n", ERR_IO,
		  302, "302" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", ERR_IO, 200, "cut short" },
		{ "SSH-2.0-OpenSSH\r\n", ERR_IO, 0, "failed" },
		{ "", ERR_IO, 0, "cut short" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct fault f;
		int status;

		assert_int_equal(ask_stranger(table[i].answer, &status, &f), table[i].err);
		assert_int_equal(status, table[i].status);
		if (!strstr(f.text, table[i].text))
			fail_msg("\"%s\" lacks \"%s\"", f.text, table[i].text);
	}
}

static void bad_urls_and_tokens(void **state)
{
	static const char *const bad[] = { "", "localhost:7480", "ftp://x", "unix:", "file:///etc/passwd" };
	struct client *c;
	struct fault f;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(client_new(bad[i], NULL, 1000, &c, &f), ERR_REFUSED);
	assert_int_equal(client_new("http://x", "a\r\nX: y", 1000, &c, &f), ERR_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fetches_and_posts),
		cmocka_unit_test(head_then_get),
		cmocka_unit_test(over_a_unix_socket),
		cmocka_unit_test(errors_come_back),
		cmocka_unit_test(refusal_of_a_large_body_is_read),
		cmocka_unit_test(sink_streams_and_cancels),
		cmocka_unit_test(cut_answer_is_an_error),
		cmocka_unit_test(too_much_to_hold),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(strange_answers),
		cmocka_unit_test(bad_urls_and_tokens),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}

/* The service on a real server in this process: answers short and long, many followers that come
 * and go while records are written, clients that take nothing, and a shutdown among them. */
#include "tests/unit/query/fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "proto/client.h"
#include "query/follow.h"
#include "query/service.h"

static struct query_service *service;
static struct http_server *server;

static void handle(struct http_request *rq, void *arg)
{
	(void)arg;
	query_service_handle(service, rq, &owner);
}

/* Whoever takes nothing is told after half of that, and cut off after all of it. */
static void server_start_with(int write_timeout_ms)
{
	static const char *const listen[] = { "127.0.0.1:0" };
	const struct http_handlers handlers = { NULL, handle, NULL };
	struct http_limits limits = http_limits_default;
	struct fault f = { 0 };

	limits.write_timeout_ms = write_timeout_ms;
	assert_int_equal(http_server_new(listen, 1, 2, &limits, &handlers, "0", &server, &f), 0);
	assert_int_equal(query_service_new(fixture_store, server, &limits, 3, &service), 0);
	assert_int_equal(http_server_start(server), 0);
}

static void server_start(void) { server_start_with(2000); }

static void server_stop(void)
{
	query_service_stop(service);
	http_server_drain(server, 5000);
	query_service_free(service);
	http_server_free(server);
}

static struct client *client_open(void)
{
	struct client *c;
	struct fault f = { 0 };

	assert_int_equal(client_new(http_server_url(server, 0), NULL, 5000, &c, &f), 0);
	return c;
}

static int fetch(struct client *c, const char *path, struct buf *out, struct fault *f)
{
	const struct client_request rq = { .method = "GET", .path = path };

	buf_clear(out);
	*f = (struct fault){ 0 };
	return client_fetch(c, &rq, out, NULL, f);
}

static void put_lines(const char *run, int n)
{
	struct log_record *r = calloc((size_t)n, sizeof *r);

	assert_non_null(r);
	for (int i = 0; i < n; i++)
		r[i] = log_of("a line of some forty bytes, as they are\n", T0 + i, LEVEL_INFO, i % 4);
	put_logs(run, r, (size_t)n);
	free(r);
}

/* ---- answers ---- */

/* The one that asks; a thread counts the read before until a moment after its answer. */
static void wait_for_one_read(struct client *c, struct buf *out)
{
	int64_t until = clock_mono_ns() + 60 * NS_PER_S;
	struct fault f;

	do {
		assert_true(clock_mono_ns() < until);
		assert_int_equal(fetch(c, "/metrics", out, &f), 0);
	} while (!strstr(buf_cstr(out), "\nastraml_reads 1\n"));
}

static void answers_are_those_of_the_api(void **state)
{
	static const char *const paths[] = { "/v2/projects/p/runs/long/logs?limit=3",
					     "/v2/projects/p/runs/long/logs", "/v2/projects/p/query?run=long",
					     "/v2/projects/p/runs/long", "/healthz" };
	struct client *c;
	struct fault f;
	struct buf out;
	(void)state;

	make_run("long", "");
	put_lines("long", 30000);
	server_start();
	c = client_open();
	buf_init(&out, 64 << 20);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct reply here = call(paths[i]);

		assert_int_equal(fetch(c, paths[i], &out, &f), 0);
		assert_int_equal(out.len, here.body.len);
		assert_memory_equal(out.data, here.body.data, out.len);
		reply_release(&here);
	}
	assert_int_equal(fetch(c, "/v2/projects/p/runs/nobody", &out, &f), ERR_NOT_FOUND);
	assert_non_null(strstr(f.text, "nobody"));
	assert_int_equal(fetch(c, "/v2/projects/p/runs/long/logs?follow=true&end=now", &out, &f),
			 ERR_REFUSED);
	wait_for_one_read(c, &out);
	buf_release(&out);
	client_free(c);
	server_stop();
}

/* ---- followers ---- */

enum { FOLLOWERS = 24, RECORDS = 20000 };

struct follower {
	pthread_t thread;
	unsigned seed;
	uint64_t seen, until; /* sequences that came; where this connection is left */
	struct buf line;
	int connections;
};

static int follower_piece(void *arg, struct span s)
{
	struct follower *w = arg;

	for (size_t i = 0; i < s.len; i++) {
		buf_addch(&w->line, (char)s.data[i]);
		if (s.data[i] != '\n')
			continue;
		if (w->line.len > 1 && w->line.data[2] == 's') {
			if (strtoull(buf_cstr(&w->line) + 7, NULL, 10) != w->seen + 1)
				return 1; /* found out below */
			w->seen++;
		}
		buf_clear(&w->line);
		if (w->seen >= w->until)
			return 1;
	}
	return 0;
}

static void *follower_main(void *arg)
{
	struct follower *w = arg;
	struct fault f;

	buf_init(&w->line, 1 << 16);
	while (w->seen < RECORDS && w->connections < 1000) {
		char path[128];
		const struct client_request rq = { .method = "GET", .path = path };
		struct client *c = client_open();
		uint64_t before = w->seen;

		w->until = w->seen + 1 + (uint64_t)rand_r(&w->seed) % (RECORDS / 3);
		w->until = w->until < RECORDS ? w->until : RECORDS;
		snprintf(path, sizeof path, "/v2/projects/p/runs/live/logs?follow=true&after_seq=%llu",
			 (unsigned long long)w->seen);
		buf_clear(&w->line);
		client_call(c, &rq, follower_piece, w, NULL, &f);
		client_free(c);
		w->connections++;
		if (w->seen == before)
			break; /* a wrong sequence, or none */
	}
	buf_release(&w->line);
	return NULL;
}

static void followers_lose_and_repeat_nothing(void **state)
{
	struct follower w[FOLLOWERS] = { 0 };
	(void)state;

	make_run("live", "");
	server_start();
	put_lines("live", RECORDS / 2); /* some catch up, all go on live */
	for (unsigned i = 0; i < FOLLOWERS; i++) {
		w[i].seed = i + 1;
		assert_int_equal(pthread_create(&w[i].thread, NULL, follower_main, &w[i]), 0);
	}
	for (int left = RECORDS / 2, n; left > 0; left -= n) {
		n = left < 37 ? left : 37;
		put_lines("live", n);
	}
	for (int i = 0; i < FOLLOWERS; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].seen, RECORDS);
		assert_true(w[i].connections > 1);
	}
	server_stop();
}

/* ---- clients that take nothing ---- */

static int raw_request(const char *path)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;
	char text[256];

	to.sin_port = htons((uint16_t)atoi(strrchr(http_server_url(server, 0), ':') + 1));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
	assert_int_equal(send(fd, text, strlen(text), 0), (ssize_t)strlen(text));
	return fd;
}

static uint64_t server_number(struct client *c, const char *name)
{
	struct fault f;
	struct buf out;
	uint64_t v;
	char key[64];

	buf_init(&out, 1 << 20);
	assert_int_equal(fetch(c, "/metrics", &out, &f), 0);
	snprintf(key, sizeof key, "\nastraml_%s ", name);
	v = strtoull(strstr(buf_cstr(&out), key) + strlen(key), NULL, 10);
	buf_release(&out);
	return v;
}

/* Polls a number of the server until it is there; the deadline is for failures only, and shorter
 * than a heartbeat, which would find a client that has gone as well. */
static void wait_for_number(struct client *c, const char *name, uint64_t want)
{
	int64_t until_ns = clock_mono_ns() + (FOLLOW_BEAT_MS - 3000) * NS_PER_MS;

	while (server_number(c, name) != want)
		if (clock_mono_ns() > until_ns)
			fail_msg("%s never became %llu", name, (unsigned long long)want);
}

static void idle_clients_stop_nobody(void **state)
{
	struct client *c;
	int reader, follower;
	(void)state;

	server_start();
	c = client_open();
	reader = raw_request("/v2/projects/p/runs/live/logs");
	follower = raw_request("/v2/projects/p/runs/live/logs?follow=true&after_seq=0");
	wait_for_number(c, "followers", 1);
	wait_for_number(c, "reads", 2); /* this one and the stalled one */
	/* after the write timeout both are gone, without having been read */
	wait_for_number(c, "followers", 0);
	wait_for_number(c, "reads", 1);
	close(reader);
	close(follower);
	/* one that goes away by itself is noticed without news */
	follower = raw_request("/v2/projects/p/runs/live/logs?follow=true&limit=0");
	wait_for_number(c, "followers", 1);
	close(follower);
	wait_for_number(c, "followers", 0);
	client_free(c);
	server_stop();
}

/* Reads lines of a chunked answer: sizes of chunks are skipped, whatever they cut in two. */
struct dechunk {
	FILE *in;
	unsigned long left; /* of the chunk */
};

static int dechunk_char(struct dechunk *d)
{
	char size[32];

	if (d->left == 0) {
		do /* the line end of the chunk before, and the headers */
			if (!fgets(size, sizeof size, d->in))
				return EOF;
		while (size[0] == '\r');
		d->left = strtoul(size, NULL, 16);
		if (d->left == 0)
			return EOF;
	}
	d->left--;
	return getc(d->in);
}

/* Behind the headers of a chunked answer. */
static struct dechunk dechunk_start(int fd)
{
	struct dechunk d = { .in = fdopen(fd, "r") };
	char line[512];

	assert_non_null(d.in);
	while (fgets(line, sizeof line, d.in) && line[0] != '\r') {
	}
	return d;
}

/* The next line that is not empty; false at the answer's end. */
static bool dechunk_line(struct dechunk *d, char line[512])
{
	size_t n = 0;
	int c;

	while ((c = dechunk_char(d)) != EOF) {
		assert_true(n < 511);
		line[n++] = (char)c;
		line[n] = 0;
		if (c == '\n' && n > 1)
			return true;
		if (c == '\n')
			n = 0;
	}
	assert_int_equal(n, 0);
	return false;
}

/* Records come in their order up to `last`, or until the line that is no record; the next seq. */
static uint64_t read_records(struct dechunk *d, uint64_t seq, uint64_t last, char line[512])
{
	while (seq <= last && dechunk_line(d, line) && strncmp(line, "{\"seq\":", 7) == 0)
		assert_int_equal(strtoull(line + 7, NULL, 10), seq++);
	return seq;
}

/* A client that takes nothing for a while and then all of it: what waited for room is whole. */
static void slow_followers_get_all(void **state)
{
	enum { N = 40000 };
	struct client *c;
	struct dechunk d;
	char line[512];
	int fd;
	(void)state;

	make_run("slow", "");
	put_lines("slow", N);
	server_start();
	c = client_open();
	fd = raw_request("/v2/projects/p/runs/slow/logs?follow=true&after_seq=0");
	wait_for_number(c, "followers", 1);
	client_free(c);
	d = dechunk_start(fd);
	assert_int_equal(read_records(&d, 1, N, line), N + 1);
	fclose(d.in);
	server_stop();
}

/* One that takes nothing for longer is told where it stands, stops no writer, and can come back. */
static void stalled_followers_are_told(void **state)
{
	enum { N = 40000 };
	char line[512], path[128];
	struct client *c;
	struct dechunk d;
	uint64_t next;
	int fd;
	(void)state;

	server_start_with(6000);
	c = client_open();
	fd = raw_request("/v2/projects/p/runs/slow/logs?follow=true&after_seq=0");
	wait_for_number(c, "followers", 1);
	put_lines("slow", 10);
	wait_for_number(c, "followers", 0);
	d = dechunk_start(fd);
	next = read_records(&d, 1, UINT64_MAX, line);
	assert_non_null(strstr(line, "{\"error\":{\"code\":\"timeout\""));
	snprintf(path, sizeof path, "come back with after_seq=%llu\"", (unsigned long long)next - 1);
	assert_non_null(strstr(line, path));
	assert_true(next > 1 && next < N);
	assert_false(dechunk_line(&d, line)); /* and the answer is complete */
	fclose(d.in);
	snprintf(path, sizeof path, "/v2/projects/p/runs/slow/logs?follow=true&after_seq=%llu",
		 (unsigned long long)next - 1);
	d = dechunk_start(raw_request(path));
	assert_int_equal(read_records(&d, next, N + 10, line), N + 11);
	fclose(d.in);
	client_free(c);
	server_stop();
}

/* However busy the threads are, and however many come at once. */
static void followers_are_not_turned_away(void **state)
{
	enum { N = 2 * SERVICE_QUEUE_MAX };
	int readers[3], followers[N];
	char answer[16] = "";
	struct client *c;
	(void)state;

	server_start();
	c = client_open();
	for (int i = 0; i < 3; i++) /* all threads are held by clients that take nothing */
		readers[i] = raw_request("/v2/projects/p/runs/slow/logs");
	for (int i = 0; i < N; i++)
		followers[i] = raw_request("/v2/projects/p/runs/slow/logs?follow=true&limit=0");
	wait_for_number(c, "followers", N);
	for (int i = 0; i < N; i++) {
		assert_int_equal(recv(followers[i], answer, 12, MSG_WAITALL), 12);
		assert_string_equal(answer, "HTTP/1.1 200");
		close(followers[i]);
	}
	for (int i = 0; i < 3; i++)
		close(readers[i]);
	client_free(c);
	server_stop();
}

static void shutdown_tells_followers(void **state)
{
	char text[4096] = "";
	struct client *c;
	size_t n = 0;
	ssize_t got;
	int fd;
	(void)state;

	server_start();
	c = client_open();
	fd = raw_request("/v2/projects/p/runs/live/logs?follow=true&limit=1");
	wait_for_number(c, "followers", 1);
	client_free(c);
	while (!strstr(text, "{\"seq\":20000,") && (got = recv(fd, text + n, sizeof text - 1 - n, 0)) > 0)
		n += (size_t)got;
	server_stop();
	while (n < sizeof text - 1 && (got = recv(fd, text + n, sizeof text - 1 - n, 0)) > 0)
		n += (size_t)got;
	assert_non_null(strstr(text, "{\"seq\":20000,"));
	assert_non_null(strstr(text, "{\"end\":{\"reason\":\"shutdown\"}}\n\r\n0\r\n\r\n"));
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_those_of_the_api),
		cmocka_unit_test(followers_lose_and_repeat_nothing),
		cmocka_unit_test(idle_clients_stop_nobody),
		cmocka_unit_test(slow_followers_get_all),
		cmocka_unit_test(stalled_followers_are_told),
		cmocka_unit_test(followers_are_not_turned_away),
		cmocka_unit_test(shutdown_tells_followers),
	};

	return cmocka_run_group_tests_name("query/service", tests, fixture_open, fixture_close);
}

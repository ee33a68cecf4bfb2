#include "ingest/push.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "ingest/ndjson.h"
#include "proto/client.h"
#include "proto/control.h"
#include "store/base/bytes.h"

#define BATCH_BYTES_MAX   (1u << 20)
#define BATCH_LINES_MAX   5000
#define LINE_BYTES_MAX    (8u << 20) /* the server takes no longer body */
#define READ_BYTES        65536
#define PAUSE_MS          200
#define AGE_MAX_MS        1000
#define PATIENCE_NS       (60 * NS_PER_S)
#define CONNECT_MS        10000
#define ANSWER_BYTES_MAX  (8u << 20)
#define REJECTED_TOLD_MAX 20
#define KEY_MAX           235 /* leaves room for "/N" in the 255 of the header */

struct push {
	struct client *client;
	const char *project, *run;
	char key[KEY_MAX + 1];
	bool own_key;        /* the user's: requests must not depend on time */
	struct buf input;    /* read, and not yet acknowledged */
	size_t bytes, lines; /* at its start: the complete lines of the next request */
	int64_t first_ns;    /* when the first of these was there, on the monotonic clock */
	bool end;            /* of stdin */
	uint64_t n_requests, n_acknowledged, n_rejected;
	struct buf answer;
};

/* ---- sending ---- */

static bool may_pass(int err)
{
	return err == ERR_BUSY || err == ERR_DISK_FULL || err == ERR_IO || err == ERR_TIMEOUT;
}

static void wait_ms(int64_t ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * NS_PER_MS };

	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

/* The answer's body is in p->answer. */
static int call(struct push *p, const struct client_request *rq, struct fault *f)
{
	int64_t deadline = 0, pause_ms = 100;

	for (;;) {
		int err;

		buf_clear(&p->answer);
		*f = (struct fault){ 0 };
		err = client_fetch(p->client, rq, &p->answer, NULL, f);
		if (!may_pass(err))
			return err < 0 ? fault_default(f, err) : 0;
		fault_default(f, err);
		if (deadline == 0) {
			deadline = clock_mono_ns() + PATIENCE_NS;
			fprintf(stderr, "astraml push: %s; trying again for %d s\n", f->text,
				(int)(PATIENCE_NS / NS_PER_S));
		} else if (clock_mono_ns() + pause_ms * NS_PER_MS > deadline) {
			return err;
		}
		wait_ms(pause_ms);
		pause_ms = pause_ms < 2500 ? pause_ms * 2 : 5000;
	}
}

/* A run that is there already is what we want. */
static int create_run(struct push *p, struct fault *f)
{
	char path[256], body[128];
	struct client_request rq = { .method = "POST", .path = path, .content_type = "application/json" };
	int err;

	snprintf(path, sizeof(path), "/v2/projects/%s/runs", p->project);
	snprintf(body, sizeof(body), "{\"id\":\"%s\"}", p->run);
	rq.body = span_str(body);
	err = call(p, &rq, f);
	return err == ERR_CONFLICT ? 0 : err;
}

/* ---- what the server says of lines ---- */

/* Number in the input of the nth (from 0) sample or log record of the request; 0: there is none. */
static uint64_t line_of(const struct push *p, char kind, uint64_t nth)
{
	const uint8_t *at = p->input.data, *end = at + p->bytes;
	uint64_t line = p->n_acknowledged;

	while (at < end) {
		const uint8_t *eol = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((eol ? eol : end) - at);

		line++;
		if (ndjson_kind(span_of(at, n)) == kind && nth-- == 0)
			return line;
		at += n + (eol != NULL);
	}
	return 0;
}

static void tell_rejected(struct push *p, const Astraml__V2__IngestResponse *m)
{
	for (size_t i = 0; i < m->n_rejected; i++) {
		const Astraml__V2__Rejected *r = m->rejected[i];
		bool sample = r->kind == ASTRAML__V2__REJECTED__KIND__SAMPLE;

		if (p->n_rejected++ < REJECTED_TOLD_MAX)
			fprintf(stderr, "astraml push: line %" PRIu64 ": %s rejected: %s\n",
				line_of(p, sample ? 's' : 'l', r->index), sample ? "sample" : "log record",
				r->code);
	}
}

static int read_answer(struct push *p, struct fault *f)
{
	Astraml__V2__IngestResponse *m;
	struct arena a;
	int err;

	arena_init(&a, 2 * (size_t)ANSWER_BYTES_MAX);
	err = control_read_response(buf_span(&p->answer), &a, &m);
	if (err == 0)
		tell_rejected(p, m);
	arena_release(&a);
	return err < 0 ? fault_set(f, err, "", "the server answered with something that is no IngestResponse")
		       : 0;
}

/* The server counts lines from the beginning of the request, people from that of the input. */
static void tell_refused(const struct push *p, const struct fault *f)
{
	uint64_t line = 0;
	int skip = 0;

	if (sscanf(f->text, "line %" SCNu64 ": %n", &line, &skip) == 1 && skip > 0)
		fprintf(stderr, "astraml push: line %" PRIu64 ": %s\n", p->n_acknowledged + line,
			f->text + skip);
	else
		fprintf(stderr, "astraml push: lines %" PRIu64 " to %" PRIu64 ": %s\n", p->n_acknowledged + 1,
			p->n_acknowledged + p->lines, f->text);
}

static int send_lines(struct push *p)
{
	char path[256], key[KEY_MAX + 24];
	struct client_request rq = { .method = "POST",
				     .path = path,
				     .content_type = "application/x-ndjson",
				     .accept = "application/x-protobuf",
				     .idempotency_key = key,
				     .body = span_of(p->input.data, p->bytes) };
	struct fault f;
	int err;

	snprintf(path, sizeof(path), "/v2/projects/%s/runs/%s/ingest", p->project, p->run);
	snprintf(key, sizeof(key), "%s/%" PRIu64, p->key, ++p->n_requests);
	err = call(p, &rq, &f);
	if (err == 0)
		err = read_answer(p, &f);
	if (err < 0) {
		tell_refused(p, &f);
		return err;
	}
	p->n_acknowledged += p->lines;
	buf_consume(&p->input, p->bytes);
	p->bytes = p->lines = 0;
	return 0;
}

/* ---- reading ---- */

/* Takes complete lines into the next request.  True: it is full. */
static bool gather(struct push *p)
{
	while (p->bytes < p->input.len) {
		const uint8_t *from = p->input.data + p->bytes;
		const uint8_t *eol = memchr(from, '\n', p->input.len - p->bytes);
		size_t n = eol ? (size_t)(eol + 1 - from) : p->input.len - p->bytes;

		if (!eol && !p->end)
			return false;
		if (p->lines == BATCH_LINES_MAX || (p->lines && p->bytes + n > BATCH_BYTES_MAX))
			return true;
		if (p->lines++ == 0)
			p->first_ns = clock_mono_ns();
		p->bytes += n;
	}
	return false;
}

/* Until when to wait for input, in milliseconds; -1: for ever. */
static int patience_ms(const struct push *p)
{
	int64_t left;

	if (p->lines == 0 || p->own_key)
		return -1;
	left = AGE_MAX_MS - (clock_mono_ns() - p->first_ns) / NS_PER_MS;
	return left < 0 ? 0 : left < PAUSE_MS ? (int)left : PAUSE_MS;
}

/* Reads what there is; *ret_pause: it is time to send what has been read. */
static int read_input(struct push *p, bool *ret_pause)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	int err = buf_reserve(&p->input, READ_BYTES);
	ssize_t n;

	if (err < 0)
		return err;
	n = poll(&fd, 1, patience_ms(p));
	*ret_pause = n == 0;
	if (n == 0 || (n < 0 && errno == EINTR))
		return 0;
	n = read(STDIN_FILENO, p->input.data + p->input.len, READ_BYTES);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0)
		return ERR_IO;
	p->end = n == 0;
	p->input.len += (size_t)n;
	return 0;
}

static void tell_unread(const struct push *p, int err)
{
	if (err == ERR_FULL)
		fprintf(stderr, "astraml push: line %" PRIu64 " has more than %u MiB; split it\n",
			p->n_acknowledged + p->lines + 1, LINE_BYTES_MAX >> 20);
	else
		fprintf(stderr, "astraml push: cannot read stdin: %s\n", strerror(errno));
}

static int pump(struct push *p)
{
	bool pause = false;
	int err;

	for (;;) {
		bool full = gather(p);

		if (p->lines && (full || pause || p->end)) {
			err = send_lines(p);
			if (err < 0)
				return err;
			pause = false;
			continue;
		}
		if (p->end)
			return 0;
		err = read_input(p, &pause);
		pause |= err == ERR_FULL && p->lines; /* room for the line that follows them */
		if (err < 0 && !pause) {
			tell_unread(p, err);
			return err == ERR_FULL ? ERR_TOO_LARGE : err;
		}
	}
}

/* ---- the verb ---- */

static void print_help(void)
{
	printf("usage: astraml push --run R [--idempotency-key K] [--server URL | --data DIR]\n"
	       "                    [--project P]\n"
	       "\n"
	       "Sends JSON lines from stdin to run R (or ASTRAML_RUN), which is created when it\n"
	       "is not there:\n"
	       "\n"
	       "  {\"metric\":\"loss\",\"value\":0.5,\"step\":3,\"time\":\"2025-07-06T12:00:00Z\"}\n"
	       "  {\"metric\":\"loss\",\"value\":0.5,\"step\":3,\"labels\":{\"rank\":\"0\"}}\n"
	       "  {\"log\":\"text\",\"level\":\"info\",\"stream\":\"stdout\",\"rank\":0}\n"
	       "\n"
	       "value may be \"NaN\", \"Infinity\", \"-Infinity\"; time is RFC 3339 or integer\n"
	       "milliseconds, and is filled in by the server where it is left out, and so is a\n"
	       "level that the text tells (NCCL WARN, WARNING:root: ..., W0706 of glog ...).\n"
	       "What is read goes out within a second; with --idempotency-key in full requests\n"
	       "only, and the same input pushed again under the same key within 24 h adds\n"
	       "nothing.\n"
	       "\n"
	       "Exit status 0: every line is acknowledged as durable.  2: a line was refused, or\n"
	       "records were rejected; their line numbers are on stderr.  5: no answer for 60 s.\n"
	       "\n"
	       "example: echo '{\"metric\":\"loss\",\"value\":0.5}' | astraml push --run demo\n");
}

static bool is_id(const char *s)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strspn(s, allowed);

	return n > 0 && n <= ID_MAX && s[n] == 0;
}

static bool take_key(struct push *p, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < n; i++)
		if (key[i] < 0x20 || key[i] > 0x7e)
			n = 0;
	if (n == 0 || n > KEY_MAX) {
		fprintf(stderr, "astraml push: --idempotency-key takes 1 to %d printable ASCII characters\n",
			KEY_MAX);
		return false;
	}
	memcpy(p->key, key, n + 1);
	p->own_key = true;
	return true;
}

/* 1: go on; else an exit status, negated. */
static int parse(struct push *p, int argc, char **argv)
{
	static const struct option longs[] = { { "run", required_argument, NULL, 'r' },
					       { "idempotency-key", required_argument, NULL, 'k' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	int c;

	p->run = getenv("ASTRAML_RUN");
	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			print_help();
			return -EXIT_OK;
		}
		if (c == 'r')
			p->run = optarg;
		else if (c != 'k' || !take_key(p, optarg))
			return -EXIT_USAGE;
	}
	if (optind < argc)
		fprintf(stderr, "astraml push: \"%s\" is not an option; lines come from stdin\n",
			argv[optind]);
	else if (!p->run || !*p->run)
		fprintf(stderr, "astraml push: which run? say --run R, or set ASTRAML_RUN\n");
	else if (!is_id(p->run) || !is_id(p->project))
		fprintf(stderr, "astraml push: ids of runs and projects are 1 to %d of A-Z a-z 0-9 . _ -\n",
			ID_MAX);
	else
		return 1;
	return -EXIT_USAGE;
}

static int choose_key(struct push *p)
{
	uint8_t random[16];

	if (p->own_key)
		return 0;
	if (getentropy(random, sizeof(random)) != 0)
		return ERR_IO;
	snprintf(p->key, sizeof(p->key), "push-%016" PRIx64 "%016" PRIx64, get_be64(random),
		 get_be64(random + 8));
	return 0;
}

static int run(struct push *p, const struct target *t)
{
	struct fault f = { 0 };
	int err = choose_key(p);

	if (err == 0)
		err = client_new(t->url, t->token, CONNECT_MS, &p->client, &f);
	if (err == 0)
		err = create_run(p, &f);
	if (err < 0) {
		fault_default(&f, err);
		fprintf(stderr, "astraml push: %s\n", f.text);
		return err;
	}
	return pump(p);
}

int verb_push(const struct target *t, int argc, char **argv)
{
	struct push p = { .project = t->project };
	int go = parse(&p, argc, argv), err;

	if (go <= 0)
		return -go;
	buf_init(&p.input, LINE_BYTES_MAX + BATCH_BYTES_MAX + READ_BYTES);
	buf_init(&p.answer, ANSWER_BYTES_MAX);
	err = run(&p, t);
	if (p.n_rejected > REJECTED_TOLD_MAX)
		fprintf(stderr, "astraml push: and %" PRIu64 " more records rejected\n",
			p.n_rejected - REJECTED_TOLD_MAX);
	fprintf(stderr, "pushed %" PRIu64 " line%s%s\n", p.n_acknowledged, p.n_acknowledged == 1 ? "" : "s",
		err < 0 ? "; the others are not acknowledged" : "");
	client_free(p.client);
	buf_release(&p.input);
	buf_release(&p.answer);
	if (err < 0)
		return exit_status_of(err);
	return p.n_rejected ? exit_status_of(ERR_REFUSED) : EXIT_OK;
}

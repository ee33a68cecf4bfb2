#include "tools/serve.h"

#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ingest/service.h"
#include "query/service.h"
#include "store/base/log.h"

#define DRAIN_MS     10000
#define TRIM_EVERY_S 10

struct serve {
	struct store *store;
	struct ingest *ingest;
	struct query_service *query;
	struct http_server *http;
};

/* ---- routing ---- */

static bool is_open(struct span path)
{
	return span_is(path, "/healthz") || span_is(path, "/readyz") || span_is(path, "/version") ||
	       span_is(path, "/metrics");
}

/* /v2/projects/P/runs/R/ingest; ids hold no escapes, so what does not fit is not there. */
static bool ingest_path(struct span path, char *project, char *run)
{
	char text[sizeof("/v2/projects//runs//ingest") + 2 * ID_MAX];
	int end = 0;

	if (path.len >= sizeof(text) || memchr(path.data, 0, path.len))
		return false;
	memcpy(text, path.data, path.len);
	text[path.len] = 0;
	return sscanf(text, "/v2/projects/%64[A-Za-z0-9._-]/runs/%64[A-Za-z0-9._-]/ingest%n", project, run,
		      &end) == 2 &&
	       end == (int)path.len;
}

static int authenticate(struct serve *s, const struct http_request *rq, struct caller *ret, struct fault *f)
{
	struct span auth = http_header(rq, "Authorization");
	static const char scheme[] = "Bearer ";

	*ret = (struct caller){ .role = ROLE_NONE };
	if (is_open(rq->path))
		return 0;
	if (auth.len <= sizeof(scheme) - 1 ||
	    strncasecmp((const char *)auth.data, scheme, sizeof(scheme) - 1) != 0)
		return fault_default(f, ERR_UNAUTHENTICATED);
	auth = span_of(auth.data + sizeof(scheme) - 1, auth.len - sizeof(scheme) + 1);
	return fault_default(f, store_authenticate(s->store, auth, ret));
}

/* Before the body is read: a caller who may not send it shall not. */
static int admit(struct http_request *rq, void *arg)
{
	char project[ID_MAX + 1], run[ID_MAX + 1];
	struct fault f = { 0 };
	struct serve *s = arg;
	struct caller caller;
	int err = authenticate(s, rq, &caller, &f);

	if (err == 0 && ingest_path(rq->path, project, run))
		err = caller_may(&caller, project, ROLE_WORKER, &f);
	if (err < 0)
		http_reply_fault(rq, &f);
	return err;
}

static void handle(struct http_request *rq, void *arg)
{
	char project[ID_MAX + 1], run[ID_MAX + 1];
	struct fault f = { 0 };
	struct serve *s = arg;
	struct caller caller;

	if (authenticate(s, rq, &caller, &f) < 0)
		http_reply_fault(rq, &f);
	else if (rq->method == HTTP_POST && ingest_path(rq->path, project, run))
		ingest_handle(s->ingest, rq, &caller, project, run);
	else
		query_service_handle(s->query, rq, &caller);
}

/* ---- life ---- */

void serve_defaults(struct serve_options *o)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	*o = (struct serve_options){ .query_threads = 4, .limits = http_limits_default, .records = limits };
	o->io_threads = cores > 4 ? 4 : cores > 2 ? 2 : 1;
}

int serve_start(const struct serve_options *o, struct serve **ret, struct fault *f)
{
	struct serve *s = calloc(1, sizeof(*s));
	struct http_handlers handlers = { admit, handle, s };
	int err = s ? store_open(o->data, &o->store, &s->store, f) : ERR_NOMEM;

	limits = o->records;
	if (err == 0)
		err = ingest_new(s->store, &s->ingest);
	if (err == 0)
		err = http_server_new(o->listen, o->n_listen, o->io_threads, &o->limits, &handlers,
				      ASTRAML_VERSION, &s->http, f);
	if (err == 0)
		err = query_service_new(s->store, s->http, &o->limits, o->query_threads, &s->query);
	if (err == 0)
		err = http_server_start(s->http);
	if (err == 0)
		err = store_announce(s->store, serve_url(s));
	if (err < 0) {
		serve_stop(s);
		return fault_default(f, err);
	}
	*ret = s;
	return 0;
}

const char *serve_url(const struct serve *s) { return http_server_url(s->http, 0); }

/* Queries end first, so that draining finds no stream that goes on; the writer last, so that every
 * request under way gets its answer. */
void serve_stop(struct serve *s)
{
	if (!s)
		return;
	if (s->query)
		query_service_stop(s->query);
	if (s->http)
		http_server_drain(s->http, DRAIN_MS);
	query_service_free(s->query);
	store_close(s->store);
	ingest_free(s->ingest);
	http_server_free(s->http);
	free(s);
}

/* ---- the verb ---- */

enum unit { UNIT_COUNT, UNIT_BYTES, UNIT_MS, UNIT_NS };

struct setting {
	const char *name;
	enum unit unit;
	size_t offset;
	bool is_int;
	const char *help;
};

#define SETTING(name, unit, field, help)                                                                     \
	{                                                                                                    \
		name, unit, offsetof(struct serve_options, field),                                           \
		    sizeof(((struct serve_options *)0)->field) == sizeof(int), help                          \
	}

static const struct setting settings[] = {
	SETTING("io-threads", UNIT_COUNT, io_threads, "threads that read requests"),
	SETTING("query-threads", UNIT_COUNT, query_threads, "queries at once; the rest wait, or get 503"),
	SETTING("max-header", UNIT_BYTES, limits.header_bytes, "request line and headers (16KiB)"),
	SETTING("max-body", UNIT_BYTES, limits.body_bytes, "a request's body on the wire (8MiB)"),
	SETTING("max-unpacked", UNIT_BYTES, limits.unpacked_bytes, "a body unpacked (64MiB)"),
	SETTING("max-bodies", UNIT_BYTES, limits.budget_bytes, "all bodies together (256MiB)"),
	SETTING("max-connections", UNIT_COUNT, limits.connections, "(4096)"),
	SETTING("request-timeout", UNIT_MS, limits.request_timeout_ms, "a request's total time (60s)"),
	SETTING("idle-timeout", UNIT_MS, limits.idle_timeout_ms, "between requests (60s)"),
	SETTING("write-timeout", UNIT_MS, limits.write_timeout_ms, "an answer without progress (30s)"),
	SETTING("max-samples", UNIT_COUNT, records.samples, "samples of a request (1000000)"),
	SETTING("max-log-records", UNIT_COUNT, records.records, "log records of a request (250000)"),
	SETTING("max-buckets", UNIT_COUNT, records.buckets, "windows of exports in a request (100000)"),
	SETTING("max-series", UNIT_COUNT, records.series, "series of a run (100000)"),
	SETTING("max-rows", UNIT_COUNT, records.rows, "rows of a query's answer (1000000)"),
	SETTING("max-ahead", UNIT_NS, records.future_ns, "how far in the future a time may lie (10m)"),
	SETTING("max-idempotency-keys", UNIT_COUNT, records.idempotency_keys,
		"kept for a project, of the last 24 h (100000)"),
	SETTING("memory", UNIT_BYTES, store.memory_max_bytes,
		"open buckets, before all are flushed (128MiB)"),
	SETTING("journal", UNIT_BYTES, store.journal_max_bytes, "journal, before all is flushed (128MiB)"),
	SETTING("queue", UNIT_COUNT, store.queue_max_batches, "requests waiting for the writer (8192)"),
	SETTING("grace", UNIT_NS, store.grace_ns, "after a window's end, before it is flushed (30s)"),
	SETTING("flush-every", UNIT_NS, store.flush_every_ns, "least time between flushes (30s)"),
	SETTING("compact-every", UNIT_NS, store.compact_every_ns,
		"between looks for hours and days to seal (30s)"),
	SETTING("settle", UNIT_NS, store.settle_ns, "after an hour's end, before it is sealed (10m)"),
	SETTING("late-wait", UNIT_NS, store.late_ns,
		"how long a little late data of a sealed hour waits (10m)"),
	SETTING("raw-journal", UNIT_BYTES, store.raw_max_bytes,
		"flushed samples, before they are sealed one by one (64MiB)"),
	SETTING("raw-wait", UNIT_NS, store.raw_wait_ns, "how long fewer of them wait (10m)"),
	SETTING("log-block", UNIT_BYTES, store.log_block_bytes,
		"text of a log that is sealed together (4MiB)"),
	SETTING("map", UNIT_BYTES, store.map_max_bytes, "bound of the data file (256GiB)"),
};
#define SETTINGS (sizeof(settings) / sizeof(*settings))

static void print_help(void)
{
	printf("usage: astraml serve --data DIR [--listen ADDR]... [options]\n"
	       "\n"
	       "Ingest, read API and compactor in one process.  Prints `ready on URL` when it\n"
	       "accepts requests; SIGTERM drains, commits and exits 0.  ADDR is HOST:PORT (port\n"
	       "0: a free one) or unix:PATH; 127.0.0.1:7480 when none is given.\n"
	       "\n");
	for (size_t i = 0; i < SETTINGS; i++)
		printf("  --%-16s %s\n", settings[i].name, settings[i].help);
	printf("\nexample: astraml serve --data ./data --listen 127.0.0.1:7480\n"
	       "         astraml serve --data ./data --listen unix:./data/sock\n");
}

static double unit_of(enum unit unit, const char *suffix)
{
	static const struct {
		const char *suffix;
		enum unit unit;
		double factor;
	} factors[] = {
		{ "", UNIT_COUNT, 1 },          { "", UNIT_BYTES, 1 },          { "KiB", UNIT_BYTES, 1024 },
		{ "MiB", UNIT_BYTES, 1 << 20 }, { "GiB", UNIT_BYTES, 1 << 30 }, { "ms", UNIT_MS, 1 },
		{ "s", UNIT_MS, 1e3 },          { "m", UNIT_MS, 6e4 },          { "ms", UNIT_NS, 1e6 },
		{ "s", UNIT_NS, 1e9 },          { "m", UNIT_NS, 6e10 },
	};

	for (size_t i = 0; i < sizeof(factors) / sizeof(*factors); i++)
		if (factors[i].unit == unit && strcmp(factors[i].suffix, suffix) == 0)
			return factors[i].factor;
	return 0;
}

static bool set(struct serve_options *o, const struct setting *s, const char *text)
{
	static const char *const wants[] = { "a number", "bytes, as 8MiB", "a time, as 500ms, 60s or 2m",
					     "a time, as 500ms, 60s or 2m" };
	char *end;
	double v = strtod(text, &end), factor = unit_of(s->unit, end);
	void *field = (char *)o + s->offset;

	if (end == text || factor == 0 || !(v * factor >= 1) || v * factor > (s->is_int ? 2e9 : 9e18)) {
		fprintf(stderr, "astraml serve: --%s \"%s\" is not %s, at least 1\n", s->name, text,
			wants[s->unit]);
		return false;
	}
	if (s->is_int)
		*(int *)field = (int)(v * factor);
	else
		*(int64_t *)field = (int64_t)(v * factor);
	return true;
}

enum { OPT_LISTEN = 1000, OPT_HELP };

/* 1: go on; else an exit status, negated. */
static int parse(struct serve_options *o, int argc, char **argv)
{
	struct option longs[SETTINGS + 3] = { { "listen", required_argument, NULL, OPT_LISTEN },
					      { "help", no_argument, NULL, OPT_HELP } };
	int c;

	for (size_t i = 0; i < SETTINGS; i++)
		longs[i + 2] = (struct option){ settings[i].name, required_argument, NULL, (int)i };
	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		if (c == OPT_HELP || c == 'h') {
			print_help();
			return -EXIT_OK;
		}
		if (c == '?' || c == ':') {
			fprintf(stderr, "astraml serve: %s %s; see astraml serve --help\n",
				c == ':' ? "there is no value for" : "there is no option", argv[optind - 1]);
			return -EXIT_USAGE;
		}
		if (c == OPT_LISTEN && o->n_listen == LISTEN_MAX) {
			fprintf(stderr, "astraml serve: at most %d addresses can be listened on\n",
				LISTEN_MAX);
			return -EXIT_USAGE;
		}
		if (c == OPT_LISTEN)
			o->listen[o->n_listen++] = optarg;
		else if (!set(o, &settings[c], optarg))
			return -EXIT_USAGE;
	}
	if (optind < argc) {
		fprintf(stderr, "astraml serve: \"%s\" is not an option; see astraml serve --help\n",
			argv[optind]);
		return -EXIT_USAGE;
	}
	if (o->n_listen == 0)
		o->listen[o->n_listen++] = "127.0.0.1:7480";
	return 1;
}

/* Waits for SIGTERM or SIGINT; looks now and then whether the store still can be trusted. */
static int wait_for_end(struct serve *s, const sigset_t *signals)
{
	const struct timespec second = { 1, 0 };

	for (unsigned i = 1;; i++) {
		if (sigtimedwait(signals, NULL, &second) > 0)
			return EXIT_OK;
		if (i % TRIM_EVERY_S == 0)
			malloc_trim(0); /* what a peak has left behind */
		if (store_broken(s->store)) {
			log_error("serve: the store failed; stopping");
			return EXIT_TROUBLE;
		}
	}
}

/* Columns of requests and tables of buckets come and go by the megabyte: kept by malloc, they are
 * used again; given back to the system each time, clearing the new pages was a fifth of the CPU. */
static void keep_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

int verb_serve(const struct target *t, int argc, char **argv)
{
	struct serve_options o;
	struct fault f = { 0 };
	struct serve *s;
	sigset_t signals;
	int status;

	serve_defaults(&o);
	status = parse(&o, argc, argv);
	if (status <= 0)
		return -status;
	if (!t->data_dir) {
		fprintf(stderr, "astraml serve: which directory? say --data DIR, or set ASTRAML_DATA\n");
		return EXIT_USAGE;
	}
	o.data = t->data_dir;
	keep_memory();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (serve_start(&o, &s, &f) < 0) {
		fprintf(stderr, "astraml serve: %s\n", f.text);
		return strcmp(f.field, "listen") == 0 && f.err == ERR_REFUSED ? EXIT_USAGE : EXIT_TROUBLE;
	}
	printf("ready on %s\n", serve_url(s));
	fflush(stdout);
	status = wait_for_end(s, &signals);
	serve_stop(s);
	return status;
}

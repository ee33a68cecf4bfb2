/*
 * loadgen - the load of the benchmark: sends prepared requests to a server and times the answers.
 *
 * Everything is serialised, compressed and made known to the server first (one sample of each
 * series, at step -1); then it prints "ready", waits for a line on stdin, sends, and prints one
 * line of JSON.  Whoever measures the server reads its counters in between.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "astraml/v2/ingest.pb-c.h"
#include "store/base/bytes.h"
#include "store/base/clock.h"
#include "tools/loadgen/driver.h"
#include "tools/loadgen/workload.h"

#define BODY_MAX (1024L * 1024 * 1024)

static const char usage[] =
    "loadgen MODE [OPTIONS]\n"
    "  astraml        ingest requests of the server `astraml serve`\n"
    "  remote-write   the same samples as Prometheus remote write requests\n"
    "  files FILE...  POST each file once, to --path\n"
    "  sync           write and fdatasync --bytes, at --rate, in --dir\n"
    "options: --url http://IP:PORT --token T --path P --connections N --rate R (a second; 0: closed loop)\n"
    "         --runs N --series N (of a run) --steps N --batch N --start SECONDS --step SECONDS --f64\n"
    "         --dir D --bytes N --count N\n"
    "example: loadgen astraml --url http://127.0.0.1:7480 --token $T --runs 1 --series 10000 --steps 60\n"
    "         --batch 10000 --start 1750000000\n";

struct load {
	const char *mode, *url, *token, *path, *dir;
	struct workload work;
	unsigned connections;
	double rate;
	size_t bytes, count; /* sync */
	char **files;
	size_t n_files;

	struct sockaddr_in address;
	struct buf *requests;
	size_t n_requests, n_samples;
	uint64_t *sequences; /* of each run's producer */
	uint32_t **ids;      /* of each run's series */
	size_t (*snappy_bound)(size_t);
	int (*snappy)(const char *, size_t, char *, size_t *);
};

static int wrap(const struct load *l, const char *path, const char *type, struct span body, struct buf *out)
{
	int err;

	buf_init(out, BODY_MAX);
	err =
	    buf_addf(out, "POST %s HTTP/1.1\r\nHost: loadgen\r\nContent-Type: %s\r\nContent-Length: %zu\r\n",
		     path, type, body.len);
	if (err == 0 && l->token)
		err = buf_addf(out, "Authorization: Bearer %s\r\n", l->token);
	if (err == 0 && strcmp(l->mode, "remote-write") == 0)
		err = buf_addstr(out,
				 "Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n");
	if (err == 0)
		err = buf_addstr(out, "\r\n");
	if (err == 0)
		err = buf_reserve(out, body.len);
	return err == 0 ? buf_add(out, body.data, body.len) : err;
}

static int ingest_request(struct load *l, struct slice s, struct buf *out)
{
	struct buf body;
	char run[RUN_NAME_MAX], path[128];
	int err;

	buf_init(&body, BODY_MAX);
	workload_run_name(s.run, run);
	snprintf(path, sizeof(path), "/v2/projects/default/runs/%s/ingest", run);
	err = workload_ingest_body(&l->work, s, l->ids[s.run], ++l->sequences[s.run], &body);
	if (err == 0)
		err = wrap(l, path, "application/x-protobuf", buf_span(&body), out);
	buf_release(&body);
	return err;
}

static int remote_write_request(struct load *l, struct slice s, struct buf *out)
{
	struct buf body, packed;
	size_t len;
	int err;

	buf_init(&body, BODY_MAX);
	buf_init(&packed, BODY_MAX);
	err = workload_remote_write_body(&l->work, s, &body);
	len = l->snappy_bound(body.len);
	if (err == 0)
		err = buf_reserve(&packed, len);
	if (err == 0 && l->snappy((const char *)body.data, body.len, (char *)packed.data, &len) != 0)
		err = ERR_MALFORMED;
	if (err == 0)
		err = wrap(l, "/api/v1/write", "application/x-protobuf", span_of(packed.data, len), out);
	buf_release(&body);
	buf_release(&packed);
	return err;
}

static int slice_request(struct load *l, struct slice s, struct buf *out)
{
	return strcmp(l->mode, "astraml") == 0 ? ingest_request(l, s, out) : remote_write_request(l, s, out);
}

/* ---- before the clock ---- */

static int call(struct load *l, struct buf *request, int status_also_fine, struct buf *body, struct fault *f)
{
	int status, err = driver_call(l->address, buf_span(request), &status, body, f);

	if (err == 0 && (status < 200 || status > 299) && status != status_also_fine)
		err = fault_set(f, ERR_IO, "", "the warm-up was answered %d %.300s", status, buf_cstr(body));
	buf_release(request);
	return err;
}

static int create_run(struct load *l, unsigned run, struct fault *f)
{
	struct buf request, body;
	char name[RUN_NAME_MAX], spec[64];
	int err;

	buf_init(&body, BODY_MAX);
	workload_run_name(run, name);
	snprintf(spec, sizeof(spec), "{\"id\":\"%s\"}", name);
	err = wrap(l, "/v2/projects/default/runs", "application/json", span_str(spec), &request);
	if (err == 0)
		err = call(l, &request, 409, &body, f); /* 409: it is there */
	buf_release(&body);
	return err;
}

static int keep_ids(struct load *l, unsigned run, struct span answer, struct fault *f)
{
	Astraml__V2__IngestResponse *rs = astraml__v2__ingest_response__unpack(NULL, answer.len, answer.data);
	int err = 0;

	if (!rs || rs->n_series_ids != l->work.series_per_run || rs->n_rejected) {
		err = fault_set(f, ERR_IO, "", "the warm-up of run %u: %zu ids for %u series, %zu rejected",
				run, rs ? rs->n_series_ids : 0, l->work.series_per_run,
				rs ? rs->n_rejected : 0);
	} else {
		l->ids[run] = calloc(rs->n_series_ids, sizeof(uint32_t));
		if (!l->ids[run])
			err = ERR_NOMEM;
		else
			memcpy(l->ids[run], rs->series_ids, rs->n_series_ids * sizeof(uint32_t));
	}
	astraml__v2__ingest_response__free_unpacked(rs, NULL);
	return err;
}

static int warm_up(struct load *l, unsigned run, struct fault *f)
{
	struct buf request, body;
	bool ours = strcmp(l->mode, "astraml") == 0;
	int err = ours ? create_run(l, run, f) : 0;

	buf_init(&body, BODY_MAX);
	if (err == 0)
		err = slice_request(l, workload_warm_up(&l->work, run), &request);
	if (err == 0)
		err = call(l, &request, 0, &body, f);
	if (err == 0 && ours)
		err = keep_ids(l, run, buf_span(&body), f);
	buf_release(&body);
	return err;
}

/* Only this mode needs the library, so it is looked for here and not linked. */
static int load_snappy(struct load *l, struct fault *f)
{
	void *library = dlopen("libsnappy.so.1", RTLD_NOW);

	if (library) {
		*(void **)&l->snappy_bound = dlsym(library, "snappy_max_compressed_length");
		*(void **)&l->snappy = dlsym(library, "snappy_compress");
	}
	if (!l->snappy_bound || !l->snappy)
		return fault_set(f, ERR_IO, "", "remote-write needs libsnappy.so.1 (Debian: libsnappy1v5)");
	return 0;
}

static int prepare_workload(struct load *l, struct fault *f)
{
	int err = strcmp(l->mode, "remote-write") == 0 ? load_snappy(l, f) : 0;

	l->n_requests = workload_requests(&l->work);
	l->n_samples = workload_samples(&l->work);
	l->requests = calloc(l->n_requests, sizeof(*l->requests));
	l->sequences = calloc(l->work.runs, sizeof(*l->sequences));
	l->ids = calloc(l->work.runs, sizeof(*l->ids));
	if (!l->requests || !l->sequences || !l->ids)
		return ERR_NOMEM;
	for (unsigned run = 0; err == 0 && run < l->work.runs; run++)
		err = warm_up(l, run, f);
	for (size_t i = 0; err == 0 && i < l->n_requests; i++)
		err = slice_request(l, workload_slice(&l->work, i), &l->requests[i]);
	return err;
}

static int prepare_file(struct load *l, const char *name, struct buf *out, struct fault *f)
{
	FILE *file = fopen(name, "rb");
	struct buf body;
	size_t n = 0;
	int err = file ? 0 : fault_set(f, ERR_IO, "", "%s: %s", name, strerror(errno));

	buf_init(&body, BODY_MAX);
	while (err == 0) {
		err = buf_reserve(&body, 1 << 20);
		if (err == 0)
			n = fread(body.data + body.len, 1, 1 << 20, file);
		if (err == 0 && n == 0)
			break;
		body.len += n;
	}
	if (err == 0)
		err = wrap(l, l->path, "application/octet-stream", buf_span(&body), out);
	buf_release(&body);
	if (file)
		fclose(file);
	return err;
}

static int prepare_files(struct load *l, struct fault *f)
{
	int err = 0;

	l->n_requests = l->n_files;
	l->requests = calloc(l->n_requests, sizeof(*l->requests));
	if (!l->requests)
		return ERR_NOMEM;
	for (size_t i = 0; err == 0 && i < l->n_files; i++)
		err = prepare_file(l, l->files[i], &l->requests[i], f);
	return err;
}

static void wait_for_go(void)
{
	char line[16];

	printf("ready\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return; /* nobody there to say so: go */
}

/* ---- the report ---- */

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void report(const char *mode, int64_t *latency_ns, size_t n, size_t samples, size_t bytes,
		   double wall_s, size_t errors)
{
	qsort(latency_ns, n, sizeof(*latency_ns), by_value);
	printf(
	    "{\"mode\":\"%s\",\"requests\":%zu,\"samples\":%zu,\"bytes\":%zu,\"wall_s\":%.6f,\"errors\":%zu,"
	    "\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f}\n",
	    mode, n, samples, bytes, wall_s, errors, (double)latency_ns[n / 2] / 1e6,
	    (double)latency_ns[n * 99 / 100] / 1e6, (double)latency_ns[n - 1] / 1e6);
}

static size_t body_length(const struct buf *request)
{
	const uint8_t *head_end = memmem(request->data, request->len, "\r\n\r\n", 4);

	return request->len - (size_t)(head_end + 4 - request->data);
}

static int run_requests(struct load *l, struct fault *f)
{
	struct driver_plan plan = { .address = l->address,
				    .requests = l->requests,
				    .n_requests = l->n_requests,
				    .connections = l->connections,
				    .rate = l->rate };
	struct driver_result result;
	size_t bytes = 0;
	int err;

	for (size_t i = 0; i < l->n_requests; i++)
		bytes += body_length(&l->requests[i]);
	wait_for_go();
	err = driver_run(&plan, &result, f);
	if (err < 0)
		return err;
	if (result.errors)
		fprintf(stderr, "loadgen: %zu errors, the first: %s\n", result.errors, result.first_error);
	report(l->mode, result.latency_ns, l->n_requests, l->n_samples, bytes, (double)result.wall_ns / 1e9,
	       result.errors);
	driver_result_release(&result);
	return 0;
}

/* ---- the disk's own latency ---- */

static int sync_once(int fd, const void *bytes, size_t n, int64_t *ret_ns)
{
	int64_t start_ns = clock_mono_ns();

	if (write(fd, bytes, n) != (ssize_t)n || fdatasync(fd) < 0)
		return ERR_IO;
	*ret_ns = clock_mono_ns() - start_ns;
	return 0;
}

/* Appends to a file, as a log would; timed from the write to the return of fdatasync. */
static int run_sync(struct load *l, struct fault *f)
{
	char path[4096];
	int64_t *latency_ns = calloc(l->count, sizeof(*latency_ns)), start_ns;
	void *bytes = calloc(1, l->bytes);
	int fd = -1, err = latency_ns && bytes ? 0 : ERR_NOMEM;

	snprintf(path, sizeof(path), "%s/loadgen.sync", l->dir);
	if (err == 0)
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (err == 0 && fd < 0)
		err = fault_set(f, ERR_IO, "dir", "%s: %s", path, strerror(errno));
	if (err < 0)
		goto done;
	wait_for_go();
	start_ns = clock_mono_ns();
	for (size_t i = 0; i < l->count && err == 0; i++) {
		int64_t due_ns = start_ns + (int64_t)((double)i * 1e9 / l->rate);
		struct timespec due = { due_ns / NS_PER_S, due_ns % NS_PER_S };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
		err = sync_once(fd, bytes, l->bytes, &latency_ns[i]);
	}
	if (err < 0)
		fault_set(f, err, "", "%s: %s", path, strerror(errno));
	else
		report(l->mode, latency_ns, l->count, 0, l->bytes * l->count,
		       (double)(clock_mono_ns() - start_ns) / 1e9, 0);
done:
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	free(latency_ns);
	free(bytes);
	return err;
}

/* ---- options ---- */

static const struct option options[] = {
	{ "url", 1, NULL, 'u' },    { "token", 1, NULL, 't' },
	{ "path", 1, NULL, 'p' },   { "connections", 1, NULL, 'c' },
	{ "rate", 1, NULL, 'r' },   { "runs", 1, NULL, 'R' },
	{ "series", 1, NULL, 's' }, { "steps", 1, NULL, 'n' },
	{ "batch", 1, NULL, 'b' },  { "start", 1, NULL, 'S' },
	{ "step", 1, NULL, 'i' },   { "f64", 0, NULL, 'd' },
	{ "dir", 1, NULL, 'D' },    { "bytes", 1, NULL, 'B' },
	{ "count", 1, NULL, 'C' },  { NULL, 0, NULL, 0 },
};

static bool set_option(struct load *l, int option, const char *value)
{
	double number = value ? atof(value) : 0;

	switch (option) {
	case 'u':
		l->url = value;
		return true;
	case 't':
		l->token = value;
		return true;
	case 'p':
		l->path = value;
		return true;
	case 'D':
		l->dir = value;
		return true;
	case 'r':
		l->rate = number;
		return number >= 0;
	case 'c':
		l->connections = (unsigned)number;
		return number >= 1 && number <= 1000;
	case 'R':
		l->work.runs = (unsigned)number;
		return number >= 1 && number <= 10000;
	case 's':
		l->work.series_per_run = (unsigned)number;
		return number >= 1 && number <= 100000;
	case 'n':
		l->work.steps = (unsigned)number;
		return number >= 1 && number <= 1e6;
	case 'b':
		l->work.batch = (unsigned)number;
		return number >= 1 && number <= 1e6;
	case 'S':
		l->work.start_ns = (int64_t)number * NS_PER_S;
		return number >= 1e6;
	case 'i':
		l->work.step_ns = (int64_t)(number * 1e3) * NS_PER_MS;
		return number >= 0.001;
	case 'B':
		l->bytes = (size_t)number;
		return number >= 1 && number <= 1e8;
	case 'C':
		l->count = (size_t)number;
		return number >= 1 && number <= 1e7;
	case 'd':
		l->work.f64 = true;
		return true;
	default:
		return false;
	}
}

static bool parse(struct load *l, int argc, char **argv)
{
	int option;

	if (argc < 2)
		return false;
	l->mode = argv[1];
	while ((option = getopt_long(argc - 1, argv + 1, "", options, NULL)) != -1)
		if (!set_option(l, option, optarg))
			return false;
	l->files = argv + 1 + optind;
	l->n_files = (size_t)(argc - 1 - optind);
	if (strcmp(l->mode, "sync") == 0)
		return l->dir && l->bytes && l->count && l->rate > 0;
	if (!l->url || driver_address(l->url, &l->address) < 0)
		return false;
	if (strcmp(l->mode, "files") == 0)
		return l->path && l->n_files;
	return l->work.start_ns && (strcmp(l->mode, "astraml") == 0 || strcmp(l->mode, "remote-write") == 0);
}

static void release(struct load *l)
{
	for (size_t i = 0; l->requests && i < l->n_requests; i++)
		buf_release(&l->requests[i]);
	for (unsigned i = 0; l->ids && i < l->work.runs; i++)
		free(l->ids[i]);
	free(l->requests);
	free(l->ids);
	free(l->sequences);
}

int main(int argc, char **argv)
{
	struct load l = { .connections = 8,
			  .work = { .runs = 1,
				    .series_per_run = 10000,
				    .steps = 60,
				    .batch = 10000,
				    .step_ns = 10 * NS_PER_S } };
	struct fault f = { 0 };
	int err;

	if (!parse(&l, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	if (strcmp(l.mode, "sync") == 0) {
		err = run_sync(&l, &f);
	} else {
		err = strcmp(l.mode, "files") == 0 ? prepare_files(&l, &f) : prepare_workload(&l, &f);
		if (err == 0)
			err = run_requests(&l, &f);
	}
	if (err < 0) {
		fault_default(&f, err);
		fprintf(stderr, "loadgen: %s\n", f.text);
	}
	release(&l);
	return err < 0 ? 1 : 0;
}

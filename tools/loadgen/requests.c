#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "astraml/v2/ingest.pb-c.h"
#include "tools/loadgen/load.h"

#define BODY_MAX (1024L * 1024 * 1024)

struct bench;

/* How the samples travel. */
struct protocol {
	const char *path, *type, *more_head; /* path NULL: the run's */
	int (*body)(struct bench *b, struct slice s, struct buf *out);
};

struct bench {
	const struct load *load;
	const struct protocol *protocol;
	struct buf *requests;
	size_t n_requests, n_samples;
	uint64_t *sequences; /* of each run's producer */
	uint32_t **ids;      /* of each run's series */
	size_t (*snappy_bound)(size_t);
	int (*snappy)(const char *, size_t, char *, size_t *);
};

static int bench_init(struct bench *b, const struct load *l, const struct protocol *p, size_t n_requests)
{
	*b = (struct bench){ .load = l, .protocol = p, .n_requests = n_requests };
	b->requests = calloc(n_requests, sizeof(*b->requests));
	b->sequences = calloc(l->work.runs, sizeof(*b->sequences));
	b->ids = calloc(l->work.runs, sizeof(*b->ids));
	return b->requests && b->sequences && b->ids ? 0 : ERR_NOMEM;
}

static void bench_release(struct bench *b)
{
	for (size_t i = 0; b->requests && i < b->n_requests; i++)
		buf_release(&b->requests[i]);
	for (unsigned i = 0; b->ids && i < b->load->work.runs; i++)
		free(b->ids[i]);
	free(b->requests);
	free(b->ids);
	free(b->sequences);
}

/* ---- one request ---- */

/* A GET when there is no type.  more: further header lines. */
static int wrap(const struct load *l, const char *path, const char *type, const char *more, struct span body,
		struct buf *out)
{
	int err;

	buf_init(out, BODY_MAX);
	err = buf_addf(out, "%s %s HTTP/1.1\r\nHost: loadgen\r\n%s", type ? "POST" : "GET", path, more);
	if (err == 0 && type)
		err = buf_addf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, body.len);
	if (err == 0 && l->token)
		err = buf_addf(out, "Authorization: Bearer %s\r\n", l->token);
	if (err == 0)
		err = buf_addstr(out, "\r\n");
	if (err == 0)
		err = buf_reserve(out, body.len);
	return err == 0 ? buf_add(out, body.data, body.len) : err;
}

static int slice_request(struct bench *b, struct slice s, struct buf *out)
{
	char run[RUN_NAME_MAX], path[128];
	struct buf body;
	int err;

	buf_init(&body, BODY_MAX);
	workload_run_name(s.run, run);
	snprintf(path, sizeof(path), "/v2/projects/default/runs/%s/ingest", run);
	err = b->protocol->body(b, s, &body);
	if (err == 0)
		err = wrap(b->load, b->protocol->path ? b->protocol->path : path, b->protocol->type,
			   b->protocol->more_head, buf_span(&body), out);
	buf_release(&body);
	return err;
}

static int ingest_body(struct bench *b, struct slice s, struct buf *out)
{
	return workload_ingest_body(&b->load->work, s, b->ids[s.run], ++b->sequences[s.run], out);
}

static int influx_body(struct bench *b, struct slice s, struct buf *out)
{
	return workload_influx_body(&b->load->work, s, out);
}

static int remote_write_body(struct bench *b, struct slice s, struct buf *out)
{
	struct buf raw;
	size_t len;
	int err;

	buf_init(&raw, BODY_MAX);
	err = workload_remote_write_body(&b->load->work, s, &raw);
	len = b->snappy_bound(raw.len);
	if (err == 0)
		err = buf_reserve(out, len);
	if (err == 0 && b->snappy((const char *)raw.data, raw.len, (char *)out->data, &len) != 0)
		err = ERR_MALFORMED;
	if (err == 0)
		out->len = len;
	buf_release(&raw);
	return err;
}

static const struct protocol ours = { NULL, "application/x-protobuf", "", ingest_body };
static const struct protocol influx = { "/write", "text/plain", "", influx_body };
static const struct protocol remote_write = {
	"/api/v1/write", "application/x-protobuf",
	"Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n", remote_write_body
};

/* ---- before the clock ---- */

/* status_also_fine beside 2xx.  Releases the request. */
static int call(struct bench *b, struct buf *request, int status_also_fine, struct answer *answer,
		struct fault *f)
{
	int err = driver_call(b->load->address, buf_span(request), answer, f);

	if (err == 0 && (answer->status < 200 || answer->status > 299) && answer->status != status_also_fine)
		err = fault_set(f, ERR_IO, "", "the warm-up was answered %d %.*s", answer->status,
				(int)(answer->body.len < 300 ? answer->body.len : 300),
				(const char *)answer->body.data);
	buf_release(request);
	return err;
}

static int create_run(struct bench *b, unsigned run, struct answer *answer, struct fault *f)
{
	struct buf request;
	char name[RUN_NAME_MAX], spec[64];
	int err;

	workload_run_name(run, name);
	snprintf(spec, sizeof(spec), "{\"id\":\"%s\"}", name);
	err = wrap(b->load, "/v2/projects/default/runs", "application/json", "", span_str(spec), &request);
	return err == 0 ? call(b, &request, 409, answer, f) : err; /* 409: it is there */
}

static int keep_ids(struct bench *b, unsigned run, struct span answer, struct fault *f)
{
	Astraml__V2__IngestResponse *rs = astraml__v2__ingest_response__unpack(NULL, answer.len, answer.data);
	int err = 0;

	if (!rs || rs->n_series_ids != b->load->work.series_per_run || rs->n_rejected) {
		err = fault_set(f, ERR_IO, "", "the warm-up of run %u: %zu ids for %u series, %zu rejected",
				run, rs ? rs->n_series_ids : 0, b->load->work.series_per_run,
				rs ? rs->n_rejected : 0);
	} else {
		b->ids[run] = calloc(rs->n_series_ids, sizeof(uint32_t));
		if (!b->ids[run])
			err = ERR_NOMEM;
		else
			memcpy(b->ids[run], rs->series_ids, rs->n_series_ids * sizeof(uint32_t));
	}
	astraml__v2__ingest_response__free_unpacked(rs, NULL);
	return err;
}

static int warm_up(struct bench *b, unsigned run, struct fault *f)
{
	struct answer answer;
	struct buf request;
	int err = 0;

	answer_init(&answer, BODY_MAX);
	if (b->protocol == &ours)
		err = create_run(b, run, &answer, f);
	if (err == 0)
		err = slice_request(b, workload_warm_up(&b->load->work, run), &request);
	if (err == 0)
		err = call(b, &request, 0, &answer, f);
	if (err == 0 && b->protocol == &ours)
		err = keep_ids(b, run, buf_span(&answer.body), f);
	answer_release(&answer);
	return err;
}

/* Only this mode needs the library, so it is looked for here and not linked. */
static int load_snappy(struct bench *b, struct fault *f)
{
	void *library = dlopen("libsnappy.so.1", RTLD_NOW);

	if (library) {
		*(void **)&b->snappy_bound = dlsym(library, "snappy_max_compressed_length");
		*(void **)&b->snappy = dlsym(library, "snappy_compress");
	}
	if (!b->snappy_bound || !b->snappy)
		return fault_set(f, ERR_IO, "", "remote-write needs libsnappy.so.1 (Debian: libsnappy1v5)");
	return 0;
}

static int prepare_file(const struct load *l, const char *name, struct buf *out, struct fault *f)
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
		err = wrap(l, l->path, "application/octet-stream", "", buf_span(&body), out);
	buf_release(&body);
	if (file)
		fclose(file);
	return err;
}

/* ---- the clock ---- */

static size_t body_length(const struct buf *request)
{
	const uint8_t *head_end = memmem(request->data, request->len, "\r\n\r\n", 4);

	return request->len - (size_t)(head_end + 4 - request->data);
}

static int run(struct bench *b, struct fault *f)
{
	const struct load *l = b->load;
	struct driver_plan plan = { .address = l->address,
				    .requests = b->requests,
				    .n_requests = b->n_requests,
				    .connections = l->connections,
				    .rate = l->rate,
				    .fresh = l->fresh };
	struct driver_result result;
	size_t bytes = 0;
	int err;

	for (size_t i = 0; i < b->n_requests; i++)
		bytes += body_length(&b->requests[i]);
	load_wait_for_go();
	err = driver_run(&plan, &result, f);
	if (err < 0)
		return err;
	if (result.errors)
		fprintf(stderr, "loadgen: %zu errors, the first: %s\n", result.errors, result.first_error);
	printf(
	    "{\"requests\":%zu,\"samples\":%zu,\"bytes\":%zu,\"bytes_in\":%zu,\"wall_s\":%.6f,\"errors\":%zu",
	    b->n_requests, b->n_samples, bytes, result.bytes_in, (double)result.wall_ns / 1e9, result.errors);
	load_print_latency("", result.latency_ns, b->n_requests);
	printf("}\n");
	driver_result_release(&result);
	return 0;
}

static int run_workload(struct load *l, const struct protocol *protocol, struct fault *f)
{
	struct bench b;
	int err = bench_init(&b, l, protocol, workload_requests(&l->work));

	b.n_samples = workload_samples(&l->work);
	if (err == 0 && protocol == &remote_write)
		err = load_snappy(&b, f);
	for (unsigned i = 0; err == 0 && i < l->work.runs; i++)
		err = warm_up(&b, i, f);
	for (size_t i = 0; err == 0 && i < b.n_requests; i++)
		err = slice_request(&b, workload_slice(&l->work, i), &b.requests[i]);
	if (err == 0)
		err = run(&b, f);
	bench_release(&b);
	return err;
}

int load_astraml(struct load *l, struct fault *f) { return run_workload(l, &ours, f); }
int load_remote_write(struct load *l, struct fault *f) { return run_workload(l, &remote_write, f); }
int load_influx(struct load *l, struct fault *f) { return run_workload(l, &influx, f); }

int load_files(struct load *l, struct fault *f)
{
	struct bench b;
	int err = bench_init(&b, l, NULL, l->n_files);

	for (size_t i = 0; err == 0 && i < l->n_files; i++)
		err = prepare_file(l, l->files[i], &b.requests[i], f);
	if (err == 0)
		err = run(&b, f);
	bench_release(&b);
	return err;
}

int load_get(struct load *l, struct fault *f)
{
	struct bench b;
	int err = bench_init(&b, l, NULL, l->count);

	for (size_t i = 0; err == 0 && i < l->count; i++)
		err = wrap(l, l->path, NULL, "", span_of("", 0), &b.requests[i]);
	if (err == 0)
		err = run(&b, f);
	bench_release(&b);
	return err;
}

#include "ingest/service.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/answer.h"
#include "ingest/decode.h"
#include "ingest/names.h"
#include "ingest/ndjson.h"

#define ANSWER_BYTES_MAX (16u << 20)
#define KEY_MAX          255

static const char type_protobuf[] = "application/x-protobuf";
static const char type_ndjson[] = "application/x-ndjson";
static const char type_json[] = "application/json";

struct ingest {
	struct store *store;
	atomic_size_t bytes; /* of batches under way */
};

/* A request under way; the batch's arg. */
struct pending {
	struct ingest *ingest;
	struct http_request *rq;
	struct batch *batch;
	size_t bytes;
	bool ndjson, json; /* form of the body, of the answer */
	bool may_edit;     /* the caller */
	char project[ID_MAX + 1];
};

int ingest_new(struct store *s, struct ingest **ret)
{
	struct ingest *g = calloc(1, sizeof(*g));

	if (!g)
		return ERR_NOMEM;
	g->store = s;
	*ret = g;
	return 0;
}

void ingest_free(struct ingest *g) { free(g); }

static void pending_free(struct pending *p)
{
	if (!p)
		return;
	atomic_fetch_sub(&p->ingest->bytes, p->bytes);
	batch_free(p->batch);
	free(p);
}

/* ---- answers ---- */

/* A repetition that was decoded before the first one was committed did not know the ids yet. */
static void find_ids(struct pending *p)
{
	struct batch *b = p->batch;

	for (size_t i = 0; i < b->n_series; i++)
		if (!b->series[i].sid)
			store_series_find(p->ingest->store, b->rid, &b->series[i].name, &b->series[i].sid);
}

static void answer(struct pending *p)
{
	bool replay = p->batch->duplicate && !p->batch->has_producer;
	struct fault f = { 0 };
	struct buf out;
	int err;

	buf_init(&out, ANSWER_BYTES_MAX);
	if (p->batch->duplicate)
		find_ids(p);
	err = p->json ? answer_json(p->batch, &out) : answer_protobuf(p->batch, &out);
	if (err < 0) {
		fault_default(&f, err);
		http_reply_fault(p->rq, &f);
	} else {
		http_reply(p->rq, 200, p->json ? type_json : type_protobuf,
			   replay ? "Idempotent-Replay: true\r\n" : NULL, buf_span(&out));
	}
	buf_release(&out);
}

static void on_done(struct batch *b, void *arg)
{
	struct pending *p = arg;

	if (b->err < 0) {
		fault_default(&b->fault, b->err);
		http_reply_fault(p->rq, &b->fault);
	} else {
		answer(p);
	}
	pending_free(p);
}

/* ---- headers ---- */

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t'; }

/* Takes the next element of a comma-separated list, without blanks and parameters. */
static bool next_element(struct span *list, struct span *ret)
{
	const uint8_t *p = list->data, *end = p + list->len, *stop;

	while (p < end && (is_blank(*p) || *p == ','))
		p++;
	if (p >= end)
		return false;
	stop = memchr(p, ',', (size_t)(end - p));
	stop = stop ? stop : end;
	*list = span_of(stop, (size_t)(end - stop));
	end = memchr(p, ';', (size_t)(stop - p));
	end = end ? end : stop;
	while (end > p && is_blank(end[-1]))
		end--;
	*ret = span_of(p, (size_t)(end - p));
	return true;
}

static bool is_type(struct span s, const char *type)
{
	return s.len == strlen(type) && strncasecmp((const char *)s.data, type, s.len) == 0;
}

static int read_content_type(struct pending *p, struct fault *f)
{
	struct span header = http_header(p->rq, "Content-Type"), list = header, type = { 0 }, more;
	bool one = header.len && next_element(&list, &type) && !next_element(&list, &more);
	char text[EXCERPT_MAX];

	p->ndjson = one && is_type(type, type_ndjson);
	if (p->ndjson || (one && is_type(type, type_protobuf)))
		return 0;
	return fault_set(
	    f, ERR_UNSUPPORTED, "Content-Type",
	    "Content-Type \"%s\" is not taken here; send %s (an IngestRequest) or %s (the lines of "
	    "`astraml push`)",
	    name_excerpt(header, text), type_protobuf, type_ndjson);
}

/* The first of the two types in Accept; else the body's kind. */
static void read_accept(struct pending *p)
{
	struct span list = http_header(p->rq, "Accept"), type;

	p->json = p->ndjson;
	while (list.len && next_element(&list, &type)) {
		if (is_type(type, type_json) || is_type(type, type_protobuf)) {
			p->json = is_type(type, type_json);
			return;
		}
	}
}

static int read_key(struct pending *p, struct fault *f)
{
	struct span key = http_header(p->rq, "Idempotency-Key");
	bool printable = true;

	if (!key.data)
		return 0;
	for (size_t i = 0; i < key.len; i++)
		printable &= key.data[i] >= 0x20 && key.data[i] < 0x7f;
	if (key.len == 0 || key.len > KEY_MAX || !printable)
		return fault_set(
		    f, ERR_REFUSED, "Idempotency-Key",
		    "Idempotency-Key has %zu characters%s; it takes 1 to %d printable ASCII ones", key.len,
		    printable ? "" : ", some not printable", KEY_MAX);
	if (p->batch->has_producer)
		return 0; /* its sequence decides */
	p->batch->idempotency_key = key;
	p->batch->project = p->project;
	return 0;
}

/* ---- requests ---- */

static size_t bytes_of(const struct batch *b)
{
	size_t sample =
	    sizeof(*b->sid) + sizeof(*b->t_ns) + sizeof(*b->value) + (b->step ? sizeof(*b->step) : 0);

	return b->n_samples * sample + b->n_buckets * sizeof(*b->buckets) + b->n_series * sizeof(*b->series) +
	       b->n_logs * sizeof(*b->logs) + b->n_rejected * sizeof(*b->rejected) + b->memory.used +
	       b->journal_record.cap + b->log_blocks.cap;
}

/* One batch alone is always let in. */
static int admit(struct pending *p, struct fault *f)
{
	size_t before;

	p->bytes = bytes_of(p->batch);
	before = atomic_fetch_add(&p->ingest->bytes, p->bytes);
	if (before == 0 || before + p->bytes <= INGEST_BYTES_MAX)
		return 0;
	return fault_set(f, ERR_BUSY, "", "%zu MiB of requests wait for the disk, as many as may; try again",
			 before >> 20);
}

/* Those who may give it back are told that they can. */
static int missing(struct pending *p, const char *run, struct fault *f)
{
	int64_t deleted_ns;

	if (p->may_edit && store_run_deleted(p->ingest->store, p->project, run, &deleted_ns) == 0)
		return run_deleted_fault(p->project, run, deleted_ns, f);
	return fault_set(f, ERR_NOT_FOUND, "run",
			 "there is no run \"%s\" in project \"%s\"; create it with POST "
			 "/v2/projects/%s/runs",
			 run, p->project, p->project);
}

static int decode(struct pending *p, const char *run, struct fault *f)
{
	struct store *s = p->ingest->store;
	struct intake in;
	struct run_ref ref;
	int err = store_run_find(s, p->project, run, &ref);

	if (err < 0)
		return missing(p, run, f);
	intake_init(&in, s, &ref, clock_now_ns(), p->batch, f);
	err = p->ndjson ? ndjson_request(&in, p->rq->body) : decode_request(&in, p->rq->body);
	intake_release(&in);
	return err;
}

static int submit(struct pending *p, const char *run, struct fault *f)
{
	struct store *s = p->ingest->store;
	int err;

	if ((err = read_content_type(p, f)) < 0)
		return err;
	read_accept(p);
	if ((err = decode(p, run, f)) < 0 || (err = read_key(p, f)) < 0)
		return err;
	err = batch_seal(s, p->batch);
	if (err == 0)
		err = admit(p, f);
	if (err == 0)
		err = store_submit(s, p->batch);
	return err < 0 ? fault_default(f, err) : 0;
}

void ingest_handle(struct ingest *g, struct http_request *rq, const struct caller *caller,
		   const char *project, const char *run)
{
	struct pending *p = calloc(1, sizeof(*p));
	struct fault f = { 0 };
	int err = ERR_NOMEM;

	if (p) {
		*p = (struct pending){
			.ingest = g, .rq = rq, .batch = batch_new(), .may_edit = caller->role >= ROLE_EDITOR
		};
		snprintf(p->project, sizeof(p->project), "%s", project);
	}
	if (p && p->batch) {
		p->batch->done = on_done;
		p->batch->arg = p;
		err = caller_may(caller, project, ROLE_WORKER, &f);
		if (err == 0)
			err = submit(p, run, &f);
	}
	if (err == 0)
		return; /* on_done answers */
	fault_default(&f, err);
	pending_free(p);
	http_reply_fault(rq, &f);
}

/* A store in a scratch directory, batches put into it, and calls of the API with what they answer. */
#ifndef TESTS_QUERY_FIXTURE_H
#define TESTS_QUERY_FIXTURE_H

#include <ftw.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "query/api.h"
#include "store/write.h"

#define S  NS_PER_S
#define T0 (INT64_C(1750000200) * S) /* a multiple of 5 min and of 30 s */

static char fixture_dir[64];
static struct store *fixture_store;

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static inline int fixture_open(void **state)
{
	struct store_options o = { .map_max_bytes = 1 << 30 };
	struct fault f = { 0 };

	(void)state;
	snprintf(fixture_dir, sizeof fixture_dir, "/tmp/astraml-query-XXXXXX");
	if (!mkdtemp(fixture_dir) || store_open(fixture_dir, &o, &fixture_store, &f) < 0) {
		fprintf(stderr, "%s\n", f.text);
		return -1;
	}
	return 0;
}

static inline int fixture_close(void **state)
{
	(void)state;
	store_close(fixture_store);
	return nftw(fixture_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- writing ---- */

struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
};

static inline void batch_done(struct batch *b, void *arg)
{
	struct waiting *w = arg;

	(void)b;
	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

/* Commits the batch and frees it; returns the sequence of its last log record. */
static inline uint64_t commit(struct batch *b)
{
	struct waiting w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
	uint64_t last;

	b->done = batch_done;
	b->arg = &w;
	assert_int_equal(batch_seal(fixture_store, b), 0);
	assert_int_equal(store_submit(fixture_store, b), 0);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.wake, &w.lock);
	pthread_mutex_unlock(&w.lock);
	assert_int_equal(b->err, 0);
	last = b->last_seq;
	batch_free(b);
	return last;
}

static inline struct batch *batch_for(const char *run)
{
	struct batch *b = batch_new();
	struct run_ref ref;

	assert_non_null(b);
	assert_int_equal(store_run_find(fixture_store, "p", run, &ref), 0);
	b->rid = ref.rid;
	b->window_ns = ref.window_ns;
	b->project = "p";
	return b;
}

/* n samples of one metric; rank >= 0: with that label. */
static inline void put_samples(const char *run, const char *metric, int rank, const struct point *p, size_t n)
{
	struct batch *b = batch_for(run);
	char text[16];

	snprintf(text, sizeof text, "%d", rank);
	b->series = calloc(1, sizeof *b->series);
	b->n_series = 1;
	b->series[0].name = (struct series_name){ .metric = span_str(metric), .unit = span_str("u") };
	if (rank >= 0) {
		b->series[0].name.labels[0] = (struct label){ span_str("rank"), span_str(text) };
		b->series[0].name.n_labels = 1;
	}
	if (store_series_find(fixture_store, b->rid, &b->series[0].name, &b->series[0].sid) < 0)
		b->series[0].sid = 0;
	b->n_samples = n;
	b->sid = malloc(n * sizeof *b->sid);
	b->t_ns = malloc(n * sizeof *b->t_ns);
	b->step = malloc(n * sizeof *b->step);
	b->value = malloc(n * sizeof *b->value);
	for (size_t i = 0; i < n; i++) {
		b->sid[i] = b->series[0].sid ? b->series[0].sid : BATCH_NEW;
		b->t_ns[i] = p[i].t_ns;
		b->step[i] = p[i].step;
		b->value[i] = p[i].value;
	}
	commit(b);
}

static inline uint64_t put_logs(const char *run, const struct log_record *r, size_t n)
{
	struct batch *b = batch_for(run);

	b->logs = malloc(n * sizeof *r);
	memcpy(b->logs, r, n * sizeof *r);
	b->n_logs = n;
	return commit(b);
}

static inline struct log_record log_of(const char *text, int64_t t_ns, enum level level, int rank)
{
	return (struct log_record){ .t_ns = t_ns,
				    .observed_ns = t_ns,
				    .level = level,
				    .rank = rank,
				    .stream = span_str("stdout"),
				    .text = span_str(text) };
}

/* ---- calling ---- */

struct reply {
	int err, status;
	struct fault fault;
	char type[64], extra[512];
	struct buf body;
	size_t writes, cancel_after; /* cancel_after writes; 0: never */
};

static inline int reply_begin(void *arg, int status, const char *type, const char *extra)
{
	struct reply *r = arg;

	assert_int_equal(r->status, 0);
	r->status = status;
	snprintf(r->type, sizeof r->type, "%s", type);
	snprintf(r->extra, sizeof r->extra, "%s", extra ? extra : "");
	return 0;
}

static inline int reply_write(void *arg, struct span s)
{
	struct reply *r = arg;

	assert_true(r->status != 0); /* empty: whether it is still wanted, in a long search (api.h) */
	if (r->cancel_after && r->writes++ >= r->cancel_after)
		return ERR_GONE;
	return buf_add(&r->body, s.data, s.len);
}

static const struct caller owner = { .role = ROLE_OWNER };

static inline void reply_release(struct reply *r) { buf_release(&r->body); }

static inline struct reply call_as(const struct caller *c, const char *method, const char *target,
				   const char *body, const char *key)
{
	struct reply r = { 0 };
	const struct api_sink sink = { reply_begin, reply_write, &r };
	size_t n = strcspn(target, "?");
	struct api_request rq = { .method = span_str(method),
				  .path = span_of(target, n),
				  .query = span_str(target[n] ? target + n + 1 : ""),
				  .caller = c,
				  .body = span_str(body ? body : ""),
				  .idempotency_key = span_str(key ? key : "") };

	buf_init(&r.body, 256u << 20);
	r.err = api_call(fixture_store, &rq, &sink, &r.fault);
	assert_int_equal(r.err < 0 && r.err != ERR_GONE && r.status == 0, r.fault.err < 0 && r.status == 0);
	return r;
}

static inline struct reply call(const char *target) { return call_as(&owner, "GET", target, NULL, NULL); }

static inline void make_run(const char *id, const char *more)
{
	char body[1024];
	struct reply r;

	snprintf(body, sizeof body, "{\"id\":\"%s\"%s}", id, more);
	r = call_as(&owner, "POST", "/v2/projects/p/runs", body, NULL);
	if (r.err < 0)
		fail_msg("%s: %s", body, r.fault.text);
	assert_int_equal(r.status, 201);
	reply_release(&r);
}

static inline void refused(const char *target, int err, const char *field)
{
	struct reply r = call(target);

	if (r.err != err || strcmp(r.fault.field, field) != 0)
		fail_msg("%s: %d, field %s: %s", target, r.err, r.fault.field, r.fault.text);
	assert_int_equal(r.status, 0);
	reply_release(&r);
}

#endif

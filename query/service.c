#include "query/service.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/follow.h"
#include "query/handler.h"

struct job {
	struct http_request *rq;
	struct caller caller;
	struct job *next;
};

struct query_service {
	struct store *store;
	struct http_server *server;
	struct http_limits limits;
	struct follow *follow;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job *first, **last; /* under the lock, as all below but threads */
	uint64_t waiting, running;
	bool closing;
	int n_threads;
	pthread_t threads[];
};

/* An answer on its way: kept whole while it is small. */
struct answer {
	struct http_request *rq;
	struct http_stream *stream; /* once it is not small any more */
	struct buf whole;
	int status;
	const char *content_type;
	char extra[512];
	bool begun;
};

static int answer_begin(void *arg, int status, const char *content_type, const char *extra)
{
	struct answer *a = arg;

	a->status = status;
	a->content_type = content_type;
	snprintf(a->extra, sizeof a->extra, "%s", extra ? extra : "");
	a->begun = true;
	return 0;
}

static int answer_stream(struct answer *a)
{
	int err;

	a->stream = http_stream_begin(a->rq, a->status, a->content_type, a->extra);
	err = http_stream_write(a->stream, buf_span(&a->whole), true);
	buf_release(&a->whole);
	return err;
}

static int answer_write(void *arg, struct span s)
{
	struct answer *a = arg;
	int err = 0;

	if (!a->stream && s.len && a->whole.len + s.len <= SERVICE_WHOLE_BYTES)
		return buf_add(&a->whole, s.data, s.len);
	if (!a->stream)
		err = answer_stream(a);
	return err < 0 ? err : http_stream_write(a->stream, s.len ? s : span_str(" "), true);
}

static void answer_end(struct answer *a, int err, const struct fault *f)
{
	if (a->stream)
		http_stream_end(a->stream, err == 0);
	else if (err == 0)
		http_reply(a->rq, a->status, a->content_type, a->extra, buf_span(&a->whole));
	else
		http_reply_fault(a->rq, f);
	buf_release(&a->whole);
}

static void server_numbers(struct query_service *q, struct api_server *ret)
{
	struct http_stats h = { 0 };

	http_server_stats(q->server, &h);
	*ret = (struct api_server){ .connections = h.connections,
				    .requests = h.requests,
				    .refused = h.refused,
				    .bytes_in = h.bytes_in,
				    .bytes_out = h.bytes_out,
				    .body_budget_used = h.body_budget_used,
				    .followers = follow_count(q->follow),
				    .limits = &q->limits };
	memcpy(ret->by_status, h.by_status, sizeof ret->by_status);
	pthread_mutex_lock(&q->lock);
	ret->reads = q->running;
	ret->reads_waiting = q->waiting;
	pthread_mutex_unlock(&q->lock);
}

static struct span method_text(enum http_method m)
{
	static const char *const names[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };

	return span_str((unsigned)m < sizeof names / sizeof *names ? names[m] : "This method");
}

/* Hands the connection to the followers' thread; on an error it is still ours to answer. */
static int follow_begin(struct query_service *q, struct http_request *rq, const struct api_request *api,
			struct fault *f)
{
	struct log_ask *ask = calloc(1, sizeof *ask);
	struct log_reader reader = { 0 };
	struct ctx c;
	handler handle;
	int err;

	if (!ask)
		return fault_default(f, ERR_NOMEM);
	err = ctx_init(&c, q->store, api, NULL, &handle, f);
	if (err == 0)
		err = logs_plan(&c, ask, &reader);
	if (err == 0) {
		err = follow_add(q->follow, rq, ask, &reader);
		if (err < 0)
			fault_set(f, err, "",
				  "%d clients follow logs already, or the server is shutting down; come back",
				  FOLLOWERS_MAX);
	}
	ctx_release(&c);
	if (err < 0) {
		log_reader_release(&reader);
		log_ask_release(ask);
		free(ask);
	}
	return err;
}

static void job_run(struct query_service *q, struct job *j)
{
	struct answer a = { .rq = j->rq };
	const struct api_sink sink = { answer_begin, answer_write, &a };
	struct api_server server;
	struct fault fault = { 0 };
	struct api_request api = { .method = method_text(j->rq->method),
				   .path = j->rq->path,
				   .query = j->rq->query,
				   .body = j->rq->body,
				   .accept = http_header(j->rq, "Accept"),
				   .content_type = http_header(j->rq, "Content-Type"),
				   .idempotency_key = http_header(j->rq, "Idempotency-Key"),
				   .caller = &j->caller,
				   .server = &server };
	int err;

	buf_init(&a.whole, SERVICE_WHOLE_BYTES);
	server_numbers(q, &server);
	if (j->rq->method == HTTP_GET && api_is_follow(&api)) {
		err = follow_begin(q, j->rq, &api, &fault);
		if (err < 0)
			http_reply_fault(j->rq, &fault);
		return;
	}
	err = api_call(q->store, &api, &sink, &fault);
	answer_end(&a, err, &fault);
}

static void *thread_main(void *arg)
{
	struct query_service *q = arg;

	pthread_mutex_lock(&q->lock);
	for (;;) {
		struct job *j = q->first;

		if (!j && q->closing)
			break;
		if (!j) {
			pthread_cond_wait(&q->wake, &q->lock);
			continue;
		}
		q->first = j->next;
		if (!q->first)
			q->last = &q->first;
		q->waiting--;
		q->running++;
		pthread_mutex_unlock(&q->lock);
		job_run(q, j);
		free(j);
		pthread_mutex_lock(&q->lock);
		q->running--;
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

int query_service_new(struct store *s, struct http_server *server, const struct http_limits *limits,
		      int threads, struct query_service **ret)
{
	struct query_service *q = calloc(1, sizeof *q + (size_t)threads * sizeof *q->threads);
	int err;

	if (!q)
		return ERR_NOMEM;
	q->store = s;
	q->server = server;
	q->limits = *limits;
	q->last = &q->first;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->wake, NULL);
	err = follow_new(s, &q->follow);
	while (err == 0 && q->n_threads < threads) {
		if (pthread_create(&q->threads[q->n_threads], NULL, thread_main, q) != 0)
			err = ERR_NOMEM;
		else
			q->n_threads++;
	}
	if (err < 0) {
		query_service_free(q);
		return err;
	}
	*ret = q;
	return 0;
}

/* Queues the job, or says why not. */
static int job_put(struct query_service *q, struct job *j)
{
	int err = 0;

	pthread_mutex_lock(&q->lock);
	if (q->closing || q->waiting >= SERVICE_QUEUE_MAX) {
		err = ERR_BUSY;
	} else {
		*q->last = j;
		q->last = &j->next;
		q->waiting++;
		pthread_cond_signal(&q->wake);
	}
	pthread_mutex_unlock(&q->lock);
	return err;
}

void query_service_handle(struct query_service *q, struct http_request *rq, const struct caller *caller)
{
	struct fault f = { 0 };
	struct job *j;

	/* answered here, so that a server with a full queue is still seen to live */
	if (span_is(rq->path, "/healthz") && (rq->method == HTTP_GET || rq->method == HTTP_HEAD)) {
		http_reply(rq, 200, "application/json", NULL, span_str("{\"status\":\"ok\"}\n"));
		return;
	}
	j = calloc(1, sizeof *j);
	if (!j) {
		fault_default(&f, ERR_NOMEM);
		http_reply_fault(rq, &f);
		return;
	}
	j->rq = rq;
	j->caller = *caller;
	if (job_put(q, j) == 0)
		return;
	free(j);
	fault_set(&f, ERR_BUSY, "",
		  "%d requests wait for an answer already, or the server is shutting down; come back",
		  SERVICE_QUEUE_MAX);
	http_reply_fault(rq, &f);
}

void query_service_stop(struct query_service *q)
{
	if (q->follow)
		follow_stop(q->follow);
}

void query_service_free(struct query_service *q)
{
	if (!q)
		return;
	query_service_stop(q);
	pthread_mutex_lock(&q->lock);
	q->closing = true;
	pthread_cond_broadcast(&q->wake);
	pthread_mutex_unlock(&q->lock);
	for (int i = 0; i < q->n_threads; i++)
		pthread_join(q->threads[i], NULL);
	follow_free(q->follow);
	pthread_cond_destroy(&q->wake);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

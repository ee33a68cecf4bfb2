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

struct queue {
	struct job *first, **last;
	uint64_t n, max;
};

/* Followers that join wait apart, so that many at once crowd out no reads and are not turned away for
 * them: joining takes a thread for a moment only, and how many may follow has a bound of its own. */
enum { READS, JOINS, QUEUES };

/* The thread that slept last wakes first: what it has of memory is there already, and is not had four
 * times because four threads take turns. */
struct worker {
	struct query_service *service;
	pthread_t thread;
	pthread_cond_t wake;
	struct worker *next; /* of those that sleep */
	bool called;
};

struct query_service {
	struct store *store;
	struct http_server *server;
	struct http_limits limits;
	struct follow *follow;
	pthread_mutex_t lock;
	struct queue queues[QUEUES]; /* under the lock, as all below but the workers' threads */
	int turn;                    /* the queue whose turn it is, where both have jobs */
	uint64_t running;
	bool closing;
	struct worker *asleep;
	int n_workers;
	struct worker workers[];
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
	ret->reads_waiting = q->queues[READS].n;
	pthread_mutex_unlock(&q->lock);
}

static struct span method_text(enum http_method m)
{
	static const char *const names[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };

	return span_str((unsigned)m < sizeof names / sizeof *names ? names[m] : "This method");
}

static bool is_follow(const struct http_request *rq)
{
	const struct api_request api = { .path = rq->path, .query = rq->query };

	return rq->method == HTTP_GET && api_is_follow(&api);
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
	if (is_follow(j->rq)) {
		err = follow_begin(q, j->rq, &api, &fault);
		if (err < 0)
			http_reply_fault(j->rq, &fault);
		return;
	}
	err = api_call(q->store, &api, &sink, &fault);
	answer_end(&a, err, &fault);
}

/* Under the lock: a job of the queue whose turn it is, else of the other; NULL: none waits. */
static struct job *job_take(struct query_service *q)
{
	struct queue *from = &q->queues[q->turn];
	struct job *j;

	if (!from->first)
		from = &q->queues[!q->turn];
	j = from->first;
	if (!j)
		return NULL;
	q->turn = from == &q->queues[READS] ? JOINS : READS;
	from->first = j->next;
	if (!from->first)
		from->last = &from->first;
	from->n--;
	return j;
}

/* Under the lock. */
static void worker_wake(struct query_service *q)
{
	struct worker *w = q->asleep;

	if (!w)
		return;
	q->asleep = w->next;
	w->called = true;
	pthread_cond_signal(&w->wake);
}

static void worker_sleep(struct query_service *q, struct worker *w)
{
	w->called = false;
	w->next = q->asleep;
	q->asleep = w;
	while (!w->called)
		pthread_cond_wait(&w->wake, &q->lock);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct query_service *q = w->service;

	pthread_mutex_lock(&q->lock);
	for (;;) {
		struct job *j = job_take(q);

		if (!j && q->closing)
			break;
		if (!j) {
			worker_sleep(q, w);
			continue;
		}
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
	struct query_service *q = calloc(1, sizeof *q + (size_t)threads * sizeof *q->workers);
	int err;

	if (!q)
		return ERR_NOMEM;
	q->store = s;
	q->server = server;
	q->limits = *limits;
	q->queues[READS] = (struct queue){ .last = &q->queues[READS].first, .max = SERVICE_QUEUE_MAX };
	q->queues[JOINS] = (struct queue){ .last = &q->queues[JOINS].first, .max = FOLLOWERS_MAX };
	pthread_mutex_init(&q->lock, NULL);
	err = follow_new(s, limits->write_timeout_ms / 2, &q->follow);
	while (err == 0 && q->n_workers < threads) {
		struct worker *w = &q->workers[q->n_workers];

		w->service = q;
		pthread_cond_init(&w->wake, NULL);
		if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
			err = ERR_NOMEM;
		else
			q->n_workers++;
	}
	if (err < 0) {
		query_service_free(q);
		return err;
	}
	*ret = q;
	return 0;
}

static int job_put(struct query_service *q, struct queue *to, struct job *j)
{
	int err = 0;

	pthread_mutex_lock(&q->lock);
	if (q->closing || to->n >= to->max) {
		err = ERR_BUSY;
	} else {
		*to->last = j;
		to->last = &j->next;
		to->n++;
		worker_wake(q);
	}
	pthread_mutex_unlock(&q->lock);
	return err;
}

void query_service_handle(struct query_service *q, struct http_request *rq, const struct caller *caller)
{
	struct fault f = { 0 };
	struct queue *to;
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
	to = &q->queues[is_follow(rq) ? JOINS : READS];
	if (job_put(q, to, j) == 0)
		return;
	free(j);
	fault_set(&f, ERR_BUSY, "",
		  "%d requests wait for an answer already, or the server is shutting down; come back",
		  (int)to->max);
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
	while (q->asleep)
		worker_wake(q);
	pthread_mutex_unlock(&q->lock);
	for (int i = 0; i < q->n_workers; i++) {
		pthread_join(q->workers[i].thread, NULL);
		pthread_cond_destroy(&q->workers[i].wake);
	}
	follow_free(q->follow);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

#include "proto/http.h"

#include <stdlib.h>
#include <time.h>

#include "proto/http_server.h"

const struct http_limits http_limits_default = {
	.header_bytes = 16 << 10,
	.body_bytes = 8 << 20,
	.unpacked_bytes = 64 << 20,
	.budget_bytes = 256 << 20,
	.connections = 4096,
	.request_timeout_ms = 60000,
	.idle_timeout_ms = 60000,
	.write_timeout_ms = 30000,
	.pending_bytes = 256 << 10,
};

struct span http_header(const struct http_request *rq, const char *name)
{
	return http_field(conn_of(rq)->head.fields, name);
}

static int server_fill(struct http_server *s, const char *const *listen, size_t n_listen, int io_threads,
		       const char *version, struct fault *f)
{
	int err = 0;

	s->version = strdup(version);
	s->listeners = calloc(n_listen, sizeof(*s->listeners));
	s->loops = calloc((size_t)io_threads, sizeof(*s->loops));
	if (!s->version || !s->listeners || !s->loops)
		return ERR_NOMEM;
	for (; s->n_loops < io_threads && !err; s->n_loops++)
		err = http_loop_init(&s->loops[s->n_loops], s);
	for (; s->n_listeners < n_listen && !err; s->n_listeners++)
		err = http_listen(&s->listeners[s->n_listeners], listen[s->n_listeners], f);
	return err;
}

int http_server_new(const char *const *listen, size_t n_listen, int io_threads,
		    const struct http_limits *limits, const struct http_handlers *handlers,
		    const char *version, struct http_server **ret, struct fault *f)
{
	struct http_server *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return fault_default(f, ERR_NOMEM);
	s->limits = *limits;
	s->handlers = *handlers;
	s->budget.max = limits->budget_bytes;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->calm, NULL);
	err = server_fill(s, listen, n_listen, io_threads, version, f);
	if (err) {
		http_server_free(s);
		return fault_default(f, err);
	}
	*ret = s;
	return 0;
}

const char *http_server_url(const struct http_server *s, size_t nth)
{
	return nth < s->n_listeners ? s->listeners[nth].url : NULL;
}

int http_server_start(struct http_server *s)
{
	int err = http_accept_start(s);

	for (int i = 0; i < s->n_loops && !err; i++)
		err = http_loop_start(&s->loops[i]);
	return err;
}

/* ---- the end ---- */

static void raise_flag(struct http_server *s, _Atomic bool *flag)
{
	atomic_store(flag, true);
	for (int i = 0; i < s->n_loops; i++)
		http_loop_poke(&s->loops[i]);
}

static void wait_until_calm(struct http_server *s, int grace_ms)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += grace_ms / 1000;
	until.tv_nsec += grace_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&s->mutex);
	while (rc == 0 && (s->n_drained < s->n_loops || atomic_load(&s->connections) > 0))
		rc = pthread_cond_timedwait(&s->calm, &s->mutex, &until);
	pthread_mutex_unlock(&s->mutex);
}

void http_server_drain(struct http_server *s, int grace_ms)
{
	raise_flag(s, &s->draining);
	if (s->loops[0].running)
		wait_until_calm(s, grace_ms);
	raise_flag(s, &s->cutting);
	for (int i = 0; i < s->n_loops; i++) {
		if (s->loops[i].running)
			pthread_join(s->loops[i].thread, NULL);
		s->loops[i].running = false;
	}
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	for (int i = 0; i < s->n_loops; i++)
		http_loop_release(&s->loops[i]);
	for (size_t i = 0; i < s->n_listeners; i++)
		http_listener_release(&s->listeners[i]);
	free(s->listeners);
	free(s->loops);
	free(s->version);
	pthread_cond_destroy(&s->calm);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

/* ---- figures ---- */

void http_server_stats(struct http_server *s, struct http_stats *ret)
{
	struct http_stats sum = { .connections = (uint64_t)atomic_load(&s->connections),
				  .body_budget_used = atomic_load(&s->budget.used),
				  .refused = atomic_load(&s->turned_away) };

	for (int i = 0; i < s->n_loops; i++) {
		struct http_loop *loop = &s->loops[i];

		sum.requests += atomic_load(&loop->requests);
		sum.refused += atomic_load(&loop->refused);
		sum.bytes_in += atomic_load(&loop->bytes_in);
		sum.bytes_out += atomic_load(&loop->bytes_out);
		for (int j = 0; j < 6; j++)
			sum.by_status[j] += atomic_load(&loop->by_status[j]);
	}
	*ret = sum;
}

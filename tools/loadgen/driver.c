#include "tools/loadgen/driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "tools/loadgen/answer.h"

#define ANSWER_MAX (32 * 1024 * 1024)
#define PIECE      65536
#define EVENTS     64

struct connection {
	int fd;
	bool busy;
	size_t request, sent;
	int64_t since_ns;
	struct answer answer;
};

struct driver {
	const struct driver_plan *plan;
	struct driver_result *result;
	struct fault *fault;
	struct connection *connections;
	int epoll;
	size_t next, done; /* requests handed out, requests answered */
	int64_t start_ns;
};

int driver_address(const char *url, struct sockaddr_in *ret)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	char host[64];
	unsigned port;

	if (sscanf(url, "http://%63[0-9.]:%u", host, &port) != 2 || port > 65535)
		return ERR_MALFORMED;
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		return ERR_MALFORMED;
	address.sin_port = htons((uint16_t)port);
	*ret = address;
	return 0;
}

int driver_dial(struct sockaddr_in address, struct fault *f)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0) {
		fault_set(f, ERR_IO, "url", "cannot connect: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	return fd;
}

/* 1: something came, 0: nothing at the moment, or an error. */
static int receive(int fd, struct answer *answer, struct fault *f)
{
	uint8_t piece[PIECE];
	ssize_t n = recv(fd, piece, sizeof(piece), 0);
	int err;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return fault_set(f, ERR_IO, "", "the server closed the connection: %s",
				 n < 0 ? strerror(errno) : "end of stream");
	err = answer_feed(answer, span_of(piece, (size_t)n));
	if (err < 0)
		return fault_set(f, ERR_IO, "", "an answer of over %d bytes, or to nothing, or no HTTP: %.*s",
				 ANSWER_MAX, (int)(n < 100 ? n : 100), (const char *)piece);
	return 1;
}

int driver_exchange(int fd, struct span request, struct answer *answer, struct fault *f)
{
	int err = 0;

	answer_clear(answer);
	while (request.len > 0) {
		ssize_t n = send(fd, request.data, request.len, MSG_NOSIGNAL);

		if (n < 0)
			return fault_set(f, ERR_IO, "", "cannot send: %s", strerror(errno));
		request = span_of(request.data + n, request.len - (size_t)n);
	}
	while (err >= 0 && !answer_complete(answer))
		err = receive(fd, answer, f);
	return err < 0 ? err : 0;
}

int driver_call(struct sockaddr_in address, struct span request, struct answer *answer, struct fault *f)
{
	int fd = driver_dial(address, f), err = fd < 0 ? fd : driver_exchange(fd, request, answer, f);

	if (fd >= 0)
		close(fd);
	return err;
}

/* ---- the loop ---- */

static int64_t due_ns(const struct driver *d, size_t request)
{
	return d->start_ns + (int64_t)((double)request * 1e9 / d->plan->rate);
}

static int watch(struct driver *d, struct connection *c, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (epoll_ctl(d->epoll, operation, c->fd, &event) == 0)
		return 0;
	return fault_set(d->fault, ERR_IO, "", "epoll_ctl: %s", strerror(errno));
}

static int send_more(struct driver *d, struct connection *c)
{
	const struct buf *request = &d->plan->requests[c->request];

	while (c->sent < request->len) {
		ssize_t n = send(c->fd, request->data + c->sent, request->len - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return watch(d, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
		if (n < 0)
			return fault_set(d->fault, ERR_IO, "", "cannot send: %s", strerror(errno));
		c->sent += (size_t)n;
	}
	return 0;
}

static int connect_anew(struct driver *d, struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd); /* leaves the epoll set by that */
	c->fd = driver_dial(d->plan->address, d->fault);
	if (c->fd < 0)
		return c->fd;
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	return watch(d, c, EPOLL_CTL_ADD, EPOLLIN);
}

/* Gives the connection the next request, when there is one and it is due. */
static int start_next(struct driver *d, struct connection *c, int64_t now_ns)
{
	int err = 0;

	if (d->next == d->plan->n_requests || (d->plan->rate > 0 && due_ns(d, d->next) > now_ns))
		return 0;
	c->busy = true;
	c->since_ns = d->plan->rate > 0 ? due_ns(d, d->next) : now_ns;
	c->request = d->next++;
	c->sent = 0;
	if (d->plan->fresh)
		err = connect_anew(d, c);
	return err == 0 ? send_more(d, c) : err;
}

static void note_answer(struct driver *d, struct connection *c, int64_t now_ns)
{
	const struct buf *body = &c->answer.body;

	d->result->latency_ns[c->request] = now_ns - c->since_ns;
	d->result->bytes_in += body->len;
	d->done++;
	if (c->answer.status < 200 || c->answer.status > 299) {
		if (d->result->errors++ == 0)
			snprintf(d->result->first_error, sizeof(d->result->first_error), "%d %.*s",
				 c->answer.status, (int)body->len, (const char *)body->data);
	}
	answer_clear(&c->answer);
	c->busy = false;
}

static int on_event(struct driver *d, struct connection *c, uint32_t events)
{
	int err;

	if (events & EPOLLOUT) {
		err = watch(d, c, EPOLL_CTL_MOD, EPOLLIN);
		if (err == 0)
			err = send_more(d, c);
		if (err < 0)
			return err;
	}
	if (!(events & ~(uint32_t)EPOLLOUT))
		return 0;
	err = receive(c->fd, &c->answer, d->fault);
	if (err <= 0 || !answer_complete(&c->answer))
		return err < 0 ? err : 0;
	if (!c->busy)
		return fault_set(d->fault, ERR_IO, "", "an answer to nothing: %d", c->answer.status);
	note_answer(d, c, clock_mono_ns());
	return d->plan->rate > 0 ? 0 : start_next(d, c, clock_mono_ns());
}

static int start_due(struct driver *d)
{
	int64_t now_ns = clock_mono_ns();

	for (unsigned i = 0; i < d->plan->connections; i++) {
		int err = d->connections[i].busy ? 0 : start_next(d, &d->connections[i], now_ns);

		if (err < 0)
			return err;
	}
	return 0;
}

static int loop(struct driver *d)
{
	struct epoll_event events[EVENTS];
	int err = start_due(d);

	while (err >= 0 && d->done < d->plan->n_requests) {
		struct timespec wait = { .tv_sec = 60 };
		int n;

		if (d->plan->rate > 0 && d->next < d->plan->n_requests) {
			int64_t left_ns = due_ns(d, d->next) - clock_mono_ns();

			wait = (struct timespec){ .tv_nsec = left_ns < 0 ? 0 : left_ns % NS_PER_S };
			if (left_ns < 0 && d->next - d->done == d->plan->connections)
				wait.tv_sec = 60; /* all are busy: nothing to do before an answer comes */
		}
		n = epoll_pwait2(d->epoll, events, EVENTS, &wait, NULL);
		if (n < 0 && errno != EINTR)
			return fault_set(d->fault, ERR_IO, "", "epoll_pwait2: %s", strerror(errno));
		if (n == 0 && wait.tv_sec > 0)
			return fault_set(d->fault, ERR_IO, "", "no answer for 60 seconds");
		for (int i = 0; i < n && err >= 0; i++)
			err = on_event(d, events[i].data.ptr, events[i].events);
		if (err >= 0 && d->plan->rate > 0)
			err = start_due(d);
	}
	return err;
}

static int open_connections(struct driver *d)
{
	int err = 0;

	for (unsigned i = 0; err == 0 && i < d->plan->connections; i++) {
		answer_init(&d->connections[i].answer, ANSWER_MAX);
		err = connect_anew(d, &d->connections[i]);
	}
	return err;
}

int driver_run(const struct driver_plan *plan, struct driver_result *ret, struct fault *f)
{
	struct driver_result result = { .latency_ns = calloc(plan->n_requests, sizeof(int64_t)) };
	struct driver d = { .plan = plan, .result = &result, .fault = f };
	int err = ERR_NOMEM;

	d.epoll = epoll_create1(EPOLL_CLOEXEC);
	d.connections = calloc(plan->connections, sizeof(*d.connections));
	if (!d.connections || !result.latency_ns || d.epoll < 0)
		goto done;
	for (unsigned i = 0; i < plan->connections; i++)
		d.connections[i].fd = -1;
	err = open_connections(&d);
	if (err < 0)
		goto done;
	d.start_ns = clock_mono_ns();
	err = loop(&d);
	if (err < 0)
		goto done;
	result.wall_ns = clock_mono_ns() - d.start_ns;
	*ret = result;
	result.latency_ns = NULL;
done:
	for (unsigned i = 0; d.connections && i < plan->connections; i++) {
		if (d.connections[i].fd >= 0)
			close(d.connections[i].fd);
		answer_release(&d.connections[i].answer);
	}
	free(d.connections);
	if (d.epoll >= 0)
		close(d.epoll);
	driver_result_release(&result);
	return err;
}

void driver_result_release(struct driver_result *r)
{
	free(r->latency_ns);
	r->latency_ns = NULL;
}

#include "tools/loadgen/driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/base/clock.h"

#define ANSWER_MAX (1024 * 1024)
#define EVENTS     64

struct connection {
	int fd;
	bool busy;
	size_t request, sent;
	int64_t since_ns;
	struct buf answer;
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

static int dial(struct sockaddr_in address, struct fault *f)
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

/* ---- answers ---- */

/* 0: not all there yet.  1: the status, and where the body begins and how long it is. */
static int answer_complete(struct buf *answer, int *ret_status, struct span *ret_body)
{
	const char *text = buf_cstr(answer), *end = text ? strstr(text, "\r\n\r\n") : NULL;
	size_t length = 0, body;

	if (!end || sscanf(text, "HTTP/1.1 %d", ret_status) != 1)
		return 0;
	for (const char *line = strstr(text, "\r\n"); line && line < end; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, "content-length:", 15) == 0)
			length = strtoul(line + 17, NULL, 10);
	body = (size_t)(end - text) + 4;
	if (answer->len < body + length)
		return 0;
	*ret_body = span_of(answer->data + body, length);
	return 1;
}

/* 1: something came, 0: nothing at the moment, or an error. */
static int receive(int fd, struct buf *answer, struct fault *f)
{
	ssize_t n;

	if (buf_reserve(answer, 16384) < 0)
		return fault_set(f, ERR_IO, "", "the answer is longer than %d bytes", ANSWER_MAX);
	n = recv(fd, answer->data + answer->len, 16384, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return fault_set(f, ERR_IO, "", "the server closed the connection: %s",
				 n < 0 ? strerror(errno) : "end of stream");
	answer->len += (size_t)n;
	return 1;
}

int driver_call(struct sockaddr_in address, struct span request, int *ret_status, struct buf *body,
		struct fault *f)
{
	struct buf answer;
	struct span found;
	int fd = dial(address, f), err = fd < 0 ? fd : 0;

	buf_init(&answer, ANSWER_MAX);
	for (size_t sent = 0; err == 0 && sent < request.len;) {
		ssize_t n = send(fd, request.data + sent, request.len - sent, MSG_NOSIGNAL);

		if (n < 0)
			err = fault_set(f, ERR_IO, "", "cannot send: %s", strerror(errno));
		else
			sent += (size_t)n;
	}
	while (err >= 0 && !answer_complete(&answer, ret_status, &found))
		err = receive(fd, &answer, f);
	if (err >= 0)
		err = buf_add(body, found.data, found.len);
	buf_release(&answer);
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

/* Gives the connection the next request, when there is one and it is due. */
static int start_next(struct driver *d, struct connection *c, int64_t now_ns)
{
	if (d->next == d->plan->n_requests || (d->plan->rate > 0 && due_ns(d, d->next) > now_ns))
		return 0;
	c->busy = true;
	c->since_ns = d->plan->rate > 0 ? due_ns(d, d->next) : now_ns;
	c->request = d->next++;
	c->sent = 0;
	return send_more(d, c);
}

static void note_answer(struct driver *d, struct connection *c, int status, struct span body, int64_t now_ns)
{
	d->result->latency_ns[c->request] = now_ns - c->since_ns;
	d->done++;
	if (status < 200 || status > 299) {
		if (d->result->errors++ == 0)
			snprintf(d->result->first_error, sizeof(d->result->first_error), "%d %.*s", status,
				 (int)body.len, (const char *)body.data);
	}
	buf_clear(&c->answer);
	c->busy = false;
}

static int on_event(struct driver *d, struct connection *c, uint32_t events)
{
	struct span body;
	int err, status;

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
	if (err <= 0 || !answer_complete(&c->answer, &status, &body))
		return err < 0 ? err : 0;
	if (!c->busy)
		return fault_set(d->fault, ERR_IO, "", "an answer to nothing: %.100s", c->answer.data);
	note_answer(d, c, status, body, clock_mono_ns());
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
	for (unsigned i = 0; i < d->plan->connections; i++) {
		struct connection *c = &d->connections[i];
		int err;

		c->fd = dial(d->plan->address, d->fault);
		if (c->fd < 0)
			return c->fd;
		buf_init(&c->answer, ANSWER_MAX);
		fcntl(c->fd, F_SETFL, O_NONBLOCK);
		err = watch(d, c, EPOLL_CTL_ADD, EPOLLIN);
		if (err < 0)
			return err;
	}
	return 0;
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
		buf_release(&d.connections[i].answer);
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

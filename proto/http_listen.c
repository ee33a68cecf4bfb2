/* Addresses to listen on, and accepting: on the first loop, handed to all of them in turn. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/http_server.h"

#define BACKLOG      1024
#define ACCEPTS_TURN 64
#define RESUME_MS    100 /* pause of accepting when the process has no descriptors left */

static int fault_listen(struct fault *f, const char *address)
{
	return fault_set(f, ERR_IO, "listen", "cannot listen on %s: %s; choose another address with --listen",
			 address, strerror(errno));
}

/* ---- unix sockets ---- */

/* A socket file that nobody listens on any more is in the way of bind; others are left alone. */
static int remove_stale(const struct sockaddr_un *sa, struct fault *f)
{
	struct stat st;
	int fd, rc;

	if (lstat(sa->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return fault_set(f, ERR_REFUSED, "listen",
				 "cannot listen on unix:%s: a file that is no socket is there", sa->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fault_listen(f, sa->sun_path);
	rc = connect(fd, (const struct sockaddr *)sa, sizeof(*sa));
	close(fd);
	if (rc == 0)
		return fault_set(f, ERR_HELD, "listen",
				 "cannot listen on unix:%s: another server listens there", sa->sun_path);
	if (unlink(sa->sun_path) < 0)
		return fault_listen(f, sa->sun_path);
	return 0;
}

static int listen_unix(struct http_listener *l, const char *path, struct fault *f)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int err;

	if (strlen(path) == 0 || strlen(path) >= sizeof(sa.sun_path))
		return fault_set(f, ERR_REFUSED, "listen",
				 "the path of a unix socket has 1 to %zu bytes, not %zu",
				 sizeof(sa.sun_path) - 1, strlen(path));
	strcpy(sa.sun_path, path);
	err = remove_stale(&sa, f);
	if (err)
		return err;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return fault_listen(f, path);
	l->unix_path = strdup(path);
	if (listen(l->fd, BACKLOG) < 0)
		return fault_listen(f, path);
	return asprintf(&l->url, "unix:%s", path) < 0 || !l->unix_path ? ERR_NOMEM : 0;
}

/* ---- TCP ---- */

/* "host:port" or "[v6]:port" into its parts. */
static bool split_address(const char *address, char *ret_host, size_t host_size, const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : 0;

	if (n > 2 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	} else if (memchr(address, ':', n)) {
		return false;
	}
	if (n == 0 || n >= host_size || strspn(colon + 1, "0123456789") != strlen(colon + 1) || !colon[1] ||
	    strlen(colon + 1) > 5 || atoi(colon + 1) > UINT16_MAX)
		return false;
	memcpy(ret_host, address, n);
	ret_host[n] = 0;
	*ret_port = colon + 1;
	return true;
}

static int set_url(struct http_listener *l)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	char host[NI_MAXHOST], port[NI_MAXSERV];
	bool v6;

	if (getsockname(l->fd, (struct sockaddr *)&sa, &len) < 0 ||
	    getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return ERR_IO;
	v6 = sa.ss_family == AF_INET6;
	return asprintf(&l->url, "http://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port) < 0 ? ERR_NOMEM
												   : 0;
}

/* Accepted sockets inherit TCP_NODELAY: answers leave at once, each in one send. */
static int listen_on(struct http_listener *l, const struct addrinfo *ai, const char *address, struct fault *f)
{
	int one = 1;

	l->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return fault_listen(f, address);
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(l->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (ai->ai_family == AF_INET6)
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(l->fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(l->fd, BACKLOG) < 0 || set_url(l) < 0)
		return fault_listen(f, address);
	return 0;
}

static int listen_tcp(struct http_listener *l, const char *address, struct fault *f)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *ai;
	char host[256];
	const char *port;
	int rc;

	if (!split_address(address, host, sizeof(host), &port))
		return fault_set(f, ERR_REFUSED, "listen",
				 "the listen address \"%s\" is not HOST:PORT, [IPV6]:PORT or unix:PATH, with "
				 "a PORT of at most 65535",
				 address);
	rc = getaddrinfo(host, port, &hints, &ai);
	if (rc != 0)
		return fault_set(f, ERR_REFUSED, "listen", "the listen address \"%s\" is not known: %s",
				 address, gai_strerror(rc));
	rc = listen_on(l, ai, address, f);
	freeaddrinfo(ai);
	return rc;
}

int http_listen(struct http_listener *l, const char *address, struct fault *f)
{
	l->fd = -1;
	if (strncmp(address, "unix:", 5) == 0)
		return listen_unix(l, address + 5, f);
	return listen_tcp(l, address, f);
}

void http_listener_release(struct http_listener *l)
{
	if (l->fd >= 0)
		close(l->fd);
	if (l->unix_path)
		unlink(l->unix_path);
	free(l->unix_path);
	free(l->url);
}

/* ---- accepting ---- */

static void hand_out(struct http_server *s, int fd)
{
	struct http_loop *loop = &s->loops[s->next_loop];
	struct http_conn *c;

	if (atomic_load(&s->connections) >= s->limits.connections) {
		http_count(&s->turned_away, 1);
		conn_turn_away(&s->loops[0], fd);
		return;
	}
	s->next_loop = (s->next_loop + 1) % s->n_loops;
	c = conn_new(loop, fd);
	if (!c) {
		close(fd);
		return;
	}
	if (loop == http_loop_here)
		conn_posted(c);
	else
		http_loop_post(c, false);
}

static void stop_accepting(struct http_server *s)
{
	event_del(&s->resume_event);
	for (size_t i = 0; i < s->n_listeners; i++)
		event_del(&s->listeners[i].event);
}

/* A listener that cannot accept stays readable: without a pause the loop would spin. */
static void pause_accepting(struct http_server *s)
{
	struct timeval after = { 0, RESUME_MS * 1000 };

	stop_accepting(s);
	event_add(&s->resume_event, &after);
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_TURN; i++) {
		int conn_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (conn_fd >= 0) {
			hand_out(s, conn_fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(s);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static int watch_listeners(struct http_server *s)
{
	for (size_t i = 0; i < s->n_listeners; i++)
		if (event_add(&s->listeners[i].event, NULL) < 0)
			return ERR_IO;
	return 0;
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	watch_listeners(arg);
}

int http_accept_start(struct http_server *s)
{
	struct event_base *base = s->loops[0].base;

	for (size_t i = 0; i < s->n_listeners; i++)
		event_assign(&s->listeners[i].event, base, s->listeners[i].fd, EV_READ | EV_PERSIST,
			     on_connection, s);
	event_assign(&s->resume_event, base, -1, 0, on_resume, s);
	s->accepting = true;
	return watch_listeners(s);
}

void http_accept_end(struct http_server *s)
{
	if (!s->accepting)
		return;
	stop_accepting(s);
	for (size_t i = 0; i < s->n_listeners; i++) {
		close(s->listeners[i].fd);
		s->listeners[i].fd = -1;
	}
}

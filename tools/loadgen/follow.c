/*
 * From a log record's writer to its followers, in one process and by one clock.
 *
 * A thread writes: each time --records lines, over HTTP or appended to a file and synced.  The main
 * thread reads what all followers get, connections or the pipes of `tail -F`, and notes when.  The
 * first write comes before the clock: when all have it, all are following.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "tools/loadgen/load.h"

#define STREAM_MAX  (16 * 1024 * 1024)
#define PIECE       65536
#define EVENTS      64
#define PATIENCE_MS 20000
#define MARK        " record="

struct follower {
	int fd;
	pid_t tail; /* 0: a connection */
	struct answer stream;
	int64_t *seen_ns; /* of each record; 0: not yet */
};

struct follow {
	const struct load *load;
	struct follower *followers;
	size_t n_writes, n_records;  /* with the first */
	size_t n_seen;               /* by all followers together */
	int64_t *sent_ns, *acked_ns; /* of each write */
	int epoll, out;              /* out: connection or file of the writer */
	struct buf body, request;
	struct answer answer;
	struct fault writers;
	char file[4096];
};

/* ---- the writer ---- */

static int compose(struct follow *w, size_t nth)
{
	bool json = w->load->url;
	int err = 0;

	buf_clear(&w->body);
	for (size_t i = nth * w->load->records; err == 0 && i < (nth + 1) * w->load->records; i++)
		err = buf_addf(&w->body,
			       "%sepoch 3 step %06zu loss 2.31%04zu lr 0.0003 grad_norm 0.87 tokens/s "
			       "118%03zu mem 41.2 GB" MARK "%zu%s",
			       json ? "{\"stream\":\"stdout\",\"log\":\"" : "", i, i * 7919 % 10000, i % 1000,
			       i, json ? "\"}\n" : "\n");
	return err;
}

static int post(struct follow *w)
{
	int err;

	buf_clear(&w->request);
	err = buf_addf(&w->request,
		       "POST %s/ingest HTTP/1.1\r\nHost: loadgen\r\nAuthorization: Bearer %s\r\n"
		       "Content-Type: application/x-ndjson\r\nContent-Length: %zu\r\n\r\n",
		       w->load->path, w->load->token ? w->load->token : "", w->body.len);
	if (err == 0)
		err = buf_add(&w->request, w->body.data, w->body.len);
	if (err == 0)
		err = driver_exchange(w->out, buf_span(&w->request), &w->answer, &w->writers);
	if (err == 0 && w->answer.status != 200)
		err = fault_set(&w->writers, ERR_IO, "", "a write was answered %d %.300s", w->answer.status,
				buf_cstr(&w->answer.body));
	return err;
}

static int append(struct follow *w)
{
	if (write(w->out, w->body.data, w->body.len) == (ssize_t)w->body.len && fdatasync(w->out) == 0)
		return 0;
	return fault_set(&w->writers, ERR_IO, "", "%s: %s", w->file, strerror(errno));
}

static int write_once(struct follow *w, size_t nth)
{
	int err = compose(w, nth);

	w->sent_ns[nth] = clock_mono_ns();
	if (err == 0)
		err = w->load->url ? post(w) : append(w);
	w->acked_ns[nth] = clock_mono_ns();
	return err;
}

static void *write_rest(void *arg)
{
	struct follow *w = arg;
	int64_t start_ns = clock_mono_ns();
	int err = 0;

	for (size_t i = 1; err == 0 && i < w->n_writes; i++) {
		int64_t due_ns = start_ns + (int64_t)((double)i * 1e9 / w->load->rate);
		struct timespec due = { due_ns / NS_PER_S, due_ns % NS_PER_S };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
		err = write_once(w, i);
	}
	if (err < 0)
		fault_default(&w->writers, err);
	return NULL;
}

/* ---- followers ---- */

static int start_tail(struct follow *w, struct follower *who, struct fault *f)
{
	char *const argv[] = { (char *)"tail", (char *)"-n", (char *)"+1", (char *)"-F", w->file, NULL };
	posix_spawn_file_actions_t actions;
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fault_set(f, ERR_IO, "", "pipe2: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	err = posix_spawnp(&who->tail, "tail", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	who->fd = ends[0];
	return err == 0 ? 0 : fault_set(f, ERR_IO, "", "tail: %s", strerror(err));
}

/* Waits for the answer's head: a server has only so much room for those that wait for one. */
static int start_connection(struct follow *w, struct follower *who, struct fault *f)
{
	char request[1024];
	int n = snprintf(request, sizeof(request),
			 "GET %s/logs?follow=true&after_seq=0 HTTP/1.1\r\nHost: loadgen\r\n"
			 "Authorization: Bearer %s\r\n\r\n",
			 w->load->path, w->load->token ? w->load->token : "");

	who->fd = driver_dial(w->load->address, f);
	if (who->fd < 0)
		return who->fd;
	if (send(who->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		return fault_set(f, ERR_IO, "", "cannot send: %s", strerror(errno));
	while (who->stream.state <= ANSWER_HEAD) {
		uint8_t piece[PIECE];
		ssize_t got = recv(who->fd, piece, sizeof(piece), 0);

		if (got <= 0 || answer_feed(&who->stream, span_of(piece, (size_t)got)) < 0)
			return fault_set(f, ERR_IO, "", "a follower was not answered");
	}
	if (who->stream.status != 200)
		return fault_set(f, ERR_IO, "", "a follower was answered %d %.300s", who->stream.status,
				 buf_cstr(&who->stream.body));
	return 0;
}

static int start_follower(struct follow *w, struct follower *who, struct fault *f)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = who };
	int err;

	answer_init(&who->stream, STREAM_MAX);
	who->seen_ns = calloc(w->n_records, sizeof(*who->seen_ns));
	if (!who->seen_ns)
		return ERR_NOMEM;
	err = w->load->url ? start_connection(w, who, f) : start_tail(w, who, f);
	if (err < 0)
		return err;
	fcntl(who->fd, F_SETFL, O_NONBLOCK);
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, who->fd, &event) < 0)
		return fault_set(f, ERR_IO, "", "epoll_ctl: %s", strerror(errno));
	return 0;
}

static int note_line(struct follow *w, struct follower *who, struct span line, int64_t now_ns,
		     struct fault *f)
{
	const char *mark = memmem(line.data, line.len, MARK, strlen(MARK));
	size_t nth;

	if (!mark)
		return 0; /* a heartbeat */
	nth = strtoul(mark + strlen(MARK), NULL, 10);
	if (nth >= w->n_records || who->seen_ns[nth])
		return fault_set(f, ERR_IO, "", "record %zu came twice, or was never written", nth);
	who->seen_ns[nth] = now_ns;
	w->n_seen++;
	return 0;
}

static int note_lines(struct follow *w, struct follower *who, int64_t now_ns, struct fault *f)
{
	struct buf *text = &who->stream.body;
	size_t at = 0;
	const uint8_t *end;
	int err = 0;

	while (err == 0 && text->len > at && (end = memchr(text->data + at, '\n', text->len - at))) {
		size_t n = (size_t)(end - text->data) - at + 1;

		err = note_line(w, who, span_of(text->data + at, n), now_ns, f);
		at += n;
	}
	buf_consume(text, at);
	return err;
}

static int on_readable(struct follow *w, struct follower *who, struct fault *f)
{
	uint8_t piece[PIECE];
	ssize_t n = read(who->fd, piece, sizeof(piece));
	int64_t now_ns = clock_mono_ns();
	int err;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0 || answer_complete(&who->stream))
		return fault_set(f, ERR_IO, "", "a follower's stream ended");
	err = who->tail ? buf_add(&who->stream.body, piece, (size_t)n)
			: answer_feed(&who->stream, span_of(piece, (size_t)n));
	return err == 0 ? note_lines(w, who, now_ns, f) : err;
}

/* Until all followers together have seen n records. */
static int read_until(struct follow *w, size_t n, struct fault *f)
{
	struct epoll_event events[EVENTS];
	int err = 0;

	while (err == 0 && w->n_seen < n) {
		int found = epoll_wait(w->epoll, events, EVENTS, PATIENCE_MS);

		if (found == 0)
			return fault_set(f, ERR_IO, "",
					 "the followers saw %zu records of %zu, then nothing for %d ms",
					 w->n_seen, n, PATIENCE_MS);
		for (int i = 0; i < found && err == 0; i++)
			err = on_readable(w, events[i].data.ptr, f);
	}
	return err;
}

/* ---- all of it ---- */

static void report(struct follow *w)
{
	size_t first = w->load->records, each = w->n_records - first, n = 0;
	size_t total = each * w->load->connections;
	int64_t *since_sent = calloc(total, sizeof(int64_t)), *since_ack = calloc(total, sizeof(int64_t));
	int64_t *ack = calloc(w->n_writes, sizeof(int64_t));
	struct rusage children;

	if (!since_sent || !since_ack || !ack)
		goto done;
	getrusage(RUSAGE_CHILDREN, &children);
	for (size_t i = 1; i < w->n_writes; i++)
		ack[i - 1] = w->acked_ns[i] - w->sent_ns[i];
	for (unsigned who = 0; who < w->load->connections; who++)
		for (size_t i = first; i < w->n_records; i++, n++) {
			int64_t seen_ns = w->followers[who].seen_ns[i];

			since_sent[n] = seen_ns - w->sent_ns[i / first];
			since_ack[n] = seen_ns - w->acked_ns[i / first];
		}
	printf("{\"requests\":%zu,\"records\":%zu,\"followers\":%u,\"children_cpu_s\":%.3f,\"errors\":0",
	       w->n_writes - 1, each, w->load->connections,
	       (double)(children.ru_utime.tv_sec + children.ru_stime.tv_sec) +
		   (double)(children.ru_utime.tv_usec + children.ru_stime.tv_usec) / 1e6);
	load_print_latency("ack", ack, w->n_writes - 1);
	load_print_latency("seen", since_sent, total);
	load_print_latency("after_ack", since_ack, total);
	printf("}\n");
done:
	free(since_sent);
	free(since_ack);
	free(ack);
}

static int open_writer(struct follow *w, struct fault *f)
{
	if (w->load->url) {
		w->out = driver_dial(w->load->address, f);
		return w->out < 0 ? w->out : 0;
	}
	snprintf(w->file, sizeof(w->file), "%s/follow.log", w->load->dir);
	w->out = open(w->file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	return w->out < 0 ? fault_set(f, ERR_IO, "dir", "%s: %s", w->file, strerror(errno)) : 0;
}

static int run(struct follow *w, struct fault *f)
{
	unsigned n = w->load->connections;
	pthread_t writer;
	int err = open_writer(w, f);

	for (unsigned i = 0; err == 0 && i < n; i++)
		err = start_follower(w, &w->followers[i], f);
	if (err == 0 && write_once(w, 0) < 0)
		err = fault_set(f, ERR_IO, "", "%s", w->writers.text);
	if (err == 0)
		err = read_until(w, n * w->load->records, f);
	if (err < 0)
		return err;
	load_wait_for_go();
	if (pthread_create(&writer, NULL, write_rest, w) != 0)
		return ERR_NOMEM;
	err = read_until(w, n * w->n_records, f);
	pthread_join(writer, NULL);
	return w->writers.text[0] ? fault_set(f, ERR_IO, "", "%s", w->writers.text) : err;
}

static void release(struct follow *w)
{
	for (unsigned i = 0; w->followers && i < w->load->connections; i++) {
		struct follower *who = &w->followers[i];

		if (who->tail) {
			kill(who->tail, SIGTERM);
			waitpid(who->tail, NULL, 0);
		}
		if (who->fd >= 0)
			close(who->fd);
		answer_release(&who->stream);
	}
	if (w->out >= 0)
		close(w->out);
	if (w->epoll >= 0)
		close(w->epoll);
}

int load_follow(struct load *l, struct fault *f)
{
	struct follow w = { .load = l, .n_writes = l->count + 1, .out = -1 };
	int err = ERR_NOMEM;

	w.n_records = w.n_writes * l->records;
	w.epoll = epoll_create1(EPOLL_CLOEXEC);
	w.followers = calloc(l->connections, sizeof(*w.followers));
	w.sent_ns = calloc(w.n_writes, sizeof(*w.sent_ns));
	w.acked_ns = calloc(w.n_writes, sizeof(*w.acked_ns));
	buf_init(&w.body, STREAM_MAX);
	buf_init(&w.request, STREAM_MAX);
	answer_init(&w.answer, STREAM_MAX);
	for (unsigned i = 0; w.followers && i < l->connections; i++)
		w.followers[i].fd = -1;
	if (w.followers && w.sent_ns && w.acked_ns && w.epoll >= 0)
		err = run(&w, f);
	release(&w); /* before the report: it counts the CPU of processes that have ended */
	if (err == 0)
		report(&w);
	for (unsigned i = 0; w.followers && i < l->connections; i++)
		free(w.followers[i].seen_ns);
	free(w.followers);
	free(w.sent_ns);
	free(w.acked_ns);
	buf_release(&w.body);
	buf_release(&w.request);
	answer_release(&w.answer);
	return err;
}

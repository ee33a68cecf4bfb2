/* Receiving: the bytes of a connection into requests, each admitted, read, and handed to its handler. */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/http_server.h"

#define LINGER_BYTES (16 << 20)

/* ---- receiving ---- */

enum { RECV_NOTHING = -1, RECV_END = 0 };

/* Bytes received, RECV_END (or a broken connection), RECV_NOTHING as yet. */
static ssize_t conn_recv(struct http_conn *c, void *to, size_t len)
{
	ssize_t n;

	if (!c->readable)
		return RECV_NOTHING;
	do
		n = recv(c->fd, to, len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return RECV_END;
	c->drained = n < (ssize_t)len;
	if (n < 0) {
		c->readable = false;
		return RECV_NOTHING;
	}
	http_count(&c->loop->bytes_in, (uint64_t)n);
	return n;
}

/* Keeps what follows the present request; rest lies in c->in, or elsewhere with c->in empty. */
static int keep_rest(struct http_conn *c, struct span rest)
{
	if (rest.len && c->in.data && rest.data >= c->in.data && rest.data < c->in.data + c->in.len) {
		c->in_at = (size_t)(rest.data - c->in.data);
		return 0;
	}
	buf_clear(&c->in);
	c->in_at = 0;
	return buf_add(&c->in, rest.data, rest.len);
}

static struct span pending_input(const struct http_conn *c)
{
	return span_of(c->in.data + c->in_at, c->in.len - c->in_at);
}

/* ---- beginning and refusing ---- */

/* A name for the request, for logs and people: not a secret, unlikely to come twice. */
static void set_id(struct http_conn *c)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t x = c->loop->id_next++;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9; /* splitmix64's mix, a bijection */
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	x ^= x >> 31;
	for (int i = 0; i < 16; i++, x >>= 4)
		c->rq.id[i] = digits[x & 15];
}

static void begin_exchange(struct http_conn *c)
{
	c->rq = (struct http_request){ .method = HTTP_OTHER };
	c->head = (struct http_head){ .minor = 1 };
	c->answer = (struct http_answer){ 0 };
	c->begun = true;
	c->scanned = 0;
	c->skipped_blank = false;
	set_id(c);
	http_count(&c->loop->requests, 1);
}

enum step conn_refuse(struct http_conn *c, const struct http_refusal *r)
{
	if (!c->begun)
		begin_exchange(c);
	answer_refusal(c, r);
	return conn_answered(c);
}

static enum step refuse_memory(struct http_conn *c)
{
	struct http_refusal r;

	http_refuse(&r, 500, "", "the server is out of memory; retry later");
	return conn_refuse(c, &r);
}

/* ---- a request ---- */

static enum step conn_handle(struct http_conn *c)
{
	const struct http_handlers *h = &c->loop->server->handlers;

	/* A short read has emptied the socket, so what comes next is a new edge, except for an end
	 * that was there already: that of an orderly close is known, that of a reset is found by the
	 * answer.  While a request is incomplete there is no answer, so reads go on to EAGAIN. */
	if (c->drained && !c->eof)
		c->readable = false;
	c->rq.body = buf_span(&c->body.out);
	c->state = CONN_BUSY;
	c->dispatching = true;
	h->handle(&c->rq, h->arg);
	c->dispatching = false;
	return c->answered ? conn_answered(c) : STEP_STOP;
}

static enum step feed_body(struct http_conn *c, struct span in)
{
	struct http_refusal r;
	size_t used = 0;

	if (!c->body.complete && in.len && http_body_feed(&c->body, in, &used, &r) < 0)
		return conn_refuse(c, &r);
	if (keep_rest(c, span_of(in.data + used, in.len - used)) < 0)
		return refuse_memory(c);
	return c->body.complete ? conn_handle(c) : STEP_AGAIN;
}

/* False: admit has refused, and its answer is there. */
static bool conn_admit(struct http_conn *c)
{
	const struct http_handlers *h = &c->loop->server->handlers;
	int refused;

	if (!h->admit)
		return true;
	c->answer = (struct http_answer){ .close = true, .linger = true };
	c->dispatching = true;
	refused = h->admit(&c->rq, h->arg);
	c->dispatching = false;
	assert(!refused == !c->answered);
	if (!refused)
		c->answer = (struct http_answer){ 0 };
	return !refused;
}

/* Its loss does no harm: the client sends the body after a moment anyway. */
static void send_continue(struct http_conn *c)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

	send(c->fd, line, sizeof(line) - 1, MSG_NOSIGNAL);
}

static int begin_request(struct http_conn *c, struct http_refusal *r)
{
	struct http_server *s = c->loop->server;
	int err = http_head_parse(buf_span(&c->head_bytes), s->limits.header_bytes / 2, &c->head, r);

	if (err) {
		c->head.minor = 1;
		return err;
	}
	c->rq.method = c->head.method;
	c->rq.target = c->head.target;
	c->rq.path = c->head.path;
	c->rq.query = c->head.query;
	if (atomic_load_explicit(&s->draining, memory_order_relaxed))
		return http_refuse(r, 503, "", "the server is shutting down; retry after a moment");
	return http_body_begin(&c->body, &c->loop->body_env, &c->head, r);
}

/* The head is src's first n bytes. */
static enum step take_request(struct http_conn *c, struct span src, size_t n)
{
	struct span rest = { src.data + n, src.len - n };
	struct http_refusal r;

	begin_exchange(c);
	buf_clear(&c->head_bytes);
	if (buf_add(&c->head_bytes, src.data, n) < 0)
		return refuse_memory(c);
	if (begin_request(c, &r) < 0)
		return conn_refuse(c, &r);
	if (!conn_admit(c))
		return conn_answered(c);
	if (c->head.expect_continue && !c->body.complete && rest.len == 0)
		send_continue(c);
	c->state = CONN_BODY;
	return feed_body(c, rest);
}

/* No end of the head in `have` bytes (or only past the limit). */
static int check_head_size(struct http_conn *c, size_t have, struct http_refusal *r)
{
	size_t max = c->loop->server->limits.header_bytes;

	if (c->scanned == 0 && have > max / 2 + 64)
		return http_refuse(r, 414, "", "the request line has more than %zu bytes", max / 2 + 64);
	if (have > max)
		return http_refuse(r, 431, "", "the request line and headers have more than %zu bytes", max);
	return 0;
}

void conn_turn_away(struct http_loop *loop, int fd)
{
	struct http_conn *c = conn_new(loop, fd);
	struct http_refusal r;

	if (!c) {
		close(fd);
		return;
	}
	begin_exchange(c);
	http_refuse(&r, 503, "", "the server has %d connections, its limit; retry after a moment",
		    loop->server->limits.connections);
	answer_refusal(c, &r);
	send(fd, c->out.data, c->out.len, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	recv(fd, loop->scratch, RECV_BYTES, 0);
	conn_free(c);
}

/* Looks for a head in src.  *ret_more: there is none yet, and the step is meaningless. */
static enum step take_head(struct http_conn *c, struct span src, bool *ret_more)
{
	struct http_refusal r;
	long n = http_head_end(src, &c->scanned);

	*ret_more = false;
	if (n == 2 && !c->skipped_blank) {
		c->skipped_blank = true;
		return keep_rest(c, span_of(src.data + 2, src.len - 2)) < 0 ? refuse_memory(c) : STEP_AGAIN;
	}
	if (n < 0 || n == 2) {
		http_refuse(&r, 400, "",
			    n < 0 ? "a header line ends in LF without CR" : "the request line is empty");
		return conn_refuse(c, &r);
	}
	if (check_head_size(c, n ? (size_t)n : src.len, &r) < 0)
		return conn_refuse(c, &r);
	if (n > 0)
		return take_request(c, src, (size_t)n);
	*ret_more = true;
	return STEP_AGAIN;
}

static enum step ended_early(struct http_conn *c)
{
	struct http_refusal r;

	c->eof = true;
	if (c->state == CONN_HEAD && c->started_ms == 0) {
		conn_close(c);
		return STEP_STOP;
	}
	http_refuse(&r, 400, "", "the request ends in the middle%s",
		    c->state == CONN_BODY ? " of its body" : "");
	return conn_refuse(c, &r);
}

enum step conn_read_head(struct http_conn *c)
{
	struct span have = pending_input(c), fresh;
	enum step step;
	bool more;
	ssize_t n;

	if (have.len) {
		step = take_head(c, have, &more);
		if (!more)
			return step;
	}
	n = conn_recv(c, c->loop->scratch, RECV_BYTES);
	if (n <= 0)
		return n == RECV_END ? ended_early(c) : STEP_STOP;
	if (c->started_ms == 0)
		c->started_ms = http_now_ms();
	fresh = span_of(c->loop->scratch, (size_t)n);
	if (have.len == 0) {
		step = take_head(c, fresh, &more);
		return !more ? step : keep_rest(c, fresh) < 0 ? refuse_memory(c) : STEP_AGAIN;
	}
	buf_consume(&c->in, c->in_at);
	c->in_at = 0;
	return buf_add(&c->in, fresh.data, fresh.len) < 0 ? refuse_memory(c) : STEP_AGAIN;
}

enum step conn_read_body(struct http_conn *c)
{
	struct http_refusal r;
	uint8_t *window;
	size_t len;
	ssize_t n;

	if (http_body_window(&c->body, &window, &len, &r) < 0)
		return conn_refuse(c, &r);
	if (!window && len > RECV_BYTES)
		len = RECV_BYTES;
	n = conn_recv(c, window ? window : c->loop->scratch, len < SCRATCH_BYTES ? len : SCRATCH_BYTES);
	if (n <= 0)
		return n == RECV_END ? ended_early(c) : STEP_STOP;
	if (!window)
		return feed_body(c, span_of(c->loop->scratch, (size_t)n));
	http_body_received(&c->body, (size_t)n);
	return c->body.complete ? conn_handle(c) : STEP_AGAIN;
}

enum step conn_read_off(struct http_conn *c)
{
	ssize_t n = conn_recv(c, c->loop->scratch, SCRATCH_BYTES);

	if (n == RECV_NOTHING)
		return STEP_STOP;
	c->lingered += (size_t)n;
	if (n != RECV_END && c->lingered < LINGER_BYTES)
		return STEP_AGAIN;
	conn_close(c);
	return STEP_STOP;
}

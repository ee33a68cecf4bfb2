/*
 * The bytes of one connection: heads, framing, zstd, one request after another.  The first byte
 * says in which pieces they arrive; whatever the pieces, the requests must come out the same,
 * and the budget must get everything back.
 */
#include <assert.h>
#include <stdlib.h>

#include "proto/http_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {
	.header_bytes = 1 << 20, .body_bytes = 4096, .unpacked_bytes = 65536, .budget_bytes = 1 << 20
};

/* What the pieces so far amount to. */
struct seen {
	uint64_t digest;
	int requests, status; /* status: why the connection was refused, or 0 */
	bool in_body;
};

struct conn {
	struct http_body_env env;
	struct http_body body;
	struct buf in;
	size_t scanned;
	struct seen seen;
};

static void note(struct seen *s, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		s->digest = (s->digest ^ bytes.data[i]) * 0x100000001b3; /* FNV-1a */
	s->digest = (s->digest ^ bytes.len) * 0x100000001b3;
}

static bool inside(struct span part, struct span whole)
{
	return part.data >= whole.data && part.data + part.len <= whole.data + whole.len;
}

static void note_head(struct seen *s, const struct http_head *h, struct span bytes)
{
	struct span type = http_field(h->fields, "content-type");
	struct buf value;

	assert(inside(h->target, bytes) && inside(h->query, bytes) && inside(h->fields, bytes));
	assert(h->path.len > 0 && !(h->chunked && h->has_length) && !(h->minor > 0 && !h->has_host));
	assert(!type.data || inside(type, h->fields));
	note(s, h->target);
	note(s, h->path);
	note(s, type);
	buf_init(&value, 4096);
	if (http_param(h->query, "a", 1, &value) || http_unescape(h->path, false, &value))
		note(s, buf_span(&value));
	buf_release(&value);
}

static void refused(struct conn *c, const struct http_refusal *r)
{
	assert(r->status >= 400 && r->status < 600 && r->fault.err < 0 && r->fault.text[0]);
	c->seen.status = r->status;
}

static void body_done(struct conn *c)
{
	note(&c->seen, buf_span(&c->body.out));
	http_body_release(&c->body);
	c->seen.in_body = false;
	c->seen.requests++;
}

static void take_body(struct conn *c)
{
	struct http_refusal r;
	uint8_t *window;
	size_t used = 0, room;
	int err = http_body_window(&c->body, &window, &room, &r);

	if (!err && window) {
		used = c->in.len < room ? c->in.len : room;
		memcpy(window, c->in.data, used);
		http_body_received(&c->body, used);
	} else if (!err) {
		err = http_body_feed(&c->body, buf_span(&c->in), &used, &r);
	}
	if (err) {
		refused(c, &r);
		return;
	}
	buf_consume(&c->in, used);
	if (c->body.complete)
		body_done(c);
}

/* False when the head is not all there. */
static bool take_head(struct conn *c)
{
	struct http_refusal r;
	struct http_head head;
	long n = http_head_end(buf_span(&c->in), &c->scanned);

	if (n == 0)
		return false;
	if (n <= 2) {
		c->seen.status = 400;
		return true;
	}
	if (http_head_parse(span_of(c->in.data, (size_t)n), 8192, &head, &r) < 0) {
		refused(c, &r);
		return true;
	}
	note_head(&c->seen, &head, span_of(c->in.data, (size_t)n));
	if (http_body_begin(&c->body, &c->env, &head, &r) < 0)
		refused(c, &r);
	buf_consume(&c->in, (size_t)n);
	c->scanned = 0;
	c->seen.in_body = true;
	if (c->seen.status == 0 && c->body.complete)
		body_done(c);
	return true;
}

static void arrive(struct conn *c, struct span piece)
{
	bool more = true;

	if (c->seen.status || buf_add(&c->in, piece.data, piece.len) < 0)
		return;
	while (more && c->in.len && c->seen.status == 0) {
		if (c->seen.in_body)
			take_body(c);
		else
			more = take_head(c);
	}
}

static struct seen receive(struct span bytes, size_t piece_max)
{
	struct http_budget budget = { .max = limits.budget_bytes };
	struct http_unpackers unpackers = { 0 };
	struct conn c = { .env = { &limits, &budget, &unpackers } };

	buf_init(&c.in, 1 << 21);
	while (bytes.len) {
		struct span piece = { bytes.data, bytes.len < piece_max ? bytes.len : piece_max };

		arrive(&c, piece);
		bytes.data += piece.len;
		bytes.len -= piece.len;
	}
	assert(budget.used <= budget.max && c.body.out.cap <= limits.unpacked_bytes);
	http_body_release(&c.body);
	assert(budget.used == 0);
	buf_release(&c.in);
	http_unpackers_release(&unpackers);
	return c.seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole, pieces;

	if (size < 1)
		return 0;
	whole = receive(span_of(data + 1, size - 1), SIZE_MAX);
	pieces = receive(span_of(data + 1, size - 1), (size_t)data[0] % 61 + 1);
	assert(whole.digest == pieces.digest && whole.requests == pieces.requests);
	assert(whole.status == pieces.status && whole.in_body == pieces.in_body);
	return 0;
}

#include "proto/http_body.h"

#include <assert.h>

#define AHEAD_BYTES   (64 << 10) /* reserved before they have arrived, at most, or as much as has */
#define LEAST_BYTES   1024       /* of any buffer, where the limits allow as much */
#define WINDOW_BYTES  (8 << 20)  /* what RFC 8878 3.1.1.1.2 asks decoders to take */
#define UNPACKER_COST (256 << 10)

void http_unpackers_release(struct http_unpackers *u)
{
	while (u->n)
		decompressor_free(u->spare[--u->n]);
}

/* ---- the budget ---- */

static bool charge(struct http_body *b, size_t n)
{
	struct http_budget *budget = b->env->budget;
	size_t used = atomic_fetch_add_explicit(&budget->used, n, memory_order_relaxed);

	if (used > budget->max || n > budget->max - used) {
		atomic_fetch_sub_explicit(&budget->used, n, memory_order_relaxed);
		return false;
	}
	b->charged += n;
	return true;
}

static void discharge(struct http_body *b, size_t n)
{
	assert(n <= b->charged);
	atomic_fetch_sub_explicit(&b->env->budget->used, n, memory_order_relaxed);
	b->charged -= n;
}

static int refuse_over_budget(struct http_refusal *r)
{
	return http_refuse(r, 503, "",
			   "the server has no memory left for request bodies; retry after a moment");
}

static int refuse_too_long(const struct http_body *b, struct http_refusal *r)
{
	return http_refuse(r, 413, "", "the body has more than %zu bytes, the limit of a request; split it",
			   b->env->limits->body_bytes);
}

/* ---- zstd ---- */

static int take_unpacker(struct http_body *b, struct http_refusal *r)
{
	struct http_unpackers *u = b->env->unpackers;

	if (!charge(b, UNPACKER_COST))
		return refuse_over_budget(r);
	if (u->n)
		b->unpacker = u->spare[--u->n];
	else if (decompressor_new(WINDOW_BYTES, &b->unpacker) < 0)
		return http_refuse(r, 500, "", "the server is out of memory");
	decompressor_reset(b->unpacker);
	return 0;
}

static void put_unpacker(struct http_body *b)
{
	struct http_unpackers *u = b->env->unpackers;

	if (!b->unpacker)
		return;
	if (u->n < sizeof(u->spare) / sizeof(*u->spare))
		u->spare[u->n++] = b->unpacker;
	else
		decompressor_free(b->unpacker);
	b->unpacker = NULL;
	discharge(b, UNPACKER_COST);
}

/* A share of the budget for one call of the decoder, which grows its output by itself: not more
 * than half of what is left, so that one bomb does not turn others away meanwhile. */
static size_t lend(struct http_body *b)
{
	struct http_budget *budget = b->env->budget;
	size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
	size_t left = used < budget->max ? budget->max - used : 0;
	size_t want = b->env->limits->unpacked_bytes - b->out.cap;
	size_t share = left / 2 > AHEAD_BYTES ? left / 2 : left;

	if (want > share)
		want = share;
	return share >= LEAST_BYTES && charge(b, want) ? want : 0;
}

static int unpack(struct http_body *b, struct span in, struct http_refusal *r)
{
	size_t limit = b->env->limits->unpacked_bytes, cap = b->out.cap, lent = lend(b);
	int err;

	b->out.max = cap + lent;
	err = decompressor_feed(b->unpacker, in, &b->out);
	discharge(b, cap + lent - b->out.cap);
	if (err == ERR_FULL && b->out.max == limit)
		return http_refuse(
		    r, 413, "", "the body unpacks to more than %zu bytes, the limit of a request; split it",
		    limit);
	if (err == ERR_FULL)
		return refuse_over_budget(r);
	if (err == ERR_MALFORMED)
		return http_refuse(
		    r, 400, "Content-Encoding",
		    "the body is not zstd (with a window of at most %d MiB), though Content-Encoding "
		    "says so; it breaks before its byte %llu",
		    WINDOW_BYTES >> 20, (unsigned long long)b->taken);
	return err ? http_refuse(r, 500, "", "the server is out of memory") : 0;
}

/* ---- growth ---- */

/* Room for n more bytes: exactly what is announced while that is little, else double. */
static int make_room(struct http_body *b, size_t n, struct http_refusal *r)
{
	size_t cap = b->out.cap, want = b->out.len + n, most = b->env->limits->body_bytes;

	if (want <= cap)
		return 0;
	if (!b->chunked && b->out.len + b->left < most)
		most = b->out.len + (size_t)b->left;
	if (want < 2 * cap)
		want = 2 * cap;
	if (want < (b->chunked ? LEAST_BYTES : AHEAD_BYTES))
		want = b->chunked ? LEAST_BYTES : AHEAD_BYTES;
	if (want > most)
		want = most;
	if (!charge(b, want - cap))
		return refuse_over_budget(r);
	b->out.max = want; /* makes the growth exact */
	return buf_reserve(&b->out, want - b->out.len) < 0
		   ? http_refuse(r, 500, "", "the server is out of memory")
		   : 0;
}

/* ---- the body ---- */

static int finish(struct http_body *b, struct http_refusal *r)
{
	bool cut_short = b->zstd && !decompressor_at_end(b->unpacker);

	put_unpacker(b);
	if (cut_short)
		return http_refuse(
		    r, 400, "Content-Encoding",
		    "the zstd body is cut short: its last frame is not complete after %llu bytes",
		    (unsigned long long)b->taken);
	b->complete = true;
	return 0;
}

int http_body_begin(struct http_body *b, const struct http_body_env *env, const struct http_head *head,
		    struct http_refusal *r)
{
	*b = (struct http_body){ .env = env, .chunked = head->chunked };
	if (!head->chunked && !head->has_length) {
		b->complete = true;
		return 0;
	}
	if (head->has_length && head->length > env->limits->body_bytes)
		return http_refuse(r, 413, "Content-Length",
				   "the body has %llu bytes; the limit of a request is %zu: split it",
				   (unsigned long long)head->length, env->limits->body_bytes);
	http_chunks_init(&b->chunks, env->limits->header_bytes);
	b->left = head->length;
	b->zstd = head->zstd;
	if (b->zstd && take_unpacker(b, r) < 0)
		return r->fault.err;
	return b->chunked || b->left ? 0 : finish(b, r);
}

static int take_content(struct http_body *b, struct span run, struct http_refusal *r)
{
	int err;

	if (run.len > b->env->limits->body_bytes - b->taken)
		return refuse_too_long(b, r);
	b->taken += run.len;
	if (b->zstd)
		return unpack(b, run, r);
	err = make_room(b, run.len, r);
	return err ? err : buf_add(&b->out, run.data, run.len);
}

static int feed_chunked(struct http_body *b, struct span in, size_t *ret_used, struct http_refusal *r)
{
	size_t at = 0;

	while (at < in.len && !b->chunks.done) {
		struct span run;
		size_t used;
		int err = http_chunks_next(&b->chunks, span_of(in.data + at, in.len - at), &used, &run, r);

		if (!err && run.len)
			err = take_content(b, run, r);
		if (err)
			return err;
		at += used;
	}
	*ret_used = at;
	return b->chunks.done ? finish(b, r) : 0;
}

int http_body_feed(struct http_body *b, struct span in, size_t *ret_used, struct http_refusal *r)
{
	int err;

	assert(!b->complete);
	if (b->chunked)
		return feed_chunked(b, in, ret_used, r);
	if (in.len > b->left)
		in.len = (size_t)b->left;
	err = in.len ? take_content(b, in, r) : 0;
	if (err)
		return err;
	b->left -= in.len;
	*ret_used = in.len;
	return b->left ? 0 : finish(b, r);
}

int http_body_window(struct http_body *b, uint8_t **ret, size_t *ret_len, struct http_refusal *r)
{
	int err;

	if (b->chunked || b->zstd) {
		*ret = NULL;
		*ret_len = b->chunked ? SIZE_MAX : (size_t)b->left;
		return 0;
	}
	err = make_room(b, 1, r);
	if (err)
		return err;
	*ret = b->out.data + b->out.len;
	*ret_len = b->out.cap - b->out.len;
	assert(*ret_len <= b->left);
	return 0;
}

void http_body_received(struct http_body *b, size_t n)
{
	assert(n <= b->left);
	b->out.len += n;
	b->taken += n;
	b->left -= n;
	b->complete = b->left == 0;
}

void http_body_release(struct http_body *b)
{
	if (!b->env)
		return;
	put_unpacker(b);
	buf_release(&b->out);
	discharge(b, b->charged);
	*b = (struct http_body){ 0 };
}

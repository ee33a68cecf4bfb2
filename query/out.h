/*
 * out.h - JSON, written by hand into a buffer that empties into a sink.
 *
 * A row of a number costs some 20 ns; that is why this is not a JSON library.  Errors stick: after
 * the first one all writes do nothing, and out_end returns it.  While `hold` is set nothing goes
 * to the sink and the buffer grows (up to OUT_HOLD_MAX): so a slow client never makes anyone wait
 * who holds a view of the store.  One thread.
 */
#ifndef QUERY_OUT_H
#define QUERY_OUT_H

#include "query/api.h"
#include "store/base/number.h"

#define OUT_FLUSH_BYTES 32768
#define OUT_HOLD_MAX    (64u * 1024 * 1024)

/* Doubles written last, which often come again: min, max, mean, first and last of a window with one
 * sample, a value that stays. */
#define OUT_MEMO_BITS 4
struct out_memo {
	uint64_t bits;
	size_t len;
	char text[NUMBER_TEXT_MAX];
};
#define OUT_DOUBLE_BYTES 24 /* no double is longer */

struct out {
	struct buf b;
	const struct api_sink *sink; /* NULL: only the buffer */
	bool hold;
	int err;
	struct out_memo memo[1 << OUT_MEMO_BITS]; /* by their bits, mixed */
};

void out_init(struct out *o, const struct api_sink *sink);
void out_release(struct out *o);

/* Begins an answer of this content type; extra as in struct api_sink. */
int out_begin(struct out *o, int status, const char *content_type, const char *extra);

/* Sends all that is in the buffer, whatever `hold` says. */
int out_flush(struct out *o);

/* Asks the sink whether anyone is there still: ERR_GONE sticks like every error. */
int out_ask(struct out *o);

/* The slow part of out_room: sends or grows. */
uint8_t *out_make_room(struct out *o, size_t n);

/* Where n more bytes may be written, or NULL; out_wrote says how many were. */
static inline uint8_t *out_room(struct out *o, size_t n)
{
	if (o->b.cap - o->b.len < n)
		return out_make_room(o, n);
	return o->err < 0 ? NULL : o->b.data + o->b.len;
}

static inline void out_wrote(struct out *o, const uint8_t *end) { o->b.len = (size_t)(end - o->b.data); }

void out_bytes(struct out *o, const void *data, size_t n);

static inline void out_ch(struct out *o, char c)
{
	uint8_t *p = out_room(o, 1);

	if (p) {
		*p = (uint8_t)c;
		o->b.len++;
	}
}

/* Text that needs no escaping. */
static inline void out_raw(struct out *o, const char *s) { out_bytes(o, s, strlen(s)); }

void out_u64(struct out *o, uint64_t v);
void out_i64(struct out *o, int64_t v);

/* Shortest round-trip; "NaN", "Infinity", "-Infinity" as strings. */
void out_double(struct out *o, double v);

/* The same where room for 21 or OUT_DOUBLE_BYTES bytes is known to be; they return the end. */
uint8_t *out_put_u64(uint8_t *p, uint64_t v);
uint8_t *out_put_i64(uint8_t *p, int64_t v);

void out_memo_take(struct out_memo *m, double v);

static inline uint8_t *out_put_double(struct out *o, uint8_t *p, double v)
{
	uint64_t bits = double_bits(v);
	struct out_memo *m = &o->memo[bits * UINT64_C(0x9e3779b97f4a7c15) >> (64 - OUT_MEMO_BITS)];

	if (m->bits != bits)
		out_memo_take(m, v);
	memcpy(p, m->text, OUT_DOUBLE_BYTES);
	return p + m->len;
}

/* A JSON string.  Bytes that are not UTF-8 become U+FFFD, one for each maximal broken part, and false is
 * returned. */
bool out_string(struct out *o, struct span s);
void out_time(struct out *o, int64_t t_ns);           /* a string, RFC 3339 */
void out_base64(struct out *o, struct span s);        /* a string */
void out_fault(struct out *o, const struct fault *f); /* the object {"code",...}, no request id */

static inline void out_bool(struct out *o, bool v) { out_raw(o, v ? "true" : "false"); }

/* Length of the UTF-8 sequence at s (1 to 4), or 0 when there is none; *ret_bad is then how many
 * bytes one U+FFFD stands for. */
size_t utf8_at(const uint8_t *s, size_t left, size_t *ret_bad);

#endif

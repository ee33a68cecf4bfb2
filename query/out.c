#include "query/out.h"

#include <math.h>

#include "store/base/bytes.h"
#include "store/base/clock.h"
#include "store/base/digits.h"

void out_init(struct out *o, const struct api_sink *sink)
{
	*o = (struct out){ .sink = sink };
	out_memo_take(o->memo, 0); /* the place of 0, whose bits are those of an empty memo */
	buf_init(&o->b, OUT_HOLD_MAX);
}

void out_release(struct out *o) { buf_release(&o->b); }

int out_begin(struct out *o, int status, const char *content_type, const char *extra)
{
	if (o->err == 0 && o->sink)
		o->err = o->sink->begin(o->sink->arg, status, content_type, extra);
	return o->err;
}

int out_flush(struct out *o)
{
	if (o->err == 0 && o->sink && o->b.len > 0)
		o->err = o->sink->write(o->sink->arg, buf_span(&o->b));
	if (o->sink)
		buf_clear(&o->b);
	return o->err;
}

int out_ask(struct out *o)
{
	if (o->err == 0 && o->sink)
		o->err = o->sink->write(o->sink->arg, (struct span){ 0 });
	return o->err;
}

uint8_t *out_make_room(struct out *o, size_t n)
{
	if (o->err < 0)
		return NULL;
	if (!o->hold && o->sink && o->b.len >= OUT_FLUSH_BYTES && out_flush(o) < 0)
		return NULL;
	if (o->b.cap - o->b.len < n) {
		int err = buf_reserve(&o->b, n < OUT_FLUSH_BYTES ? OUT_FLUSH_BYTES + 4096 : n);

		if (err < 0) {
			o->err = err;
			return NULL;
		}
	}
	return o->b.data + o->b.len;
}

void out_bytes(struct out *o, const void *data, size_t n)
{
	uint8_t *p = out_room(o, n);

	if (p && n) {
		memcpy(p, data, n);
		o->b.len += n;
	}
}

/* Writes eight bytes at a time, the last of which may be left over. */
uint8_t *out_put_u64(uint8_t *p, uint64_t v)
{
	uint8_t text[16] = { 0 };
	unsigned n;

	if (v >= 100000000) {
		p = out_put_u64(p, v / 100000000);
		put_le64(p, eight_digits((uint32_t)(v % 100000000)));
		return p + 8;
	}
	n = count_digits((uint32_t)v);
	put_le64(text, eight_digits((uint32_t)v));
	memcpy(p, text + 8 - n, 8);
	return p + n;
}

void out_u64(struct out *o, uint64_t v)
{
	uint8_t *p = out_room(o, 20);

	if (p)
		out_wrote(o, out_put_u64(p, v));
}

uint8_t *out_put_i64(uint8_t *p, int64_t v)
{
	if (v < 0)
		*p++ = '-';
	return out_put_u64(p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void out_i64(struct out *o, int64_t v)
{
	uint8_t *p = out_room(o, 21);

	if (p)
		out_wrote(o, out_put_i64(p, v));
}

void out_memo_take(struct out_memo *m, double v)
{
	m->bits = double_bits(v);
	if (isnan(v))
		m->len = (size_t)(stpcpy(m->text, "\"NaN\"") - m->text);
	else if (isinf(v))
		m->len = (size_t)(stpcpy(m->text, v > 0 ? "\"Infinity\"" : "\"-Infinity\"") - m->text);
	else if (v == 0 && signbit(v)) /* "-0" is an integer to many readers, and loses its sign there */
		m->len = (size_t)(stpcpy(m->text, "-0.0") - m->text);
	else
		m->len = number_print(v, m->text);
}

void out_double(struct out *o, double v)
{
	uint8_t *p = out_room(o, OUT_DOUBLE_BYTES);

	if (p)
		out_wrote(o, out_put_double(o, p, v));
}

size_t utf8_at(const uint8_t *s, size_t left, size_t *ret_bad)
{
	size_t n = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;
	uint8_t lo = *s == 0xe0 ? 0xa0 : *s == 0xf0 ? 0x90 : 0x80;
	uint8_t hi = *s == 0xed ? 0x9f : *s == 0xf4 ? 0x8f : 0xbf;

	*ret_bad = 1;
	if (n == 1)
		return 1;
	if (*s < 0xc2 || *s > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++, lo = 0x80, hi = 0xbf) {
		if (i >= left || s[i] < lo || s[i] > hi) {
			*ret_bad = i;
			return 0;
		}
	}
	return n;
}

/* Bytes of a word that are 0 have their highest bit set; the lowest such bit is right. */
static uint64_t zero_bytes(uint64_t x) { return (x - 0x0101010101010101) & ~x & 0x8080808080808080; }

/* Of eight bytes those that do not stand for themselves in a JSON string (below 0x20, above 0x7f, '"', '\\'):
 * their highest bits; the lowest such bit is right. */
static uint64_t odd_bytes(uint64_t x)
{
	return (x & 0x8080808080808080) | ((x - 0x2020202020202020) & ~x & 0x8080808080808080) |
	       zero_bytes(x ^ 0x2222222222222222) | zero_bytes(x ^ 0x5c5c5c5c5c5c5c5c);
}

/* The bytes that stand for themselves before one that does not, or n of them; eight may be written. */
static size_t put_plain(uint8_t *p, const uint8_t *s, size_t n)
{
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t x = get_le64(s + i), odd = odd_bytes(x);

		put_le64(p + i, x);
		if (odd)
			return i + (size_t)__builtin_ctzll(odd) / 8;
	}
	for (; i < n && s[i] >= 0x20 && s[i] < 0x80 && s[i] != '"' && s[i] != '\\'; i++)
		p[i] = s[i];
	return i;
}

#define ODD_MAX 6 /* bytes that one byte may take */

/* One character that is not plain; returns how many bytes of s it took.  *ret_utf8 goes false where there is
 * none. */
static size_t put_odd(uint8_t **p, const uint8_t *s, size_t left, bool *ret_utf8)
{
	static const char hex[] = "0123456789abcdef";
	static const char brief[] = "btn?fr??"; /* from 8; there is none for 11 */
	char escape[ODD_MAX] = { '\\', 'u', '0', '0', hex[*s >> 4], hex[*s & 15] };
	bool has_brief = *s == '"' || *s == '\\' || (*s >= 8 && *s <= 13 && *s != 11);
	size_t bad, n;

	if (has_brief)
		escape[1] = (char)(*s >= 0x20 ? *s : (uint8_t)brief[(*s - 8) & 7]);
	if (has_brief || *s < 0x20) {
		memcpy(*p, escape, sizeof escape);
		*p += has_brief ? 2 : ODD_MAX;
		return 1;
	}
	n = utf8_at(s, left, &bad);
	*ret_utf8 &= n > 0;
	memcpy(*p, n ? (const char *)s : "\xef\xbf\xbd", n ? n : 3);
	*p += n ? n : 3;
	return n ? n : bad;
}

#define STRING_PIECE 1024 /* bytes of a string for which room is made at once */

bool out_string(struct out *o, struct span s)
{
	bool utf8 = true;

	out_ch(o, '"');
	for (size_t i = 0; i < s.len;) {
		size_t end = s.len - i < STRING_PIECE ? s.len : i + STRING_PIECE;
		uint8_t *p = out_room(o, ODD_MAX * (end - i) + 8);

		if (!p)
			return utf8;
		while (i < end) {
			size_t n = put_plain(p, s.data + i, end - i);

			i += n;
			p += n;
			if (i < end)
				i += put_odd(&p, s.data + i, s.len - i, &utf8);
		}
		out_wrote(o, p);
	}
	out_ch(o, '"');
	return utf8;
}

void out_time(struct out *o, int64_t t_ns)
{
	char text[CLOCK_TEXT_MAX];

	out_ch(o, '"');
	out_bytes(o, text, clock_format(t_ns, text));
	out_ch(o, '"');
}

void out_base64(struct out *o, struct span s)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	out_ch(o, '"');
	for (size_t i = 0; i < s.len; i += 3) {
		size_t left = s.len - i;
		uint32_t v = (uint32_t)s.data[i] << 16 | (left > 1 ? (uint32_t)s.data[i + 1] << 8 : 0) |
			     (left > 2 ? s.data[i + 2] : 0);
		char four[4] = { digit[v >> 18], digit[v >> 12 & 63], left > 1 ? digit[v >> 6 & 63] : '=',
				 left > 2 ? digit[v & 63] : '=' };

		out_bytes(o, four, 4);
	}
	out_ch(o, '"');
}

void out_fault(struct out *o, const struct fault *f)
{
	out_raw(o, "{\"code\":");
	out_string(o, span_str(err_name(f->err)));
	out_raw(o, ",\"message\":");
	out_string(o, span_str(f->text));
	out_raw(o, ",\"field\":");
	if (f->field[0])
		out_string(o, span_str(f->field));
	else
		out_raw(o, "null");
	out_raw(o, "}");
}

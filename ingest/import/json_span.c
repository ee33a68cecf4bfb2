#include "ingest/import/json_span.h"

#include <errno.h>
#include <stdlib.h>

struct cursor {
	const uint8_t *p, *end;
};

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

static int peek(const struct cursor *c) { return c->p < c->end ? *c->p : -1; }

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && is_blank(*c->p))
		c->p++;
}

static bool take(struct cursor *c, char want)
{
	if (peek(c) != want)
		return false;
	c->p++;
	return true;
}

static bool take_word(struct cursor *c, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
		return false;
	c->p += n;
	return true;
}

static bool take_hex4(struct cursor *c)
{
	for (int i = 0; i < 4; i++, c->p++) {
		int ch = peek(c);

		if (!is_digit((uint8_t)ch) && !(ch >= 'a' && ch <= 'f') && !(ch >= 'A' && ch <= 'F'))
			return false;
	}
	return true;
}

static bool take_string(struct cursor *c)
{
	if (!take(c, '"'))
		return false;
	while (c->p < c->end && *c->p >= 0x20) {
		uint8_t ch = *c->p++;

		if (ch == '"')
			return true;
		if (ch != '\\')
			continue;
		if (take(c, 'u')) {
			if (!take_hex4(c))
				return false;
		} else if (c->p == c->end || *c->p == 0 || !strchr("\"\\/bfnrt", *c->p++)) {
			return false;
		}
	}
	return false;
}

static bool take_digits(struct cursor *c)
{
	const uint8_t *start = c->p;

	while (c->p < c->end && is_digit(*c->p))
		c->p++;
	return c->p > start;
}

static bool take_number(struct cursor *c)
{
	take(c, '-');
	if (!take(c, '0') && !take_digits(c))
		return false;
	if (peek(c) == '.' && c->p + 1 < c->end && is_digit(c->p[1])) {
		c->p++;
		take_digits(c);
	}
	if (peek(c) == 'e' || peek(c) == 'E') {
		struct cursor e = { c->p + 1, c->end };

		if (!take(&e, '+'))
			take(&e, '-');
		if (take_digits(&e))
			*c = e;
	}
	return true;
}

/* Anything but an object or an array. */
static bool take_scalar(struct cursor *c, enum json_kind *ret)
{
	if (peek(c) == '"') {
		*ret = JSON_STRING;
		return take_string(c);
	}
	*ret = JSON_WORD;
	if (take_word(c, "true") || take_word(c, "false") || take_word(c, "null"))
		return true;
	*ret = JSON_NON_FINITE;
	if (take_word(c, "NaN") || take_word(c, "Infinity") || take_word(c, "-Infinity"))
		return true;
	*ret = JSON_NUMBER;
	return take_number(c);
}

/* "name": up to the value. */
static bool take_name(struct cursor *c)
{
	skip_blanks(c);
	if (!take_string(c))
		return false;
	skip_blanks(c);
	return take(c, ':');
}

/* After a value at some depth: closes what ends here, and stands before the next value.  Bit i of
 * objects tells whether level i is an object. */
static bool next_value(struct cursor *c, uint64_t objects, int *depth)
{
	while (*depth > 0) {
		bool object = objects >> (*depth - 1) & 1;

		skip_blanks(c);
		if (take(c, ','))
			return !object || take_name(c);
		if (!take(c, object ? '}' : ']'))
			return false;
		(*depth)--;
	}
	return true;
}

static bool take_value(struct cursor *c, enum json_kind *ret)
{
	uint64_t objects = 0;
	int depth = 0;

	do {
		enum json_kind kind;
		bool object;

		skip_blanks(c);
		object = peek(c) == '{';
		if (object || peek(c) == '[') {
			c->p++;
			kind = object ? JSON_OBJECT : JSON_ARRAY;
			if (depth == 0)
				*ret = kind;
			if (depth == JSON_DEPTH_MAX)
				return false;
			objects = (objects & ~(UINT64_C(1) << depth)) | (uint64_t)object << depth;
			depth++;
			skip_blanks(c);
			if (peek(c) != (object ? '}' : ']')) {
				if (object && !take_name(c))
					return false;
				continue;
			}
			c->p++;
			depth--;
		} else {
			if (!take_scalar(c, &kind))
				return false;
			if (depth == 0)
				*ret = kind;
		}
		if (!next_value(c, objects, &depth))
			return false;
	} while (depth > 0);
	return true;
}

int json_scan(struct span s, struct json_value *ret)
{
	struct cursor c = { s.data, s.data + s.len };
	enum json_kind kind = JSON_NONE;
	const uint8_t *start;

	skip_blanks(&c);
	start = c.p;
	if (!take_value(&c, &kind))
		return ERR_MALFORMED;
	*ret = (struct json_value){ kind, span_of(start, (size_t)(c.p - start)) };
	return 0;
}

bool json_member(struct span *at, struct span *ret_name, struct json_value *ret_value)
{
	struct cursor c = { at->data, at->data + at->len };
	const uint8_t *name;

	if (!take(&c, '{') && !take(&c, ','))
		return false;
	skip_blanks(&c);
	name = c.p;
	if (!take_string(&c))
		return false;
	*ret_name = span_of(name + 1, (size_t)(c.p - name) - 2);
	skip_blanks(&c);
	take(&c, ':');
	if (json_scan(span_of(c.p, (size_t)(c.end - c.p)), ret_value) < 0)
		return false;
	c.p = ret_value->text.data + ret_value->text.len;
	skip_blanks(&c);
	*at = span_of(c.p, (size_t)(c.end - c.p));
	return true;
}

bool json_element(struct span *at, struct json_value *ret)
{
	struct cursor c = { at->data, at->data + at->len };

	if ((!take(&c, '[') && !take(&c, ',')) || json_scan(span_of(c.p, (size_t)(c.end - c.p)), ret) < 0)
		return false;
	c.p = ret->text.data + ret->text.len;
	skip_blanks(&c);
	*at = span_of(c.p, (size_t)(c.end - c.p));
	return true;
}

static unsigned hex4(const uint8_t *p)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (unsigned)(is_digit(p[i]) ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
	return v;
}

static uint8_t *put_utf8(uint8_t *out, unsigned v)
{
	if (v < 0x80) {
		*out++ = (uint8_t)v;
		return out;
	}
	if (v < 0x800) {
		*out++ = (uint8_t)(0xc0 | v >> 6);
	} else {
		if (v < 0x10000) {
			*out++ = (uint8_t)(0xe0 | v >> 12);
		} else {
			*out++ = (uint8_t)(0xf0 | v >> 18);
			*out++ = (uint8_t)(0x80 | (v >> 12 & 0x3f));
		}
		*out++ = (uint8_t)(0x80 | (v >> 6 & 0x3f));
	}
	*out++ = (uint8_t)(0x80 | (v & 0x3f));
	return out;
}

/* p stands after "\u"; two escapes that form a pair are taken together. */
static const uint8_t *unescape_unicode(const uint8_t *p, const uint8_t *end, uint8_t **out)
{
	unsigned v = hex4(p), low;

	p += 4;
	if (v >= 0xd800 && v < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
		low = hex4(p + 2);
		if (low >= 0xdc00 && low < 0xe000) {
			v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
			p += 6;
		}
	}
	*out = put_utf8(*out, v);
	return p;
}

int json_unescape(struct span quoted, struct arena *a, struct span *ret)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const uint8_t *p = quoted.data, *end = p + quoted.len;
	uint8_t *out, *start;

	if (quoted.len == 0 || !memchr(p, '\\', quoted.len)) {
		*ret = quoted;
		return 0;
	}
	start = out = arena_alloc(a, quoted.len);
	if (!out)
		return ERR_FULL;
	while (p < end) {
		const char *known;

		if (*p != '\\') {
			*out++ = *p++;
			continue;
		}
		p++;
		if (*p == 'u') {
			p = unescape_unicode(p + 1, end, &out);
			continue;
		}
		known = strchr(from, *p);
		*out++ = known ? (uint8_t)to[known - from] : *p;
		p++;
	}
	*ret = span_of(start, (size_t)(out - start));
	return 0;
}

bool json_integer(const struct json_value *v, int64_t *ret)
{
	char digits[24];
	int64_t n;

	if (v->kind != JSON_NUMBER || v->text.len >= sizeof(digits))
		return false;
	for (size_t i = v->text.data[0] == '-'; i < v->text.len; i++)
		if (!is_digit(v->text.data[i]))
			return false;
	memcpy(digits, v->text.data, v->text.len);
	digits[v->text.len] = 0;
	errno = 0;
	n = strtoll(digits, NULL, 10);
	if (errno)
		return false;
	*ret = n;
	return true;
}

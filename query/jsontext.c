#include "query/jsontext.h"

#include <json-c/json.h>

#include <stdlib.h>

#include "query/out.h"
#include "store/base/array.h"

/* Keys of the objects that are open, innermost last; for telling that one comes twice. */
struct keys {
	struct span *list;
	size_t n, cap;
};

struct text {
	const uint8_t *start, *p, *end;
	const char *why; /* what was wrong, once something is */
	int depth;
	struct keys keys;
};

static bool bad(struct text *t, const char *why)
{
	if (!t->why)
		t->why = why;
	return false;
}

static void skip_space(struct text *t)
{
	while (t->p < t->end && (*t->p == ' ' || *t->p == '\t' || *t->p == '\n' || *t->p == '\r'))
		t->p++;
}

static bool literal(struct text *t, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n) != 0)
		return bad(t, "no JSON value");
	t->p += n;
	return true;
}

static size_t digits(struct text *t)
{
	const uint8_t *from = t->p;

	while (t->p < t->end && *t->p >= '0' && *t->p <= '9')
		t->p++;
	return (size_t)(t->p - from);
}

static bool number(struct text *t)
{
	if (*t->p == '-')
		t->p++;
	if (t->p < t->end && *t->p == '0')
		t->p++;
	else if (digits(t) == 0)
		return bad(t, "no JSON value");
	if (t->p < t->end && *t->p == '.') {
		t->p++;
		if (digits(t) == 0)
			return bad(t, "a number without digits after its point");
	}
	if (t->p < t->end && (*t->p == 'e' || *t->p == 'E')) {
		t->p++;
		if (t->p < t->end && (*t->p == '+' || *t->p == '-'))
			t->p++;
		if (digits(t) == 0)
			return bad(t, "a number without digits in its exponent");
	}
	return true;
}

/* The four digits of \uXXXX, or -1. */
static int unit16(struct text *t)
{
	int v = 0;

	for (int i = 0; i < 4; i++, t->p++) {
		int c = t->p < t->end ? *t->p | 0x20 : 0;
		int d = t->p < t->end && *t->p >= '0' && *t->p <= '9' ? *t->p - '0'
			: c >= 'a' && c <= 'f'                        ? c - 'a' + 10
								      : -1;

		if (d < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

static bool escape(struct text *t, bool is_key)
{
	int u;

	if (++t->p == t->end)
		return bad(t, "a string without its closing quote");
	if (*t->p != 'u') {
		if (!strchr("\"\\/bfnrt", *t->p) || *t->p == 0)
			return bad(t, "an escape that JSON does not have");
		if (*t->p == '/' && is_key)
			return bad(t, "a needless escape in a key");
		t->p++;
		return true;
	}
	t->p++;
	u = unit16(t);
	if (u < 0)
		return bad(t, "\\u without four hexadecimal digits");
	if (is_key && (u == 0 || (u >= 0x20 && u < 0x80)))
		return bad(t, u ? "a needless escape in a key" : "\\u0000 in a key");
	if (u >= 0xdc00 && u <= 0xdfff)
		return bad(t, "half a surrogate pair");
	if (u < 0xd800 || u > 0xdbff)
		return true;
	if (t->end - t->p < 6 || t->p[0] != '\\' || t->p[1] != 'u')
		return bad(t, "half a surrogate pair");
	t->p += 2;
	u = unit16(t);
	return (u >= 0xdc00 && u <= 0xdfff) || bad(t, "half a surrogate pair");
}

static bool string(struct text *t, bool is_key)
{
	size_t n, broken;

	t->p++;
	while (t->p < t->end && *t->p != '"') {
		if (*t->p < 0x20)
			return bad(t, "a control character in a string; write it as \\u00XX");
		if (*t->p == '\\') {
			if (!escape(t, is_key))
				return false;
			continue;
		}
		n = utf8_at(t->p, (size_t)(t->end - t->p), &broken);
		if (n == 0)
			return bad(t, "bytes that are not UTF-8");
		t->p += n;
	}
	if (t->p == t->end)
		return bad(t, "a string without its closing quote");
	t->p++;
	return true;
}

static bool value(struct text *t);

/* Remembers the key; first is where those of its object begin. */
static bool key_add(struct text *t, size_t first, struct span key)
{
	struct keys *k = &t->keys;

	if (k->n - first >= JSON_KEYS_MAX)
		return bad(t, "an object with more than 1000 keys");
	for (size_t i = first; i < k->n; i++)
		if (span_equal(k->list[i], key))
			return bad(t, "a key that the object has already");
	if (array_grow(k->list, k->n, k->cap) < 0)
		return bad(t, "more keys than there is memory for");
	k->list[k->n++] = key;
	return true;
}

static bool member(struct text *t, size_t first)
{
	const uint8_t *from;

	skip_space(t);
	from = t->p;
	if (t->p == t->end || *t->p != '"')
		return bad(t, "no key in double quotes");
	if (!string(t, true) || !key_add(t, first, span_of(from, (size_t)(t->p - from))))
		return false;
	skip_space(t);
	if (t->p == t->end || *t->p != ':')
		return bad(t, "no ':' after a key");
	t->p++;
	return value(t);
}

/* An object or an array. */
static bool container(struct text *t)
{
	bool object = *t->p == '{';
	uint8_t close = object ? '}' : ']';
	size_t first = t->keys.n;

	if (++t->depth > JSON_DEPTH_MAX)
		return bad(t, "more than 32 levels of nesting");
	t->p++;
	skip_space(t);
	if (t->p < t->end && *t->p == close) {
		t->p++;
		t->depth--;
		return true;
	}
	while (object ? member(t, first) : value(t)) {
		skip_space(t);
		if (t->p < t->end && *t->p == close) {
			t->p++;
			t->depth--;
			t->keys.n = first;
			return true;
		}
		if (t->p == t->end || *t->p != ',')
			return bad(t, object ? "neither ',' nor '}' after a member"
					     : "neither ',' nor ']' after an item");
		t->p++;
	}
	return false;
}

static bool value(struct text *t)
{
	skip_space(t);
	if (t->p == t->end)
		return bad(t, "the end where a value should be");
	switch (*t->p) {
	case '{':
	case '[':
		return container(t);
	case '"':
		return string(t, false);
	case 't':
		return literal(t, "true");
	case 'f':
		return literal(t, "false");
	case 'n':
		return literal(t, "null");
	default:
		return number(t);
	}
}

int json_check(struct span text, struct fault *f)
{
	struct text t = { .start = text.data, .p = text.data, .end = text.data + text.len };
	bool ok = value(&t);

	if (ok) {
		skip_space(&t);
		ok = t.p == t.end || bad(&t, "something after the value");
	}
	free(t.keys.list);
	if (ok)
		return 0;
	return fault_set(f, ERR_MALFORMED, "", "this is not JSON (RFC 8259): %s, at byte %zu of %zu", t.why,
			 (size_t)(t.p - t.start), text.len);
}

bool json_member_next(struct span text, size_t *at, struct span *ret_key, struct span *ret_value)
{
	struct text t = { .start = text.data, .p = text.data + *at, .end = text.data + text.len };
	const uint8_t *from;
	bool ok;

	skip_space(&t);
	if (t.p == t.end || *t.p != (*at ? ',' : '{'))
		return false;
	t.p++;
	skip_space(&t);
	if (t.p == t.end || *t.p != '"')
		return false;
	from = t.p;
	if (!string(&t, true))
		return false;
	*ret_key = span_of(from + 1, (size_t)(t.p - from) - 2);
	skip_space(&t);
	t.p++; /* the ':' of checked text */
	skip_space(&t);
	from = t.p;
	ok = value(&t);
	free(t.keys.list);
	*ret_value = span_of(from, (size_t)(t.p - from));
	*at = (size_t)(t.p - t.start);
	return ok;
}

struct json_object *json_tree(struct span text)
{
	struct json_tokener *k = json_tokener_new_ex(JSON_DEPTH_MAX + 1);
	struct json_object *o;

	if (!k)
		return NULL;
	o = json_tokener_parse_ex(k, (const char *)text.data, (int)text.len);
	json_tokener_free(k);
	return o;
}

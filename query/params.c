#include "query/params.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/http.h"

static int part_decode(struct params *p, struct span raw, struct span *ret)
{
	size_t at = p->text.len;

	/* text was reserved for the whole query string, and decoding never makes it longer */
	if (!http_unescape(raw, true, &p->text))
		return ERR_MALFORMED;
	*ret = span_of(p->text.data + at, p->text.len - at);
	return 0;
}

static int params_add(struct params *p, struct span raw, struct fault *f)
{
	const uint8_t *equals = memchr(raw.data, '=', raw.len);
	size_t n_name = equals ? (size_t)(equals - raw.data) : raw.len;
	struct param *q = &p->list[p->n];

	if (part_decode(p, span_of(raw.data, n_name), &q->name) < 0 ||
	    part_decode(p, equals ? span_of(equals + 1, raw.len - n_name - 1) : span_str(""), &q->value) < 0)
		return fault_set(f, ERR_MALFORMED, "",
				 "the query string part \"%.*s\" has a '%%' that two hexadecimal "
				 "digits do not follow; write '%%' itself as %%25",
				 (int)(raw.len < 100 ? raw.len : 100), (const char *)raw.data);
	p->n++;
	return 0;
}

static size_t count_parts(struct span query)
{
	size_t n = 1;

	for (size_t i = 0; i < query.len; i++)
		n += query.data[i] == '&';
	return n;
}

int params_parse(struct span query, struct params *ret, struct fault *f)
{
	size_t n = count_parts(query);
	int err;

	*ret = (struct params){ 0 };
	buf_init(&ret->text, PARAM_BYTES_MAX);
	if (n > PARAMS_MAX || query.len > PARAM_BYTES_MAX - 1)
		return fault_set(f, ERR_REFUSED, "",
				 "the query string has %zu parameters in %zu bytes; at most %d in "
				 "%d bytes are taken",
				 n, query.len, PARAMS_MAX, PARAM_BYTES_MAX);
	ret->list = calloc(n, sizeof *ret->list);
	if (!ret->list || buf_reserve(&ret->text, query.len + 1) < 0)
		return fault_default(f, ERR_NOMEM);
	for (size_t at = 0; at < query.len;) {
		const uint8_t *from = query.data + at, *amp = memchr(from, '&', query.len - at);
		size_t len = amp ? (size_t)(amp - from) : query.len - at;

		if (len > 0 && (err = params_add(ret, span_of(from, len), f)) < 0)
			return err;
		at += len + 1;
	}
	return 0;
}

void params_release(struct params *p)
{
	free(p->list);
	buf_release(&p->text);
	*p = (struct params){ 0 };
}

bool params_get(const struct params *p, const char *name, size_t nth, struct span *ret)
{
	for (size_t i = 0; i < p->n; i++) {
		if (span_is(p->list[i].name, name) && nth-- == 0) {
			*ret = p->list[i].value;
			return true;
		}
	}
	return false;
}

/* Whether `known` stands for this name; *ret_repeats whether it may come more than once. */
static bool known_is(const char *known, struct span name, bool *ret_repeats)
{
	size_t n = strlen(known);

	*ret_repeats = n > 0 && known[n - 1] == '*';
	n -= *ret_repeats;
	if (n > 0 && known[n - 1] == '.') {
		*ret_repeats = true;
		return name.len > n && memcmp(name.data, known, n) == 0;
	}
	return span_equal(name, span_of(known, n));
}

static int name_check(const struct params *p, struct span name, const char *const *known, struct fault *f)
{
	struct span second;
	bool repeats;
	char text[FAULT_FIELD_MAX];

	snprintf(text, sizeof text, "%.*s", (int)(name.len < 80 ? name.len : 80), (const char *)name.data);
	for (; *known; known++) {
		if (!known_is(*known, name, &repeats))
			continue;
		if (!repeats && params_get(p, *known, 1, &second))
			return fault_set(f, ERR_REFUSED, text, "%s is given more than once; give it once",
					 text);
		return 0;
	}
	return fault_set(f, ERR_REFUSED, text, "%s is no parameter of this request", text);
}

int params_check(const struct params *p, const char *const *known, struct fault *f)
{
	for (size_t i = 0; i < p->n; i++) {
		int err = name_check(p, p->list[i].name, known, f);

		if (err < 0)
			return err;
	}
	return 0;
}

int params_bool(const struct params *p, const char *name, bool *ret, struct fault *f)
{
	struct span s;

	if (!params_get(p, name, 0, &s))
		return 0;
	if (!span_is(s, "true") && !span_is(s, "false"))
		return fault_set(f, ERR_REFUSED, name, "%s=%.*s is neither true nor false", name,
				 (int)(s.len < 60 ? s.len : 60), (const char *)s.data);
	*ret = span_is(s, "true");
	return 0;
}

static bool digits_parse(struct span s, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < '0' || s.data[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.data[i] - '0'), &v))
			return false;
	*ret = v;
	return s.len > 0;
}

int params_u64(const struct params *p, const char *name, uint64_t least, uint64_t most, uint64_t *ret,
	       struct fault *f)
{
	struct span s;
	uint64_t v;

	if (!params_get(p, name, 0, &s))
		return 0;
	if (!digits_parse(s, &v) || v < least || v > most)
		return fault_set(f, ERR_REFUSED, name, "%s=%.*s is not a whole number from %llu to %llu",
				 name, (int)(s.len < 60 ? s.len : 60), (const char *)s.data,
				 (unsigned long long)least, (unsigned long long)most);
	*ret = v;
	return 0;
}

int params_i64(const struct params *p, const char *name, int64_t *ret, struct fault *f)
{
	struct span s;
	uint64_t v;
	bool minus;

	if (!params_get(p, name, 0, &s))
		return 0;
	minus = s.len > 0 && s.data[0] == '-';
	if (!digits_parse(span_of(s.data + minus, s.len - minus), &v) || v > INT64_MAX)
		return fault_set(f, ERR_REFUSED, name, "%s=%.*s is not a whole number of at most 63 bits",
				 name, (int)(s.len < 60 ? s.len : 60), (const char *)s.data);
	*ret = minus ? -(int64_t)v : (int64_t)v;
	return 0;
}

int params_duration(const struct params *p, const char *name, int64_t *ret_ns, struct fault *f)
{
	struct span s;

	if (!params_get(p, name, 0, &s) || duration_parse(s, ret_ns))
		return 0;
	return fault_set(f, ERR_REFUSED, name,
			 "%s=%.*s is no duration: write 30s, 5m, 1h30m or 1d (at most 100 years)", name,
			 (int)(s.len < 60 ? s.len : 60), (const char *)s.data);
}

/* RFC 3339; a '+' of the offset that the query string turned into a space is taken for one. */
static bool rfc3339_parse(struct span s, int64_t *ret)
{
	char text[48];

	if (s.len >= sizeof text)
		return false;
	memcpy(text, s.data, s.len);
	if (s.len > 20 && text[s.len - 6] == ' ')
		text[s.len - 6] = '+';
	return clock_parse(text, s.len, ret);
}

int time_parse(const char *field, struct span s, int64_t now_ns, int64_t *ret, struct fault *f)
{
	int64_t ago;
	uint64_t ms;

	if (span_is(s, "now")) {
		*ret = now_ns;
		return 0;
	}
	if (s.len > 1 && s.data[0] == '-' && duration_parse(span_of(s.data + 1, s.len - 1), &ago)) {
		*ret = now_ns > ago ? now_ns - ago : 0;
		return 0;
	}
	if (digits_parse(s, &ms) && ms <= INT64_MAX / NS_PER_MS) {
		*ret = (int64_t)ms * NS_PER_MS;
		return 0;
	}
	if (rfc3339_parse(s, ret))
		return 0;
	return fault_set(f, ERR_REFUSED, field,
			 "%s=%.*s is no time from 1970 to 2262: write it as "
			 "2025-07-06T12:00:00Z, as milliseconds since 1970, or relative to now as -1h",
			 field, (int)(s.len < 60 ? s.len : 60), (const char *)s.data);
}

int params_time(const struct params *p, const char *name, int64_t now_ns, int64_t *ret, struct fault *f)
{
	struct span s;

	return params_get(p, name, 0, &s) ? time_parse(name, s, now_ns, ret, f) : 0;
}

bool glob_match(struct span pattern, struct span text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;

	while (t < text.len) {
		if (p < pattern.len && pattern.data[p] == '*') {
			star = p++;
			mark = t;
		} else if (p < pattern.len && pattern.data[p] == text.data[t]) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.data[p] == '*')
		p++;
	return p == pattern.len;
}

static bool id_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
	       c == '_' || c == '-';
}

int id_check(const char *field, struct span s, struct fault *f)
{
	bool ok = s.len >= 1 && s.len <= ID_MAX && !span_is(s, ".") && !span_is(s, "..");

	for (size_t i = 0; ok && i < s.len; i++)
		ok = id_char(s.data[i]);
	if (ok)
		return 0;
	return fault_set(f, ERR_REFUSED, field,
			 "%s \"%.*s\" (%zu bytes) is no id: 1 to %d of A-Z a-z 0-9 . _ - are", field,
			 (int)(s.len < 80 ? s.len : 80), (const char *)s.data, s.len, ID_MAX);
}

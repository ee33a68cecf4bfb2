#include "ingest/line.h"

#include <stdarg.h>
#include <stdio.h>

#include "ingest/names.h"

const char *const member_names[MEMBERS] = { "metric",   "value",  "step",      "bucket",      "unit",
					    "labels",   "time",   "log",       "text_base64", "continues",
					    "level",    "stream", "rank",      "attrs",       "producer",
					    "imported", "state",  "exit_code", "ended_at" };

int line_refuse(struct lines *l, int err, const char *field, const char *format, ...)
{
	char text[FAULT_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return fault_set(l->in->fault, err, field, "line %zu: %s", l->number, text);
}

int line_refuse_type(struct lines *l, enum member m, const char *wanted)
{
	char text[EXCERPT_MAX];

	return line_refuse(l, ERR_REFUSED, member_names[m], "\"%s\" is %s; it has to be %s", member_names[m],
			   name_excerpt(l->at[m].text, text), wanted);
}

int line_text(struct lines *l, enum member m, struct span *ret)
{
	if (!line_has(l, m))
		return 0;
	if (l->at[m].kind != JSON_STRING)
		return line_refuse_type(l, m, "a string");
	return json_unescape(inside_quotes(l->at[m].text), &l->b->memory, ret);
}

int line_bool(struct lines *l, enum member m, bool *ret)
{
	bool yes = span_is(l->at[m].text, "true");

	if (!line_has(l, m))
		return 0;
	if (!yes && !span_is(l->at[m].text, "false"))
		return line_refuse_type(l, m, "true or false");
	*ret = yes;
	return 0;
}

/* Years that the clock does not have are times all the same, too early or too late. */
static bool parse_far_time(struct span s, int64_t *ret)
{
	char text[CLOCK_TEXT_MAX + 16];
	int64_t near;

	if (s.len < 4 || s.len >= sizeof(text))
		return false;
	memcpy(text, s.data, s.len);
	*ret = memcmp(text, "1970", 4) < 0 ? -1 : INT64_MAX;
	memcpy(text, "2000", 4);
	for (int i = 0; i < 4; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return (*ret < 0 || memcmp(s.data, "2261", 4) > 0) && clock_parse(text, s.len, &near);
}

int line_time(struct lines *l, enum member m, int64_t *ret)
{
	const struct json_value *v = &l->at[m];
	struct span s;
	int64_t ms;

	*ret = l->in->now_ns;
	if (v->kind == JSON_NONE)
		return 0;
	if (v->kind == JSON_STRING) {
		s = inside_quotes(v->text);
		if (clock_parse((const char *)s.data, s.len, ret) || parse_far_time(s, ret))
			return 0;
	} else if (json_integer(v, &ms)) {
		if (__builtin_mul_overflow(ms, NS_PER_MS, ret))
			*ret = ms < 0 ? INT64_MIN : INT64_MAX;
		return 0;
	}
	return line_refuse_type(l, m, "RFC 3339 text (\"2025-07-06T12:00:00Z\") or integer milliseconds");
}

int line_pair(struct lines *l, enum member m, struct span *at, struct label *ret)
{
	struct json_value value;
	struct span key;
	int err;

	if (!json_member(at, &key, &value))
		return 1;
	if (value.kind != JSON_STRING)
		return line_refuse_type(l, m, "an object of strings: {\"rank\":\"0\"}");
	err = json_unescape(key, &l->b->memory, &ret->key);
	return err < 0 ? err : json_unescape(inside_quotes(value.text), &l->b->memory, &ret->value);
}

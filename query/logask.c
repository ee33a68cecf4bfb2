#include "query/logask.h"

#include <ctype.h>
#include <stdlib.h>

#include "query/shape.h"

#define SHAPE_STEPS_MAX 50000 /* all shapes of a block are looked at in one go, under one view */

struct log_shape {
	struct pattern *pattern; /* NULL: it took too much once; nothing is known any more */
	bool exact;
};

/* ---- what texts look like ---- */

static enum log_fit fit_shape(void *arg, struct span text)
{
	struct log_shape *s = arg;
	struct fault f = { 0 };
	bool found;

	if (s->pattern && pattern_match(s->pattern, text, &found, &f) < 0) {
		pattern_free(s->pattern);
		s->pattern = NULL;
	}
	if (!s->pattern)
		return LOG_FIT_MAYBE;
	return !found ? LOG_FIT_NO : s->exact ? LOG_FIT_SURE : LOG_FIT_MAYBE;
}

static void shape_free(struct log_shape *s)
{
	if (s)
		pattern_free(s->pattern);
	free(s);
}

/* NULL where none can be made: then it is not used. */
static struct log_shape *shape_new(struct span regex)
{
	struct log_shape *s = calloc(1, sizeof *s);
	enum regex_shape kind;
	struct fault f = { 0 };
	struct buf shape;

	buf_init(&shape, PATTERN_BYTES_MAX);
	kind = s ? regex_shape(regex, &shape) : SHAPE_NONE;
	if (kind == SHAPE_NONE || pattern_new(buf_span(&shape), &s->pattern, &f) < 0) {
		shape_free(s);
		s = NULL;
	} else {
		s->exact = kind == SHAPE_EXACT;
		pattern_limit(s->pattern, SHAPE_STEPS_MAX);
	}
	buf_release(&shape);
	return s;
}

static void hint_from_regex(struct log_ask *a, struct span regex)
{
	struct literals *l = &a->literals;

	regex_literals(regex, l);
	if (l->n == 1 && !l->caseless && l->each[0].len > a->grep.len)
		a->hint.holds = span_of(l->each[0].bytes, l->each[0].len);
	else
		for (; a->hint.n_any < l->n; a->hint.n_any++)
			a->hint.any[a->hint.n_any] =
			    span_of(l->each[a->hint.n_any].bytes, l->each[a->hint.n_any].len);
	a->shape = shape_new(regex);
	if (a->shape) {
		a->hint.fit = fit_shape;
		a->hint.fit_arg = a->shape;
	}
}

const struct log_hint *log_ask_hint(const struct log_ask *a)
{
	return log_hint_is_empty(&a->hint) ? NULL : &a->hint;
}

/* ---- attributes ---- */

/* True: it is the name of a parameter attr.KEY. */
static bool attr_name(struct span name, struct span *ret_key)
{
	if (name.len <= 5 || memcmp(name.data, "attr.", 5) != 0)
		return false;
	*ret_key = span_of(name.data + 5, name.len - 5);
	return true;
}

/* Each attr.KEY that was given; one the record has not is empty, as a label is. */
static bool attrs_wanted(const struct log_ask *a, const struct log_record *r)
{
	for (size_t i = 0; i < a->params.n; i++) {
		struct span key, value = { 0 };

		if (!attr_name(a->params.list[i].name, &key))
			continue;
		for (size_t k = 0; k < r->n_attrs; k++)
			if (span_equal(r->attrs[k].key, key))
				value = r->attrs[k].value;
		if (!span_equal(value, a->params.list[i].value))
			return false;
	}
	return true;
}

/* ---- the request ---- */

/* "(?i)" and the expression, or the words with all that means something in one escaped. */
static int caseless_add(struct buf *b, struct span s, bool words)
{
	int err = buf_addstr(b, "(?i)");

	for (size_t i = 0; i < s.len && err == 0; i++) {
		if (words && s.data[i] < 0x80 && !isalnum(s.data[i]))
			err = buf_addstr(b, "\\");
		if (err == 0)
			err = buf_add(b, &s.data[i], 1);
	}
	return err;
}

static int caseless_pattern(struct log_ask *a, struct span s, bool words, struct fault *f)
{
	struct buf b;
	int err;

	buf_init(&b, 2 * PATTERN_BYTES_MAX);
	err = caseless_add(&b, s, words);
	if (err == 0)
		err = pattern_new(buf_span(&b), &a->pattern, f);
	else
		err = fault_set(f, ERR_REFUSED, words ? "grep" : "regex",
				"what is looked for has %zu bytes; without regard to case at most %d are",
				s.len, PATTERN_BYTES_MAX);
	if (err == 0)
		hint_from_regex(a, buf_span(&b));
	buf_release(&b);
	return err;
}

static int search_parse(struct log_ask *a, struct fault *f)
{
	struct span regex = { 0 };

	params_get(&a->params, "grep", 0, &a->grep);
	params_get(&a->params, "regex", 0, &regex);
	if (a->ignore_case && a->grep.len && regex.len)
		return fault_set(f, ERR_REFUSED, "ignore_case",
				 "ignore_case=true is of grep or of regex; leave one of these out");
	if (a->ignore_case && a->grep.len) {
		struct span words = a->grep;

		a->grep = (struct span){ 0 };
		return caseless_pattern(a, words, true, f);
	}
	a->hint.holds = a->grep;
	a->hint.holds_is_all = regex.len == 0;
	if (regex.len == 0)
		return 0;
	if (a->ignore_case)
		return caseless_pattern(a, regex, false, f);
	if (pattern_new(regex, &a->pattern, f) < 0)
		return f->err;
	hint_from_regex(a, regex);
	return 0;
}

static int words_parse(struct log_ask *a, struct fault *f)
{
	struct span s;
	int level;

	if (params_get(&a->params, "level", 0, &s)) {
		level = level_parse(s);
		if (level < 0)
			return fault_set(f, ERR_REFUSED, "level",
					 "level=%.*s is none of trace, debug, info, warn, error "
					 "and fatal",
					 (int)(s.len < 40 ? s.len : 40), (const char *)s.data);
		a->least = (enum level)level;
	}
	if (params_get(&a->params, "direction", 0, &s)) {
		if (!span_is(s, "forward") && !span_is(s, "backward"))
			return fault_set(f, ERR_REFUSED, "direction",
					 "direction=%.*s is neither forward nor backward",
					 (int)(s.len < 40 ? s.len : 40), (const char *)s.data);
		a->backward = span_is(s, "backward");
	}
	for (size_t i = 0; i < a->params.n; i++)
		a->has_attrs = a->has_attrs || attr_name(a->params.list[i].name, &s);
	return search_parse(a, f);
}

static int numbers_parse(struct log_ask *a, int64_t now_ns, struct fault *f)
{
	const struct params *p = &a->params;
	uint64_t rank = 0;
	struct span s;
	int err;

	if ((err = params_time(p, "start", now_ns, &a->from_ns, f)) < 0 ||
	    (err = params_time(p, "end", now_ns, &a->to_ns, f)) < 0 ||
	    (err = params_u64(p, "rank", 0, INT32_MAX, &rank, f)) < 0 ||
	    (err = params_u64(p, "after_seq", 0, UINT64_MAX - 1, &a->after_seq, f)) < 0 ||
	    (err = params_u64(p, "limit", 0, INT64_MAX, &a->limit, f)) < 0 ||
	    (err = params_u64(p, "context", 0, LOG_CONTEXT_MAX, &a->context, f)) < 0 ||
	    (err = params_bool(p, "follow", &a->follow, f)) < 0 ||
	    (err = params_bool(p, "explain", &a->explain, f)) < 0 ||
	    (err = params_bool(p, "ignore_case", &a->ignore_case, f)) < 0)
		return err;
	a->rank = (int32_t)rank;
	a->has_rank = params_get(p, "rank", 0, &s);
	a->has_start = params_get(p, "start", 0, &s);
	a->has_after = params_get(p, "after_seq", 0, &s);
	a->has_limit = params_get(p, "limit", 0, &s);
	a->has_stream = params_get(p, "stream", 0, &s);
	return 0;
}

static int follow_check(const struct log_ask *a, struct fault *f)
{
	if (a->has_start && a->from_ns > a->to_ns)
		return fault_set(f, ERR_REFUSED, "start", "start lies after end; exchange them");
	if (!a->follow)
		return 0;
	if (a->backward)
		return fault_set(f, ERR_REFUSED, "direction",
				 "follow=true goes forward; leave direction out");
	if (a->to_ns != INT64_MAX)
		return fault_set(f, ERR_REFUSED, "end", "follow=true has no end; leave one of the two out");
	if (a->has_after && a->has_limit)
		return fault_set(f, ERR_REFUSED, "limit",
				 "follow=true starts after after_seq, or with the last `limit` "
				 "records; give one of them");
	return 0;
}

int log_ask_parse(struct span query, int64_t now_ns, struct log_ask *ret, struct fault *f)
{
	static const char *const known[] = { "start",   "end",         "level",     "stream",
					     "rank",    "grep",        "regex",     "context",
					     "limit",   "direction",   "after_seq", "follow",
					     "explain", "ignore_case", "attr.",     NULL };

	return log_ask_parse_known(query, known, now_ns, ret, f);
}

int log_ask_parse_known(struct span query, const char *const *known, int64_t now_ns, struct log_ask *ret,
			struct fault *f)
{
	int err;

	*ret = (struct log_ask){ .from_ns = INT64_MIN, .to_ns = INT64_MAX, .limit = UINT64_MAX };
	if ((err = params_parse(query, &ret->params, f)) < 0 ||
	    (err = params_check(&ret->params, known, f)) < 0 || (err = numbers_parse(ret, now_ns, f)) < 0 ||
	    (err = words_parse(ret, f)) < 0)
		return err;
	return follow_check(ret, f);
}

void log_ask_release(struct log_ask *a)
{
	pattern_free(a->pattern);
	a->pattern = NULL;
	shape_free(a->shape);
	a->shape = NULL;
	params_release(&a->params);
}

bool log_ask_selects(const struct log_ask *a, const struct log_record *r)
{
	struct span stream;

	if (r->t_ns < a->from_ns || r->t_ns >= a->to_ns || (a->has_rank && r->rank != a->rank))
		return false;
	return !a->has_stream ||
	       (params_get(&a->params, "stream", 0, &stream) && span_equal(stream, r->stream));
}

int log_ask_finds(const struct log_ask *a, const struct log_record *r, bool *ret, struct fault *f)
{
	bool fits = r->flags & LOG_FITS, holds = a->grep.len == 0 || (fits && !a->pattern);
	bool found = r->level >= a->least && (!a->has_attrs || attrs_wanted(a, r)) &&
		     (holds || memmem(r->text.data, r->text.len, a->grep.data, a->grep.len));
	int err;

	if (found && a->pattern && !fits && (err = pattern_match(a->pattern, r->text, &found, f)) < 0)
		return err;
	*ret = found;
	return 0;
}

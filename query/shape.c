#include "query/shape.h"

#include <ctype.h>
#include <stdio.h>

#include "query/literal.h"

#define DEPTH_MAX  8    /* a repeated group may be read twice, and each one in it */
#define REPEAT_MAX 1000 /* {n,m} */
#define DIGITS_ALL 0x3ffu

struct shaper {
	const uint8_t *at, *end;
	struct buf *out;
	unsigned depth;
	bool in_run; /* a part of a run may just have been matched */
	bool exact, unclear;
};

struct repeat {
	struct span text;
	unsigned least, most; /* most 0: no bound */
};

static void put(struct shaper *s, struct span text)
{
	if (buf_add(s->out, text.data, text.len) < 0)
		s->unclear = true;
}

static void put_str(struct shaper *s, const char *text) { put(s, span_str(text)); }

static bool next_is(const struct shaper *s, char c) { return s->at < s->end && *s->at == c; }

/* ---- how often ---- */

static unsigned read_number(struct shaper *s)
{
	unsigned n = 0;

	for (; s->at < s->end && isdigit(*s->at); s->at++)
		n = n * 10 + (unsigned)(*s->at - '0') > REPEAT_MAX ? REPEAT_MAX + 1
								   : n * 10 + (unsigned)(*s->at - '0');
	s->unclear |= n > REPEAT_MAX;
	return n;
}

/* {n}, {n,}, {n,m}; the brace is a plain character where it is none of these. */
static bool read_braces(struct shaper *s, struct repeat *r)
{
	const uint8_t *from = s->at++;

	if (next_is(s, ',') || next_is(s, ' '))
		s->unclear = true; /* a repeat in later versions of PCRE2 */
	if (s->at < s->end && isdigit(*s->at)) {
		r->least = r->most = read_number(s);
		if (next_is(s, ',')) {
			s->at++;
			r->most = s->at < s->end && isdigit(*s->at) ? read_number(s) : 0;
			s->unclear |= r->most == 0 && s->at[-1] != ',';
		} else {
			s->unclear |= r->most == 0;
		}
		if (next_is(s, '}')) {
			s->at++;
			return true;
		}
		s->unclear |= next_is(s, ' ');
	}
	s->at = from;
	return false;
}

static struct repeat read_repeat(struct shaper *s)
{
	struct repeat r = { .least = 1, .most = 1 };
	const uint8_t *from = s->at;

	if (next_is(s, '*') || next_is(s, '+') || next_is(s, '?')) {
		r.least = *s->at == '+';
		r.most = *s->at++ == '?';
	} else if (!next_is(s, '{') || !read_braces(s, &r)) {
		return (struct repeat){ .least = 1, .most = 1 };
	}
	if (next_is(s, '?'))
		s->at++;
	else if (next_is(s, '+'))
		s->unclear = true; /* gives nothing back */
	r.text = span_of(from, (size_t)(s->at - from));
	return r;
}

/* ---- one character ---- */

/* The digits that \c stands for; DIGITS_ALL + 1: it is not one of the plain classes and characters. */
static unsigned digits_of_escape(uint8_t c)
{
	if (c < 0x80 && !isalnum(c))
		return 0;
	if (c && c < 0x80 && strchr("dwSHVN", c))
		return DIGITS_ALL;
	return c && c < 0x80 && strchr("DWshvRtnrfea", c) ? 0 : DIGITS_ALL + 1;
}

static unsigned digits_between(uint8_t from, uint8_t to)
{
	unsigned digits = 0;

	for (unsigned d = 0; d < 10; d++)
		if ('0' + d >= from && '0' + d <= to)
			digits |= 1u << d;
	return digits;
}

/* One member of a class; whether it may begin a range, and its byte then. */
static unsigned read_member(struct shaper *s, bool *ret_single, uint8_t *ret)
{
	unsigned digits = 0;

	*ret_single = true;
	*ret = *s->at++;
	if (*ret == '[' && s->at < s->end && strchr(":.=", *s->at))
		s->unclear = true;
	if (*ret != '\\')
		return digits_between(*ret, *ret);
	*ret = s->at < s->end ? *s->at++ : 0;
	digits = digits_of_escape(*ret);
	*ret_single = !isalnum(*ret);
	s->unclear |= digits > DIGITS_ALL || (*ret && strchr("NR", *ret));
	return digits;
}

static unsigned read_class(struct shaper *s)
{
	bool negated, single;
	unsigned digits = 0;
	uint8_t from, to;

	s->at++;
	negated = next_is(s, '^');
	s->at += negated;
	s->unclear |= next_is(s, ']'); /* a member there */
	while (s->at < s->end && *s->at != ']' && !s->unclear) {
		digits |= read_member(s, &single, &from);
		if (!next_is(s, '-') || s->at + 1 >= s->end || s->at[1] == ']')
			continue;
		s->at++;
		s->unclear |= !single;
		read_member(s, &single, &to);
		s->unclear |= !single;
		digits |= digits_between(from, to);
	}
	s->unclear |= !next_is(s, ']');
	s->at += !s->unclear;
	return negated ? ~digits & DIGITS_ALL : digits;
}

/* Moves behind one character or class; returns which digits it matches. */
static unsigned read_atom(struct shaper *s)
{
	unsigned digits;

	switch (*s->at) {
	case '[':
		return read_class(s);
	case '.':
		s->at++;
		return DIGITS_ALL;
	case '\\':
		digits = s->at + 1 < s->end ? digits_of_escape(s->at[1]) : DIGITS_ALL + 1;
		s->unclear |=
		    digits > DIGITS_ALL || (s->at[1] == 'N' && s->at + 2 < s->end && s->at[2] == '{');
		s->at += 2;
		return digits;
	case '*':
	case '+':
	case '?':
		s->unclear = true;
		return 0;
	default:
		digits = digits_between(*s->at, *s->at);
		do
			s->at++;
		while (s->at < s->end && (*s->at & 0xc0) == 0x80);
		return digits;
	}
}

/* n times at least, r.most times at most. */
static void put_times(struct shaper *s, unsigned n, unsigned most)
{
	char text[32];

	if (most == 1) {
		put_str(s, n ? "" : "?");
	} else if (most == 0) {
		put_str(s, n ? "+" : "*");
	} else {
		snprintf(text, sizeof text, "{%u,%u}", n, most);
		put_str(s, text);
	}
}

static void take_atom(struct shaper *s)
{
	const uint8_t *from = s->at;
	unsigned digits = read_atom(s);
	struct span atom = span_of(from, (size_t)(s->at - from));
	struct repeat r = s->unclear ? (struct repeat){ 0 } : read_repeat(s);

	if (s->unclear)
		return;
	if (digits == 0) {
		put_str(s, *from == '{' ? "\\" : "");
		put(s, atom);
		put(s, r.text);
		s->in_run &= r.least == 0;
		return;
	}
	/* a loop over all digits takes a run as it takes a '0' */
	s->exact &= digits == DIGITS_ALL && r.most == 0 && r.least <= (s->in_run ? 0 : 1);
	if (digits & 1) {
		put(s, atom);
	} else {
		put_str(s, "(?:");
		put(s, atom);
		put_str(s, "|0)");
	}
	put_times(s, r.least && !s->in_run, r.most);
	s->in_run = true;
}

/* ---- what holds them ---- */

static void take_choices(struct shaper *s);

/* What stands in a repeated group comes after its own end, too: it is read again as such. */
static void take_group(struct shaper *s)
{
	const uint8_t *from = ++s->at;
	size_t begin = s->out->len;
	bool before = s->in_run;
	struct repeat r;

	for (int turn = 0; turn < 2; turn++) {
		s->at = from;
		s->out->len = begin;
		put_str(s, "(?:");
		if (next_is(s, '*'))
			s->unclear = true;
		if (next_is(s, '?')) {
			s->unclear |= s->at + 1 >= s->end || s->at[1] != ':';
			s->at += 2;
		}
		if (!s->unclear)
			take_choices(s);
		s->unclear |= !next_is(s, ')');
		if (s->unclear)
			return;
		s->at++;
		r = read_repeat(s);
		if (r.most == 1 || before || !s->in_run)
			break;
	}
	put_str(s, ")");
	put(s, r.text);
	s->in_run |= before && r.least == 0;
}

/* True for what takes no character; in the middle of a run, which a shape does not have, only \B holds. */
static bool take_assertion(struct shaper *s)
{
	bool plain = *s->at == '^' || *s->at == '$';
	bool escape = *s->at == '\\' && s->at + 1 < s->end && strchr("bBAzZ", s->at[1]) && s->at[1];
	struct span text = span_of(s->at, escape ? 2 : 1);

	if (!plain && !escape)
		return false;
	s->at += text.len;
	if (text.data[text.len - 1] == 'B')
		s->exact = false;
	else
		put(s, text);
	s->unclear |= s->at < s->end && strchr("*+?{", *s->at) && *s->at;
	return true;
}

static void take_choices(struct shaper *s)
{
	bool before = s->in_run, after = false;

	s->unclear |= ++s->depth > DEPTH_MAX;
	while (!s->unclear && s->at < s->end && *s->at != ')') {
		if (*s->at == '|') {
			put_str(s, "|");
			after |= s->in_run;
			s->in_run = before;
			s->at++;
		} else if (*s->at == '(') {
			take_group(s);
		} else if (!take_assertion(s)) {
			take_atom(s);
		}
	}
	s->in_run |= after;
	s->depth--;
}

enum regex_shape regex_shape(struct span regex, struct buf *out)
{
	struct shaper s = { .at = regex.data, .end = regex.data + regex.len, .out = out, .exact = true };
	size_t before = out->len;
	bool caseless;

	if (regex.len == 0 || memchr(regex.data, 0, regex.len))
		return SHAPE_NONE;
	put(&s, span_of(regex.data, regex_flags(regex, &caseless)));
	s.at += out->len - before;
	take_choices(&s);
	if (s.unclear || s.at != s.end || out->len == before)
		return SHAPE_NONE;
	return s.exact ? SHAPE_EXACT : SHAPE_LOOSE;
}

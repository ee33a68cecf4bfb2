#include "query/literal.h"

#include <ctype.h>

struct scan {
	const uint8_t *at, *end;
	uint8_t run[LITERAL_MAX];
	size_t n;
	size_t last; /* bytes of the last character of the run */
	bool unclear;
	struct literals *to; /* the last one is the best of the choice that is read */
};

static void end_run(struct scan *s)
{
	size_t i = s->to->n - 1;

	if (s->n > s->to->each[i].len) {
		memcpy(s->to->each[i].bytes, s->run, s->n);
		s->to->each[i].len = s->n;
	}
	s->n = s->last = 0;
}

static void next_choice(struct scan *s)
{
	end_run(s);
	s->unclear |= s->to->each[s->to->n - 1].len == 0 || s->to->n == LITERALS_MAX;
	if (!s->unclear)
		s->to->each[s->to->n++].len = 0;
	s->at++;
}

/* In any case, U+017F is an s and U+212A a k; of other characters the bytes differ. */
static bool has_one_form(const struct scan *s, size_t n)
{
	return !s->to->caseless || (n == 1 && !strchr("sSkK", *s->at));
}

/* A character that stands for itself, of any number of bytes. */
static void add_char(struct scan *s)
{
	size_t n = 1;

	while (s->at + n < s->end && (s->at[n] & 0xc0) == 0x80)
		n++;
	if (s->n + n > LITERAL_MAX || !has_one_form(s, n))
		end_run(s);
	if (n <= LITERAL_MAX && has_one_form(s, n)) {
		memcpy(s->run + s->n, s->at, n);
		s->n += n;
		s->last = n;
	}
	s->at += n;
}

/* {n}, {n,}, {n,m}; its length, 0 when the brace is a plain character. */
static size_t repeat_len(const struct scan *s)
{
	const uint8_t *p = s->at + 1;

	if (p == s->end || !isdigit(*p))
		return 0;
	while (p < s->end && isdigit(*p))
		p++;
	if (p < s->end && *p == ',')
		p++;
	while (p < s->end && isdigit(*p))
		p++;
	return p < s->end && *p == '}' ? (size_t)(p + 1 - s->at) : 0;
}

/* What was added last may be absent, or come more than once. */
static void quantify(struct scan *s, size_t len)
{
	if (*s->at != '+')
		s->n -= s->last; /* nothing where the character was not taken */
	end_run(s);
	s->at += len;
}

static void take_brace(struct scan *s)
{
	size_t len = repeat_len(s);

	if (len)
		quantify(s, len);
	else if (s->at + 1 < s->end && (s->at[1] == ',' || s->at[1] == ' '))
		s->unclear = true; /* a repeat in later versions of PCRE2 */
	else
		add_char(s);
}

static void skip_class(struct scan *s)
{
	s->at++;
	if (s->at < s->end && *s->at == '^')
		s->at++;
	if (s->at < s->end && *s->at == ']')
		s->at++;
	while (s->at < s->end && *s->at != ']') {
		if (*s->at == '[' && s->at + 1 < s->end && strchr(":.=", s->at[1]))
			s->unclear = true;
		s->at += *s->at == '\\' ? 2 : 1;
	}
	s->at = s->at < s->end ? s->at + 1 : s->end;
}

static bool is_plain_group(const struct scan *s)
{
	const uint8_t *p = s->at + 1;

	if (p < s->end && *p == '*')
		return false;
	if (p >= s->end || *p != '?')
		return true;
	return p + 1 < s->end && strchr(":=!>", p[1]);
}

/* A group is passed over whole; what flags it sets inside stays inside. */
static void skip_group(struct scan *s)
{
	size_t depth = 0;

	do {
		if (*s->at == '(' && !is_plain_group(s))
			s->unclear = true;
		if (*s->at == '[') {
			skip_class(s);
			continue;
		}
		depth += *s->at == '(';
		depth -= *s->at == ')';
		if (*s->at == '\\' && s->at + 1 < s->end)
			s->at++;
		s->at++;
	} while (s->at < s->end && depth > 0 && !s->unclear);
}

static void take_escape(struct scan *s)
{
	s->at++;
	if (s->at == s->end || *s->at == 'Q' || *s->at == 'E') {
		s->unclear = true;
	} else if (isalnum(*s->at) || *s->at >= 0x80) {
		end_run(s); /* a class, an assertion, a code: what follows it may belong to it */
		s->unclear |= !strchr("dDwWsSbBAzZGnrtfevVhHRX", *s->at);
		s->at++;
	} else {
		add_char(s);
	}
}

static void take(struct scan *s)
{
	switch (*s->at) {
	case '|':
		next_choice(s);
		break;
	case '(':
		end_run(s);
		skip_group(s);
		break;
	case '[':
		end_run(s);
		skip_class(s);
		break;
	case '\\':
		take_escape(s);
		break;
	case '*':
	case '?':
	case '+':
		quantify(s, 1);
		break;
	case '{':
		take_brace(s);
		break;
	case '.':
	case '^':
	case '$':
	case ')':
	case '\n':
	case '\r':
		end_run(s);
		s->at++;
		break;
	default:
		add_char(s);
	}
}

size_t regex_flags(struct span regex, bool *ret_caseless)
{
	size_t i = 2;

	*ret_caseless = false;
	if (regex.len < 4 || regex.data[0] != '(' || regex.data[1] != '?')
		return 0;
	while (i < regex.len && regex.data[i] && strchr("ims", regex.data[i]))
		i++;
	if (i == 2 || i == regex.len || regex.data[i] != ')')
		return 0;
	*ret_caseless = memchr(regex.data, 'i', i);
	return i + 1;
}

void regex_literals(struct span regex, struct literals *ret)
{
	struct scan s = { .at = regex.data, .end = regex.data + regex.len, .to = ret };

	ret->n = 0;
	if (regex.len == 0)
		return;
	s.at += regex_flags(regex, &ret->caseless);
	ret->each[ret->n++].len = 0;
	while (s.at < s.end && !s.unclear)
		take(&s);
	end_run(&s);
	if (s.unclear || ret->each[ret->n - 1].len == 0)
		ret->n = 0;
}

#include "query/accept.h"

#include <strings.h>

#define Q_ONE 1000

static bool is_space(uint8_t c) { return c == ' ' || c == '\t'; }

static struct span trim(struct span s)
{
	while (s.len > 0 && is_space(s.data[0]))
		s = span_of(s.data + 1, s.len - 1);
	while (s.len > 0 && is_space(s.data[s.len - 1]))
		s.len--;
	return s;
}

/* Cuts *rest at its first `sep`, and returns what was before it. */
static struct span cut(struct span *rest, char sep)
{
	const uint8_t *at = rest->len ? memchr(rest->data, sep, rest->len) : NULL;
	struct span part = *rest;

	if (!at) {
		*rest = span_of(rest->data + rest->len, 0);
		return trim(part);
	}
	part.len = (size_t)(at - rest->data);
	*rest = span_of(at + 1, rest->len - part.len - 1);
	return trim(part);
}

/* "0.5" in thousandths; at most three decimals, as the RFC has it. */
static int q_parse(struct span s)
{
	int q = 0, digits = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (i == 1 ? s.data[i] != '.' : s.data[i] < '0' || s.data[i] > '9' || i > 4)
			return Q_ONE;
		if (i != 1) {
			q = q * 10 + (s.data[i] - '0');
			digits++;
		}
	}
	if (digits == 0)
		return Q_ONE;
	for (; digits < 4; digits++)
		q *= 10;
	return q < Q_ONE ? q : Q_ONE;
}

static int range_q(struct span parameters)
{
	int q = Q_ONE;

	while (parameters.len > 0) {
		struct span p = cut(&parameters, ';');

		if (p.len > 2 && (p.data[0] == 'q' || p.data[0] == 'Q') && p.data[1] == '=')
			q = q_parse(span_of(p.data + 2, p.len - 2));
	}
	return q;
}

/* 3: this very type, 2: its "type" with any subtype, 1: anything, 0: it does not match. */
static int match(struct span range, const char *offer)
{
	size_t n = strlen(offer), type = strcspn(offer, "/") + 1;

	if (range.len == n && strncasecmp((const char *)range.data, offer, n) == 0)
		return 3;
	if (range.len == type + 1 && range.data[type] == '*' &&
	    strncasecmp((const char *)range.data, offer, type) == 0)
		return 2;
	return span_is(range, "*/*") || span_is(range, "*");
}

static int offer_q(struct span accept, const char *offer)
{
	int best = 0, q = 0;

	while (accept.len > 0) {
		struct span part = cut(&accept, ','), range = cut(&part, ';');
		int m = match(range, offer);

		if (m > best) {
			best = m;
			q = range_q(part);
		}
	}
	return q;
}

int accept_choose(struct span accept, const char *const *offers)
{
	int best = -1, best_q = 0;

	if (trim(accept).len == 0)
		return 0;
	for (int i = 0; offers[i]; i++) {
		int q = offer_q(accept, offers[i]);

		if (q > best_q) {
			best = i;
			best_q = q;
		}
	}
	return best;
}

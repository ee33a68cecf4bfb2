/* Escapes and parameters of request targets (RFC 3986 section 2.1; forms as in HTML). */
#include "proto/http.h"

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_unescape(struct span s, bool plus_is_space, struct buf *out)
{
	size_t before = out->len;

	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.data[i];

		if (c == '%') {
			int high = i + 2 < s.len ? hex(s.data[i + 1]) : -1;
			int low = high >= 0 ? hex(s.data[i + 2]) : -1;

			if (low < 0)
				goto bad;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (buf_addch(out, (char)c) < 0)
			goto bad;
	}
	return true;
bad:
	out->len = before;
	return false;
}

/* Whether a name as it stands in a query is this name, once decoded. */
static bool name_is(struct span raw, const char *name)
{
	struct buf decoded;
	bool same;

	if (!memchr(raw.data, '%', raw.len) && !memchr(raw.data, '+', raw.len))
		return span_is(raw, name);
	buf_init(&decoded, strlen(name) + 1);
	same = http_unescape(raw, true, &decoded) && span_is(buf_span(&decoded), name);
	buf_release(&decoded);
	return same;
}

bool http_param(struct span query, const char *name, size_t nth, struct buf *out)
{
	while (query.len) {
		const uint8_t *amp = memchr(query.data, '&', query.len);
		struct span pair = { query.data, amp ? (size_t)(amp - query.data) : query.len };
		const uint8_t *equals = pair.len ? memchr(pair.data, '=', pair.len) : NULL;
		struct span key = { pair.data, equals ? (size_t)(equals - pair.data) : pair.len };
		size_t skip = pair.len + (amp != NULL);

		if (key.len && name_is(key, name) && nth-- == 0) {
			size_t from = equals ? key.len + 1 : key.len;

			return http_unescape(span_of(pair.data + from, pair.len - from), true, out);
		}
		query.data += skip;
		query.len -= skip;
	}
	return false;
}

#include "proto/http_parse.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#define SHOWN 60 /* bytes of a foreign value that a sentence repeats */

static int refusal_err(int status)
{
	switch (status) {
	case 408:
		return ERR_TIMEOUT;
	case 413:
	case 414:
	case 431:
		return ERR_TOO_LARGE;
	case 415:
	case 417:
	case 505:
		return ERR_UNSUPPORTED;
	case 500:
		return ERR_NOMEM;
	case 503:
		return ERR_BUSY;
	default:
		return ERR_MALFORMED;
	}
}

int http_refuse(struct http_refusal *r, int status, const char *field, const char *format, ...)
{
	char text[FAULT_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	r->status = status;
	return fault_set(&r->fault, refusal_err(status), field, "%s", text);
}

static const bool token_char[256] = {
	['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,  ['#'] = true,
	['$'] = true,         ['%'] = true,         ['&'] = true,         ['\''] = true, ['*'] = true,
	['+'] = true,         ['-'] = true,         ['.'] = true,         ['^'] = true,  ['_'] = true,
	['`'] = true,         ['|'] = true,         ['~'] = true,
};

bool http_is_token_char(uint8_t c) { return token_char[c]; }

bool http_is_value_char(uint8_t c) { return c == '\t' || (c >= ' ' && c != 0x7f); }

static bool is_space(uint8_t c) { return c == ' ' || c == '\t'; }

static bool same_word(struct span s, const char *word)
{
	return s.len == strlen(word) && strncasecmp((const char *)s.data, word, s.len) == 0;
}

static int shown(struct span s) { return s.len < SHOWN ? (int)s.len : SHOWN; }

static struct span trim(struct span s)
{
	while (s.len && is_space(s.data[0])) {
		s.data++;
		s.len--;
	}
	while (s.len && is_space(s.data[s.len - 1]))
		s.len--;
	return s;
}

long http_head_end(struct span in, size_t *scanned)
{
	size_t at = *scanned;

	while (at < in.len) {
		const uint8_t *lf = memchr(in.data + at, '\n', in.len - at);
		size_t end;

		if (!lf)
			break;
		end = (size_t)(lf - in.data);
		if (end == at || lf[-1] != '\r')
			return ERR_MALFORMED;
		if (end == at + 1)
			return (long)(end + 1);
		at = *scanned = end + 1;
	}
	return 0;
}

/* Cuts the line at the start of *rest, without its CRLF. */
static struct span cut_line(struct span *rest)
{
	const uint8_t *lf = memchr(rest->data, '\n', rest->len);
	struct span line = { rest->data, (size_t)(lf - rest->data) - 1 };

	rest->data += line.len + 2;
	rest->len -= line.len + 2;
	return line;
}

/* ---- the request line ---- */

static enum http_method method_of(struct span s)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
		[HTTP_PUT] = "PUT", [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE"
	};

	for (int i = 0; i < HTTP_OTHER; i++)
		if (span_is(s, names[i]))
			return (enum http_method)i;
	return HTTP_OTHER;
}

static int parse_version(struct http_head *h, struct span v, struct http_refusal *r)
{
	if (v.len != 8 || memcmp(v.data, "HTTP/", 5) != 0 || v.data[6] != '.' || v.data[5] < '0' ||
	    v.data[5] > '9' || v.data[7] < '0' || v.data[7] > '9')
		return http_refuse(r, 400, "", "the request line ends in \"%.*s\", not in HTTP/1.1", shown(v),
				   (const char *)v.data);
	if (v.data[5] != '1')
		return http_refuse(r, 505, "", "the request speaks %.8s; this server speaks HTTP/1.1",
				   (const char *)v.data);
	h->minor = v.data[7] == '0' ? 0 : 1;
	return 0;
}

/* Origin form, or absolute form as for a proxy (RFC 9112 3.2.2), of which the path is taken. */
static struct span path_start(struct span target)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(schemes[i]);

		if (target.len < n || strncasecmp((const char *)target.data, schemes[i], n) != 0)
			continue;
		while (n < target.len && target.data[n] != '/' && target.data[n] != '?')
			n++;
		return span_of(target.data + n, target.len - n);
	}
	return target;
}

static int parse_target(struct http_head *h, struct span t, size_t max, struct http_refusal *r)
{
	struct span path;
	const uint8_t *mark;

	if (t.len > max)
		return http_refuse(r, 414, "", "the request target has %zu bytes; the limit is %zu", t.len,
				   max);
	for (size_t i = 0; i < t.len; i++)
		if (t.data[i] <= ' ' || t.data[i] == 0x7f || t.data[i] == '#')
			return http_refuse(r, 400, "",
					   "the request target holds byte 0x%02x; write it as %%%02X",
					   t.data[i], t.data[i]);
	path = path_start(t);
	mark = path.len ? memchr(path.data, '?', path.len) : NULL;
	h->target = t;
	h->path = span_of(path.data, mark ? (size_t)(mark - path.data) : path.len);
	h->query = mark ? span_of(mark + 1, path.len - h->path.len - 1) : span_of(path.data + path.len, 0);
	if (h->path.len == 0 && path.data != t.data)
		h->path = span_str("/");
	if (h->path.len == 0 || (h->path.data[0] != '/' && !span_is(t, "*")))
		return http_refuse(r, 400, "", "the request target \"%.*s\" does not start with /", shown(t),
				   (const char *)t.data);
	return 0;
}

static int parse_request_line(struct http_head *h, struct span line, size_t target_max,
			      struct http_refusal *r)
{
	size_t n = 0, last = line.len;
	int err;

	while (n < line.len && token_char[line.data[n]])
		n++;
	if (n == 0 || n == line.len || line.data[n] != ' ')
		return http_refuse(
		    r, 400, "", "the request line is not METHOD TARGET HTTP/1.1 with one space between each");
	while (last > n + 1 && line.data[last - 1] != ' ')
		last--;
	if (last == n + 1)
		return http_refuse(r, 400, "", "the request line has no HTTP version; send HTTP/1.1");
	h->method = method_of(span_of(line.data, n));
	err = parse_version(h, span_of(line.data + last, line.len - last), r);
	return err ? err : parse_target(h, span_of(line.data + n + 1, last - n - 2), target_max, r);
}

/* ---- the fields that frame the message ---- */

static int field_length(struct http_head *h, struct span v, struct http_refusal *r)
{
	uint64_t n = 0;

	if (h->has_length)
		return http_refuse(r, 400, "Content-Length",
				   "there are two Content-Length headers; send one");
	for (size_t i = 0; i < v.len; i++) {
		if (v.data[i] < '0' || v.data[i] > '9' || i > 17)
			v.len = 0;
		else
			n = n * 10 + (uint64_t)(v.data[i] - '0');
	}
	if (v.len == 0)
		return http_refuse(r, 400, "Content-Length",
				   "Content-Length is not a decimal number of at most 18 digits");
	h->has_length = true;
	h->length = n;
	return 0;
}

static int field_transfer_encoding(struct http_head *h, struct span v, struct http_refusal *r)
{
	if (h->chunked || !same_word(v, "chunked"))
		return http_refuse(r, 400, "Transfer-Encoding",
				   "Transfer-Encoding must be there once at most, and be exactly chunked");
	h->chunked = true;
	return 0;
}

static int field_host(struct http_head *h, struct span v, struct http_refusal *r)
{
	if (h->has_host)
		return http_refuse(r, 400, "Host", "there are two Host headers; send one");
	for (size_t i = 0; i < v.len; i++)
		if (v.data[i] <= ' ' || v.data[i] >= 0x7f || strchr(",/\\@#?\"<>", v.data[i]))
			return http_refuse(r, 400, "Host", "the Host header holds byte 0x%02x", v.data[i]);
	h->has_host = true;
	return 0;
}

/* Cuts the next member of a comma-separated list; false at its end. */
static bool list_next(struct span *list, struct span *ret)
{
	const uint8_t *comma;
	size_t n;

	if (list->len == 0)
		return false;
	comma = memchr(list->data, ',', list->len);
	n = comma ? (size_t)(comma - list->data) : list->len;
	*ret = trim(span_of(list->data, n));
	n += comma != NULL;
	list->data += n;
	list->len -= n;
	return true;
}

static int field_connection(struct http_head *h, struct span v, struct http_refusal *r)
{
	struct span word;

	(void)r;
	while (list_next(&v, &word)) {
		h->says_close |= same_word(word, "close");
		h->says_keep_alive |= same_word(word, "keep-alive");
	}
	return 0;
}

static int field_expect(struct http_head *h, struct span v, struct http_refusal *r)
{
	if (!same_word(v, "100-continue"))
		return http_refuse(r, 417, "Expect", "Expect is \"%.*s\"; only 100-continue is supported",
				   shown(v), (const char *)v.data);
	h->expect_continue = true;
	return 0;
}

static int field_content_encoding(struct http_head *h, struct span v, struct http_refusal *r)
{
	struct span coding;

	while (list_next(&v, &coding)) {
		if (coding.len == 0 || same_word(coding, "identity"))
			continue;
		if (h->has_coding || !same_word(coding, "zstd"))
			return http_refuse(
			    r, 415, "Content-Encoding",
			    "Content-Encoding \"%.*s\" is not supported; send zstd once, or none",
			    shown(coding), (const char *)coding.data);
		h->has_coding = h->zstd = true;
	}
	return 0;
}

static const struct {
	const char *name;
	size_t len;
	int (*parse)(struct http_head *h, struct span value, struct http_refusal *r);
} known_fields[] = {
	{ "Content-Length", 14, field_length },
	{ "Transfer-Encoding", 17, field_transfer_encoding },
	{ "Host", 4, field_host },
	{ "Connection", 10, field_connection },
	{ "Expect", 6, field_expect },
	{ "Content-Encoding", 16, field_content_encoding },
};

static int parse_field(struct http_head *h, struct span line, struct http_refusal *r)
{
	struct span name = { line.data, 0 }, value;

	while (name.len < line.len && token_char[line.data[name.len]])
		name.len++;
	if (name.len == 0 && is_space(line.data[0]))
		return http_refuse(r, 400, "",
				   "a header line starts with a space; folded headers are not accepted");
	if (name.len == 0 || name.len == line.len || line.data[name.len] != ':')
		return http_refuse(r, 400, "", "the header line \"%.*s\" is not NAME: VALUE", shown(line),
				   (const char *)line.data);
	value = span_of(line.data + name.len + 1, line.len - name.len - 1);
	for (size_t i = 0; i < value.len; i++)
		if (!http_is_value_char(value.data[i]))
			return http_refuse(r, 400, "", "the value of header %.*s holds control byte 0x%02x",
					   shown(name), (const char *)name.data, value.data[i]);
	for (size_t i = 0; i < sizeof(known_fields) / sizeof(*known_fields); i++)
		if (name.len == known_fields[i].len &&
		    strncasecmp((const char *)name.data, known_fields[i].name, name.len) == 0)
			return known_fields[i].parse(h, trim(value), r);
	return 0;
}

/* What only the whole head can tell. */
static int check_framing(struct http_head *h, struct http_refusal *r)
{
	if (h->chunked && h->has_length)
		return http_refuse(r, 400, "Transfer-Encoding",
				   "the request has both Content-Length and Transfer-Encoding; send one");
	if (h->chunked && h->minor == 0)
		return http_refuse(r, 400, "Transfer-Encoding", "HTTP/1.0 has no Transfer-Encoding");
	if (!h->has_host && h->minor > 0)
		return http_refuse(r, 400, "Host", "the request has no Host header");
	h->keep_alive = !h->says_close && (h->minor > 0 || h->says_keep_alive);
	h->expect_continue &= h->minor > 0;
	return 0;
}

int http_head_parse(struct span head, size_t target_max, struct http_head *ret, struct http_refusal *r)
{
	struct span rest = { head.data, head.len - 2 };
	int err;

	assert(head.len > 2);
	*ret = (struct http_head){ 0 };
	err = parse_request_line(ret, cut_line(&rest), target_max, r);
	ret->fields = rest;
	while (!err && rest.len)
		err = parse_field(ret, cut_line(&rest), r);
	return err ? err : check_framing(ret, r);
}

struct span http_field(struct span fields, const char *name)
{
	size_t n = strlen(name);

	while (fields.len) {
		struct span line = cut_line(&fields);

		if (line.len > n && line.data[n] == ':' && strncasecmp((const char *)line.data, name, n) == 0)
			return trim(span_of(line.data + n + 1, line.len - n - 1));
	}
	return (struct span){ NULL, 0 };
}

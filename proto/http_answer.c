/* Answers in one piece: status line and headers, the error document, and handing them over. */
#include <time.h>

#include "proto/http_server.h"

#define OUT_MAX ((size_t)1 << 30)

#define HEAD_GUESS 512 /* holds most heads and small bodies */

static const char *reason_of(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
		{ 507, "Insufficient Storage" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

int http_status_of(int err)
{
	static const short statuses[] = {
		[0] = 200,
		[-ERR_MALFORMED] = 400,
		[-ERR_UNSUPPORTED] = 415,
		[-ERR_REFUSED] = 422,
		[-ERR_UNAUTHENTICATED] = 401,
		[-ERR_DENIED] = 403,
		[-ERR_NOT_FOUND] = 404,
		[-ERR_CONFLICT] = 409,
		[-ERR_TOO_LARGE] = 413,
		[-ERR_BUSY] = 503,
		[-ERR_AHEAD] = 503,
		[-ERR_HELD] = 503,
		[-ERR_DISK_FULL] = 507,
		[-ERR_TIMEOUT] = 408,
	};
	size_t i = (size_t)-err;

	return i < sizeof(statuses) / sizeof(*statuses) && statuses[i] ? statuses[i] : 500;
}

/* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", made once a second and thread. */
static const char *date_line(void)
{
	static _Thread_local struct {
		time_t at;
		char text[48];
	} cache;
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != cache.at) {
		cache.at = now.tv_sec;
		gmtime_r(&now.tv_sec, &tm);
		strftime(cache.text, sizeof(cache.text), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
	}
	return cache.text;
}

static int add_uint(struct buf *out, uint64_t n)
{
	char text[20], *p = text + sizeof(text);

	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	return buf_add(out, p, (size_t)(text + sizeof(text) - p));
}

static int add_line(struct buf *out, const char *name, const char *value)
{
	size_t a = strlen(name), b = strlen(value);
	int err = buf_reserve(out, a + b + 2);

	if (err)
		return err;
	memcpy(out->data + out->len, name, a);
	memcpy(out->data + out->len + a, value, b);
	memcpy(out->data + out->len + a + b, "\r\n", 2);
	out->len += a + b + 2;
	return 0;
}

static int add_status_line(struct buf *out, int status)
{
	char line[] = "HTTP/1.1 000 ";

	line[9] = (char)('0' + status / 100 % 10);
	line[10] = (char)('0' + status / 10 % 10);
	line[11] = (char)('0' + status % 10);
	return add_line(out, line, reason_of(status));
}

static int add_framing(struct buf *out, int status, int64_t length)
{
	int err;

	if (status == 204 || status == 304 || length == LENGTH_UNTIL_CLOSE)
		return 0;
	if (length == LENGTH_CHUNKED)
		return buf_addstr(out, "Transfer-Encoding: chunked\r\n");
	err = buf_addstr(out, "Content-Length: ");
	if (!err)
		err = add_uint(out, (uint64_t)length);
	return err ? err : buf_addstr(out, "\r\n");
}

int answer_head(struct http_conn *c, int status, const char *content_type, const char *extra, int64_t length)
{
	struct http_server *s = c->loop->server;
	struct buf *out = &c->out;
	int err;

	c->answer.status = status;
	c->answer.close |= !c->head.keep_alive || length == LENGTH_UNTIL_CLOSE ||
			   atomic_load_explicit(&s->draining, memory_order_relaxed);
	buf_clear(out);
	c->out_at = 0;
	out->max = OUT_MAX;
	err = buf_reserve(out, HEAD_GUESS);
	if (!err)
		err = add_status_line(out, status);
	if (!err)
		err = buf_addstr(out, date_line());
	if (!err)
		err = add_line(out, "Astraml-Version: ", s->version);
	if (!err)
		err = add_line(out, "X-Request-Id: ", c->rq.id);
	if (!err && content_type)
		err = add_line(out, "Content-Type: ", content_type);
	if (!err)
		err = add_framing(out, status, length);
	if (!err && c->answer.close)
		err = buf_addstr(out, "Connection: close\r\n");
	else if (!err && c->head.minor == 0)
		err = buf_addstr(out, "Connection: keep-alive\r\n");
	if (!err && extra)
		err = buf_addstr(out, extra);
	return err ? err : buf_addstr(out, "\r\n");
}

void answer_given(struct http_conn *c)
{
	if (http_loop_here == c->loop && c->dispatching)
		c->answered = true;
	else
		http_loop_post(c, false);
}

static void answer_whole(struct http_conn *c, int status, const char *content_type, const char *extra,
			 struct span body)
{
	int err = answer_head(c, status, content_type, extra, (int64_t)body.len);

	if (!err && c->rq.method != HTTP_HEAD && status != 204 && status != 304)
		err = buf_add(&c->out, body.data, body.len);
	if (err)
		c->answer.cut = true;
}

void http_reply(struct http_request *rq, int status, const char *content_type, const char *extra,
		struct span body)
{
	struct http_conn *c = conn_of(rq);

	answer_whole(c, status, content_type, extra, body);
	answer_given(c);
}

/* ---- the error document ---- */

/* Length of the UTF-8 sequence at s (RFC 3629), 0 when it is none. */
static size_t utf8_len(const uint8_t *s)
{
	size_t n = s[0] < 0x80   ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static int add_json_text(struct buf *out, const char *text)
{
	int err = buf_addch(out, '"');

	for (const uint8_t *s = (const uint8_t *)text; *s && !err;) {
		size_t n = utf8_len(s);

		if (n == 0)
			err = buf_addstr(out, "\xef\xbf\xbd");
		else if (*s == '"' || *s == '\\')
			err = buf_addf(out, "\\%c", *s);
		else if (*s < ' ' || *s == 0x7f)
			err = buf_addf(out, "\\u%04x", *s);
		else
			err = buf_add(out, s, n);
		s += n ? n : 1;
	}
	return err ? err : buf_addch(out, '"');
}

static bool is_retryable(int status)
{
	return status == 408 || status == 429 || (status >= 500 && status != 505);
}

static int add_error_document(struct buf *out, int status, const struct fault *f, const char *id)
{
	int err = buf_addf(out, "{\"error\":{\"code\":\"%s\",\"message\":", err_name(f->err));

	if (!err)
		err = add_json_text(out, f->text);
	if (!err)
		err = buf_addstr(out, ",\"field\":");
	if (!err)
		err = f->field[0] ? add_json_text(out, f->field) : buf_addstr(out, "null");
	return err ? err
		   : buf_addf(out, ",\"retryable\":%s,\"request_id\":\"%s\"}}\n",
			      is_retryable(status) ? "true" : "false", id);
}

static const char *extra_for(int status, const struct fault *f)
{
	if (status == 503)
		return "Retry-After: 1\r\n";
	if (status == 401)
		return "WWW-Authenticate: Bearer\r\n";
	if (status == 415 && strcmp(f->field, "Content-Encoding") == 0)
		return "Accept-Encoding: zstd\r\n";
	return NULL;
}

static void answer_fault(struct http_conn *c, int status, const struct fault *fault)
{
	struct fault f = *fault;
	struct buf document;

	if (!f.text[0])
		fault_default(&f, f.err ? f.err : (f.err = ERR_IO));
	buf_init(&document, 8192);
	if (add_error_document(&document, status, &f, c->rq.id) < 0)
		c->answer.cut = true;
	else
		answer_whole(c, status, "application/json", extra_for(status, &f), buf_span(&document));
	buf_release(&document);
}

void http_reply_fault(struct http_request *rq, const struct fault *f)
{
	struct http_conn *c = conn_of(rq);

	answer_fault(c, http_status_of(f->err), f);
	answer_given(c);
}

void answer_refusal(struct http_conn *c, const struct http_refusal *r)
{
	c->answer = (struct http_answer){ .close = true, .linger = true };
	answer_fault(c, r->status, &r->fault);
	http_count(&c->loop->refused, 1);
}

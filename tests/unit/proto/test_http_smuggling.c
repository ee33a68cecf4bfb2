/*
 * Requests that two parsers could read differently: each is refused, the connection closes, and
 * what follows on it is never taken for a request.  And the odd ones that are legal.
 */
#include "tests/unit/proto/http_fixture.h"

#define HOST "Host: x\r\n"
/* were it taken for a request of its own, it would be handled */
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST11   "POST /echo HTTP/1.1\r\n" HOST
#define CHUNKED  POST11 "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
	const char *what, *request;
	int status;
} refused[] = {
	{ "two lengths", POST11 "Content-Length: 0\r\nContent-Length: 35\r\n\r\n", 400 },
	{ "two equal lengths", POST11 "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400 },
	{ "list of lengths", POST11 "Content-Length: 0, 0\r\n\r\n", 400 },
	{ "negative length", POST11 "Content-Length: -1\r\n\r\n", 400 },
	{ "signed length", POST11 "Content-Length: +0\r\n\r\n", 400 },
	{ "hex length", POST11 "Content-Length: 0x0\r\n\r\n", 400 },
	{ "empty length", POST11 "Content-Length:\r\n\r\n", 400 },
	{ "length with space", POST11 "Content-Length: 1 0\r\n\r\n", 400 },
	{ "length past 2^64", POST11 "Content-Length: 18446744073709551616\r\n\r\n", 400 },
	{ "length past 2^63", POST11 "Content-Length: 9223372036854775808\r\n\r\n", 400 },
	{ "length and chunked", POST11 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  400 },
	{ "chunked and length", POST11 "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
	  400 },
	{ "two codings", POST11 "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "chunked not last", POST11 "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400 },
	{ "identity coding", POST11 "Transfer-Encoding: identity\r\n\r\n", 400 },
	{ "chunked twice", POST11 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  400 },
	{ "chunked listed twice", POST11 "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "x-chunked", POST11 "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400 },
	{ "chunked with vertical tab",
	  POST11 "Transfer-Encoding: \x0b"
		 "chunked\r\n\r\n0\r\n\r\n",
	  400 },
	{ "empty coding", POST11 "Transfer-Encoding:\r\n\r\n", 400 },
	{ "chunked in 1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "two hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400 },
	{ "two equal hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400 },
	{ "no host", "GET / HTTP/1.1\r\nAccept: a\r\n\r\n", 400 },
	{ "list of hosts", "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n", 400 },
	{ "host with path", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400 },
	{ "host with user", "GET / HTTP/1.1\r\nHost: a@x\r\n\r\n", 400 },
	{ "folded header", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400 },
	{ "folded first header", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400 },
	{ "folded with tab", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", 400 },
	{ "space before colon", POST11 "Content-Length : 35\r\n\r\n", 400 },
	{ "tab before colon", POST11 "Transfer-Encoding\t: chunked\r\n\r\n", 400 },
	{ "no colon", "GET / HTTP/1.1\r\nHost: x\r\nNonsense\r\n\r\n", 400 },
	{ "empty name", "GET / HTTP/1.1\r\nHost: x\r\n: v\r\n\r\n", 400 },
	{ "name with bytes", "GET / HTTP/1.1\r\nHost: x\r\nA\xc3\xa9: v\r\n\r\n", 400 },
	{ "name with parenthesis", "GET / HTTP/1.1\r\nHost: x\r\nA(b): v\r\n\r\n", 400 },
	{ "bare CR in value", POST11 "A: b\rContent-Length: 35\r\n\r\n", 400 },
	{ "bare CR in name", POST11 "A\rB: b\r\n\r\n", 400 },
	{ "bare CR in request line", "GET /\rx HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "bare LF after request line", "GET / HTTP/1.1\nHost: x\r\n\r\n", 400 },
	{ "bare LF after header", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400 },
	{ "bare LF ends head", "GET / HTTP/1.1\r\nHost: x\r\n\n", 400 },
	{ "two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "control in value", "GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", 400 },
	{ "DEL in value", "GET / HTTP/1.1\r\nHost: x\r\nA: \x7f\r\n\r\n", 400 },
	{ "HTTP/0.9", "GET /\r\n\r\n", 400 },
	{ "two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "space in target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "space at the end", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400 },
	{ "tab for space", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "space first", " GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "no slash", "GET echo HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "authority form", "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "lower-case version", "GET / http/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "version of two digits", "GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400 },
	{ "other protocol", "GET / ICY/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505 },
	{ "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
	{ "TLS hello", "\x16\x03\x01\x02\x01\x01\n", 400 },
	{ "unknown expectation", POST11 "Expect: money\r\n\r\n", 417 },
	{ "gzip", POST11 "Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", 415 },
	{ "zstd twice", POST11 "Content-Encoding: zstd, zstd\r\nContent-Length: 0\r\n\r\n", 415 },
	{ "zstd in two lines", POST11 "Content-Encoding: zstd\r\nContent-Encoding: zstd\r\n\r\n", 415 },
	{ "chunk size 0x", CHUNKED "0x5\r\nhello\r\n0\r\n\r\n", 400 },
	{ "chunk size +", CHUNKED "+5\r\nhello\r\n0\r\n\r\n", 400 },
	{ "chunk size -", CHUNKED "-5\r\nhello\r\n0\r\n\r\n", 400 },
	{ "chunk size with space first", CHUNKED " 5\r\nhello\r\n0\r\n\r\n", 400 },
	{ "chunk size with space after", CHUNKED "5 \r\nhello\r\n0\r\n\r\n", 400 },
	{ "chunk size empty", CHUNKED "\r\nhello\r\n0\r\n\r\n", 400 },
	{ "chunk size of 17 digits", CHUNKED "00000000000000005\r\nhello\r\n0\r\n\r\n", 400 },
	{ "chunk size past 2^64", CHUNKED "10000000000000005\r\nhello\r\n0\r\n\r\n", 400 },
	{ "chunk size not hex", CHUNKED "5g\r\nhello\r\n0\r\n\r\n", 400 },
	{ "chunk size ends in LF", CHUNKED "5\nhello\r\n0\r\n\r\n", 400 },
	{ "chunk longer than said", CHUNKED "4\r\nhello\r\n0\r\n\r\n", 400 },
	{ "chunk ends in LF", CHUNKED "5\r\nhello\n0\r\n\r\n", 400 },
	{ "bare CR in extension", CHUNKED "5;a\rb\r\nhello\r\n0\r\n\r\n", 400 },
	{ "LF in extension", CHUNKED "5;a\nhello\r\n0\r\n\r\n", 400 },
	{ "folded trailer", CHUNKED "0\r\nA: b\r\n c\r\n\r\n", 400 },
	{ "trailer without colon", CHUNKED "0\r\nGET / HTTP/1.1\r\n\r\n", 400 },
	{ "trailer ends in LF", CHUNKED "0\r\nA: b\n\r\n", 400 },
	{ "last line ends in LF", CHUNKED "0\r\n\n", 400 },
};

static void refuses_and_closes(void **state)
{
	struct app *app = app_start(&http_limits_default);

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct wire w;
		struct answer a;

		wire_to(&w, app);
		wire_say(&w, refused[i].request);
		wire_say(&w, SMUGGLED); /* may fail: the server may be gone already */
		if (!read_answer(&w, &a, true))
			fail_msg("%s: no answer", refused[i].what);
		if (a.status != refused[i].status || !a.complete)
			fail_msg("%s: status %d", refused[i].what, a.status);
		if (!strstr((char *)a.body, "\"message\":\"") ||
		    !strstr((char *)a.body, "\"retryable\":false"))
			fail_msg("%s: %s", refused[i].what, (char *)a.body);
		assert_string_equal(answer_field(&a, "Connection"), "close");
		if (!wire_closed(&w))
			fail_msg("%s: the connection stays open", refused[i].what);
		if (a.status == 415)
			assert_string_equal(answer_field(&a, "Accept-Encoding"), "zstd");
		answer_free(&a);
		wire_close(&w);
		if (atomic_load(&app->handled) != 0)
			fail_msg("%s: was handled", refused[i].what);
	}
	app_stop(app);
}

/* NUL cannot stand in the table above. */
static void refuses_nul(void **state)
{
	static const char in_value[] = "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n";
	static const char in_name[] = "GET / HTTP/1.1\r\nHost: x\r\nA\0B: c\r\n\r\n";
	static const char in_target[] = "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n";
	static const char in_host[] = "GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n";
	const struct span all[] = { span_of(in_value, sizeof(in_value) - 1),
				    span_of(in_name, sizeof(in_name) - 1),
				    span_of(in_target, sizeof(in_target) - 1),
				    span_of(in_host, sizeof(in_host) - 1) };
	struct app *app = app_start(&http_limits_default);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct wire w;
		struct answer a;

		wire_to(&w, app);
		wire_send(&w, all[i].data, all[i].len);
		assert_true(read_answer(&w, &a, true));
		assert_int_equal(a.status, 400);
		assert_true(wire_closed(&w));
		answer_free(&a);
		wire_close(&w);
	}
	assert_int_equal(atomic_load(&app->handled), 0);
	app_stop(app);
}

static void accepts_what_is_legal(void **state)
{
	static const struct {
		const char *what, *request, *body;
	} legal[] = {
		{ "leading CRLF", "\r\n" POST11 "Content-Length: 2\r\n\r\nab", "ab" },
		{ "spaces around values", POST11 "Content-Length: \t 2 \t\r\n\r\nab", "ab" },
		{ "no space after colon", "POST /echo HTTP/1.1\r\nhOsT:x\r\ncontent-LENGTH:2\r\n\r\nab",
		  "ab" },
		{ "length with zeros", POST11 "Content-Length: 0002\r\n\r\nab", "ab" },
		{ "empty header", POST11 "A:\r\nContent-Length: 2\r\n\r\nab", "ab" },
		{ "bytes in value", POST11 "A: \xc3\xa9\xff\r\nContent-Length: 2\r\n\r\nab", "ab" },
		{ "absolute form", "POST http://x:1/echo?q HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab",
		  "ab" },
		{ "absolute form without path",
		  "POST HTTP://x HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab", "ab" },
		{ "later minor version", "POST /echo HTTP/1.7\r\n" HOST "Content-Length: 2\r\n\r\nab", "ab" },
		{ "unknown method", "BREW /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab", "ab" },
		{ "IPv6 host", "POST /echo HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 2\r\n\r\nab", "ab" },
		{ "Chunked in capitals", POST11 "Transfer-Encoding: CHUNKED\r\n\r\n2\r\nab\r\n0\r\n\r\n",
		  "ab" },
		{ "chunk size in capitals", CHUNKED "A\r\n0123456789\r\n0\r\n\r\n", "0123456789" },
		{ "chunk size with zeros", CHUNKED "0002\r\nab\r\n000\r\n\r\n", "ab" },
		{ "chunk extension", CHUNKED "2;a=b;c=\"d;e\"\r\nab\r\n0;last\r\n\r\n", "ab" },
		{ "space before extension", CHUNKED "2 \t;a\r\nab\r\n0\r\n\r\n", "ab" },
		{ "trailers", CHUNKED "2\r\nab\r\n0\r\nContent-Length: 7\r\nHost: y\r\n\r\n", "ab" },
		{ "identity encoding", POST11 "Content-Encoding: identity\r\nContent-Length: 2\r\n\r\nab",
		  "ab" },
		{ "no body", POST11 "\r\n", "" },
		{ "empty chunked body", CHUNKED "0\r\n\r\n", "" },
	};
	struct app *app = app_start(&http_limits_default);
	struct wire w;
	struct answer a;

	(void)state;
	wire_to(&w, app);
	for (size_t i = 0; i < sizeof(legal) / sizeof(*legal);
	     i++) { /* one connection: each ends where it should */
		int status = ask(&w, legal[i].request, &a);

		if (status != 200 || strcmp((char *)a.body, legal[i].body) != 0)
			fail_msg("%s: %d %s", legal[i].what, status, (char *)a.body);
		answer_free(&a);
	}
	assert_int_equal(ask(&w, SMUGGLED, &a), 200);
	answer_free(&a);
	wire_close(&w);
	app_stop(app);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_and_closes),
		cmocka_unit_test(refuses_nul),
		cmocka_unit_test(accepts_what_is_legal),
	};

	return cmocka_run_group_tests_name("http_smuggling", tests, NULL, NULL);
}

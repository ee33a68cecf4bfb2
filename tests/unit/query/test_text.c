/* Text in both directions: JSON written by hand, log text for a terminal, answers taken apart. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "query/cli/rowtext.h"
#include "query/cli/term.h"
#include "query/out.h"
#include "tests/values.h"

static struct out o;

static const char *written(void)
{
	static char text[4096];

	assert_int_equal(o.err, 0);
	snprintf(text, sizeof text, "%s", buf_cstr(&o.b));
	out_release(&o);
	out_init(&o, NULL);
	return text;
}

static void strings(void **state)
{
	(void)state;
	out_init(&o, NULL);
	out_string(&o, span_of("a\"\\/\b\f\n\r\t\x0b\0z\x7f", 13));
	assert_string_equal(written(), "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u000b\\u0000z\x7f\"");
	out_string(&o, span_str("caf\xc3\xa9 \xf0\x9f\x98\x80"));
	assert_string_equal(written(), "\"caf\xc3\xa9 \xf0\x9f\x98\x80\"");
	/* one U+FFFD for each maximal broken part (Unicode 15, table 3-8) */
	out_string(&o, span_str("a\xf1\x80\x80\xe1\x80\xc2z\xed\xa0\x80\xff"));
	assert_string_equal(written(),
			    "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
			    "\xef\xbf\xbd\"");
	assert_true(out_string(&o, span_str("\xf4\x8f\xbf\xbf")));
	assert_false(out_string(&o, span_str("\xf4\x90\x80\x80")));
	assert_false(out_string(&o, span_str("\xc0\x80")));
	assert_false(out_string(&o, span_of("\xe2\x82\xac", 2)));
	written();
}

/* Byte by byte, at each place of a word of eight. */
static void strings_of_every_byte(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		for (size_t at = 0; at < 20; at++) {
			char text[20], want[4200];
			uint8_t byte = (uint8_t)c;
			const char *one;
			bool utf8;

			memset(text, 'a', sizeof text);
			text[at] = (char)c;
			out_init(&o, NULL);
			out_string(&o, span_of(&byte, 1));
			one = written();
			snprintf(want, sizeof want, "\"%.*s%.*s%.*s\"", (int)at, "aaaaaaaaaaaaaaaaaaaa",
				 (int)strlen(one) - 2, one + 1, (int)(19 - at), "aaaaaaaaaaaaaaaaaaaa");
			utf8 = out_string(&o, span_of(text, sizeof text));
			assert_string_equal(written(), want);
			assert_int_equal(utf8, c < 0x80);
		}
	}
}

static void numbers(void **state)
{
	(void)state;
	out_double(&o, 0.1);
	out_ch(&o, ' ');
	out_double(&o, -0.0);
	out_ch(&o, ' ');
	out_double(&o, 5e-324);
	out_ch(&o, ' ');
	out_double(&o, NAN);
	out_double(&o, INFINITY);
	out_double(&o, -INFINITY);
	assert_string_equal(written(), "0.1 -0.0 5e-324 \"NaN\"\"Infinity\"\"-Infinity\"");
	out_i64(&o, INT64_MIN);
	out_ch(&o, ' ');
	out_u64(&o, UINT64_MAX);
	out_i64(&o, 0);
	assert_string_equal(written(), "-9223372036854775808 184467440737095516150");
}

static void numbers_of_each_length(void **state)
{
	uint64_t power = 1, seed = 3;
	char text[64];

	(void)state;
	for (int digits = 1; digits <= 20; digits++, power *= 10) {
		uint64_t some[] = { power - 1, power, power + 1, random_bits(&seed) % power,
				    power + power / 7 };

		for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
			out_u64(&o, some[i]);
			out_ch(&o, ' ');
			out_i64(&o, -(int64_t)(some[i] >> 1));
			snprintf(text, sizeof text, "%" PRIu64 " %" PRId64, some[i],
				 -(int64_t)(some[i] >> 1));
			assert_string_equal(written(), text);
		}
	}
}

static void base64(void **state)
{
	/* RFC 4648, section 10 */
	static const char *const cases[][2] = {
		{ "", "\"\"" },        { "f", "\"Zg==\"" },        { "fo", "\"Zm8=\"" },
		{ "foo", "\"Zm9v\"" }, { "foob", "\"Zm9vYg==\"" }, { "foobar", "\"Zm9vYmFy\"" }
	};
	(void)state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		out_base64(&o, span_str(cases[i][0]));
		assert_string_equal(written(), cases[i][1]);
	}
}

static void shown(const char *text, bool color, const char *want)
{
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(shown_text(span_str(text), color, &b), 0);
	assert_string_equal(buf_cstr(&b), want);
	buf_release(&b);
}

static void text_for_a_terminal(void **state)
{
	(void)state;
	shown("plain\n", false, "plain\n");
	shown("10%\r20%\r30%\n", false, "30%\n");
	shown("10%\r20%\r", false, "20%");
	shown("\r 10%", false, " 10%");
	shown("dos\r\nend\r\n", false, "dos\nend\n");
	shown("first\n10%\r20%\n", false, "first\n20%\n");
	shown("\x1b[1;31mred\x1b[0m", false, "red");
	shown("\x1b[1;31mred\x1b[0m", true, "\x1b[1;31mred\x1b[0m");
	shown("a\x1b[2Jb\x1b[10;10Hc", true, "abc"); /* no moving about */
	shown("a\x1b]0;title\x07z\x1b]8;;http://x\x1b\\w", true, "azw");
	shown("bell\x07 back\b tab\t del\x7f", false, "bell back tab\t del");
	shown("cut \x1b[", true, "cut ");
	shown("cut \x1b", true, "cut ");
}

static const char *celled(const char *text, int width)
{
	static char got[256];
	FILE *f = fmemopen(got, sizeof got, "w");

	assert_non_null(f);
	cell(f, text, width);
	fclose(f);
	return got;
}

static void cells(void **state)
{
	char text[SHORT_TEXT_MAX];
	(void)state;

	assert_string_equal(celled("ab", 4), "ab  ");
	assert_string_equal(celled("ab", -4), "  ab");
	assert_string_equal(celled("caf\xc3\xa9", 5), "caf\xc3\xa9 ");
	assert_string_equal(celled("abcdefgh", 5), "ab\xe2\x80\xa6gh");
	assert_string_equal(celled("a\x1b[0m", 5), "a?[0m");
	short_number(-1.23456789e-105, 9, text);
	assert_string_equal(text, "-1.2e-105");
	short_number(0.25, 9, text);
	assert_string_equal(text, "0.25");
	short_number(1526347776, 10, text); /* whole numbers are whole where there is room */
	assert_string_equal(text, "1526347776");
	short_number(1526347776, 9, text);
	assert_string_equal(text, "1.526e+09");
	short_number(-0.0, 9, text);
	assert_string_equal(text, "-0");
	short_bytes(1536, text);
	assert_string_equal(text, "1.5 KiB");
	short_age(7300 * INT64_C(1000000000), text);
	assert_string_equal(text, "2h");
}

static const char *drawn(const struct spark_point *p, size_t n)
{
	static char got[256];
	FILE *f = fmemopen(got, sizeof got, "w");

	assert_non_null(f);
	spark(f, p, n);
	fclose(f);
	return got;
}

static void without_unicode(void **state)
{
	const struct spark_point p[] = { { 0, false }, { 0, true }, { NAN, false }, { 7, false } };
	(void)state;

	assert_string_equal(drawn(p, 4), "\u2581 x\u2588");
	term_unicode(false);
	assert_string_equal(drawn(p, 4), "_ x#");
	assert_string_equal(celled("abcdefgh", 5), "ab~gh");
	term_unicode(true);
}

static char taken[1024];

static int take_series(void *arg, struct span s)
{
	(void)arg;
	snprintf(taken + strlen(taken), sizeof taken - strlen(taken), "S%.*s\n", (int)s.len,
		 (const char *)s.data);
	return 0;
}

static int take_row(void *arg, struct span s)
{
	(void)arg;
	snprintf(taken + strlen(taken), sizeof taken - strlen(taken), "R%.*s\n", (int)s.len,
		 (const char *)s.data);
	return 0;
}

static void answers_are_taken_apart(void **state)
{
	static const char answer[] = "{\"series\":[{\"metric\":\"rows\",\"labels\":{\"rows\":\"[\"},"
				     "\"columns\":[\"t\"],\"rows\":[[1,\"a]\\\"\"], "
				     "[2,null]]},{\"metric\":\"b\",\"rows\":[]}],\"partial\":false}\n";
	(void)state;

	for (size_t piece = 1; piece <= sizeof answer; piece++) {
		struct rowtext r;

		taken[0] = 0;
		rowtext_init(&r);
		r.series = take_series;
		r.row = take_row;
		for (size_t at = 0; at < sizeof answer - 1; at += piece) {
			size_t left = sizeof answer - 1 - at;

			assert_int_equal(rowtext_feed(&r, span_of(answer + at, left < piece ? left : piece)),
					 0);
		}
		assert_string_equal(
		    taken,
		    "S{\"metric\":\"rows\",\"labels\":{\"rows\":\"[\"},\"columns\":[\"t\"],\"rows\":[]}\n"
		    "R[1,\"a]\\\"\"]\nR[2,null]\n"
		    "S{\"metric\":\"b\",\"rows\":[]}\n");
		assert_string_equal(buf_cstr(&r.rest),
				    "{\"series\":[{\"metric\":\"rows\",\"labels\":{\"rows\":\"[\"},"
				    "\"columns\":[\"t\"],\"rows\":[]"
				    "},{\"metric\":\"b\",\"rows\":[]}],\"partial\":false}\n");
		rowtext_release(&r);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings),
		cmocka_unit_test(strings_of_every_byte),
		cmocka_unit_test(numbers),
		cmocka_unit_test(numbers_of_each_length),
		cmocka_unit_test(base64),
		cmocka_unit_test(text_for_a_terminal),
		cmocka_unit_test(cells),
		cmocka_unit_test(without_unicode),
		cmocka_unit_test(answers_are_taken_apart),
	};

	return cmocka_run_group_tests_name("query/text", tests, NULL, NULL);
}

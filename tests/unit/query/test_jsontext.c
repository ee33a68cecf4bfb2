#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "query/jsontext.h"

/* after the JSON test suite's y_ and n_ files (N. Seriot, "Parsing JSON is a Minefield") */
static const char *const good[] = {
	"{}",
	"[]",
	" [ ] ",
	"null",
	"true",
	"-0",
	"0",
	"0.5",
	"1e5",
	"1E+5",
	"-1.5e-3",
	"123456789012345678901234567890",
	"\"\"",
	"\"\\u00e9\\n\\/\"",
	"\"\xc3\xa9\"",
	"\"\\ud83d\\ude00\"",
	"{\"a\":{\"b\":[1,2,{}]},\"b\":1}",
	"[\"\\u0000\"]",
	"\"\xf4\x8f\xbf\xbf\"",
	"{\"\":0}",
};
static const char *const bad[] = {
	"",
	" ",
	"{",
	"[1,]",
	"{\"a\":1,}",
	"{a:1}",
	"{'a':1}",
	"01",
	"-",
	"1.",
	".5",
	"+1",
	"1e",
	"1e+",
	"NaN",
	"Infinity",
	"nul",
	"truE",
	"[1 2]",
	"{\"a\" 1}",
	"{\"a\":1}x",
	"\"a",
	"\"\t\"",
	"\"\\x\"",
	"\"\\u12\"",
	"\"\\ud800\"",
	"\"\\udc00\"",
	"\"\\ud800\\u0041\"",
	"\"\xff\"",
	"\"\xc0\x80\"",
	"\"\xed\xa0\x80\"",
	"[1],2",
	"{\"a\":1,\"a\":2}",
	"{\"\\u0000\":1}",
	"{\"\\u0061\":1}",
	"/* c */1",
	"[,1]",
	"{1:1}",
	"\v1",
	"\xef\xbb\xbf{}",
	"{\"b\":{\"x\":1,\"x\":1}}",
};

static void the_standard_is_kept(void **state)
{
	struct fault f = { 0 };
	(void)state;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (json_check(span_str(good[i]), &f) != 0)
			fail_msg("refused %s: %s", good[i], f.text);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (json_check(span_str(bad[i]), &f) != ERR_MALFORMED)
			fail_msg("took %s", bad[i]);
}

static void depth_is_bounded(void **state)
{
	char text[200001];
	struct fault f = { 0 };
	(void)state;

	memset(text, '[', sizeof text);
	assert_int_equal(json_check(span_of(text, sizeof text), &f), ERR_MALFORMED);
	assert_non_null(strstr(f.text, "32 levels"));
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(json_check(span_of(text, 2 * JSON_DEPTH_MAX), &f), 0);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	text[JSON_DEPTH_MAX] = '[';
	assert_int_equal(json_check(span_of(text, 2 * JSON_DEPTH_MAX + 2), &f), ERR_MALFORMED);
}

static void every_cut_is_refused(void **state)
{
	static const char whole[] =
	    "{\"a\":[1.5e3,\"\\ud83d\\ude00\xc3\xa9\"],\"b\":{\"c\":null},\"d\":false}";
	struct fault f = { 0 };
	(void)state;

	assert_int_equal(json_check(span_str(whole), &f), 0);
	for (size_t n = 0; n < sizeof whole - 1; n++) {
		char *cut = malloc(n + 1); /* so that a read past the end is seen */

		assert_non_null(cut);
		memcpy(cut, whole, n);
		assert_int_equal(json_check(span_of(cut, n), &f), ERR_MALFORMED);
		free(cut);
	}
}

static void members_come_as_written(void **state)
{
	struct span text = span_str(" { \"lr\" : 3e-5 , \"tags\":{ \"a\" : 1 } ,\"x\":\"y\\\"}\" } "), key,
		    value;
	size_t at = 0;
	(void)state;

	assert_true(json_member_next(text, &at, &key, &value));
	assert_true(span_is(key, "lr") && span_is(value, "3e-5"));
	assert_true(json_member_next(text, &at, &key, &value));
	assert_true(span_is(key, "tags") && span_is(value, "{ \"a\" : 1 }"));
	assert_true(json_member_next(text, &at, &key, &value));
	assert_true(span_is(key, "x") && span_is(value, "\"y\\\"}\""));
	assert_false(json_member_next(text, &at, &key, &value));
	at = 0;
	assert_false(json_member_next(span_str("{}"), &at, &key, &value));
	assert_false(json_member_next(span_str("[1]"), &at, &key, &value));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_standard_is_kept),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(members_come_as_written),
	};

	return cmocka_run_group_tests_name("query/jsontext", tests, NULL, NULL);
}

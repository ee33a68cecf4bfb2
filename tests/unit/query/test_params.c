#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "query/params.h"

static const struct params *parsed(const char *query)
{
	static struct params p;
	struct fault f = { 0 };

	params_release(&p);
	assert_int_equal(params_parse(span_str(query), &p, &f), 0);
	return &p;
}

static void values_are_decoded(void **state)
{
	const struct params *p = parsed("a=1&b=x%20y&a=2+3&&c&d=%3D%26=z");
	struct span s;
	(void)state;

	assert_true(params_get(p, "a", 0, &s) && span_is(s, "1"));
	assert_true(params_get(p, "a", 1, &s) && span_is(s, "2 3"));
	assert_false(params_get(p, "a", 2, &s));
	assert_true(params_get(p, "b", 0, &s) && span_is(s, "x y"));
	assert_true(params_get(p, "c", 0, &s) && s.len == 0);
	assert_true(params_get(p, "d", 0, &s) && span_is(s, "=&=z"));
	assert_int_equal(p->n, 5);
}

static void broken_escapes_and_floods_are_refused(void **state)
{
	struct params p;
	struct fault f = { 0 };
	char many[PARAMS_MAX * 3];
	(void)state;

	assert_int_equal(params_parse(span_str("a=%4"), &p, &f), ERR_MALFORMED);
	assert_non_null(strstr(f.text, "%25"));
	params_release(&p);
	memset(many, '&', sizeof many);
	assert_int_equal(params_parse(span_of(many, sizeof many), &p, &f), ERR_REFUSED);
	params_release(&p);
}

static void unknown_and_repeated_names_are_refused(void **state)
{
	static const char *const known[] = { "start", "run*", "label.", NULL };
	struct fault f = { 0 };
	(void)state;

	assert_int_equal(params_check(parsed("run=a&run=b&start=1&label.rank=0&label.x=1"), known, &f), 0);
	assert_int_equal(params_check(parsed("strat=1"), known, &f), ERR_REFUSED);
	assert_string_equal(f.field, "strat");
	assert_int_equal(params_check(parsed("start=1&start=2"), known, &f), ERR_REFUSED);
	assert_string_equal(f.field, "start");
	assert_int_equal(params_check(parsed("label.=1"), known, &f), ERR_REFUSED);
}

static int64_t time_of(const char *text)
{
	struct fault f = { 0 };
	int64_t t = -1;

	if (time_parse("start", span_str(text), 1000 * NS_PER_S, &t, &f) < 0)
		assert_non_null(strstr(f.text, "start="));
	return t;
}

static void times(void **state)
{
	(void)state;
	assert_int_equal(time_of("1700000000123"), INT64_C(1700000000123000000));
	assert_int_equal(time_of("0"), 0);
	assert_int_equal(time_of("2025-07-06T12:00:00Z"), INT64_C(1751803200) * NS_PER_S);
	assert_int_equal(time_of("2025-07-06T14:00:00.5+02:00"),
			 INT64_C(1751803200) * NS_PER_S + NS_PER_S / 2);
	assert_int_equal(time_of("2025-07-06T14:00:00 02:00"),
			 INT64_C(1751803200) * NS_PER_S); /* '+' unescaped */
	assert_int_equal(time_of("-10s"), 990 * NS_PER_S);
	assert_int_equal(time_of("-1m40s"), 900 * NS_PER_S);
	assert_int_equal(time_of("-1d"), 0); /* before 1970 there is nothing */
	assert_int_equal(time_of("now"), 1000 * NS_PER_S);
	assert_int_equal(time_of(""), -1);
	assert_int_equal(time_of("-5"), -1);
	assert_int_equal(time_of("yesterday"), -1);
	assert_int_equal(time_of("2025-02-30T00:00:00Z"), -1);
	assert_int_equal(time_of("99999999999999999999"), -1);
	assert_int_equal(time_of("9223372036854775"), -1); /* past 2262 */
}

static int64_t duration_of(const char *text)
{
	int64_t ns = -1;

	duration_parse(span_str(text), &ns);
	return ns;
}

static void durations(void **state)
{
	char text[DURATION_TEXT_MAX];
	(void)state;

	assert_int_equal(duration_of("30s"), 30 * NS_PER_S);
	assert_int_equal(duration_of("5m"), 300 * NS_PER_S);
	assert_int_equal(duration_of("250ms"), 250 * NS_PER_MS);
	assert_int_equal(duration_of("1h30m"), 5400 * NS_PER_S);
	assert_int_equal(duration_of("2w"), 14 * 86400 * NS_PER_S);
	assert_int_equal(duration_of("30"), -1);
	assert_int_equal(duration_of("s"), -1);
	assert_int_equal(duration_of("0s"), -1);
	assert_int_equal(duration_of("1.5h"), -1);
	assert_int_equal(duration_of("101w99999d"), -1);
	assert_int_equal(duration_of("99999999999999999999s"), -1);
	duration_print(30 * NS_PER_S, text);
	assert_string_equal(text, "30s");
	duration_print(300 * NS_PER_S, text);
	assert_string_equal(text, "5m");
	duration_print(90 * NS_PER_S, text);
	assert_string_equal(text, "90s");
}

static bool glob(const char *pattern, const char *text)
{
	return glob_match(span_str(pattern), span_str(text));
}

static void globs(void **state)
{
	(void)state;
	assert_true(glob("train/loss", "train/loss"));
	assert_false(glob("train/loss", "train/loss2"));
	assert_true(glob("*", ""));
	assert_true(glob("train/*", "train/a/b"));
	assert_true(glob("*loss", "train/loss"));
	assert_true(glob("a*b*c", "aXXbYYbZc"));
	assert_false(glob("a*b*c", "aXXbYY"));
	assert_false(glob("?", "a"));
	assert_true(glob("**", "x"));
	assert_false(glob("", "x"));
}

static void ids(void **state)
{
	struct fault f = { 0 };
	char longest[ID_MAX + 2];
	(void)state;

	memset(longest, 'a', sizeof longest);
	assert_int_equal(id_check("run", span_str("bert-lr3e-5_v1.0"), &f), 0);
	assert_int_equal(id_check("run", span_of(longest, ID_MAX), &f), 0);
	assert_int_equal(id_check("run", span_of(longest, ID_MAX + 1), &f), ERR_REFUSED);
	assert_int_equal(id_check("run", span_str(""), &f), ERR_REFUSED);
	assert_int_equal(id_check("run", span_str(".."), &f), ERR_REFUSED);
	assert_int_equal(id_check("run", span_str("a/b"), &f), ERR_REFUSED);
	assert_int_equal(id_check("run", span_of("a\0b", 3), &f), ERR_REFUSED);
	assert_string_equal(f.field, "run");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_decoded),
		cmocka_unit_test(broken_escapes_and_floods_are_refused),
		cmocka_unit_test(unknown_and_repeated_names_are_refused),
		cmocka_unit_test(times),
		cmocka_unit_test(durations),
		cmocka_unit_test(globs),
		cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests_name("query/params", tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "store/base/clock.h"

static void formats_with_the_decimals_needed(void **state)
{
	static const struct {
		int64_t t_ns;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ 1, "1970-01-01T00:00:00.000000001Z" },
		{ 1751803200000000000, "2025-07-06T12:00:00Z" },
		{ 1751803200120000000, "2025-07-06T12:00:00.120Z" },
		{ 1751803200000120000, "2025-07-06T12:00:00.000120Z" },
		{ 951782400000000000, "2000-02-29T00:00:00Z" },
		{ 4107542399999999999, "2100-02-28T23:59:59.999999999Z" },
		{ INT64_MAX, "2262-04-11T23:47:16.854775807Z" },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[CLOCK_TEXT_MAX];

		assert_int_equal(clock_format(cases[i].t_ns, text), strlen(cases[i].text));
		assert_string_equal(text, cases[i].text);
	}
}

/* Days by the C library. */
static void agrees_with_gmtime(void **state)
{
	(void)state;
	for (int64_t s = 0; s < INT64_C(9213000000); s += 86400 * 13 + 3607) {
		time_t t = (time_t)s;
		char text[CLOCK_TEXT_MAX], want[CLOCK_TEXT_MAX];
		struct tm tm;
		int64_t back;

		gmtime_r(&t, &tm);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
		clock_format(s * NS_PER_S, text);
		assert_string_equal(text, want);
		assert_int_equal(clock_days_from_civil(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday),
				 s / 86400);
		assert_true(clock_parse(text, strlen(text), &back));
		assert_int_equal(back, s * NS_PER_S);
	}
}

static void parses_rfc_3339(void **state)
{
	static const struct {
		const char *text;
		int64_t t_ns;
	} cases[] = {
		{ "2025-07-06T12:00:00Z", 1751803200000000000 },
		{ "2025-07-06t14:00:00+02:00", 1751803200000000000 },
		{ "2025-07-06 07:30:00-04:30", 1751803200000000000 },
		{ "2025-07-06T12:00:00.5z", 1751803200500000000 },
		{ "2025-07-06T12:00:00.123456789Z", 1751803200123456789 },
		{ "2025-07-06T12:00:00.12345678987654321Z", 1751803200123456789 },
		{ "2024-02-29T00:00:00Z", 1709164800000000000 },
		{ "2016-12-31T23:59:60Z", 1483228800000000000 }, /* a leap second */
		{ "1970-01-01T01:00:00+01:00", 0 },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t t_ns = -1;

		assert_true(clock_parse(cases[i].text, strlen(cases[i].text), &t_ns));
		assert_int_equal(t_ns, cases[i].t_ns);
	}
}

static void refuses_what_is_no_time(void **state)
{
	static const char *const bad[] = {
		"",
		"2025-07-06",
		"2025-07-06T12:00:00",
		"2025-07-06T12:00Z",
		"2025-7-06T12:00:00Z",
		"2025-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z",
		"2025-04-31T00:00:00Z",
		"2025-00-10T00:00:00Z",
		"2025-13-10T00:00:00Z",
		"2025-07-00T00:00:00Z",
		"2025-07-06T24:00:00Z",
		"2025-07-06T12:60:00Z",
		"2025-07-06T12:00:61Z",
		"2025-07-06T12:00:00.Z",
		"2025-07-06T12:00:00Zx",
		"2025-07-06T12:00:00+25:00",
		"2025-07-06T12:00:00+01:60",
		"2025-07-06T12:00:00+1:00",
		"1969-12-31T23:59:59Z",
		"1970-01-01T00:00:00+01:00",
		"2262-06-01T00:00:00Z",
		"9999-12-31T23:59:59Z",
		"2025-07-06X12:00:00Z",
		"+025-07-06T12:00:00Z",
		"2025-07-06T12:00:-1Z",
	};
	(void)state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int64_t t_ns = 42;

		assert_false(clock_parse(bad[i], strlen(bad[i]), &t_ns));
		assert_int_equal(t_ns, 42);
	}
	assert_false(
	    clock_parse("2025-07-06T12:00:00Z", 19, &(int64_t){ 0 })); /* not a byte further than told */
}

static void the_clocks_go_forward(void **state)
{
	int64_t a = clock_mono_ns(), b = clock_mono_ns();
	(void)state;

	assert_true(b >= a && a > 0);
	assert_true(clock_now_ns() > INT64_C(1700000000) * NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_with_the_decimals_needed),
		cmocka_unit_test(agrees_with_gmtime),
		cmocka_unit_test(parses_rfc_3339),
		cmocka_unit_test(refuses_what_is_no_time),
		cmocka_unit_test(the_clocks_go_forward),
	};
	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}

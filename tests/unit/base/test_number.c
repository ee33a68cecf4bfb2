#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "store/base/number.h"
#include "tests/values.h"

static void prints_what_reads_back(void **state)
{
	uint64_t seed = 31;
	(void)state;

	for (int i = 0; i < 200000; i++) {
		double v = random_value(&seed, (enum value_kind)(i % VALUE_KINDS_FINITE)), back;
		char text[NUMBER_TEXT_MAX + 1], printf_text[40];
		size_t n = number_print(v, text);

		assert_true(n > 0 && n <= NUMBER_TEXT_MAX);
		text[n] = 0;
		assert_true(double_bits(strtod(text, NULL)) == double_bits(v));
		assert_true(number_parse(text, n, &back));
		assert_true(double_bits(back) == double_bits(v));
		snprintf(printf_text, sizeof(printf_text), "%.17g", v);
		assert_true(number_parse(printf_text, strlen(printf_text), &back));
		assert_true(double_bits(back) == double_bits(v));
	}
}

static void prints_the_shortest(void **state)
{
	static const struct {
		double v;
		const char *text;
	} cases[] = {
		{ 0.0, "0" },      { -0.0, "-0" },       { 0.1, "0.1" },
		{ 1e21, "1e+21" }, { 5e-324, "5e-324" }, { DBL_MAX, "1.7976931348623157e+308" },
		{ 3, "3" },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[NUMBER_TEXT_MAX + 1];

		text[number_print(cases[i].v, text)] = 0;
		assert_string_equal(text, cases[i].text);
	}
}

/* The shorter of the two ways to write the fewest digits that read back, without exponent where they
 * are equally long, by printf and strtod. */
static void long_hand(double v, char *ret)
{
	char sci[40], fixed[400];
	int digits = 1, exponent;

	while (snprintf(sci, sizeof(sci), "%.*e", digits - 1, v), strtod(sci, NULL) != v)
		digits++;
	exponent = atoi(strchr(sci, 'e') + 1);
	snprintf(fixed, sizeof(fixed), "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0, v);
	strcpy(ret, strlen(fixed) <= strlen(sci) ? fixed : sci);
}

static void decimals_are_the_shortest(void **state)
{
	static const double scales[] = { 1, 10, 100, 1000, 10000, 100000 };
	uint64_t seed = 5;
	(void)state;

	for (uint64_t i = 0; i < 400000; i++) {
		uint64_t n = i < 120000 ? i : random_bits(&seed) >> (18 + i % 46);
		double v = (double)n / scales[i % 6] * (i % 7 ? 1 : -1);
		char text[NUMBER_TEXT_MAX + 1], want[400];

		text[number_print(v, text)] = 0;
		long_hand(v, want);
		assert_string_equal(text, want);
	}
}

/* Doubles of all digits, near powers of two and of ten, and float32, from where an exponent is shorter up to
 * where there are no fractions. */
static void long_fractions_are_the_shortest(void **state)
{
	uint64_t seed = 77;
	(void)state;

	for (int i = 0; i < 150000; i++) {
		uint64_t bits = random_bits(&seed), fraction = bits >> 12;
		double v;
		char text[NUMBER_TEXT_MAX + 1], want[400];

		if (i % 3 == 0)
			fraction = fraction % 64 - 32;
		if (i % 3 == 1)
			fraction &= UINT64_MAX << 29;
		v = ldexp(bits_double(UINT64_C(1023) << 52 | (fraction & UINT64_MAX >> 12)), i % 100 - 44);
		if (i % 5 == 0)
			v = nextafter(pow(10, i % 29 - 13), i % 2 ? 0 : 1);
		text[number_print(v, text)] = 0;
		long_hand(v, want);
		assert_string_equal(text, want);
	}
}

static void parses_words_and_ends(void **state)
{
	char tiny[420], huge[420];
	const struct {
		const char *text;
		double v;
	} cases[] = {
		{ "3", 3 },
		{ "+3", 3 },
		{ "-0.5e-3", -0.5e-3 },
		{ "-0", -0.0 },
		{ ".5", .5 },
		{ "inf", INFINITY },
		{ "-Infinity", -INFINITY },
		{ "+INF", INFINITY },
		{ "1e999", INFINITY },
		{ "-1e999", -INFINITY },
		{ "0.1e999", INFINITY },
		{ "-0.1e999", -INFINITY },
		{ "00.1E+999", INFINITY },
		{ "1e-999", 0 },
		{ "-1e-999", -0.0 },
		{ "100e-999", 0 },
		{ "1e99999999999999999999", INFINITY },
		{ "1e-99999999999999999999", 0 },
		{ "1.7976931348623159e308", INFINITY },
		{ "2e-324", 0 },
		{ "3e-324", 5e-324 },
		{ huge, INFINITY },
		{ huge + 1, INFINITY },
		{ tiny, -0.0 },
		{ tiny + 1, 0 },
	};
	(void)state;

	memset(huge, '9', sizeof(huge)); /* -999...9e-5 */
	memcpy(huge + sizeof(huge) - 4, "e-5", 4);
	memset(tiny, '0', sizeof(tiny)); /* -0.00...01 */
	memcpy(tiny, "-0.", 3);
	memcpy(tiny + sizeof(tiny) - 2, "1", 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		double v = 42;

		assert_true(number_parse(cases[i].text, strlen(cases[i].text), &v));
		assert_true(double_bits(v) == double_bits(cases[i].v));
		assert_true(double_bits(v) == double_bits(strtod(cases[i].text, NULL)));
	}
}

static void a_nan_is_one(void **state)
{
	double v = 0;
	(void)state;

	assert_true(number_parse("NaN", 3, &v) && isnan(v));
	v = 0;
	assert_true(number_parse("-nan", 4, &v) && isnan(v));
}

static void refuses_what_is_no_number(void **state)
{
	static const char *const bad[] = { "",  " 1", "1 ", "1,5", "0x10", "--1", "+-1",  "++1",  "+",
					   "-", "e5", "1e", "1e+", ".",    "in",  "nano", "1_000" };
	double v = 42;
	(void)state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(number_parse(bad[i], strlen(bad[i]), &v));
	assert_false(number_parse("1\0", 2, &v));
	assert_true(number_parse("12", 1, &v) && v == 1); /* not a byte further than told */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_what_reads_back),
		cmocka_unit_test(prints_the_shortest),
		cmocka_unit_test(decimals_are_the_shortest),
		cmocka_unit_test(long_fractions_are_the_shortest),
		cmocka_unit_test(parses_words_and_ends),
		cmocka_unit_test(a_nan_is_one),
		cmocka_unit_test(refuses_what_is_no_number),
	};
	return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "query/strides.h"

static int64_t floor_of(int64_t a, int64_t b)
{
	__int128 x = a, rest = (x % b + b) % b;

	return (int64_t)((x - rest) / b);
}

static void strides_are_floors(void **state)
{
	static const int64_t steps[] = { INT64_MIN + 1, -1001,    -1000, -11, -10, -1, 0, 1, 9, 10,
					 999,           INT64_MAX };
	static const int64_t widths[] = { 1, 2, 5, 10, 1000, INT64_C(5000000000000000000) };
	(void)state;

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		for (size_t k = 0; k < sizeof widths / sizeof *widths; k++)
			assert_int_equal(stride_of(steps[i], widths[k]), floor_of(steps[i], widths[k]));
	assert_int_equal(stride_of(INT64_MIN + 1, STRIDE_ALL), stride_of(INT64_MAX, STRIDE_ALL));
}

static int64_t width_of(const int64_t *steps, size_t n, uint64_t most)
{
	struct point p[8] = { 0 };

	for (size_t i = 0; i < n; i++)
		p[i].step = steps[i];
	return stride_width(p, n, most);
}

static void widths_are_the_least(void **state)
{
	static const int64_t four[] = { 0, 1, 2, 3 }, apart[] = { -300, 0, 400, 800 };
	static const int64_t ends[] = { INT64_MIN + 1, -1, 0, INT64_MAX };
	(void)state;

	assert_int_equal(width_of(four, 0, 1), 1);
	assert_int_equal(width_of(four, 4, 4), 1);
	assert_int_equal(width_of(four, 4, UINT64_MAX), 1);
	assert_int_equal(width_of(four, 4, 3), 2);
	assert_int_equal(width_of(four, 4, 2), 2);
	assert_int_equal(width_of(four, 4, 1), 5);
	assert_int_equal(width_of(apart, 4, 4), 1);
	assert_int_equal(width_of(apart, 4, 3), 500);
	assert_int_equal(width_of(apart, 4, 2), 1000);
	assert_int_equal(width_of(apart, 4, 1), STRIDE_ALL);
	assert_int_equal(width_of(ends, 4, 4), 1);
	assert_int_equal(width_of(ends, 4, 3), STRIDE_ALL);
	assert_int_equal(width_of(ends + 1, 3, 2), STRIDE_ALL);
	assert_int_equal(width_of(ends + 2, 2, 1), STRIDE_ALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strides_are_floors),
		cmocka_unit_test(widths_are_the_least),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

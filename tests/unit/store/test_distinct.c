/*
 * Different numbers of a column: each once, rising, and the place of each number among them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/part/distinct.h"
#include "tests/values.h"

static uint64_t seed = 99;
static struct distinct d;

/* Of few numbers, from all over; returns how many of them came. */
static size_t fill(int64_t *v, size_t n, size_t few)
{
	int64_t numbers[DISTINCT_OF_MAX];
	bool came[DISTINCT_OF_MAX] = { false };
	size_t count = 0;

	for (size_t i = 0; i < few; i++) /* no two are the same */
		numbers[i] = (int64_t)((random_bits(&seed) << 12) + i);
	for (size_t i = 0; i < n; i++) {
		size_t at = random_below(&seed, few);

		v[i] = numbers[at];
		count += !came[at];
		came[at] = true;
	}
	return count;
}

static void test_places_say_the_column(void **state)
{
	static const size_t lengths[] = { 2, 4, 255, 512, 513, 4095, 4096 };
	int64_t v[DISTINCT_OF_MAX];

	(void)state;
	for (size_t l = 0; l < sizeof(lengths) / sizeof(*lengths); l++)
		for (size_t few = 1; few <= lengths[l]; few += 1 + few / 3) {
			size_t n = lengths[l], count = fill(v, n, few);

			assert_int_equal(distinct_find(v, n, &d), count <= n / 2);
			if (count > n / 2)
				continue;
			assert_int_equal(d.n, count);
			for (size_t i = 1; i < d.n; i++)
				assert_true(d.numbers[i - 1] < d.numbers[i]);
			for (size_t i = 0; i < n; i++) {
				assert_in_range(d.places[i], 0, d.n - 1);
				assert_true(d.numbers[d.places[i]] == v[i]);
			}
		}
}

/* Some are looked at, from all over: few are seen to be few, all different ones are not. */
static void test_some_tell(void **state)
{
	int64_t v[DISTINCT_OF_MAX];

	(void)state;
	for (size_t n = 256; n <= 4096; n += 384) {
		fill(v, n, n / 16);
		assert_true(distinct_may_be_few(v, n));
		for (size_t i = 0; i < n; i++)
			v[i] = (int64_t)(i * i);
		assert_false(distinct_may_be_few(v, n));
		for (size_t i = 0; i < n / 8; i++) /* and not by how it begins */
			v[i] = 5;
		assert_false(distinct_may_be_few(v, n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places_say_the_column),
		cmocka_unit_test(test_some_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

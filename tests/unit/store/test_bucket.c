#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/bucket/bucket.h"
#include "tests/values.h"

static struct point at(int64_t t_ns, int64_t step, double value)
{
	return (struct point){ t_ns, step, value };
}

static struct bucket bucket_of(const struct point *p, size_t n)
{
	struct bucket b;

	bucket_init(&b);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bucket_add(&b, p[i]), 0);
	return b;
}

static void assert_point(struct point p, int64_t t_ns, int64_t step, double value)
{
	assert_int_equal(p.t_ns, t_ns);
	assert_int_equal(p.step, step);
	assert_true(double_bits(p.value) == double_bits(value));
}

static void ordinary_samples(void **state)
{
	static const struct point p[] = { { 20, 7, 2.5 }, { 10, 6, -1 }, { 30, 8, 0.25 } };
	struct bucket b = bucket_of(p, 3);
	(void)state;

	assert_int_equal(b.count, 3);
	assert_int_equal(bucket_samples(&b), 3);
	assert_true(b.min == -1 && b.max == 2.5);
	assert_true(sum_round(&b.sum) == 1.75);
	assert_point(b.first, 10, 6, -1);
	assert_point(b.last, 30, 8, 0.25);
	assert_int_equal(b.step_min, 6);
	assert_int_equal(b.step_max, 8);
	assert_null(b.rare);
	bucket_release(&b);
	assert_int_equal(b.count, 0);
}

/* At one time the step decides, a sample without one being the lowest; then the value. */
static void ties_in_time(void **state)
{
	static const struct point p[] = {
		{ 5, 3, 1 },  { 5, STEP_NONE, 9 }, { 5, 3, 2 },
		{ 5, -4, 7 }, { 5, STEP_NONE, 8 }, { 5, 3, -2 },
	};
	struct bucket b = bucket_of(p, 6);
	(void)state;

	assert_point(b.first, 5, STEP_NONE, 8);
	assert_point(b.last, 5, 3, 2);
	assert_int_equal(b.step_min, -4);
	assert_int_equal(b.step_max, 3);
}

static void steps_at_the_ends(void **state)
{
	static const struct point none[] = { { 1, STEP_NONE, 1 }, { 2, STEP_NONE, 1 } };
	static const struct point ends[] = { { 1, INT64_MAX, 1 },
					     { 2, STEP_NONE, 1 },
					     { 3, INT64_MIN + 1, 1 } };
	struct bucket b = bucket_of(none, 2);
	(void)state;

	assert_true(b.step_min == STEP_NONE && b.step_max == STEP_NONE);
	b = bucket_of(ends, 1);
	assert_true(b.step_min == INT64_MAX && b.step_max == INT64_MAX);
	b = bucket_of(ends, 3);
	assert_true(b.step_min == INT64_MIN + 1 && b.step_max == INT64_MAX);
}

static void zeros_are_ordered(void **state)
{
	static const struct point p[] = { { 1, 0, 0.0 }, { 2, 0, -0.0 }, { 3, 0, 0.0 } };
	struct bucket b = bucket_of(p, 3);
	(void)state;

	assert_true(signbit(b.min) && !signbit(b.max));
	b = bucket_of(p + 1, 2);
	assert_true(signbit(b.min) && !signbit(b.max));
	b = bucket_of(p + 1, 1);
	assert_true(signbit(b.min) && signbit(b.max));
}

static void non_finite_are_counted_apart(void **state)
{
	double nan = bits_double(UINT64_C(0xfff8000000001234));
	const struct point p[] = {
		at(10, 2, INFINITY), at(30, STEP_NONE, -INFINITY), at(20, 1, 4),
		at(40, 9, nan),      at(10, 1, -INFINITY),         at(35, 3, 6),
	};
	struct bucket b = bucket_of(p, 6);
	(void)state;

	assert_int_equal(b.count, 2);
	assert_int_equal(bucket_samples(&b), 6);
	assert_true(b.min == 4 && b.max == 6 && sum_round(&b.sum) == 10);
	assert_point(b.first, 10, 1, -INFINITY);
	assert_point(b.last, 40, 9, nan);
	assert_non_null(b.rare);
	assert_int_equal(b.rare->nan, 1);
	assert_int_equal(b.rare->pos_inf, 1);
	assert_int_equal(b.rare->neg_inf, 2);
	assert_int_equal(b.rare->bad_t_ns, 10);
	assert_int_equal(b.rare->bad_step, 1);
	bucket_release(&b);
}

static void nothing_but_nan(void **state)
{
	struct point p = at(10, STEP_NONE, NAN);
	struct bucket b = bucket_of(&p, 1);
	(void)state;

	assert_int_equal(b.count, 0);
	assert_int_equal(bucket_samples(&b), 1);
	assert_point(b.first, 10, STEP_NONE, NAN);
	assert_point(b.last, 10, STEP_NONE, NAN);
	assert_int_equal(b.rare->bad_step, STEP_NONE);
	assert_true(sum_round(&b.sum) == 0);
	bucket_release(&b);
}

static void merging_with_an_empty_one(void **state)
{
	static const struct point p[] = { { 20, STEP_NONE, 3 }, { 10, 6, INFINITY } };
	struct bucket empty, b = bucket_of(p, 2), other = bucket_of(NULL, 0);
	(void)state;

	bucket_init(&empty);
	assert_int_equal(bucket_merge(&b, &empty), 0);
	assert_int_equal(bucket_merge(&other, &b), 0);
	for (struct bucket *x = &b; x; x = x == &b ? &other : NULL) {
		assert_true(x->count == 1 && x->min == 3 && x->max == 3 && x->rare->pos_inf == 1);
		assert_point(x->first, 10, 6, INFINITY);
		assert_point(x->last, 20, STEP_NONE, 3);
		assert_true(x->step_min == 6 && x->step_max == 6);
		bucket_release(x);
	}
}

static void copies_are_deep(void **state)
{
	static const struct point p[] = { { 1, 1, NAN }, { 2, 2, 0x1p500 }, { 3, 3, 1 }, { 4, 4, 0x1p-500 } };
	struct bucket b = bucket_of(p, 4), copy;
	(void)state;

	assert_non_null(b.sum.wide);
	assert_int_equal(bucket_copy(&copy, &b), 0);
	assert_true(copy.rare != b.rare && copy.sum.wide != b.sum.wide);
	bucket_release(&b);
	assert_int_equal(copy.rare->nan, 1);
	assert_true(sum_round(&copy.sum) == 0x1p500);
	bucket_release(&copy);
}

static void total_order(void **state)
{
	static const uint64_t rising[] = {
		0xffffffffffffffff, 0xfff0000000000001, 0xfff0000000000000, 0xffefffffffffffff,
		0x8000000000000001, 0x8000000000000000, 0x0000000000000000, 0x0000000000000001,
		0x3ff0000000000000, 0x7fefffffffffffff, 0x7ff0000000000000, 0x7ff8000000000000,
		0x7fffffffffffffff,
	};
	int n = sizeof(rising) / sizeof(*rising);
	(void)state;

	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
			assert_int_equal(double_total_compare(bits_double(rising[i]), bits_double(rising[j])),
					 (i > j) - (i < j));
}

static void windows(void **state)
{
	(void)state;
	assert_int_equal(window_start(0, 30), 0);
	assert_int_equal(window_start(29, 30), 0);
	assert_int_equal(window_start(30, 30), 30);
	assert_int_equal(window_start(-1, 30), -30);
	assert_int_equal(window_start(-30, 30), -30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_samples),
		cmocka_unit_test(ties_in_time),
		cmocka_unit_test(steps_at_the_ends),
		cmocka_unit_test(zeros_are_ordered),
		cmocka_unit_test(non_finite_are_counted_apart),
		cmocka_unit_test(nothing_but_nan),
		cmocka_unit_test(merging_with_an_empty_one),
		cmocka_unit_test(copies_are_deep),
		cmocka_unit_test(total_order),
		cmocka_unit_test(windows),
	};
	return cmocka_run_group_tests_name("bucket", tests, NULL, NULL);
}

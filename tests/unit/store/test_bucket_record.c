/* What samples have made is taken; a lie in any field is found, with the field's name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/base/clock.h"
#include "store/hot/bucket_record.h"
#include "tests/buckets.h"

#define START (INT64_C(1700000010) * NS_PER_S)

static void test_honest_buckets(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct bucket_record r = { 1, START, { 0 } };
		struct fault f = { 0 };

		assert_int_equal(random_bucket(&seed, (struct block_key){ 1, START, TEST_WINDOW_NS },
					       &r.bucket),
				 0);
		if (bucket_record_check(&r, TEST_WINDOW_NS, &f) < 0)
			fail_msg("%s", f.text);
		bucket_release(&r.bucket);
	}
}

/* 1 at 0 s (step 1), 4 at 1 s, 2 at 2 s (step 9), and with `rare` a NaN at 3 s (step 5). */
static struct bucket_record honest(bool rare)
{
	const struct point p[] = { { START, 1, 1 },
				   { START + NS_PER_S, STEP_NONE, 4 },
				   { START + 2 * NS_PER_S, 9, 2 },
				   { START + 3 * NS_PER_S, 5, (double)NAN } };
	struct bucket_record r = { 1, START, { 0 } };

	bucket_init(&r.bucket);
	for (int i = 0; i < 3 + rare; i++)
		assert_int_equal(bucket_add(&r.bucket, p[i]), 0);
	return r;
}

static void sum_is(struct bucket_record *r, double v)
{
	sum_release(&r->bucket.sum);
	assert_int_equal(sum_add(&r->bucket.sum, v), 0);
}

static void refused(struct bucket_record r, const char *field)
{
	struct fault f = { 0 };

	assert_int_equal(bucket_record_check(&r, TEST_WINDOW_NS, &f), ERR_REFUSED);
	assert_string_equal(f.field, field);
	bucket_release(&r.bucket);
}

#define LIE(field, rare, ...)                                                                                \
	do {                                                                                                 \
		struct bucket_record r = honest(rare);                                                       \
		struct bucket *b = &r.bucket;                                                                \
		(void)b;                                                                                     \
		__VA_ARGS__;                                                                                 \
		refused(r, field);                                                                           \
	} while (0)

static void test_places(void **state)
{
	(void)state;
	LIE("bucket.start", false, r.start_ns += 1);
	LIE("bucket.start", false, r.start_ns = -TEST_WINDOW_NS);
	LIE("bucket.start", false, r.start_ns = INT64_MAX / TEST_WINDOW_NS * TEST_WINDOW_NS);
	LIE("bucket.first.time", false, b->first.t_ns = START - 1);
	LIE("bucket.last.time", false, b->last.t_ns = START + TEST_WINDOW_NS);
	LIE("bucket.last", false, b->last.t_ns = START - 1 + 0 * (b->first.t_ns += 5),
	    b->last.t_ns = START + 4);
	LIE("bucket.first.step", false, b->first.step = 0);
	LIE("bucket.last.step", false, b->last.step = 10);
	LIE("bucket.step_min", false, b->step_min = 10);
	LIE("bucket.step_min", false, b->step_max = STEP_NONE);
	LIE("bucket.bad.step", true, b->rare->bad_step = 77);
	LIE("bucket.bad", true, b->rare->bad_t_ns = START - 1);
	LIE("bucket.bad", true, b->rare->bad_t_ns = START + 4 * NS_PER_S);
	LIE("bucket.bad", false, b->rare = calloc(1, sizeof(*b->rare)));
}

static void test_values(void **state)
{
	(void)state;
	LIE("bucket.min", false, b->min = (double)NAN);
	LIE("bucket.max", false, b->max = (double)INFINITY);
	LIE("bucket.min", false, b->min = 5);
	LIE("bucket.sum", false, sum_is(&r, 5.999)); /* 1 + 1 + 4 is the least */
	LIE("bucket.sum", false, sum_is(&r, 9.001)); /* 1 + 4 + 4 the greatest */
	LIE("bucket.sum", false, sum_is(&r, -7));
	LIE("bucket.sum", false, assert_int_equal(sum_add(&b->sum, 2), 0),
	    assert_int_equal(sum_add(&b->sum, 1e-300), 0));
	LIE("bucket.first.value", false, b->first.value = 0.5);
	LIE("bucket.last.value", false, b->last.value = (double)NAN);
	LIE("bucket.last.value", true, b->last.value = (double)INFINITY);
}

static void test_counts(void **state)
{
	(void)state;
	LIE("bucket.count", false, b->count = 0);
	LIE("bucket.count", true, b->count = 0); /* and there is a sum */
	LIE("bucket.count", false, b->count = BUCKET_COUNT_MAX + 1);
	LIE("bucket.nan", true, b->rare->nan = UINT64_MAX);
	LIE("bucket.sum", false, b->count = 2);
	LIE("bucket.sum", false, b->count = 8); /* 8 samples of 1 at least sum to more than 7 */
	LIE("bucket.last.value", true, b->rare->nan = 0, b->rare->pos_inf = 1);
}

/* One sample, or two, are the first and the last. */
static void test_few(void **state)
{
	(void)state;
	for (int n = 1; n <= 2; n++)
		for (int lie = 0; lie < 5; lie++) {
			struct bucket_record r = { 1, START, { 0 } };
			struct bucket *b = &r.bucket;
			struct fault f = { 0 };

			bucket_init(b);
			assert_int_equal(bucket_add(b, (struct point){ START + 1, 3, -0.0 }), 0);
			if (n == 2)
				assert_int_equal(bucket_add(b, (struct point){ START + 5, 4, -0.0 }), 0);
			assert_int_equal(bucket_record_check(&r, TEST_WINDOW_NS, &f), 0);
			if (lie == 0)
				b->max = 0.0;
			else if (lie == 1 && n == 1)
				b->last.t_ns += 1;
			else if (lie == 1)
				b->max = 0.0;
			else if (lie == 2)
				b->step_max = 7;
			else if (lie == 3)
				b->step_min = 2;
			else if (n == 1)
				b->last.step = STEP_NONE, b->last.t_ns += 1;
			else
				b->first.step = STEP_NONE;
			refused(r, "bucket.count");
		}
}

/* The exact bounds of a sum, where doubles would round: n samples of 0.1 and one of 0.3. */
static void test_bounds_are_exact(void **state)
{
	(void)state;
	for (uint64_t n = 3; n < 3000; n = n * 3 + 1) {
		struct bucket_record r = { 1, START, { 0 } };
		struct fault f = { 0 };

		bucket_init(&r.bucket);
		for (uint64_t i = 0; i < n; i++)
			assert_int_equal(bucket_add(&r.bucket,
						    (struct point){ START, STEP_NONE, i ? 0.1 : 0.3 }),
					 0);
		assert_int_equal(bucket_record_check(&r, TEST_WINDOW_NS, &f), 0);
		assert_int_equal(sum_add(&r.bucket.sum, -5e-324), 0);
		refused(r, "bucket.sum");
	}
}

/* The text of a sum that doubles cannot say comes back; others are none. */
static void test_hexadecimal(void **state)
{
	static const char *const bad[] = {
		"",          "0x",        "0xp-1074",  "0x0p-1074",  "1p-1074",
		"0x1p-1074", "0x1p-1073", "0xGp-1074", "+0x1p-1074", "0x01p-1074"
	};
	struct sum s = { 0 }, back = { 0 };
	char text[SUM_HEX_MAX], copy[SUM_HEX_MAX];
	size_t len;

	(void)state;
	for (int sign = -1; sign <= 1; sign += 2) {
		for (int i = 0; i < 40; i++)
			assert_int_equal(sum_add(&s, sign * 0x1.fffffffffffffp1023), 0);
		assert_int_equal(sum_add(&s, 5e-324), 0);
		len = sum_hex(&s, text);
		assert_int_equal(sum_from_hex(span_of(text, len), &back), 0);
		assert_true(same_sum(&s, &back));
		assert_int_equal(sum_hex(&back, copy), len);
		assert_memory_equal(text, copy, len);
		sum_release(&s);
		sum_release(&back);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(sum_from_hex(span_of(text, cut), &back), ERR_MALFORMED);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(sum_from_hex(span_str(bad[i]), &back), ERR_MALFORMED);
	memset(copy, 'f', sizeof(copy)); /* over 2^64 of the largest double, and over any room */
	for (size_t digits = 542; digits < SUM_HEX_MAX - 10; digits++) {
		char longer[SUM_HEX_MAX + 20];

		len = (size_t)snprintf(longer, sizeof(longer), "0x%.*sp-1074", (int)digits, copy);
		assert_int_equal(sum_from_hex(span_of(longer, len), &back), ERR_MALFORMED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_honest_buckets),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_bounds_are_exact),
		cmocka_unit_test(test_hexadecimal),
	};

	return cmocka_run_group_tests_name("bucket_record", tests, NULL, NULL);
}

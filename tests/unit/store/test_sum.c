/*
 * The oracle is a number in binary, one byte per digit, of the weights 2^-1074 up: long-hand
 * addition, long-hand rounding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/bucket/sum.h"
#include "tests/values.h"

#define DIGITS 2240

struct number {
	bool negative;
	uint8_t digit[DIGITS];
};

static void number_of(double v, struct number *ret)
{
	int exponent;
	uint64_t mantissa = (uint64_t)ldexp(fabs(frexp(v, &exponent)), 53);

	*ret = (struct number){ .negative = v < 0 };
	for (int i = 0; i < 53; i++)
		if (mantissa >> i & 1)
			ret->digit[exponent - 53 + 1074 + i] = 1;
}

static bool less(const struct number *a, const struct number *b)
{
	for (size_t i = DIGITS; i-- > 0;)
		if (a->digit[i] != b->digit[i])
			return a->digit[i] < b->digit[i];
	return false;
}

static void number_add(struct number *n, double v)
{
	struct number x;
	int carry = 0;

	number_of(v, &x);
	if (x.negative != n->negative && less(n, &x)) {
		struct number t = *n;
		*n = x;
		x = t;
	}
	for (size_t i = 0; i < DIGITS; i++) {
		int d = n->digit[i] + (x.negative == n->negative ? x.digit[i] : -x.digit[i]) + carry;

		n->digit[i] = (uint8_t)(d & 1);
		carry = d < 0 ? -1 : d > 1;
	}
	assert_int_equal(carry, 0);
}

static int number_top(const struct number *n)
{
	int top = DIGITS - 1;

	while (top >= 0 && !n->digit[top])
		top--;
	return top;
}

static double number_round(const struct number *n)
{
	int top = number_top(n), low = top - 52 < 0 ? 0 : top - 52;
	bool above_half = false;
	double v = 0;

	for (int i = top; i >= low; i--)
		v = v * 2 + n->digit[i];
	for (int i = 0; i < low - 1; i++)
		above_half |= n->digit[i];
	if (low > 0 && n->digit[low - 1] && (above_half || n->digit[low]))
		v += 1;
	v = ldexp(v, low - 1074);
	return n->negative ? -v : v;
}

/* The canonical bytes, as sum.h says them. */
static size_t number_encode(const struct number *n, uint8_t *ret)
{
	struct number rest = *n;
	uint8_t *p = ret;
	int from = 0, to;

	for (int terms = 0; terms <= SUM_TERMS_MAX; terms++) {
		double v = number_round(&rest);

		if (v == 0) {
			*ret = (uint8_t)terms;
			return 1 + (size_t)terms * 8;
		}
		if (isinf(v))
			break;
		put_le64(ret + 1 + terms * 8, double_bits(v));
		number_add(&rest, -v);
	}
	while (!n->digit[from])
		from++;
	from /= 64;
	to = number_top(n) / 64 + 1;
	*p++ = SUM_TERMS_MAX + 1;
	*p++ = n->negative;
	*p++ = (uint8_t)from;
	*p++ = (uint8_t)(to - from);
	for (int i = from; i < to; i++, p += 8) {
		uint64_t limb = 0;

		for (int j = 0; j < 64; j++)
			limb |= (uint64_t)n->digit[i * 64 + j] << j;
		put_le64(p, limb);
	}
	return (size_t)(p - ret);
}

static void check_equal(const struct sum *s, const struct number *n)
{
	uint8_t want[512];
	size_t len = number_encode(n, want);
	struct buf out;

	buf_init(&out, 512);
	assert_int_equal(sum_encode(s, &out), 0);
	assert_int_equal(out.len, len);
	assert_memory_equal(out.data, want, len);
	assert_true(double_bits(sum_round(s)) == double_bits(number_round(n)) || number_round(n) == 0);
	buf_release(&out);
}

static void check_round_trip(const struct sum *s)
{
	struct buf out, again;
	struct sum back = { 0 };
	struct reader r;

	buf_init(&out, 512);
	buf_init(&again, 512);
	assert_int_equal(sum_encode(s, &out), 0);
	r = reader_of(buf_span(&out));
	assert_int_equal(sum_decode(&r, &back), 0);
	assert_int_equal(reader_left(&r), 0);
	assert_int_equal(sum_encode(&back, &again), 0);
	assert_true(span_equal(buf_span(&out), buf_span(&again)));
	for (size_t cut = 0; cut < out.len; cut++) {
		struct sum none = { 0 };

		r = reader_of(span_of(out.data, cut));
		assert_int_equal(sum_decode(&r, &none), ERR_CORRUPT);
	}
	sum_release(&back);
	buf_release(&out);
	buf_release(&again);
}

static void random_sums_are_exact(void **state)
{
	uint64_t seed = 1;
	(void)state;

	for (int round = 0; round < 900; round++) {
		struct number n = { 0 };
		struct sum s = { 0 };
		enum value_kind kind = (enum value_kind)(round % VALUE_KINDS_FINITE);

		for (uint64_t i = random_below(&seed, 60); i > 0; i--) {
			bool mix = round % 4 == 3 && i % 8 == 0;
			double v = random_value(&seed, mix ? VALUE_FINITE_BITS : kind);

			assert_int_equal(sum_add(&s, v), 0);
			number_add(&n, v);
		}
		check_equal(&s, &n);
		check_round_trip(&s);
		sum_release(&s);
	}
}

static void merges_are_exact(void **state)
{
	uint64_t seed = 2;
	(void)state;

	for (int round = 0; round < 600; round++) {
		struct number n = { 0 };
		struct sum s[2] = { 0 };

		for (int part = 0; part < 2; part++) {
			bool wide = round >> part & 1;

			for (int i = 0; i < 12; i++) {
				double v = random_value(&seed, wide ? VALUE_FINITE_BITS
								    : (enum value_kind)(round % 6));

				assert_int_equal(sum_add(&s[part], v), 0);
				number_add(&n, v);
			}
		}
		assert_int_equal(sum_merge(&s[0], &s[1]), 0);
		check_equal(&s[0], &n);
		sum_release(&s[0]);
		sum_release(&s[1]);
	}
}

static void cancels_to_nothing(void **state)
{
	static const double values[] = { 1e308, 1, -1e308, 0x1p-1074, -1, 0.1, -0x1p-1074, -0.1, -0.0 };
	struct sum s = { 0 };
	double terms[SUM_TERMS_MAX];
	(void)state;

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
		assert_int_equal(sum_add(&s, values[i]), 0);
	assert_int_equal(sum_terms(&s, terms), 0);
	assert_true(double_bits(sum_round(&s)) == 0);
	sum_release(&s);
	assert_null(s.wide);
}

static void the_largest_many_times(void **state)
{
	struct number n = { 0 };
	struct sum s = { 0 };
	double terms[SUM_TERMS_MAX];
	(void)state;

	for (int i = 1; i <= 40; i++) {
		assert_int_equal(sum_add(&s, -DBL_MAX), 0);
		number_add(&n, -DBL_MAX);
		check_equal(&s, &n);
		assert_true(sum_mean(&s, (uint64_t)i) >= -DBL_MAX);
		assert_true(fabs(sum_mean(&s, (uint64_t)i) / -DBL_MAX - 1) < 1e-15);
	}
	assert_true(isinf(sum_round(&s)));
	assert_int_equal(sum_terms(&s, terms), -1);
	check_round_trip(&s);
	for (int i = 0; i < 39; i++)
		assert_int_equal(sum_add(&s, DBL_MAX), 0);
	assert_int_equal(sum_terms(&s, terms), 1);
	assert_true(terms[0] == -DBL_MAX);
	sum_release(&s);
}

/* Half a step above the largest double is where rounding becomes infinity. */
static void the_edge_of_overflow(void **state)
{
	double half = 0x1p970;
	struct sum s = { 0 };
	double terms[SUM_TERMS_MAX];
	(void)state;

	sum_add(&s, DBL_MAX);
	sum_add(&s, half);
	assert_true(isinf(sum_round(&s)));
	assert_int_equal(sum_terms(&s, terms), -1);
	sum_add(&s, -0x1p-1074);
	assert_true(sum_round(&s) == DBL_MAX);
	assert_true(sum_terms(&s, terms) > 1);
	check_round_trip(&s);
	sum_release(&s);
}

static void float32_data_needs_two_doubles(void **state)
{
	uint64_t seed = 3;
	struct sum s = { 0 };
	(void)state;

	for (int i = 0; i < 2000000; i++) {
		sum_add(&s, random_value(&seed, i % 2 ? VALUE_GRADIENT : VALUE_LOSS));
		assert_null(s.wide);
	}
}

static void mean_is_of_the_rounded_sum(void **state)
{
	struct sum s = { 0 };
	(void)state;

	for (int i = 0; i < 10; i++)
		sum_add(&s, 0.1);
	assert_true(sum_round(&s) == 1.0); /* ten times the double 0.1 is 1 + 5.6e-17 */
	assert_true(sum_mean(&s, 10) == 0.1);
	sum_add(&s, 2);
	assert_true(sum_mean(&s, 11) == 3.0 / 11);
}

static void copies_are_their_own(void **state)
{
	struct sum s = { 0 }, copy = { 0 };
	(void)state;

	sum_add(&s, 1);
	sum_add(&s, 0x1p200);
	sum_add(&s, 0x1p-200);
	assert_non_null(s.wide);
	assert_int_equal(sum_copy(&copy, &s), 0);
	sum_add(&s, 1);
	sum_add(&copy, -1);
	sum_add(&copy, -0x1p200);
	assert_true(sum_round(&copy) == 0x1p-200);
	assert_true(sum_round(&s) == 0x1p200);
	sum_release(&s);
	sum_release(&copy);
}

static void expect_corrupt(const uint8_t *data, size_t len)
{
	struct sum s = { 0 };
	struct reader r = reader_of(span_of(data, len));

	assert_int_equal(sum_decode(&r, &s), ERR_CORRUPT);
	assert_null(s.wide);
}

static size_t terms_bytes(uint8_t *p, size_t n, const double *terms)
{
	*p = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		put_le64(p + 1 + i * 8, double_bits(terms[i]));
	return 1 + n * 8;
}

static void only_canonical_bytes_decode(void **state)
{
	static const double bad[][3] = {
		{ 0 },
		{ -0.0 },
		{ INFINITY },
		{ NAN }, /* one term */
		{ 1, 1 },
		{ 1, 0 },
		{ 0x1p-60, 1 },
		{ 1 + 0x1p-52, 0x1p-53 }, /* two: not apart, a tie */
		{ 1, 0x1p-60, 0x1p-61 },
		{ 1, 0x1p-60, 0 },
		{ 1, 0x1p-200, 0x1p-100 },
	};
	static const size_t n_terms[] = { 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3 };
	uint8_t p[64];
	(void)state;

	for (size_t i = 0; i < sizeof(n_terms) / sizeof(*n_terms); i++)
		expect_corrupt(p, terms_bytes(p, n_terms[i], bad[i]));
	p[0] = SUM_TERMS_MAX + 2;
	expect_corrupt(p, sizeof(p));
}

static void only_canonical_limbs_decode(void **state)
{
	/* sign, lowest, number, first byte of the lowest limb, of the highest */
	static const uint8_t bad[][5] = {
		{ 0, 0, 1, 1, 1 },  /* 2^-1074 is one double */
		{ 0, 0, 0, 0, 0 },  /* no limbs */
		{ 2, 32, 2, 1, 1 }, /* no such sign */
		{ 0, 32, 2, 0, 1 }, /* zero limb at the low end */
		{ 0, 32, 2, 1, 0 }, /* at the high end */
		{ 0, 33, 2, 1, 1 }, /* beyond the last limb */
		{ 0, 0, 35, 1, 1 },
	};
	uint8_t p[4 + 40 * 8];
	struct sum s = { 0 };
	struct reader r;
	(void)state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		memset(p, 0, sizeof(p));
		p[0] = SUM_TERMS_MAX + 1;
		memcpy(p + 1, bad[i], 3);
		p[4] = bad[i][3];
		if (bad[i][2])
			p[4 + (bad[i][2] - 1) * 8] = bad[i][4];
		expect_corrupt(p, sizeof(p));
	}
	memcpy(p, (uint8_t[]){ SUM_TERMS_MAX + 1, 1, 33, 1, 1, 0, 0, 0, 0, 0, 0, 0 }, 12);
	r = reader_of(span_of(p, 12)); /* -2^2112: the same shape, and a sum */
	assert_int_equal(sum_decode(&r, &s), 0);
	assert_true(sum_mean(&s, UINT64_C(1) << 60) == -0x1p978);
	sum_release(&s);
	p[11] = 0x80; /* more than 2^64 of the largest double */
	expect_corrupt(p, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_sums_are_exact),
		cmocka_unit_test(merges_are_exact),
		cmocka_unit_test(cancels_to_nothing),
		cmocka_unit_test(the_largest_many_times),
		cmocka_unit_test(the_edge_of_overflow),
		cmocka_unit_test(float32_data_needs_two_doubles),
		cmocka_unit_test(mean_is_of_the_rounded_sum),
		cmocka_unit_test(copies_are_their_own),
		cmocka_unit_test(only_canonical_bytes_decode),
		cmocka_unit_test(only_canonical_limbs_decode),
	};
	return cmocka_run_group_tests_name("sum", tests, NULL, NULL);
}

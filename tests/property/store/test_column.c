/*
 * Columns and scales: whatever the numbers, they come back bit for bit, in no more than 16 bytes above
 * their own; and what is regular takes next to nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/base/compress.h"
#include "store/part/scale.h"
#include "tests/values.h"

static const size_t lengths[] = { 0, 1, 2, 3, 31, 32, 33, 127, 128, 129, 257, 1000, 1024, 1025, 4095, 4096 };
#define LENGTHS (sizeof(lengths) / sizeof(*lengths))

static uint64_t seed = 4711;

static void open_out(struct column_out *o)
{
	buf_init(&o->dense, 1 << 20);
	buf_init(&o->loose, 1 << 20);
}

static void release_out(struct column_out *o)
{
	buf_release(&o->dense);
	buf_release(&o->loose);
}

static struct column_in in_of(const struct column_out *o)
{
	return (struct column_in){ reader_of(buf_span(&o->dense)), reader_of(buf_span(&o->loose)) };
}

static bool read_whole(const struct column_in *in)
{
	return !in->dense.bad && !in->loose.bad && reader_left(&in->dense) == 0 &&
	       reader_left(&in->loose) == 0;
}

/* As a block has it: the loose stream is compressed where that pays. */
static size_t stored_len(const struct column_out *o)
{
	struct buf packed;
	size_t len = o->loose.len;

	buf_init(&packed, 1 << 20);
	assert_int_equal(compress_block(buf_span(&o->loose), 3, &packed), 0);
	if (packed.len < len)
		len = packed.len;
	buf_release(&packed);
	return o->dense.len + len;
}

/* ---- integers ---- */

enum family { ANY, SMALL, RISING, LINE, SQUARES, SAME, TIMES, SPIKES, RUNS, EXTREMES, HALVES, FEW, FAMILIES };

static int64_t integer(enum family f, size_t i, int64_t before)
{
	int64_t k = (int64_t)i;

	switch (f) {
	case ANY:
		return (int64_t)random_bits(&seed);
	case SMALL:
		return (int64_t)random_below(&seed, 200) - 100;
	case RISING:
		return before + (int64_t)random_below(&seed, 50);
	case LINE:
		return 1700000000 + 30 * k;
	case SQUARES:
		return k * k - 7 * k;
	case SAME:
		return -77;
	case TIMES:
		return (INT64_C(1700000000000) + 30000 * k + (int64_t)random_below(&seed, 9)) * 1000000;
	case SPIKES:
		return random_below(&seed, 100) ? k : (int64_t)random_bits(&seed);
	case RUNS:
		return k / 500;
	case FEW: /* come back, in no order, from all over */
		return (int64_t)((1 + random_below(&seed, 150)) * UINT64_C(0x9e3779b97f4a7c15));
	case HALVES: /* nothing says in the middle what the end will be */
		return k < 2000   ? 7
		       : k < 3000 ? before + (int64_t)random_below(&seed, 9)
				  : (int64_t)random_bits(&seed);
	default:
		return (int64_t[]){ INT64_MIN, INT64_MAX, 0, -1, INT64_MIN + 1 }[random_below(&seed, 5)];
	}
}

static void fill(int64_t *v, size_t n, enum family f)
{
	for (size_t i = 0; i < n; i++)
		v[i] = integer(f, i, i ? v[i - 1] : 0);
}

static size_t check_integers(const int64_t *v, size_t n, const int64_t *const *refs, size_t n_refs)
{
	struct column_out o;
	struct column_in in;
	int64_t got[COLUMN_MAX];
	size_t len;

	open_out(&o);
	assert_int_equal(column_put(&o, v, n, refs, n_refs), 0);
	assert_true(o.dense.len + o.loose.len <= 8 * n + 16);
	len = stored_len(&o);
	in = in_of(&o);
	assert_int_equal(column_skip(&in, n), 0);
	assert_true(read_whole(&in));
	in = in_of(&o);
	assert_int_equal(column_get(&in, got, n, refs, n_refs), 0);
	assert_true(read_whole(&in));
	assert_true(n == 0 || memcmp(got, v, n * sizeof(*v)) == 0);
	release_out(&o);
	return len;
}

static void test_integers(void **state)
{
	int64_t v[COLUMN_MAX], ref[3][COLUMN_MAX];
	const int64_t *refs[3] = { ref[0], ref[1], ref[2] };

	(void)state;
	for (int f = 0; f < FAMILIES; f++)
		for (size_t l = 0; l < LENGTHS; l++) {
			size_t n = lengths[l];

			fill(v, n, (enum family)f);
			check_integers(v, n, NULL, 0);
			fill(ref[0], n, (enum family)random_below(&seed, FAMILIES));
			fill(ref[1], n, ANY);
			for (size_t i = 0; i < n; i++)
				ref[2][i] = (int64_t)((uint64_t)v[i] - random_below(&seed, 4) * 1000);
			check_integers(v, n, refs, 1 + random_below(&seed, 3));
		}
}

/* Long columns are judged by some of their numbers: one number wherever it is, that is not like all others,
 * is no less kept, alone and beside a reference. */
static void test_one_that_is_odd(void **state)
{
	static const enum family families[] = { SAME, LINE, SQUARES, SMALL, TIMES };
	static const int64_t odd[] = { 1, 500, 1000001, INT64_MAX, INT64_MIN };
	int64_t v[COLUMN_MAX], ref[COLUMN_MAX];
	const int64_t *refs[1] = { ref };

	(void)state;
	for (size_t at = 0; at < 4096; at += 1 + random_below(&seed, 60))
		for (size_t f = 0; f < 5; f++) {
			fill(v, 4096, families[f]);
			memcpy(ref, v, sizeof(v));
			v[at] = (int64_t)((uint64_t)v[at] + (uint64_t)odd[random_below(&seed, 5)]);
			check_integers(v, 4096, NULL, 0);
			assert_true(check_integers(v, 4096, refs, 1) < 400);
		}
}

static void test_regular_integers_are_small(void **state)
{
	int64_t v[COLUMN_MAX], ref[COLUMN_MAX];
	const int64_t *refs[1] = { ref };

	(void)state;
	fill(v, 4096, SAME);
	assert_true(check_integers(v, 4096, NULL, 0) <= 3);
	fill(v, 4096, LINE);
	assert_true(check_integers(v, 4096, NULL, 0) <= 8);
	fill(v, 4096, SQUARES);
	assert_true(check_integers(v, 4096, NULL, 0) <= 8);
	fill(v, 4096, TIMES);
	assert_true(check_integers(v, 4096, NULL, 0) < 4096 * 5 / 8 + 200); /* 5 bits of jitter */
	fill(ref, 4096, ANY);
	for (size_t i = 0; i < 4096; i++)
		v[i] = (int64_t)((uint64_t)ref[i] + 5);
	assert_true(check_integers(v, 4096, refs, 1) <= 3);
}

/* What comes back is kept once, wherever it lies and whatever of it comes back. */
static void test_few_numbers_are_small(void **state)
{
	int64_t v[COLUMN_MAX], few[COLUMN_MAX / 2];
	static const size_t counts[] = { 2, 3, 200, 255, 256, 257, 1000 };

	(void)state;
	for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
		for (size_t i = 0; i < counts[c]; i++)
			few[i] = (int64_t)random_bits(&seed);
		few[0] = INT64_MIN;
		few[1] = INT64_MAX;
		for (size_t i = 0; i < 4096; i++)
			v[i] = few[random_below(&seed, counts[c])];
		assert_true(check_integers(v, 4096, NULL, 0) <
			    9 * counts[c] + 4096 * (counts[c] > 256 ? 10 : 8) / 7);
	}
}

/* A column in bytes, as anybody may have written it; its dense stream is empty. */
static int read_loose(const uint8_t *bytes, size_t len, size_t n)
{
	struct column_in in = { reader_of(span_of(NULL, 0)), reader_of(span_of(bytes, len)) };
	struct column_in skipped = in;
	int64_t got[COLUMN_MAX];
	int err = column_get(&in, got, n, NULL, 0);

	if (err == 0)
		assert_int_equal(column_skip(&skipped, n), 0);
	return err;
}

static void test_tables_that_nobody_made(void **state)
{
	/* head 3 << 2; how many; 5 and more by 1 each: order 1, same; places: all are the same */
	static const uint8_t right[] = { 12, 3, 4, 10, 2, 0, 4 };
	static const struct {
		size_t at;
		uint8_t byte;
	} wrong[] = {
		{ 0, 13 }, { 0, 12 | 16 }, { 0, 12 | 64 }, /* a packing, a reference, a unit */
		{ 1, 0 },  { 1, 5 },                       /* none; more than half of eight */
		{ 2, 12 }, { 5, 12 },                      /* a table in a table */
		{ 6, 6 },  { 6, 3 },                       /* places behind the last and before the first */
	};
	uint8_t bytes[sizeof(right)];

	(void)state;
	assert_int_equal(read_loose(right, sizeof(right), 8), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		memcpy(bytes, right, sizeof(right));
		bytes[wrong[i].at] = wrong[i].byte;
		assert_int_equal(read_loose(bytes, sizeof(bytes), 8), ERR_CORRUPT);
	}
	for (size_t len = 0; len < sizeof(right); len++)
		assert_int_equal(read_loose(right, len, 8), ERR_CORRUPT);
}

/* ---- doubles ---- */

static size_t check_numbers(struct scale s, const double *v, size_t n)
{
	struct column_out o;
	struct column_in in;
	struct scale got_scale;
	int64_t m[COLUMN_MAX], got_m[COLUMN_MAX];
	double got[COLUMN_MAX];
	size_t len;

	open_out(&o);
	assert_int_equal(scale_put(&o, s), 0);
	assert_int_equal(numbers_put(&o, s, v, n, NULL, 0, m), 0);
	len = stored_len(&o);
	in = in_of(&o);
	assert_int_equal(scale_get(&in, &got_scale), 0);
	assert_int_equal(numbers_skip(&in, n), 0);
	assert_true(read_whole(&in));
	in = in_of(&o);
	assert_int_equal(scale_get(&in, &got_scale), 0);
	assert_int_equal(numbers_get(&in, got_scale, got, n, NULL, 0, got_m), 0);
	assert_true(read_whole(&in));
	assert_true(n == 0 || memcmp(got, v, n * sizeof(*v)) == 0);
	assert_true(n == 0 || memcmp(got_m, m, n * sizeof(*m)) == 0);
	release_out(&o);
	return len;
}

static void test_doubles(void **state)
{
	static const struct scale scales[] = { { SCALE_DECIMAL, 0 },    { SCALE_DECIMAL, 14 },
					       { SCALE_BINARY, -1074 }, { SCALE_BINARY, 971 },
					       { SCALE_BINARY, -23 },   { SCALE_FLOAT, 0 },
					       { SCALE_DOUBLE, 0 },     { SCALE_FRACTION, 2 },
					       { SCALE_PRINTED, 7 },    { SCALE_PRINTED, 86400 } };
	double v[COLUMN_MAX];

	(void)state;
	for (int kind = 0; kind < VALUE_KINDS; kind++)
		for (size_t l = 0; l < LENGTHS; l++) {
			size_t n = lengths[l];

			for (size_t i = 0; i < n; i++)
				v[i] = random_value(&seed, (enum value_kind)kind);
			assert_true(check_numbers(scale_choose(v, n), v, n) <= 8 * n + 16);
			for (size_t s = 0; s < sizeof(scales) / sizeof(*scales); s++)
				check_numbers(scales[s], v, n);
		}
}

/* What one scale says best: float32 on a line are integers at equal distances, those of any size are not. */
static void fill_floats(double *v, size_t n, bool line)
{
	for (size_t i = 0; i < n; i++)
		v[i] = line ? (float)(0.5 + (double)i * (0x1p-10 + 0x1p-22))
			    : (float)ldexp(1 + (double)random_below(&seed, 1 << 23) * 0x1p-23,
					   -(int)random_below(&seed, 6));
}

/* Columns one after another, whose kinds change now and then: what served before is never much worse than
 * what would be chosen afresh. */
static void test_choosing_by_habit(void **state)
{
	struct scale_habit habit = { .left = 0 };
	size_t by_habit = 0, afresh = 0;
	double v[COLUMN_MAX];
	bool line = false;

	(void)state;
	for (int round = 0; round < 300; round++) {
		size_t n = 200 + random_below(&seed, 2000);

		line ^= random_below(&seed, 8) == 0;
		fill_floats(v, n, line);
		afresh += check_numbers(scale_choose(v, n), v, n);
		by_habit += check_numbers(scale_choose_alike(v, n, &habit), v, n);
	}
	assert_true(by_habit < afresh + afresh / 50);
}

/* Kinds mixed: a series that turns to NaN, decimals with a few odd ones among them. */
static void test_mixtures(void **state)
{
	double v[COLUMN_MAX];

	(void)state;
	for (int round = 0; round < 60; round++) {
		size_t n = lengths[random_below(&seed, LENGTHS)], odd = 2 + random_below(&seed, 40);
		enum value_kind other = (enum value_kind)random_below(&seed, VALUE_KINDS);

		for (size_t i = 0; i < n; i++)
			v[i] = random_below(&seed, odd) ? (double)random_below(&seed, 100000) / 1000
							: random_value(&seed, other);
		assert_true(check_numbers(scale_choose(v, n), v, n) <= 8 * n + 16);
	}
}

static double moved(double v, int64_t by) { return bits_double(double_bits(v) + (uint64_t)by); }

/* What arithmetic leaves: decimals and fractions that are a few doubles off, up to where they become
 * exceptions. */
static void test_numbers_beside(void **state)
{
	static const struct scale scales[] = { { SCALE_DECIMAL, 3 },      { SCALE_FRACTION, 60 },
					       { SCALE_FRACTION, 2 },     { SCALE_BINARY, -20 },
					       { SCALE_FRACTION, 86400 }, { SCALE_PRINTED, 60 },
					       { SCALE_PRINTED, 86400 } };
	double v[COLUMN_MAX];

	(void)state;
	for (size_t l = 0; l < LENGTHS; l++)
		for (uint64_t most = 1; most < 300; most *= 4) {
			size_t n = lengths[l];

			for (size_t i = 0; i < n; i++) {
				v[i] = (double)(random_below(&seed, 2000000) - 1000000.0) /
				       (most % 3 ? 1000 : 60);
				v[i] = moved(v[i], (int64_t)random_below(&seed, 2 * most) - (int64_t)most);
			}
			assert_true(check_numbers(scale_choose(v, n), v, n) <= 8 * n + 16);
			for (size_t s = 0; s < sizeof(scales) / sizeof(*scales); s++)
				check_numbers(scales[s], v, n);
		}
}

static void test_numbers_beside_are_small(void **state)
{
	double v[COLUMN_MAX];

	(void)state;
	for (size_t i = 0; i < 4096; i++) /* 10 random bits, and 2 for where it lies */
		v[i] = moved((double)(10000 + random_below(&seed, 1000)) / 1000,
			     (int64_t)random_below(&seed, 3) - 1);
	assert_int_equal(scale_choose(v, 4096).kind, SCALE_DECIMAL);
	assert_true(check_numbers(scale_choose(v, 4096), v, 4096) < 4096 * 14 / 8);
	for (size_t i = 0; i < 4096; i++)
		v[i] = moved((double)(1000000 + random_below(&seed, 4096)) / 60, i % 2);
	assert_int_equal(scale_choose(v, 4096).kind, SCALE_FRACTION);
	assert_int_equal(scale_choose(v, 4096).of, 60);
	assert_true(check_numbers(scale_choose(v, 4096), v, 4096) < 4096 * 14 / 8);
}

/* Through text of 15 digits, which the C library rounds. */
static double through_text(double v)
{
	char text[32];

	snprintf(text, sizeof(text), "%.15g", v);
	return strtod(text, NULL);
}

/* Of either sign, of every size that a denominator allows: what was printed is what the scale says. */
static void test_printed_numbers(void **state)
{
	static const int denominators[] = { 3, 7, 60, 3600, 86400, 86399 };
	double v[COLUMN_MAX];

	(void)state;
	for (size_t d = 0; d < sizeof(denominators) / sizeof(*denominators); d++)
		for (unsigned bits = 1; bits <= 53; bits++) {
			struct scale s = { SCALE_PRINTED, denominators[d] };
			uint64_t most = UINT64_C(1) << (bits < 12 ? bits : 12), from = UINT64_C(1) << bits;

			for (size_t i = 0; i < 1000; i++) {
				double m = (double)(from - random_below(&seed, most));

				v[i] = through_text((i % 2 ? m : -m) / denominators[d]);
			}
			/* the sign takes as many bits as the number */
			if (v[0] > -1e15)
				assert_true(check_numbers(s, v, 1000) < 1000 * (bits + 3) / 8 + 40);
			else
				check_numbers(s, v, 1000);
		}
}

/* A series that begins with nothing but zeros is not judged by them. */
static void test_late_numbers_are_small(void **state)
{
	double v[COLUMN_MAX];

	(void)state;
	for (size_t i = 0; i < 4096; i++)
		v[i] = i < 1500 ? 0 : through_text((double)(1000000 + random_below(&seed, 4096)) / 60);
	assert_int_equal(scale_choose(v, 4096).kind, SCALE_PRINTED);
	assert_int_equal(scale_choose(v, 4096).of, 60);
	assert_true(check_numbers(scale_choose(v, 4096), v, 4096) < 2596 * 13 / 8 + 400);
	for (size_t i = 1600; i < 4096; i += 448) /* and not by a few others */
		v[i] = (double)(1 + random_below(&seed, 86398)) / 86399;
	assert_int_equal(scale_choose(v, 4096).of, 60);
}

static void test_plain_kinds_are_small(void **state)
{
	double v[COLUMN_MAX];

	(void)state;
	for (size_t i = 0; i < 4096; i++)
		v[i] = (double)(10000 + random_below(&seed, 1000)) / 1000;
	assert_int_equal(scale_choose(v, 4096).kind, SCALE_DECIMAL);
	assert_true(check_numbers(scale_choose(v, 4096), v, 4096) < 4096 * 11 / 8);
	for (size_t i = 0; i < 4096; i++)
		v[i] = (float)(2 + (double)random_below(&seed, 1 << 20) * 0x1p-22);
	assert_true(check_numbers(scale_choose(v, 4096), v, 4096) < 4096 * 21 / 8);
	for (size_t i = 0; i < 4096; i++)
		v[i] = i < 100 ? 0.5 : 0.0 / 0.0;
	assert_true(check_numbers(scale_choose(v, 4096), v, 4096) < 700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_one_that_is_odd),
		cmocka_unit_test(test_regular_integers_are_small),
		cmocka_unit_test(test_few_numbers_are_small),
		cmocka_unit_test(test_tables_that_nobody_made),
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_choosing_by_habit),
		cmocka_unit_test(test_mixtures),
		cmocka_unit_test(test_numbers_beside),
		cmocka_unit_test(test_numbers_beside_are_small),
		cmocka_unit_test(test_printed_numbers),
		cmocka_unit_test(test_late_numbers_are_small),
		cmocka_unit_test(test_plain_kinds_are_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

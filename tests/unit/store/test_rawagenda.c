/*
 * Which raw parts are merged: days that are over become one part each, a day that goes on stays few parts and
 * is not written over and over again, and nothing is kept much longer than it should be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/base/clock.h"
#include "store/raw/rawagenda.h"

#define WEEK  (7 * NS_PER_DAY)
#define HOUR  (3600 * NS_PER_S)
#define START (INT64_C(19000) * NS_PER_DAY)

static struct raw_piece pieces[10000];
static size_t n_pieces;
static uint64_t written;

static void add(int64_t arrived_ns, uint64_t bytes)
{
	pieces[n_pieces++] = (struct raw_piece){ arrived_ns, bytes };
	written += bytes;
}

/* Until nothing is due. */
static void merge_all(int64_t keep_ns, int64_t now_ns)
{
	size_t from, n;

	while (raw_due(pieces, n_pieces, keep_ns, now_ns, &from, &n)) {
		struct raw_piece one = { 0, 0 };

		assert_true(n >= 2 && n <= RAW_MERGE_MOST && from + n <= n_pieces);
		for (size_t i = 0; i < n; i++) {
			one.bytes += pieces[from + i].bytes;
			one.arrived_ns = pieces[from + i].arrived_ns;
		}
		assert_true(one.bytes <= RAW_MERGE_BYTES);
		pieces[from] = one;
		memmove(pieces + from + 1, pieces + from + n, (n_pieces - from - n) * sizeof(*pieces));
		n_pieces -= n - 1;
		written += one.bytes;
	}
}

static void test_days(void **state)
{
	size_t most = 0;

	(void)state;
	n_pieces = 0;
	written = 0;
	for (int64_t t = START; t < START + 3 * NS_PER_DAY; t += 600 * NS_PER_S) {
		add(t, 1000);
		merge_all(WEEK, t);
		most = n_pieces > most ? n_pieces : most;
	}
	assert_true(most <= 2 + 3 * (RAW_MERGE_LEAST - 1));
	assert_true(written <= UINT64_C(432) * 1000 * 5); /* each byte five times at most */
	merge_all(WEEK, START + 3 * NS_PER_DAY);
	assert_int_equal(n_pieces, 3);
	for (size_t i = 0; i < n_pieces; i++)
		assert_int_equal(pieces[i].bytes, 144 * 1000);
}

static void test_hours_when_kept_for_hours(void **state)
{
	size_t from, n;

	(void)state;
	n_pieces = 0;
	for (int64_t t = START; t < START + 5 * HOUR; t += 600 * NS_PER_S)
		add(t, 1000);
	assert_false(raw_due(pieces, n_pieces, HOUR - 1, START + NS_PER_DAY, &from, &n));
	merge_all(3 * HOUR, START + 5 * HOUR);
	assert_int_equal(n_pieces, 5);
}

/* Large ones stay by themselves. */
static void test_large(void **state)
{
	(void)state;
	n_pieces = 0;
	for (int i = 0; i < 10; i++)
		add(START + i, RAW_MERGE_BYTES / 3);
	add(START + 10, RAW_MERGE_BYTES * 2);
	add(START + 11, 5);
	add(START + 12, 5);
	merge_all(WEEK, START + 2 * NS_PER_DAY);
	assert_int_equal(n_pieces, 4 + 1 + 1);
}

static void test_nothing(void **state)
{
	size_t from, n;

	(void)state;
	n_pieces = 0;
	assert_false(raw_due(pieces, 0, WEEK, START, &from, &n));
	add(START, 7);
	assert_false(raw_due(pieces, 1, WEEK, START + WEEK, &from, &n));
	for (int i = 0; i < 6; i++)
		add(START, 7);
	assert_false(raw_due(pieces, 7, WEEK, START, &from, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_hours_when_kept_for_hours),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

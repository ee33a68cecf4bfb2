/* Once and only once, as a pure function: against a plain set of applied sequences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/registry/producer.h"

static void apply(struct producer *p, uint64_t sequence)
{
	struct producer_request rq = { .sequence = sequence,
				       .hash = sequence * 7,
				       .first_seq = sequence + 100 };

	producer_apply(p, &rq);
}

static void test_in_order(void **state)
{
	struct producer p = { 0 };

	(void)state;
	for (uint64_t s = 1; s <= 1000; s++) {
		assert_int_equal(producer_decide(&p, s, s * 7), PRODUCER_NEW);
		apply(&p, s);
		assert_int_equal(producer_decide(&p, s, s * 7), PRODUCER_DUPLICATE);
		assert_int_equal(producer_decide(&p, s, 1), PRODUCER_CONFLICT);
		assert_int_equal(p.contig, s);
	}
	assert_int_equal(producer_recall(&p, 1000)->first_seq, 1100);
	assert_int_equal(producer_recall(&p, 937)->first_seq, 1037);
	assert_null(producer_recall(&p, 936));
	assert_int_equal(producer_decide(&p, 5, 1), PRODUCER_DUPLICATE);
}

static void test_window(void **state)
{
	struct producer p = { 0 };

	(void)state;
	assert_int_equal(producer_decide(&p, 64, 0), PRODUCER_NEW);
	assert_int_equal(producer_decide(&p, 65, 0), PRODUCER_AHEAD);
	assert_int_equal(producer_decide(&p, UINT64_MAX, 0), PRODUCER_AHEAD);
	apply(&p, 64);
	assert_int_equal(p.contig, 0);
	assert_int_equal(producer_decide(&p, 64, 64 * 7), PRODUCER_DUPLICATE);
	assert_int_equal(producer_decide(&p, 63, 0), PRODUCER_NEW);
	for (uint64_t s = 1; s < 64; s++)
		apply(&p, s);
	assert_int_equal(p.contig, 64);
	assert_int_equal(p.ahead, 0);
	assert_int_equal(producer_decide(&p, 128, 0), PRODUCER_NEW);
}

static void test_random_order_against_a_set(void **state)
{
	enum { N = 1500 };
	bool *applied = calloc(N + 200, 1);
	struct producer p = { 0 };

	(void)state;
	srand(4);
	for (int i = 0; i < 1000000 && p.contig < N; i++) {
		uint64_t s =
		    1 + p.contig + (uint64_t)(rand() % 90) - (p.contig > 20 ? (uint64_t)(rand() % 20) : 0);
		bool ahead = s > p.contig + PRODUCER_WINDOW;
		enum producer_verdict v = producer_decide(&p, s, s * 7);

		assert_int_equal(v, applied[s] ? PRODUCER_DUPLICATE : ahead ? PRODUCER_AHEAD : PRODUCER_NEW);
		if (v == PRODUCER_NEW) {
			apply(&p, s);
			applied[s] = true;
		}
		for (uint64_t k = 1; k <= p.contig; k++)
			if (!applied[k])
				fail_msg("contig %d covers %d", (int)p.contig, (int)k);
		if (applied[p.contig + 1])
			fail_msg("contig %d is short", (int)p.contig);
	}
	assert_true(p.contig >= N);
	free(applied);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_random_order_against_a_set),
	};

	return cmocka_run_group_tests_name("producer", tests, NULL, NULL);
}

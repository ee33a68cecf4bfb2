#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "query/steps.h"

#define STEPS_MAX 64

/* Step by step: hidden when each of its steps lies within a window behind a later step back. */
static void long_hand(struct step_window *w, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool later[STEPS_MAX] = { false }, resumed = false;
		int64_t reached = INT64_MIN;

		for (size_t j = 0; j < n; j++) {
			bool back = j > 0 && w[j].least < reached;

			resumed |= back && j > i;
			reached = back || w[j].greatest > reached ? w[j].greatest : reached;
			for (int64_t s = w[j].least; resumed && s <= w[j].greatest; s++)
				later[s] = true;
		}
		w[i].hidden = true;
		for (int64_t s = w[i].least; s <= w[i].greatest; s++)
			w[i].hidden = w[i].hidden && later[s];
	}
}

static void as_step_by_step(void **state)
{
	(void)state;
	srand(3);
	for (int round = 0; round < 20000; round++) {
		size_t n = 1 + (size_t)rand() % 30;
		struct step_window w[30], want[30];
		int64_t step = 0;

		for (size_t i = 0; i < n; i++) {
			int64_t width = rand() % 5;

			if (rand() % 6 == 0)
				step = rand() % (step + 1);
			if (step + width + 3 >= STEPS_MAX)
				step = 0;
			w[i] = (struct step_window){ (int64_t)i, step, step + width, rand() % 2 };
			step += width + rand() % 3;
		}
		memcpy(want, w, sizeof want);
		long_hand(want, n);
		assert_int_equal(steps_hide(w, n), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(w[i].hidden, want[i].hidden);
	}
}

static void at_the_ends(void **state)
{
	struct step_window w[] = {
		{ 0, INT64_MAX, INT64_MAX, false },
		{ 1, INT64_MIN + 1, INT64_MIN + 1, false },
		{ 2, INT64_MIN + 1, INT64_MAX, false },
		{ 3, 0, 0, false },
		{ 4, -1, 5, false },
	};
	(void)state;

	assert_int_equal(steps_hide(w, 0), 0);
	assert_int_equal(steps_hide(w, 5), 0);
	assert_false(w[0].hidden || w[1].hidden || w[2].hidden || w[4].hidden);
	assert_true(w[3].hidden);
}

static void ranges_are_found(void **state)
{
	struct hidden_range list[] = { { 1, 10, 20 }, { 1, 30, 31 }, { 4, 10, 11 } };
	const struct hidden h = { list, 3, 3 }, none = { 0 };
	(void)state;

	assert_true(hidden_has(&h, 1, 10) && hidden_has(&h, 1, 19) && hidden_has(&h, 1, 30) &&
		    hidden_has(&h, 4, 10));
	assert_false(hidden_has(&h, 1, 9) || hidden_has(&h, 1, 20) || hidden_has(&h, 1, 31) ||
		     hidden_has(&h, 2, 15));
	assert_false(hidden_has(&h, 0, 15) || hidden_has(&h, 4, 9) || hidden_has(&h, 5, 10) ||
		     hidden_has(&none, 0, 0));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_step_by_step),
		cmocka_unit_test(at_the_ends),
		cmocka_unit_test(ranges_are_found),
	};

	return cmocka_run_group_tests_name("query/steps", tests, NULL, NULL);
}

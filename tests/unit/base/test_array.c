#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>
#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/err.h"

/* Sanitizers end the process where malloc would return NULL, unless they are told this. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }

struct list {
	uint64_t *all;
	size_t n, cap;
};

static void keeps_what_it_has_while_it_grows(void **state)
{
	struct list l = { 0 };
	size_t moves = 0;
	(void)state;

	for (uint64_t i = 0; i < 100000; i++) {
		size_t cap = l.cap;

		assert_int_equal(array_grow(l.all, l.n, l.cap), 0);
		assert_true(l.n < l.cap);
		moves += l.cap != cap;
		l.all[l.n++] = i * i;
	}
	for (uint64_t i = 0; i < l.n; i++)
		assert_int_equal(l.all[i], i * i);
	assert_true(moves < 20);
	free(l.all);
}

static void room_that_is_there_is_left_alone(void **state)
{
	uint64_t two[2];
	struct list l = { two, 1, 2 };
	(void)state;

	assert_int_equal(array_grow(l.all, l.n, l.cap), 0);
	assert_ptr_equal(l.all, two);
	assert_int_equal(l.cap, 2);
}

static void without_memory_it_is_as_it_was(void **state)
{
	uint64_t *all = malloc(sizeof(*all)), *before = all;
	size_t huge = SIZE_MAX / 8;
	(void)state;

	assert_non_null(all);
	*all = 7;
	assert_int_equal(array_grow(all, huge, huge), ERR_NOMEM);
	assert_ptr_equal(all, before);
	assert_int_equal(huge, SIZE_MAX / 8);
	assert_int_equal(*all, 7);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_what_it_has_while_it_grows),
		cmocka_unit_test(room_that_is_there_is_left_alone),
		cmocka_unit_test(without_memory_it_is_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>
#include <string.h>

#include "store/base/arena.h"

static void memory_is_aligned_and_its_own(void **state)
{
	struct arena a;
	uint8_t *p[300];
	(void)state;

	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < 300; i++) {
		p[i] = arena_alloc(&a, i * 3);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 16, 0);
		memset(p[i], (int)i, i * 3);
	}
	for (size_t i = 0; i < 300; i++)
		for (size_t j = 0; j < i * 3; j++)
			assert_int_equal(p[i][j], (uint8_t)i);
	assert_true(a.used <= a.cap);
	arena_release(&a);
	assert_int_equal(a.used, 0);
}

static void holds_no_more_than_its_cap(void **state)
{
	struct arena a;
	size_t n = 0;
	(void)state;

	arena_init(&a, 300000);
	while (n < 1000 && arena_alloc(&a, 1000))
		n++;
	assert_in_range(n, 280, 300); /* 1008 each */
	assert_true(a.used <= 300000);
	assert_null(arena_alloc(&a, 1000));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 8));
	arena_release(&a);
	assert_non_null(arena_alloc(&a, 299000)); /* the cap stays, all of it is free again */
	assert_null(arena_alloc(&a, 2000));
	arena_release(&a);
}

static void reset_gives_all_back(void **state)
{
	struct arena a;
	(void)state;

	arena_init(&a, 200000);
	for (int request = 0; request < 100; request++) {
		for (int i = 0; i < 20; i++)
			assert_non_null(arena_alloc(&a, 6000));
		arena_reset(&a);
	}
	arena_release(&a);
	arena_reset(&a);
	assert_null(a.chunks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_aligned_and_its_own),
		cmocka_unit_test(holds_no_more_than_its_cap),
		cmocka_unit_test(reset_gives_all_back),
	};
	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}

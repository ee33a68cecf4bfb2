#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/base/buf.h"

static void grows_to_its_maximum_and_no_further(void **state)
{
	struct buf b;
	(void)state;

	buf_init(&b, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_addch(&b, (char)i), 0);
	assert_int_equal(buf_addch(&b, 'x'), ERR_FULL);
	assert_int_equal(b.len, 1000);
	assert_true(b.cap <= 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(b.data[i], (uint8_t)i);
	buf_release(&b);
	assert_null(b.data);
	assert_int_equal(b.max, 1000);
	assert_int_equal(buf_addstr(&b, "again"), 0);
	buf_release(&b);
}

static void failing_leaves_it_as_it_was(void **state)
{
	struct buf b;
	(void)state;

	buf_init(&b, 8);
	assert_int_equal(buf_addstr(&b, "seven.."), 0);
	assert_int_equal(buf_add(&b, "two", 2), ERR_FULL);
	assert_int_equal(buf_addf(&b, "%d", 12), ERR_FULL);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_FULL);
	assert_true(span_is(buf_span(&b), "seven.."));
	assert_string_equal(buf_cstr(&b), "seven..");
	assert_int_equal(buf_addch(&b, '.'), 0);
	assert_null(buf_cstr(&b)); /* no room for the NUL */
	assert_int_equal(b.len, 8);
	buf_release(&b);
}

static void a_zeroed_one_holds_nothing(void **state)
{
	struct buf b = { 0 };
	(void)state;

	assert_int_equal(buf_add(&b, NULL, 0), 0);
	assert_int_equal(buf_addch(&b, 'x'), ERR_FULL);
	buf_consume(&b, 0);
	buf_release(&b);
}

static void formats_and_consumes(void **state)
{
	struct buf b;
	(void)state;

	buf_init(&b, 100000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_addf(&b, "%d;", i), 0);
	buf_consume(&b, strlen("0;1;2;"));
	assert_true(span_equal(span_of(b.data, 4), span_str("3;4;")));
	buf_consume(&b, b.len);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_addf(&b, "%s%c", "text", '!'), 0);
	assert_string_equal(buf_cstr(&b), "text!");
	buf_clear(&b);
	assert_string_equal(buf_cstr(&b), "");
	buf_release(&b);
}

static void spans(void **state)
{
	(void)state;
	assert_true(span_equal(span_of(NULL, 0), span_of("x", 0)));
	assert_true(span_equal(span_of("a\0b", 3), span_of("a\0b", 3)));
	assert_false(span_equal(span_of("a\0b", 3), span_of("a\0c", 3)));
	assert_false(span_is(span_str("ab"), "abc"));
	assert_true(span_is(span_str("abc"), "abc"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_to_its_maximum_and_no_further),
		cmocka_unit_test(failing_leaves_it_as_it_was),
		cmocka_unit_test(a_zeroed_one_holds_nothing),
		cmocka_unit_test(formats_and_consumes),
		cmocka_unit_test(spans),
	};
	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}

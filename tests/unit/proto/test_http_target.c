/* Escapes and parameters of request targets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/http.h"

static void unescape(void **state)
{
	static const struct {
		const char *in;
		bool plus;
		const char *out; /* NULL: refused */
	} table[] = {
		{ "", false, "" },
		{ "abc", false, "abc" },
		{ "a+b", false, "a+b" },
		{ "a+b", true, "a b" },
		{ "%2B", true, "+" },
		{ "%41%62%7e", false, "Ab~" },
		{ "%c3%A9", false, "\xc3\xa9" },
		{ "%25 41", false, "% 41" },
		{ "%2541", false, "%41" },
		{ "%", false, NULL },
		{ "%4", false, NULL },
		{ "a%", false, NULL },
		{ "%4g", false, NULL },
		{ "%g4", false, NULL },
		{ "%%41", false, NULL },
		{ "%+1", true, NULL },
		{ "% 1", false, NULL },
		{ "%-1", false, NULL },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		bool ok;

		buf_clear(&out);
		assert_int_equal(buf_addstr(&out, "before "), 0);
		ok = http_unescape(span_str(table[i].in), table[i].plus, &out);
		if (ok != (table[i].out != NULL))
			fail_msg("%s", table[i].in);
		if (memcmp(out.data, "before ", 7) != 0 || (!ok && out.len != 7))
			fail_msg("%s changed what was there", table[i].in);
		if (ok && !span_is(span_of(out.data + 7, out.len - 7), table[i].out))
			fail_msg("%s: %.*s", table[i].in, (int)out.len, (char *)out.data);
	}
	buf_release(&out);
}

static void unescape_keeps_the_maximum(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 3);
	assert_true(http_unescape(span_str("a%41b"), false, &out));
	assert_false(http_unescape(span_str("c"), false, &out));
	assert_int_equal(out.len, 3);
	buf_release(&out);
}

static void param(void **state)
{
	static const struct {
		const char *query, *name;
		size_t nth;
		const char *value;
	} table[] = {
		{ "a=1", "a", 0, "1" },
		{ "a=1", "b", 0, NULL },
		{ "a=1", "a", 1, NULL },
		{ "", "a", 0, NULL },
		{ "a=1&a=2&b=3&a=", "a", 1, "2" },
		{ "a=1&a=2&b=3&a=", "a", 2, "" },
		{ "a=1&a=2&b=3&a=", "b", 0, "3" },
		{ "a", "a", 0, "" },
		{ "&&a=1&", "a", 0, "1" },
		{ "ab=1&a=2", "a", 0, "2" },
		{ "a=b=c", "a", 0, "b=c" },
		{ "a=x+y%26z", "a", 0, "x y&z" },
		{ "label.r%61nk=0", "label.rank", 0, "0" },
		{ "a+b=1", "a b", 0, "1" },
		{ "a+bc=1&x=2", "a b", 0, NULL },
		{ "%zz=1&a=2", "a", 0, "2" },
		{ "a=%zz", "a", 0, NULL },
		{ "=1", "", 0, NULL },
		{ "A=1", "a", 0, NULL },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		bool found;

		buf_clear(&out);
		found = http_param(span_str(table[i].query), table[i].name, table[i].nth, &out);
		if (found != (table[i].value != NULL) || (found && !span_is(buf_span(&out), table[i].value)))
			fail_msg("%s in %s: %.*s", table[i].name, table[i].query, (int)out.len,
				 (char *)out.data);
	}
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unescape),
		cmocka_unit_test(unescape_keeps_the_maximum),
		cmocka_unit_test(param),
	};

	return cmocka_run_group_tests_name("http_target", tests, NULL, NULL);
}

/* What may name things: UTF-8 as RFC 3629 has it, without control characters, within its limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ingest/names.h"

/* ---- characters ---- */

/* By code point: the shortest form of one that may be in a name. */
static size_t encode(uint32_t c, uint8_t *ret)
{
	if (c < 0x80) {
		ret[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		ret[0] = (uint8_t)(0xc0 + c / 64);
		ret[1] = (uint8_t)(0x80 + c % 64);
		return 2;
	}
	if (c < 0x10000) {
		ret[0] = (uint8_t)(0xe0 + c / 4096);
		ret[1] = (uint8_t)(0x80 + c / 64 % 64);
		ret[2] = (uint8_t)(0x80 + c % 64);
		return 3;
	}
	ret[0] = (uint8_t)(0xf0 + c / 262144);
	ret[1] = (uint8_t)(0x80 + c / 4096 % 64);
	ret[2] = (uint8_t)(0x80 + c / 64 % 64);
	ret[3] = (uint8_t)(0x80 + c % 64);
	return 4;
}

static bool may_be_in_a_name(uint32_t c)
{
	return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && !(c >= 0xd800 && c < 0xe000);
}

/* Which sequences of up to three bytes are one good character, from all code points. */
static uint8_t good_2[1 << 16], good_3[1 << 24];

static void fill_tables(void)
{
	for (uint32_t c = 0; c < 0x10000; c++) {
		uint8_t b[4];
		size_t n = encode(c, b);

		if (n == 2)
			good_2[b[0] << 8 | b[1]] = may_be_in_a_name(c);
		if (n == 3)
			good_3[b[0] << 16 | b[1] << 8 | b[2]] = may_be_in_a_name(c);
	}
}

static bool good_1(uint8_t b) { return b < 0x80 && may_be_in_a_name(b); }

/* Every string of one, two and three bytes. */
static void short_strings(void **state)
{
	(void)state;
	fill_tables();
	for (uint32_t v = 0; v < 1 << 24; v++) {
		uint8_t b[3] = { (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
		bool two = good_2[b[0] << 8 | b[1]] || (good_1(b[0]) && good_1(b[1]));
		bool three = good_3[v] || (two && good_1(b[2])) || (good_1(b[0]) && good_2[b[1] << 8 | b[2]]);

		if (name_is_clean(span_of(b, 3)) != three)
			fail_msg("%06x", v);
		if (b[2] == 0 && name_is_clean(span_of(b, 2)) != two)
			fail_msg("%04x", v >> 8);
		if (v < 256 && name_is_clean(span_of(b + 2, 1)) != good_1(b[2]))
			fail_msg("%02x", v);
	}
	assert_true(name_is_clean(span_of(NULL, 0)));
}

/* Every four bytes that begin as four-byte characters do, with the rest near their bounds. */
static void long_characters(void **state)
{
	static const uint8_t near[] = { 0x00, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff };

	(void)state;
	for (uint32_t first = 0xf0; first <= 0xff; first++)
		for (uint32_t second = 0; second <= 0xff; second++)
			for (size_t i = 0; i < sizeof(near) * sizeof(near); i++) {
				uint8_t b[4] = { (uint8_t)first, (uint8_t)second, near[i / sizeof(near)],
						 near[i % sizeof(near)] };
				uint32_t c = (first & 7) << 18 | (second & 63) << 12 | (b[2] & 63u) << 6 |
					     (b[3] & 63u);
				uint8_t shortest[4];
				bool good = c >= 0x10000 && c < 0x110000 && encode(c, shortest) == 4 &&
					    memcmp(shortest, b, 4) == 0;

				if (name_is_clean(span_of(b, 4)) != good)
					fail_msg("%02x%02x%02x%02x", b[0], b[1], b[2], b[3]);
				assert_false(name_is_clean(span_of(b, 3)));
			}
}

/* A bad byte is seen wherever it stands; names are looked at eight bytes at a time. */
static void any_place(void **state)
{
	static const char bad[] = "\x00\x1f\x7f\x80\xff\n";
	char text[40];

	(void)state;
	for (size_t len = 1; len < sizeof(text); len++)
		for (size_t at = 0; at < len; at++) {
			memset(text, at % 2 ? '~' : ' ', len);
			assert_true(name_is_clean(span_of(text, len)));
			for (size_t i = 0; i < sizeof(bad) - 1; i++) {
				text[at] = bad[i];
				assert_false(name_is_clean(span_of(text, len)));
			}
			text[at] = '\xc3';
			assert_false(name_is_clean(span_of(text, len)));
			if (at + 1 < len) {
				text[at + 1] = '\xa4';
				assert_true(name_is_clean(span_of(text, len)));
			}
		}
}

/* ---- whole names ---- */

static struct span repeat(char c, size_t n)
{
	static char text[1000];

	memset(text, c, n);
	return span_of(text, n);
}

static void lengths(void **state)
{
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(name_check(repeat('x', 250), "series.metric", 1, 250, NULL), 0);
	assert_int_equal(name_check(repeat('x', 251), "series.metric", 1, 250, NULL), ERR_REFUSED);
	assert_int_equal(name_check(repeat('x', 251), "series.metric", 1, 250, &f), ERR_REFUSED);
	assert_string_equal(f.field, "series.metric");
	assert_non_null(strstr(f.text, "251 bytes and may have 250"));
	assert_non_null(strstr(f.text, "\"xxxxxx"));
	assert_int_equal(name_check(repeat('x', 0), "unit", 0, 64, NULL), 0);
	assert_int_equal(name_check(repeat('x', 0), "series.metric", 1, 250, &f), ERR_REFUSED);
	assert_non_null(strstr(f.text, "empty"));
	assert_int_equal(name_check(span_str("a\nb"), "series.metric", 1, 250, &f), ERR_REFUSED);
	assert_non_null(strstr(f.text, "\"a?b\""));
}

static void excerpts(void **state)
{
	char text[EXCERPT_MAX];

	(void)state;
	assert_string_equal(name_excerpt(span_str(""), text), "");
	assert_string_equal(name_excerpt(span_str("loss\x01\xff!"), text), "loss?"
									   "?!");
	assert_int_equal(strlen(name_excerpt(repeat('x', EXCERPT_MAX - 4), text)), EXCERPT_MAX - 4);
	assert_string_equal(name_excerpt(repeat('x', EXCERPT_MAX - 3), text) + EXCERPT_MAX - 4, "...");
}

/* Labels come back sorted, whatever their order was; the same key twice is refused. */
static void labels(void **state)
{
	static const char *const keys[] = { "a", "ab", "b", "ba", "\xc3\xa4" };
	enum { N = sizeof(keys) / sizeof(*keys) };

	(void)state;
	for (unsigned order = 0; order < 3125; order++) {
		struct series_name name = { .metric = span_str("m"), .n_labels = N };
		unsigned o = order, seen = 0;
		struct fault f = { 0 };
		int err;

		for (size_t i = 0; i < N; i++, o /= N) {
			seen |= 1u << o % N;
			name.labels[i].key = span_str(keys[o % N]);
			name.labels[i].value = span_str(keys[o % N]);
		}
		err = name_check_series(&name, &f);
		assert_int_equal(err, seen == (1u << N) - 1 ? 0 : ERR_REFUSED);
		assert_int_equal(f.err, err);
		assert_true(err == 0 || strcmp(f.field, "series.labels") == 0);
		for (size_t i = 0; i < N && err == 0; i++)
			assert_true(span_is(name.labels[i].key, keys[i]) &&
				    span_is(name.labels[i].value, keys[i]));
	}
}

static void series_parts(void **state)
{
	struct series_name name = { .metric = span_str("m"), .unit = repeat('u', UNIT_MAX) };
	struct fault f;

	(void)state;
	assert_int_equal(name_check_series(&name, &f), 0);
	name.unit.len++;
	assert_int_equal(name_check_series(&name, &f), ERR_REFUSED);
	assert_string_equal(f.field, "series.unit");
	name.unit.len = 0;
	name.labels[0] = (struct label){ span_str("k"), repeat('v', LABEL_PART_MAX) };
	name.n_labels = 1;
	assert_int_equal(name_check_series(&name, &f), 0);
	name.labels[0].value.len++;
	assert_int_equal(name_check_series(&name, &f), ERR_REFUSED);
	name.labels[0].value.len = 0;
	assert_int_equal(name_check_series(&name, &f), 0);
	name.labels[0].key.len = 0;
	assert_int_equal(name_check_series(&name, &f), ERR_REFUSED);
	assert_string_equal(f.field, "series.labels");
}

static void attributes(void **state)
{
	struct label attrs[LOG_ATTRS_MAX + 1];
	char keys[LOG_ATTRS_MAX + 1];

	(void)state;
	for (size_t i = 0; i <= LOG_ATTRS_MAX; i++) {
		keys[i] = (char)('A' + i);
		attrs[i] = (struct label){ span_of(&keys[i], 1), span_of(NULL, 0) };
	}
	assert_true(name_attributes_are_good(NULL, 0));
	assert_true(name_attributes_are_good(attrs, LOG_ATTRS_MAX));
	assert_false(name_attributes_are_good(attrs, LOG_ATTRS_MAX + 1));
	attrs[7].value = span_str("a\x01");
	assert_false(name_attributes_are_good(attrs, LOG_ATTRS_MAX));
	assert_true(name_attributes_are_good(attrs, 7));
	attrs[3].key = attrs[0].key;
	assert_false(name_attributes_are_good(attrs, 7));
	attrs[3].key.len = 0;
	assert_false(name_attributes_are_good(attrs, 7));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_strings), cmocka_unit_test(long_characters),
		cmocka_unit_test(any_place),     cmocka_unit_test(lengths),
		cmocka_unit_test(excerpts),      cmocka_unit_test(labels),
		cmocka_unit_test(series_parts),  cmocka_unit_test(attributes),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}

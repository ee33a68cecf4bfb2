/* A set of trigrams never denies what was added, and denies most of what was not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/log/trigrams.h"
#include "tests/values.h"

static void examples(void **state)
{
	uint8_t bits[64] = { 0 };
	struct span set = span_of(bits, sizeof bits);
	(void)state;

	trigrams_add(bits, sizeof bits, span_str("Epoch 0: loss 0.0\n"));
	trigrams_add(bits, sizeof bits, span_str("ab"));
	trigrams_add(bits, sizeof bits, span_str(""));
	assert_true(trigrams_may_hold(set, span_str("loss 0.0")));
	assert_true(trigrams_may_hold(set, span_str("ePOCH")));
	assert_true(trigrams_may_hold(set, span_str("zq"))); /* no trigram to tell by */
	assert_true(trigrams_may_hold(set, span_str("")));
	assert_false(trigrams_may_hold(set, span_str("epoch 0: lost")));
	assert_false(trigrams_may_hold(set, span_str("bEp"))); /* texts do not run together */
	assert_true(trigrams_may_hold(span_of(NULL, 0), span_str("anything")));
	/* the bit of "abc", as trigrams.h tells: where it is is a format */
	memset(bits, 0, sizeof bits);
	trigrams_add(bits, 10, span_str("ABC"));
	for (size_t i = 0; i < 80; i++)
		assert_int_equal(bits[i / 8] >> i % 8 & 1,
				 i == ((uint64_t)(uint32_t)(0x636261u * 0x9e3779b1u) * 80) >> 32);
}

static void nothing_is_denied_that_is_there(void **state)
{
	uint64_t seed = 9;
	size_t denied = 0, asked = 0;
	(void)state;

	for (int round = 0; round < 300; round++) {
		uint8_t bits[512] = { 0 }, text[600], other[12];
		size_t n_bytes = 1 + random_below(&seed, sizeof bits), len = random_below(&seed, sizeof text);

		for (size_t i = 0; i < len; i++)
			text[i] = (uint8_t)random_below(&seed, round % 2 ? 256 : 128);
		trigrams_add(bits, n_bytes, span_of(text, len));
		for (size_t i = 0; i < 50 && len; i++) {
			size_t at = random_below(&seed, len);

			assert_true(trigrams_may_hold(span_of(bits, n_bytes),
						      span_of(text + at, random_below(&seed, len - at + 1))));
			for (size_t j = 0; j < sizeof other; j++)
				other[j] = (uint8_t)random_below(&seed, 256);
			denied += !trigrams_may_hold(span_of(bits, n_bytes), span_of(other, sizeof other));
			asked++;
		}
	}
	assert_true(denied * 10 > asked * 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples),
		cmocka_unit_test(nothing_is_denied_that_is_there),
	};

	return cmocka_run_group_tests_name("store/trigrams", tests, NULL, NULL);
}

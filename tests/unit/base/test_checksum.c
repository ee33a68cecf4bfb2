/*
 * The source itself, so that the way without the processor's instruction is tested everywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/base/checksum.c"

/* Bit by bit, from the polynomial. */
static uint32_t long_hand(const uint8_t *p, size_t len)
{
	uint32_t crc = 0xffffffff;

	while (len--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}

/* RFC 3720, appendix B.4, and the usual check value. */
static void published_values(void **state)
{
	uint8_t p[32];
	(void)state;

	assert_true(crc32c("", 0) == 0);
	assert_true(crc32c("123456789", 9) == 0xe3069283);
	memset(p, 0, 32);
	assert_true(crc32c(p, 32) == 0x8a9136aa);
	memset(p, 0xff, 32);
	assert_true(crc32c(p, 32) == 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		p[i] = (uint8_t)i;
	assert_true(crc32c(p, 32) == 0x46dd794e);
	for (int i = 0; i < 32; i++)
		p[i] = (uint8_t)(31 - i);
	assert_true(crc32c(p, 32) == 0x113fdb5c);
}

static void long_ones_too(void **state)
{
	static uint8_t p[5000];
	(void)state;

	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)(i * i * 7 + i / 3);
	for (size_t len = 700; len + 8 < sizeof(p); len += 61) {
		const uint8_t *from = p + len % 8;

		assert_true(crc32c(from, len) == long_hand(from, len));
		assert_true(crc32c_extend(crc32c(from, 333), from + 333, len - 333) == long_hand(from, len));
	}
}

static void every_way_gives_the_same(void **state)
{
	uint8_t p[300];
	(void)state;

	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)(i * i * 7 + i / 3);
	for (size_t len = 0; len + 8 < sizeof(p); len++) {
		const uint8_t *from = p + len % 8;
		uint32_t want = long_hand(from, len);

		assert_true(crc32c(from, len) == want);
		assert_true(~crc_table(0xffffffff, from, len) == want);
		for (size_t cut = 0; cut <= len; cut += 13)
			assert_true(crc32c_extend(crc32c(from, cut), from + cut, len - cut) == want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_values),
		cmocka_unit_test(every_way_gives_the_same),
		cmocka_unit_test(long_ones_too),
	};
	return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}

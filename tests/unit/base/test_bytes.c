#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/base/bytes.h"

static void fixed_widths(void **state)
{
	uint8_t p[8];
	(void)state;

	put_le32(p, 0x01020304);
	assert_memory_equal(p, "\4\3\2\1", 4);
	put_be32(p, 0x01020304);
	assert_memory_equal(p, "\1\2\3\4", 4);
	put_be16(p, 0x0102);
	assert_memory_equal(p, "\1\2", 2);
	put_le16(p, 0x0102);
	assert_int_equal(get_le16(p), 0x0102);
	put_be64(p, UINT64_C(0x0102030405060708));
	assert_memory_equal(p, "\1\2\3\4\5\6\7\x08", 8);
	assert_true(get_be64(p) == UINT64_C(0x0102030405060708));
	assert_true(get_le64(p) == UINT64_C(0x0807060504030201));
}

static void keys_sort_as_their_numbers(void **state)
{
	static const int64_t rising[] = {
		INT64_MIN, -1751803200000000000, -256, -1, 0, 1, 255, 256, INT64_MAX
	};
	uint8_t a[8], b[8];
	(void)state;

	for (size_t i = 0; i + 1 < sizeof(rising) / sizeof(*rising); i++) {
		put_be64i(a, rising[i]);
		put_be64i(b, rising[i + 1]);
		assert_true(memcmp(a, b, 8) < 0);
		assert_true(get_be64i(a) == rising[i]);
	}
}

static void varints_round_trip(void **state)
{
	(void)state;
	for (int bit = 0; bit <= 64; bit++)
		for (int off = -1; off <= 1; off++) {
			uint64_t v = (bit == 64 ? 0 : UINT64_C(1) << bit) + (uint64_t)off;
			uint8_t p[VARINT_MAX];
			size_t n = (size_t)(put_varint(p, v) - p), want = 1;
			struct reader r = reader_of(span_of(p, n));

			for (uint64_t rest = v >> 7; rest; rest >>= 7)
				want++;
			assert_int_equal(n, want);
			assert_true(read_varint(&r) == v && !r.bad && reader_left(&r) == 0);
			r = reader_of(span_of(p, n - 1));
			assert_true(read_varint(&r) == 0 && r.bad);
			assert_true(unzigzag(zigzag((int64_t)v)) == (int64_t)v);
		}
	assert_true(zigzag(0) == 0 && zigzag(-1) == 1 && zigzag(1) == 2 && zigzag(INT64_MIN) == UINT64_MAX);
}

static void varints_that_do_not_fit(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool bad;
		uint64_t v;
	} cases[] = {
		{ "\x96\x01", 2, false, 150 }, /* protobuf's example */
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, false, UINT64_MAX },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, true, 0 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, true, 0 },
		{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12, true, 0 },
		{ "\x80\x00", 2, false, 0 }, /* longer than it must be: protobuf takes it */
		{ "", 0, true, 0 },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct reader r = reader_of(span_of(cases[i].bytes, cases[i].len));

		assert_true(read_varint(&r) == cases[i].v);
		assert_int_equal(r.bad, cases[i].bad);
	}
}

static void a_bad_reader_stays_bad(void **state)
{
	struct reader r = reader_of(span_of("\1\2\3", 3));
	(void)state;

	assert_int_equal(read_u8(&r), 1);
	assert_int_equal(read_le32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(reader_left(&r), 0);
	assert_int_equal(read_u8(&r), 0);
	assert_int_equal(read_le16(&r), 0);
	assert_true(read_le64(&r) == 0 && read_varint(&r) == 0 && read_zigzag(&r) == 0);
	assert_int_equal(read_bytes(&r, 0).len, 0);
	assert_int_equal(read_lenspan(&r).len, 0);
}

static void spans_within(void **state)
{
	struct reader r = reader_of(span_of("\3abc\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1x", 16));
	struct reader empty = reader_of(span_of(NULL, 0));
	(void)state;

	assert_true(span_is(read_lenspan(&r), "abc"));
	assert_int_equal(read_lenspan(&r).len, 0);
	assert_false(r.bad);
	assert_int_equal(read_lenspan(&r).len, 0); /* 2^64 - 1 bytes */
	assert_true(r.bad);
	assert_int_equal(read_bytes(&empty, 0).len, 0);
	assert_false(empty.bad);
	read_bytes(&empty, SIZE_MAX);
	assert_true(empty.bad);
}

static void doubles_keep_their_bits(void **state)
{
	static const uint64_t bits[] = { 0, UINT64_C(1) << 63, 0x7ff0000000000001, 0xffffffffffffffff, 1 };
	(void)state;

	for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++)
		assert_true(double_bits(bits_double(bits[i])) == bits[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_widths),
		cmocka_unit_test(keys_sort_as_their_numbers),
		cmocka_unit_test(varints_round_trip),
		cmocka_unit_test(varints_that_do_not_fit),
		cmocka_unit_test(a_bad_reader_stays_bad),
		cmocka_unit_test(spans_within),
		cmocka_unit_test(doubles_keep_their_bits),
	};
	return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}

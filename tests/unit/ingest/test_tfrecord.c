/* Frames of TFRecord files: whole, cut at every byte, with every bit flipped, with lying lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ingest/import/tfrecord.h"
#include "store/base/bytes.h"
#include "store/base/checksum.h"

/* The whole file of an AlgoPerf run that died at once: one record, as TensorFlow wrote it. */
static const uint8_t real[] = {
	0x3e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xd9, 0xd2, 0x40, 0xe7, 0x09, 0x00, 0x00, 0x40,
	0x1d, 0x5a, 0x96, 0xd9, 0x41, 0x1a, 0x0d, 0x62, 0x72, 0x61, 0x69, 0x6e, 0x2e, 0x45, 0x76, 0x65,
	0x6e, 0x74, 0x3a, 0x32, 0x52, 0x24, 0x0a, 0x22, 0x74, 0x65, 0x6e, 0x73, 0x6f, 0x72, 0x66, 0x6c,
	0x6f, 0x77, 0x2e, 0x63, 0x6f, 0x72, 0x65, 0x2e, 0x75, 0x74, 0x69, 0x6c, 0x2e, 0x65, 0x76, 0x65,
	0x6e, 0x74, 0x73, 0x5f, 0x77, 0x72, 0x69, 0x74, 0x65, 0x72, 0xc0, 0x3e, 0xc2, 0xed,
};

static int scan(const uint8_t *data, size_t len, struct tfrecord *ret, struct fault *f)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, data, len);
	err = tfrecord_scan(span_of(copy, len), 7, ret, f);
	if (err == 0 && ret->data.len > 0) {
		assert_ptr_equal(ret->data.data, copy + TFRECORD_HEADER_BYTES);
		ret->data.data = data + TFRECORD_HEADER_BYTES;
	}
	free(copy);
	return err;
}

static uint32_t masked(const void *data, size_t len)
{
	uint32_t crc = crc32c(data, len);

	return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* A frame of our own with these eight bytes as its length. */
static size_t frame(uint64_t len, const void *data, size_t n, uint8_t *ret)
{
	put_le64(ret, len);
	put_le32(ret + 8, masked(ret, 8));
	memcpy(ret + 12, data, n);
	put_le32(ret + 12 + n, masked(data, n));
	return n + 16;
}

static void test_whole(void **state)
{
	uint8_t b[64];
	struct tfrecord r;
	size_t len = frame(5, "hello", 5, b);

	(void)state;
	memcpy(b + len, "next", 4);
	assert_int_equal(scan(b, len + 4, &r, NULL), 0);
	assert_int_equal(r.bytes, 21);
	assert_false(r.passed_over);
	assert_true(span_is(r.data, "hello"));
	len = frame(0, "", 0, b);
	assert_int_equal(scan(b, len, &r, NULL), 0);
	assert_int_equal(r.bytes, 16);
	assert_int_equal(r.data.len, 0);
}

static void test_a_real_record(void **state)
{
	struct tfrecord r;

	(void)state;
	assert_int_equal(scan(real, sizeof(real), &r, NULL), 0);
	assert_int_equal(r.bytes, sizeof(real));
	assert_int_equal(r.data.len, 62);
}

static void test_cut_at_every_byte(void **state)
{
	uint8_t b[64];
	struct tfrecord r;
	size_t len = frame(20, "twenty bytes of data", 20, b);

	(void)state;
	for (size_t n = 0; n < len; n++)
		assert_int_equal(scan(b, n, &r, NULL), 1);
	assert_int_equal(scan(b, len, &r, NULL), 0);
}

static void test_every_flipped_bit_is_seen(void **state)
{
	uint8_t b[64];
	size_t len = frame(20, "twenty bytes of data", 20, b);

	(void)state;
	for (size_t bit = 0; bit < len * 8; bit++) {
		struct fault f = { 0 };
		struct tfrecord r;

		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(scan(b, len, &r, &f), ERR_MALFORMED);
		assert_non_null(strstr(f.text, "at byte 7 "));
		assert_non_null(strstr(f.text, bit / 8 < 12 ? "its length" : "its data"));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_lying_lengths(void **state)
{
	static const uint64_t lengths[] = { UINT64_MAX, UINT64_MAX - 15,   UINT64_MAX - 16,
					    INT64_MAX,  (uint64_t)1 << 32, TFRECORD_DATA_MAX + 1 };
	uint8_t b[64];
	struct tfrecord r;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t len = frame(lengths[i], "data", 4, b);

		assert_int_equal(scan(b, len, &r, NULL), 0);
		assert_true(r.passed_over);
		assert_int_equal(r.data.len, 0);
		assert_true(r.bytes >= lengths[i]);
	}
	frame(TFRECORD_DATA_MAX, "data", 4, b);
	assert_int_equal(scan(b, 20, &r, NULL), 1);
	frame(3, "data", 4, b);
	assert_int_equal(scan(b, 20, &r, NULL), ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_a_real_record),
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_every_flipped_bit_is_seen),
		cmocka_unit_test(test_lying_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

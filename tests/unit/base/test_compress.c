#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "store/base/compress.h"
#include "tests/values.h"

#define MIB ((size_t)1 << 20)

/* Text that compresses somewhat; owned by the caller. */
static uint8_t *some_text(size_t n)
{
	uint8_t *p = malloc(n);
	uint64_t seed = 41;

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)("step loss 0123456789\n"[random_below(&seed, 21)]);
	return p;
}

static void blocks_round_trip(void **state)
{
	static const size_t lens[] = { 0, 1, 100, 70000, 1 << 20 };
	(void)state;

	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		uint8_t *raw = some_text(lens[i] + 1), *back = calloc(1, lens[i] + 2);
		struct buf out;

		buf_init(&out, 2 * MIB);
		assert_int_equal(buf_addstr(&out, "before"), 0);
		assert_int_equal(compress_block(span_of(raw, lens[i]), 1 + (int)i, &out), 0);
		assert_int_equal(decompress_block(span_of(out.data + 6, out.len - 6), back, lens[i]), 0);
		assert_memory_equal(back, raw, lens[i]);
		assert_int_equal(decompress_block(span_of(out.data + 6, out.len - 6), back, lens[i] + 1),
				 ERR_CORRUPT);
		if (lens[i])
			assert_int_equal(decompress_block(span_of(out.data + 6, out.len - 6), back,
							  lens[i] - 1),
					 ERR_CORRUPT);
		assert_true(span_equal(span_of(out.data, 6), span_str("before")));
		buf_release(&out);
		free(raw);
		free(back);
	}
}

static void a_block_past_the_maximum_is_not_written(void **state)
{
	uint8_t *raw = some_text(5000);
	struct buf out;
	(void)state;

	buf_init(&out, 600);
	assert_int_equal(buf_addstr(&out, "before"), 0);
	assert_int_equal(compress_block(span_of(raw, 5000), 1, &out), ERR_FULL);
	assert_true(span_is(buf_span(&out), "before"));
	buf_release(&out);
	free(raw);
}

static void damaged_blocks(void **state)
{
	enum { LEN = 3000 };
	uint8_t *raw = some_text(LEN), *back = malloc(LEN);
	struct buf out;
	(void)state;

	buf_init(&out, MIB);
	assert_int_equal(compress_block(span_of(raw, LEN), 1, &out), 0);
	for (size_t cut = 0; cut < out.len; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);

		memcpy(copy, out.data, cut);
		assert_int_equal(decompress_block(span_of(copy, cut), back, LEN), ERR_CORRUPT);
		free(copy);
	}
	for (size_t i = 0; i < out.len * 8; i++) {
		int err;

		out.data[i / 8] ^= (uint8_t)(1 << i % 8);
		err = decompress_block(buf_span(&out), back,
				       LEN); /* no checksum of its own: the header has it */
		assert_true(err == 0 || err == ERR_CORRUPT);
		out.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	buf_release(&out);
	free(raw);
	free(back);
}

static struct decompressor *decompressor(size_t window_max)
{
	struct decompressor *d;

	assert_int_equal(decompressor_new(window_max, &d), 0);
	assert_false(decompressor_at_end(d));
	return d;
}

static void streams_come_in_any_pieces(void **state)
{
	enum { LEN = 300000 };
	uint8_t *raw = some_text(LEN);
	struct decompressor *d = decompressor(MIB);
	struct buf packed, out;
	(void)state;

	buf_init(&packed, MIB);
	buf_init(&out, LEN); /* exactly as much as there is */
	assert_int_equal(compress_block(span_of(raw, LEN / 2), 1, &packed), 0); /* two frames */
	assert_int_equal(compress_block(span_of(raw + LEN / 2, LEN / 2), 3, &packed), 0);
	for (size_t piece = 1; piece <= packed.len; piece = piece * 7 + 1) {
		buf_clear(&out);
		decompressor_reset(d);
		for (size_t at = 0; at < packed.len; at += piece) {
			size_t n = piece < packed.len - at ? piece : packed.len - at;

			assert_int_equal(decompressor_feed(d, span_of(packed.data + at, n), &out), 0);
			assert_true(at + n == packed.len || !decompressor_at_end(d) || out.len == LEN / 2);
		}
		assert_true(decompressor_at_end(d));
		assert_int_equal(out.len, LEN);
		assert_memory_equal(out.data, raw, LEN);
	}
	assert_int_equal(decompressor_feed(d, span_of(NULL, 0), &out), 0);
	assert_true(decompressor_at_end(d));
	decompressor_free(d);
	decompressor_free(NULL);
	buf_release(&packed);
	buf_release(&out);
	free(raw);
}

static void a_bomb_stops_at_the_cap(void **state)
{
	uint8_t *zeros = calloc(1, 64 * MIB);
	struct decompressor *d = decompressor(8 * MIB);
	struct buf bomb, out;
	(void)state;

	buf_init(&bomb, MIB);
	assert_int_equal(compress_block(span_of(zeros, 64 * MIB), 1, &bomb), 0);
	assert_true(bomb.len < 64 * 1024);
	buf_init(&out, 100000);
	assert_int_equal(decompressor_feed(d, buf_span(&bomb), &out), ERR_FULL);
	assert_true(out.cap <= 100000);
	decompressor_reset(d);
	buf_release(&out);
	buf_init(&out, 64 * MIB - 1); /* one byte too few */
	assert_int_equal(decompressor_feed(d, buf_span(&bomb), &out), ERR_FULL);
	decompressor_reset(d);
	buf_release(&out);
	buf_init(&out, 64 * MIB);
	assert_int_equal(decompressor_feed(d, buf_span(&bomb), &out), 0);
	assert_true(decompressor_at_end(d) && out.len == 64 * MIB);
	assert_memory_equal(out.data, zeros, 64 * MIB);
	assert_int_equal(decompress_block(buf_span(&bomb), out.data, MIB), ERR_CORRUPT);
	decompressor_free(d);
	buf_release(&bomb);
	buf_release(&out);
	free(zeros);
}

static void a_window_too_large_is_refused(void **state)
{
	uint8_t *raw = some_text(4 * MIB);
	struct decompressor *small = decompressor(128 * 1024), *large = decompressor(8 * MIB);
	struct buf packed, out;
	(void)state;

	buf_init(&packed, 8 * MIB);
	buf_init(&out, 8 * MIB);
	assert_int_equal(compress_block(span_of(raw, 4 * MIB), 9, &packed), 0);
	assert_int_equal(decompressor_feed(small, buf_span(&packed), &out), ERR_MALFORMED);
	assert_int_equal(out.len, 0);
	assert_int_equal(decompressor_feed(large, buf_span(&packed), &out), 0);
	assert_int_equal(out.len, 4 * MIB);
	decompressor_free(small);
	decompressor_free(large);
	buf_release(&packed);
	buf_release(&out);
	free(raw);
}

static void streams_that_are_none(void **state)
{
	uint8_t *raw = some_text(1000);
	struct decompressor *d = decompressor(MIB);
	struct buf packed, out;
	(void)state;

	buf_init(&packed, MIB);
	buf_init(&out, MIB);
	assert_int_equal(decompressor_feed(d, span_str("this is not zstd"), &out), ERR_MALFORMED);
	decompressor_reset(d);
	assert_int_equal(compress_block(span_of(raw, 1000), 1, &packed), 0);
	assert_int_equal(decompressor_feed(d, span_of(packed.data, packed.len - 1), &out), 0);
	assert_false(decompressor_at_end(d)); /* cut off */
	decompressor_reset(d);
	assert_int_equal(buf_addstr(&packed, "garbage"), 0);
	assert_int_equal(decompressor_feed(d, buf_span(&packed), &out), ERR_MALFORMED);
	decompressor_free(d);
	buf_release(&packed);
	buf_release(&out);
	free(raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_round_trip),
		cmocka_unit_test(a_block_past_the_maximum_is_not_written),
		cmocka_unit_test(damaged_blocks),
		cmocka_unit_test(streams_come_in_any_pieces),
		cmocka_unit_test(a_bomb_stops_at_the_cap),
		cmocka_unit_test(a_window_too_large_is_refused),
		cmocka_unit_test(streams_that_are_none),
	};
	return cmocka_run_group_tests_name("compress", tests, NULL, NULL);
}

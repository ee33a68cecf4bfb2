/*
 * Blocks of a part: any buckets come back bit for bit, wanted series alone when only these are asked
 * for; and a block with a byte changed or missing is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <malloc.h>

#include "store/base/clock.h"
#include "store/part/partblock.h"
#include "tests/buckets.h"

static uint64_t seed = 1507;
static struct partblock_writer *writer;
static struct partblock_reader *reader;

struct kept {
	size_t n, at;
	uint32_t only; /* 0: all */
	struct block_key key[PARTBLOCK_BUCKETS_MAX];
	struct bucket bucket[PARTBLOCK_BUCKETS_MAX];
};

static struct kept kept;

static void forget(void)
{
	while (kept.n)
		bucket_release(&kept.bucket[--kept.n]);
}

static void add(struct block_key key, struct bucket *b)
{
	assert_int_equal(partblock_writer_add(writer, key, b), 0);
	kept.key[kept.n] = key;
	kept.bucket[kept.n++] = *b;
}

static int check(void *arg, struct block_key key, const struct bucket *b)
{
	(void)arg;
	while (kept.only && kept.at < kept.n && kept.key[kept.at].sid != kept.only)
		kept.at++;
	assert_true(kept.at < kept.n);
	assert_memory_equal(&key.start_ns, &kept.key[kept.at].start_ns, sizeof(key.start_ns));
	assert_int_equal(key.sid, kept.key[kept.at].sid);
	assert_int_equal(key.window_ns, kept.key[kept.at].window_ns);
	assert_true(same_bucket(b, &kept.bucket[kept.at]));
	kept.at++;
	return 0;
}

static bool wanted_at(const struct block_want *want, size_t i)
{
	return kept.key[i].start_ns >= want->from_ns && kept.key[i].start_ns < want->to_ns;
}

static bool same_end(const struct point *a, const struct point *b, unsigned fields)
{
	return (!(fields & WANT_TIMES) || a->t_ns == b->t_ns) &&
	       (!(fields & WANT_STEPS) || a->step == b->step) &&
	       (!(fields & WANT_VALUES) || same_bits(a->value, b->value));
}

static bool same_fields(const struct bucket *a, const struct bucket *b, unsigned fields)
{
	if (a->count != b->count || !same_end(&a->first, &b->first, fields) ||
	    !same_end(&a->last, &b->last, fields))
		return false;
	if (fields & WANT_STEPS &&
	    (a->step_max != b->step_max || (a->step_max != STEP_NONE && a->step_min != b->step_min)))
		return false;
	if (fields & WANT_VALUES && a->count && (!same_bits(a->min, b->min) || !same_bits(a->max, b->max)))
		return false;
	if (fields & WANT_SUM && !same_sum(&a->sum, &b->sum))
		return false;
	return !(fields & WANT_RARE) ||
	       (!a->rare == !b->rare && (!a->rare || memcmp(a->rare, b->rare, sizeof(*a->rare)) == 0));
}

static int check_some(void *arg, struct block_key key, const struct bucket *b)
{
	const struct block_want *want = arg;

	while (kept.at < kept.n && !wanted_at(want, kept.at))
		kept.at++;
	assert_true(kept.at < kept.n);
	assert_int_equal(key.sid, kept.key[kept.at].sid);
	assert_int_equal(key.start_ns, kept.key[kept.at].start_ns);
	assert_true(same_fields(b, &kept.bucket[kept.at], want->fields));
	kept.at++;
	return 0;
}

/* Some fields of the buckets of some time. */
static void check_part_of(struct span block, uint64_t offset)
{
	int64_t a = kept.key[random_below(&seed, kept.n)].start_ns,
		b = kept.key[random_below(&seed, kept.n)].start_ns;
	struct block_want want = { NULL, 0, a < b ? a : b, a < b ? b : a,
				   (unsigned)random_below(&seed, WANT_ALL + 1) };

	kept.at = 0;
	assert_int_equal(partblock_read(reader, block, offset, &want, check_some, &want), 0);
	while (kept.at < kept.n)
		assert_false(wanted_at(&want, kept.at++));
}

/* A window of a sheet as a bucket; what a sheet does not have is kept's. */
static struct bucket bucket_of(const struct sheet *s, size_t i)
{
	struct bucket b = kept.bucket[kept.at];

	b.count = (uint64_t)s->count[i];
	if (s->first)
		b.first.value = s->first[i];
	if (s->last)
		b.last.value = s->last[i];
	if (s->min)
		b.min = s->min[i];
	if (s->max)
		b.max = s->max[i];
	if (s->sum)
		b.sum = s->sum[i];
	return b;
}

/* Some windows after each other, merged, are what their buckets are. */
static void check_merged(const struct sheet *s, size_t first)
{
	size_t from = random_below(&seed, s->n), to = from + random_below(&seed, s->n - from + 1);
	struct bucket merged, want;

	bucket_init(&merged);
	bucket_init(&want);
	for (size_t at = from, end; at < to; at = end) {
		end = at + 1 + random_below(&seed, to - at);
		assert_int_equal(sheet_merge(s, at, end, &merged), 0);
	}
	for (size_t i = from; i < to; i++)
		assert_int_equal(bucket_merge(&want, &kept.bucket[first + i]), 0);
	assert_int_equal(merged.count, want.count);
	if (from < to) {
		assert_true(!s->min || same_bits(merged.min, want.min));
		assert_true(!s->max || same_bits(merged.max, want.max));
		assert_true(!s->first || same_bits(merged.first.value, want.first.value));
		assert_true(!s->last || same_bits(merged.last.value, want.last.value));
	}
	if (s->sum)
		assert_true(same_sum(&merged.sum, &want.sum));
	bucket_release(&merged);
	bucket_release(&want);
}

static int check_sheet(void *arg, uint32_t sid, const struct sheet *s)
{
	const struct block_want *want = arg;
	size_t first;

	while (kept.at < kept.n && !wanted_at(want, kept.at))
		kept.at++;
	first = kept.at;
	assert_true(s->n > 0 && first + s->n <= kept.n);
	assert_true(s->last || !(want->fields & WANT_LAST));
	assert_true(s->first || !(want->fields & WANT_FIRST));
	assert_true(s->min || !(want->fields & WANT_MIN));
	assert_true(s->max || !(want->fields & WANT_MAX));
	assert_true(s->sum || !(want->fields & WANT_SUM));
	for (size_t i = 0; i < s->n; i++, kept.at++) {
		struct bucket b = bucket_of(s, i);

		assert_true(wanted_at(want, kept.at));
		assert_int_equal(sid, kept.key[kept.at].sid);
		assert_int_equal(s->window_ns, kept.key[kept.at].window_ns);
		assert_int_equal(s->start_ns[i], kept.key[kept.at].start_ns);
		assert_true(same_fields(&b, &kept.bucket[kept.at], WANT_ALL));
	}
	check_merged(s, first);
	return 0;
}

static void check_sheets(struct span block, uint64_t offset)
{
	static const unsigned fields[] = {
		WANT_COUNT,          WANT_LAST,   WANT_FIRST,          WANT_MIN, WANT_MAX, WANT_SUM,
		WANT_MIN | WANT_MAX, WANT_VALUES, WANT_SUM | WANT_LAST
	};
	struct partblock_reader *fresh;
	int64_t a = kept.key[random_below(&seed, kept.n)].start_ns,
		b = kept.key[random_below(&seed, kept.n)].start_ns;
	struct block_want want = { NULL, 0, a < b ? a : b, a < b ? b : a, fields[random_below(&seed, 9)] };

	if (random_below(&seed, 2)) {
		want.from_ns = INT64_MIN;
		want.to_ns = INT64_MAX;
	}
	kept.at = 0;
	assert_int_equal(partblock_reader_new(&fresh),
			 0); /* what it does not read it does not know from before */
	assert_int_equal(partblock_sheets(fresh, block, offset, &want, check_sheet, &want), 0);
	partblock_reader_free(fresh);
	while (kept.at < kept.n)
		assert_false(wanted_at(&want, kept.at++));
}

static void check_block(struct span block, uint64_t offset)
{
	struct block_want want;

	kept.only = 0;
	kept.at = 0;
	assert_int_equal(partblock_read(reader, block, offset, &block_want_all, check, NULL), 0);
	assert_int_equal(kept.at, kept.n);
	kept.only = kept.key[random_below(&seed, kept.n)].sid;
	kept.at = 0;
	want = (struct block_want){ &kept.only, 1, INT64_MIN, INT64_MAX, WANT_ALL };
	assert_int_equal(partblock_read(reader, block, offset, &want, check, NULL), 0);
	while (kept.at < kept.n)
		assert_int_not_equal(kept.key[kept.at++].sid, kept.only);
	for (int i = 0; i < 8; i++)
		check_part_of(block, offset);
	for (int i = 0; i < 8; i++)
		check_sheets(block, offset);
}

/* Series of random length; buckets of anything, or of one kind. */
static void random_block(size_t n)
{
	struct block_key key = { 0, 0, TEST_WINDOW_NS };
	size_t left = 0;

	for (size_t i = 0; i < n; i++) {
		struct bucket b;

		if (left-- == 0) {
			key.sid += 1 + (uint32_t)random_below(&seed, 3);
			key.start_ns = (int64_t)random_below(&seed, 1u << 20) * TEST_WINDOW_NS;
			left = random_below(&seed, random_below(&seed, 2) ? 5 : 2000);
		}
		key.start_ns +=
		    TEST_WINDOW_NS * (random_below(&seed, 9) ? 1 : 1 + (int64_t)random_below(&seed, 99));
		assert_int_equal(random_bucket(&seed, key, &b), 0);
		add(key, &b);
	}
}

/* A live run: equal steps, float32 values, some windows with one sample. */
static void live_block(size_t n, size_t samples)
{
	for (size_t i = 0; i < n; i++) {
		struct block_key key = { 5, INT64_C(1700000010) * NS_PER_S + (int64_t)i * TEST_WINDOW_NS,
					 TEST_WINDOW_NS };
		struct bucket b;

		bucket_init(&b);
		for (size_t j = 0; j < samples; j++) {
			struct point p = { key.start_ns + (int64_t)j * NS_PER_S, (int64_t)(i * samples + j),
					   (float)(2 + (double)random_below(&seed, 1 << 20) * 0x1p-24) };
			assert_int_equal(bucket_add(&b, p), 0);
		}
		add(key, &b);
	}
}

/* The greatest is foretold by the least and by nothing else. */
static void band_block(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct block_key key = { 9, (int64_t)i * TEST_WINDOW_NS, TEST_WINDOW_NS };
		double middle = (double)random_below(&seed, 1000000);
		const double values[] = { (double)random_below(&seed, 1000), middle - 2e6, middle + 2e6,
					  (double)random_below(&seed, 1000) };
		struct bucket b;

		bucket_init(&b);
		for (size_t j = 0; j < 4; j++) {
			struct point p = { key.start_ns + (int64_t)j * NS_PER_S, STEP_NONE, values[j] };

			assert_int_equal(bucket_add(&b, p), 0);
		}
		add(key, &b);
	}
}

static struct buf finish(uint64_t offset)
{
	struct buf out;

	buf_init(&out, PARTBLOCK_BYTES_MAX);
	assert_int_equal(partblock_writer_finish(writer, offset, &out), 0);
	assert_int_equal(partblock_writer_count(writer), 0);
	return out;
}

static void test_random_blocks(void **state)
{
	static const size_t lengths[] = { 1, 2, 3, 31, 127, 128, 129, 1000, 4096 };

	(void)state;
	for (int round = 0; round < 60; round++) {
		uint64_t offset = random_bits(&seed);
		struct buf out;

		random_block(lengths[random_below(&seed, 9)]);
		out = finish(offset);
		check_block(buf_span(&out), offset);
		buf_release(&out);
		forget();
	}
}

static void test_full_block_says_so(void **state)
{
	struct block_key key = { 6, INT64_C(3000000000) * NS_PER_S, TEST_WINDOW_NS };
	struct bucket b;
	struct buf out;

	(void)state;
	live_block(PARTBLOCK_BUCKETS_MAX, 1);
	assert_int_equal(bucket_start(&b, (struct point){ key.start_ns, 1, 1 }), 0);
	assert_int_equal(partblock_writer_add(writer, key, &b), ERR_FULL);
	out = finish(0);
	check_block(buf_span(&out), 0);
	buf_release(&out);
	forget();
}

static void test_live_blocks_are_small(void **state)
{
	struct buf out;

	(void)state;
	live_block(2880, 1); /* a value of 20 random bits; the rest can be foretold */
	out = finish(64);
	assert_true(out.len < 2880 * 21 / 8 + 200);
	check_block(buf_span(&out), 64);
	buf_release(&out);
	forget();
	live_block(2880, 30); /* first, last, sum and two ends of a narrow range */
	out = finish(64);
	assert_true(out.len < 2880 * 12);
	buf_release(&out);
	forget();
}

static void test_what_foretells_is_read(void **state)
{
	struct buf out;

	(void)state;
	band_block(1000);
	out = finish(0);
	assert_true(out.len <
		    1000 * 10); /* first, last, least of 10, 10 and 20 bits; the sum of 24 at most */
	for (int i = 0; i < 8; i++)
		check_block(buf_span(&out), 0);
	buf_release(&out);
	forget();
}

static int ignore(void *arg, struct block_key key, const struct bucket *b)
{
	(void)arg;
	(void)key;
	(void)b;
	return 0;
}

static void test_damage_is_found(void **state)
{
	struct buf out;

	(void)state;
	random_block(100);
	out = finish(7);
	assert_int_equal(partblock_read(reader, buf_span(&out), 8, &block_want_all, ignore, NULL),
			 ERR_CORRUPT);
	for (size_t i = 0; i < out.len; i++) {
		uint8_t flip = (uint8_t)(1 + random_below(&seed, 255));

		out.data[i] ^= flip;
		assert_int_equal(partblock_read(reader, buf_span(&out), 7, &block_want_all, ignore, NULL),
				 ERR_CORRUPT);
		out.data[i] ^= flip;
	}
	for (size_t len = 0; len < out.len; len++)
		assert_int_equal(partblock_read(reader, span_of(out.data, len), 7, &block_want_all, ignore,
						NULL),
				 ERR_CORRUPT);
	buf_release(&out);
	forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_blocks),         cmocka_unit_test(test_full_block_says_so),
		cmocka_unit_test(test_live_blocks_are_small), cmocka_unit_test(test_what_foretells_is_read),
		cmocka_unit_test(test_damage_is_found),
	};
	int failed;

	mallopt(M_PERTURB, 165); /* a fresh reader finds nothing of one before */
	if (partblock_writer_new(&writer) < 0 || partblock_reader_new(&reader) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	partblock_writer_free(writer);
	partblock_reader_free(reader);
	return failed;
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/buckets.h"

#define BODY_MAX 4064
#define START    (INT64_C(1751803200) * 1000000000)

static struct block_key key_of(uint32_t sid, int64_t window)
{
	return (struct block_key){ sid, START + window * TEST_WINDOW_NS, TEST_WINDOW_NS };
}

static struct bucket bucket_of(const struct point *p, size_t n)
{
	struct bucket b;

	bucket_init(&b);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bucket_add(&b, p[i]), 0);
	return b;
}

/* Blocks of consecutive buckets, each compared with what is read from it. */
struct blocks {
	struct block_writer *w;
	struct block_key *keys;
	struct bucket *buckets;
	size_t n, done, blocks, bytes;
};

static int expect_next(void *arg, struct block_key key, const struct bucket *b)
{
	struct blocks *x = arg;
	struct block_key want = x->keys[x->done];

	assert_true(x->done < x->n);
	assert_true(key.sid == want.sid && key.start_ns == want.start_ns && key.window_ns == want.window_ns);
	assert_true(same_bucket(b, &x->buckets[x->done]));
	x->done++;
	return 0;
}

/* The next of the block's buckets that are wanted. */
struct expected {
	const struct blocks *x;
	const struct block_want *want;
	size_t next, end;
};

static void pass_unwanted(struct expected *e)
{
	for (; e->next < e->end; e->next++) {
		struct block_key key = e->x->keys[e->next];

		for (size_t i = 0; i < e->want->n_sids; i++)
			if (e->want->sids[i] == key.sid && key.start_ns >= e->want->from_ns &&
			    key.start_ns < e->want->to_ns)
				return;
	}
}

static int expect_wanted(void *arg, struct block_key key, const struct bucket *b)
{
	struct expected *e = arg;

	pass_unwanted(e);
	assert_true(e->next < e->end);
	assert_true(key.sid == e->x->keys[e->next].sid && key.start_ns == e->x->keys[e->next].start_ns);
	assert_true(same_bucket(b, &e->x->buckets[e->next]));
	e->next++;
	return 0;
}

/* Each third series, the one in the middle, and one that is not there; all windows, and some. */
static void read_some(const struct blocks *x, struct span body, size_t count)
{
	const struct block_key *keys = x->keys + x->done;
	int64_t middle = keys[count / 2].start_ns;
	struct block_want want = { .from_ns = INT64_MIN, .to_ns = INT64_MAX };
	uint32_t *sids = malloc((count + 1) * sizeof(*sids));

	assert_non_null(sids);
	want.sids = sids;
	for (int i = 0; i < 6; i++) {
		struct expected e = { x, &want, x->done, x->done + count };

		want.n_sids = 0;
		for (size_t j = 0; j < count; j++)
			if ((i % 3 == 0 && keys[j].sid % 3 == 0) || (i % 3 == 1 && j == count / 2))
				if (!want.n_sids || sids[want.n_sids - 1] != keys[j].sid)
					sids[want.n_sids++] = keys[j].sid;
		if (i % 3 == 2)
			sids[want.n_sids++] = keys[count - 1].sid + 1;
		if (i >= 3) {
			want.from_ns = middle;
			want.to_ns = middle < INT64_MAX / 2 ? middle + 3 * TEST_WINDOW_NS : INT64_MAX;
		}
		assert_int_equal(block_read_some(body, count, &want, expect_wanted, &e), 0);
		pass_unwanted(&e);
		assert_int_equal(e.next, e.end);
	}
	free(sids);
}

static void finish_and_read(struct blocks *x)
{
	size_t count = block_writer_count(x->w);
	struct buf body;

	buf_init(&body, 8192);
	assert_int_equal(block_writer_finish(x->w, &body), 0);
	assert_int_equal(block_writer_count(x->w), 0);
	assert_true(body.len <= BODY_MAX || count == 1);
	read_some(x, buf_span(&body), count);
	assert_int_equal(block_read(buf_span(&body), count, expect_next, x), 0);
	x->blocks++;
	x->bytes += body.len;
	buf_release(&body);
}

static struct blocks check_round_trip(struct block_key *keys, struct bucket *buckets, size_t n,
				      size_t body_max)
{
	struct blocks x = { .keys = keys, .buckets = buckets, .n = n };

	assert_int_equal(block_writer_new(body_max, &x.w), 0);
	for (size_t i = 0; i < n; i++) {
		int err = block_writer_add(x.w, keys[i], &buckets[i]);

		if (err == ERR_FULL) {
			finish_and_read(&x);
			err = block_writer_add(x.w, keys[i], &buckets[i]);
		}
		assert_int_equal(err, 0);
	}
	finish_and_read(&x);
	assert_int_equal(x.done, n);
	block_writer_free(x.w);
	for (size_t i = 0; i < n; i++)
		bucket_release(&buckets[i]);
	return x;
}

enum { MANY = 5000 };
static struct block_key keys[MANY];
static struct bucket buckets[MANY];

/* Bytes a bucket of `samples` samples takes, at the same times and steps in all series; or, onward,
 * in windows of one series that follow each other, at steps that do. */
static double bytes_a_bucket(size_t samples, enum value_kind kind, bool onward)
{
	uint64_t seed = 4;
	struct blocks x;

	for (uint32_t i = 0; i < MANY; i++) {
		int64_t window = onward ? i : 0;

		keys[i] = key_of(onward ? 1 : i + 1, window);
		bucket_init(&buckets[i]);
		for (size_t j = 0; j < samples; j++) {
			struct point p = { keys[i].start_ns + (int64_t)(j * 30 / samples) * 1000000000,
					   100 + window * (int64_t)samples + (int64_t)j,
					   random_value(&seed, kind) };

			assert_int_equal(bucket_add(&buckets[i], p), 0);
		}
	}
	x = check_round_trip(keys, buckets, MANY, BODY_MAX);
	return (double)x.bytes / MANY;
}

static void ordinary_buckets_are_small(void **state)
{
	(void)state;
	assert_true(bytes_a_bucket(1, VALUE_LOSS, false) < 4.1);
	assert_true(bytes_a_bucket(1, VALUE_TIMER, false) < 8.1);
	assert_true(bytes_a_bucket(3, VALUE_LOSS, false) < 14);
	assert_true(bytes_a_bucket(3, VALUE_TIMER, false) < 27);
	assert_true(bytes_a_bucket(30, VALUE_LOSS, false) < 23);
	assert_true(bytes_a_bucket(3, VALUE_LOSS, true) < 14);
	assert_true(bytes_a_bucket(10, VALUE_LOSS, true) < 23);
}

/* Steps that would go on evenly in the next window, and do, or do not, or have no room to. */
static void steps_from_window_to_window(void **state)
{
	static const int64_t steps[][2] = {
		{ 1, 3 },
		{ 4, 6 },
		{ 7, 9 },
		{ 7, 9 },
		{ 10, 13 },
		{ INT64_MAX - 7, INT64_MAX - 5 },
		{ INT64_MAX - 4, INT64_MAX - 2 },
		{ INT64_MAX - 4, INT64_MAX - 2 },
		{ INT64_MIN + 1, INT64_MAX },
		{ INT64_MIN + 1, INT64_MAX },
		{ INT64_MIN + 1, INT64_MIN + 5 },
		{ INT64_MIN + 6, INT64_MIN + 10 },
		{ -INT64_MAX / 2, INT64_MAX / 4 },
		{ STEP_NONE, STEP_NONE },
		{ STEP_NONE, 8 },
		{ STEP_NONE, 8 },
		{ 0, 0 },
		{ 0, 0 },
	};
	size_t n = sizeof(steps) / sizeof(*steps);
	(void)state;

	for (size_t i = 0; i < n; i++) {
		keys[i] = key_of(1, (int64_t)i);
		bucket_init(&buckets[i]);
		for (int64_t j = 0; j < 3; j++) {
			int64_t step = steps[i][j > 0];
			struct point p = { keys[i].start_ns + j, step, 1 };

			assert_int_equal(bucket_add(&buckets[i], p), 0);
		}
	}
	check_round_trip(keys, buckets, n, BODY_MAX);
}

static void random_buckets(void **state)
{
	uint64_t seed = 7;
	(void)state;

	for (int round = 0; round < 200; round++) {
		size_t n = 1 + random_below(&seed, 300);
		struct block_key key = key_of((uint32_t)random_below(&seed, 3), 0);

		for (size_t i = 0; i < n; i++) {
			if (random_below(&seed, 3) == 0) {
				key.start_ns += key.window_ns * (int64_t)(1 + random_below(&seed, 2));
			} else {
				key.sid += 1 + (uint32_t)random_below(&seed, 3);
				key.window_ns = (int64_t)(1 + random_below(&seed, 2)) * TEST_WINDOW_NS;
				key.start_ns =
				    window_start(START + (int64_t)random_below(&seed, 3) * TEST_WINDOW_NS,
						 key.window_ns);
			}
			keys[i] = key;
			assert_int_equal(random_bucket(&seed, key, &buckets[i]), 0);
		}
		check_round_trip(keys, buckets, n, BODY_MAX);
	}
}

static void ends_of_every_field(void **state)
{
	static const struct point first[] = { { 0, INT64_MAX, -0.0 }, { 1, INT64_MIN + 1, DBL_MAX } };
	static const struct point late[] = { { 9223372035, STEP_NONE, NAN }, { 9223372036, 0, -INFINITY } };
	static const struct point early[] = { { -1, 0, 1 }, { -30, STEP_NONE, 1 }, { -30, 1, -1 } };
	(void)state;

	keys[0] = (struct block_key){ 0, -30, 30 };
	buckets[0] = bucket_of(early, 3);
	keys[1] = (struct block_key){ 1, 0, 30 };
	buckets[1] = bucket_of(first, 2);
	keys[2] = (struct block_key){ UINT32_MAX, 9223372020, 30 };
	buckets[2] = bucket_of(late, 2);
	keys[2].start_ns = 9223372020;
	check_round_trip(keys, buckets, 3, BODY_MAX);
	keys[0] = (struct block_key){ UINT32_MAX, INT64_MAX - INT64_MAX % 1000, 1000 };
	buckets[0] = bucket_of(&(struct point){ INT64_MAX, 1, 1 }, 1);
	check_round_trip(keys, buckets, 1, BODY_MAX);
	keys[0] = (struct block_key){ 5, 0, INT64_MAX };
	buckets[0] = bucket_of((struct point[]){ { 0, 1, 1 }, { INT64_MAX - 1, 1, 2 } }, 2);
	check_round_trip(keys, buckets, 1, BODY_MAX);
}

static void a_bucket_larger_than_a_block(void **state)
{
	uint64_t seed = 9;
	struct blocks x;
	(void)state;

	for (uint32_t i = 0; i < 50; i++) {
		keys[i] = key_of(i, 0);
		bucket_init(&buckets[i]);
		for (int j = 0; j < 40; j++)
			assert_int_equal(bucket_add(&buckets[i],
						    random_point(&seed, keys[i], VALUE_FINITE_BITS)),
					 0);
	}
	x = check_round_trip(keys, buckets, 50, 16);
	assert_int_equal(x.blocks, 50);
}

static void the_unit_shrinks_at_the_end_of_a_block(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2000; i++) {
		int64_t odd = i % 400 == 399;

		keys[i] = key_of(i, 0);
		buckets[i] = bucket_of(
		    &(struct point){ keys[i].start_ns + (i % 30) * INT64_C(1000000000) + odd, 1, i }, 1);
	}
	check_round_trip(keys, buckets, 2000, BODY_MAX);
}

static int count_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	(void)key;
	(void)b;
	++*(size_t *)arg;
	return 0;
}

/* The layout by hand: what is written today must be read for ever. */
static const uint8_t by_hand[] = {
	0xff, 0x07, 7,    7,    2,    10,   2,    2,    28,   16,   8,    13, /* all columns; milliseconds */
	0x23, 0x38, 0xd5, 0x20, 0,    0,    1,                                /* shapes; three of the last */
	1,    0x80, 0xd8, 0x8e, 0xe1, 0x6f, 4,                      /* sid 1, 30 s, the window at 60 s */
	2,    1,                                                    /* counts */
	0xe8, 0x07, 0xe8, 0x07, 0xdc, 0x0b, 0xe8, 0x07, 0xe8, 0x07, /* 1 s; 1 s + 1.5 s; bad; 1 s */
	10,   1,                                                    /* step 5, then 6 */
	0x90, 0xa4,                                                 /* forms */
	0,    0,    0x80, 0x3f, 0,    0,    0x80, 0x3f, 0,    0,    0,    0xc0, /* 1; 1 and -2 */
	0,    0,    0,    0x40, 0,    0,    0,    0x40, 0,    0,    0,    0x40, 0,    0,
	0,    0x40,                                                                   /* four times 2 */
	0,    0,    0,    0,    0,    0,    0xf8, 0x7f,                               /* NaN */
	0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f,                               /* 0.1 */
	0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f,                               /* its sum */
	1,    0,    0,    0xf4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, /* one NaN, without a
											 step */
};

static void the_bytes_of_a_block(void **state)
{
	const int64_t s = 1000000000;
	const struct block_key key[] = { { 1, 60 * s, 30 * s },
					 { 2, 60 * s, 30 * s },
					 { 2, 90 * s, 30 * s } };
	const struct point p[] = {
		{ 61 * s, STEP_NONE, 1 },
		{ 61 * s, 5, 1 },
		{ 62 * s + s / 2, 6, -2 },
		{ 91 * s, STEP_NONE, bits_double(0x7ffULL << 52 | 1ULL << 51) },
		{ 92 * s + s / 2, STEP_NONE, 0.1 },
		{ 91 * s, STEP_NONE, 2 },
	};
	struct block_writer *w;
	struct buf body;
	(void)state;

	for (uint32_t i = 0; i < 7; i++)
		keys[i] = i < 3 ? key[i] : (struct block_key){ i, 90 * s, 30 * s };
	for (uint32_t i = 0; i < 7; i++)
		buckets[i] =
		    bucket_of(p + (const size_t[]){ 0, 1, 3, 5, 5, 5, 5 }[i], i == 1 || i == 2 ? 2 : 1);
	buf_init(&body, 1000);
	assert_int_equal(block_writer_new(BODY_MAX, &w), 0);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(block_writer_add(w, keys[i], &buckets[i]), 0);
	assert_int_equal(block_writer_finish(w, &body), 0);
	assert_int_equal(body.len, sizeof(by_hand));
	assert_memory_equal(body.data, by_hand, sizeof(by_hand));
	block_writer_free(w);
	buf_release(&body);
	check_round_trip(keys, buckets, 7, BODY_MAX);
}

/* An exact-size copy, so that a read past the end is found out. */
static int read_copy(const uint8_t *data, size_t len, size_t count)
{
	uint8_t *copy = malloc(len ? len : 1);
	size_t n = 0;
	int err;

	memcpy(copy, data, len);
	err = block_read(span_of(copy, len), count, count_bucket, &n);
	free(copy);
	assert_true(err == ERR_CORRUPT || (err == 0 && n == count));
	return err;
}

static void damaged_blocks(void **state)
{
	uint8_t body[sizeof(by_hand)];
	(void)state;

	memcpy(body, by_hand, sizeof(body));
	assert_int_equal(read_copy(body, sizeof(body), 7), 0);
	assert_int_equal(read_copy(body, sizeof(body), 6), ERR_CORRUPT);
	assert_int_equal(read_copy(body, sizeof(body), 8), ERR_CORRUPT);
	assert_int_equal(read_copy(body, sizeof(body), 0), ERR_CORRUPT);
	for (size_t cut = 0; cut < sizeof(body); cut++)
		assert_int_equal(read_copy(body, cut, 7), ERR_CORRUPT);
	for (size_t i = 0; i < sizeof(body); i++)
		for (unsigned v = 1; v < 256; v++) {
			body[i] ^= (uint8_t)v;
			read_copy(body, sizeof(body), 7); /* other values are the checksum's matter */
			body[i] ^= (uint8_t)v;
		}
}

static void every_byte_flipped_of_random_blocks(void **state)
{
	uint64_t seed = 11;
	(void)state;

	for (int round = 0; round < 20; round++) {
		struct block_writer *w;
		struct buf body;
		size_t count;

		buf_init(&body, 8192);
		assert_int_equal(block_writer_new(1000, &w), 0);
		for (uint32_t i = 0;; i++) {
			struct block_key key = key_of(i, 0);
			struct bucket b;
			int err;

			assert_int_equal(random_bucket(&seed, key, &b), 0);
			err = block_writer_add(w, key, &b);
			bucket_release(&b);
			if (err == ERR_FULL)
				break;
		}
		count = block_writer_count(w);
		assert_int_equal(block_writer_finish(w, &body), 0);
		block_writer_free(w);
		for (size_t i = 0; i < body.len; i++)
			for (unsigned bit = 0; bit < 8; bit++) {
				body.data[i] ^= (uint8_t)(1U << bit);
				read_copy(body.data, body.len, count);
				body.data[i] ^= (uint8_t)(1U << bit);
			}
		buf_release(&body);
	}
}

/* by_hand with a few bytes changed. */
static void bytes_no_writer_made(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
	} changes[] = {
		{ 1, 0x17 },  /* no such unit */
		{ 2, 0 },     /* an empty column that is listed */
		{ 18, 2 },    /* a run longer than the block */
		{ 16, 0x20 }, /* a run that was over */
		{ 12, 0x20 }, /* the first bucket's key is not whole */
		{ 20, 0 },    /* a window of no length */
		{ 26, 0 },    /* count 0 without a rare part */
		{ 29, 0xff }, /* a time after the window */
		{ 40, 0xff }, /* no such form */
		{ 86, 0 },    /* a sum with a zero byte at its low end */
		{ 94, 0 },    /* a rare part of nothing */
	};
	uint8_t body[sizeof(by_hand)];
	(void)state;

	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		memcpy(body, by_hand, sizeof(body));
		body[changes[i].at] = changes[i].byte;
		assert_int_equal(read_copy(body, sizeof(body), 7), ERR_CORRUPT);
	}
}

static void keys_rise(void **state)
{
	/* two of one float32; the second by sid + 0 and windows + n */
	uint8_t body[] = { 0x43, 0, 2, 9, 8, 3, 2, 1, 0x80, 0xd8, 0x8e, 0xe1,
			   0x6f, 4, 0, 2, 0, 0, 0, 0, 0,    0,    0,    0 };
	(void)state;

	assert_int_equal(read_copy(body, sizeof(body), 2), 0);
	body[15] = 0;
	assert_int_equal(read_copy(body, sizeof(body), 2), ERR_CORRUPT);
	body[15] = 1;
	assert_int_equal(read_copy(body, sizeof(body), 2), ERR_CORRUPT);
}

static void runs_of_shapes_are_whole(void **state)
{
	/* four of one float32; a shape, then twice another, then once more the same */
	uint8_t body[5 + 6 + 7 + 16] = { 0x43, 0, 6, 7,    16,   3,    0,    0,    0,
					 0,    0, 1, 0x80, 0xd8, 0x8e, 0xe1, 0x6f, 4 };
	(void)state;

	assert_int_equal(read_copy(body, sizeof(body), 4), ERR_CORRUPT);
	memmove(body + 9, body + 11, sizeof(body) - 11);
	body[2] = 4;
	body[8] = 1;
	assert_int_equal(read_copy(body, sizeof(body) - 2, 4), 0);
}

static int stop_at_second(void *arg, struct block_key key, const struct bucket *b)
{
	(void)key;
	(void)b;
	return ++*(int *)arg == 2 ? 42 : 0;
}

static void the_callback_ends_the_walk(void **state)
{
	int calls = 0;
	(void)state;

	assert_int_equal(block_read(span_of(by_hand, sizeof(by_hand)), 7, stop_at_second, &calls), 42);
	assert_int_equal(calls, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_buckets_are_small),
		cmocka_unit_test(steps_from_window_to_window),
		cmocka_unit_test(random_buckets),
		cmocka_unit_test(ends_of_every_field),
		cmocka_unit_test(a_bucket_larger_than_a_block),
		cmocka_unit_test(the_unit_shrinks_at_the_end_of_a_block),
		cmocka_unit_test(the_bytes_of_a_block),
		cmocka_unit_test(damaged_blocks),
		cmocka_unit_test(every_byte_flipped_of_random_blocks),
		cmocka_unit_test(bytes_no_writer_made),
		cmocka_unit_test(keys_rise),
		cmocka_unit_test(runs_of_shapes_are_whole),
		cmocka_unit_test(the_callback_ends_the_walk),
	};
	return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}

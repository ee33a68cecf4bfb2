/*
 * Samples in any order, split into any parts, merged along any tree, some parts by way of a block:
 * always the same bytes; and the bytes say what a naive look at all the samples says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/buckets.h"

#define SAMPLES_MAX 80
#define PARTS_MAX   12

static const struct block_key key = { 7, INT64_C(1751803200) * 1000000000, TEST_WINDOW_NS };

static void encode(const struct bucket *b, struct buf *out)
{
	struct block_writer *w;

	buf_init(out, 4096);
	assert_int_equal(block_writer_new(4064, &w), 0);
	assert_int_equal(block_writer_add(w, key, b), 0);
	assert_int_equal(block_writer_finish(w, out), 0);
	block_writer_free(w);
}

static int take_copy(void *arg, struct block_key k, const struct bucket *b)
{
	assert_true(k.sid == key.sid && k.start_ns == key.start_ns && k.window_ns == key.window_ns);
	return bucket_copy(arg, b);
}

/* Written and read again. */
static void through_block(struct bucket *b)
{
	struct bucket back;
	struct buf body;

	encode(b, &body);
	assert_int_equal(block_read(buf_span(&body), 1, take_copy, &back), 0);
	assert_true(same_bucket(b, &back));
	buf_release(&body);
	bucket_release(b);
	*b = back;
}

static void shuffle(uint64_t *seed, struct point *p, size_t n)
{
	for (; n > 1; n--) {
		size_t i = random_below(seed, n);
		struct point t = p[i];

		p[i] = p[n - 1];
		p[n - 1] = t;
	}
}

/* The samples thrown into parts, the parts merged two by two. */
static void merge_of_parts(uint64_t *seed, const struct point *p, size_t n, struct bucket *ret)
{
	struct bucket part[PARTS_MAX];
	size_t parts = 1 + random_below(seed, PARTS_MAX);

	for (size_t i = 0; i < parts; i++)
		bucket_init(&part[i]);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bucket_add(&part[random_below(seed, parts)], p[i]), 0);
	for (size_t i = 0; i < parts; i++)
		if (random_below(seed, 2) && bucket_samples(&part[i]))
			through_block(&part[i]);
	while (parts > 1) {
		size_t from = random_below(seed, parts), to = random_below(seed, parts);

		if (from == to)
			continue;
		assert_int_equal(bucket_merge(&part[to], &part[from]), 0);
		bucket_release(&part[from]);
		part[from] = part[--parts];
	}
	*ret = part[0];
}

static void random_samples(uint64_t *seed, struct point *p, size_t n)
{
	enum value_kind kind = (enum value_kind)random_below(seed, VALUE_KINDS);
	bool mixed = random_below(seed, 3) == 0;

	for (size_t i = 0; i < n; i++) {
		p[i] =
		    random_point(seed, key, mixed ? (enum value_kind)random_below(seed, VALUE_KINDS) : kind);
		if (i && random_below(seed, 4) == 0) /* ties */
			p[i].t_ns = p[random_below(seed, i)].t_ns;
		if (i && random_below(seed, 4) == 0)
			p[i].step = p[random_below(seed, i)].step;
	}
}

static void any_split_order_and_tree_gives_the_same_bytes(void **state)
{
	uint64_t seed = 21;
	(void)state;

	for (int round = 0; round < 3000; round++) {
		struct point p[SAMPLES_MAX];
		size_t n = 1 + random_below(&seed, round % 8 ? 8 : SAMPLES_MAX);
		struct bucket whole;
		struct buf want;

		random_samples(&seed, p, n);
		bucket_init(&whole);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(bucket_add(&whole, p[i]), 0);
		encode(&whole, &want);
		for (int again = 0; again < 3; again++) {
			struct bucket merged;
			struct buf got;

			shuffle(&seed, p, n);
			merge_of_parts(&seed, p, n, &merged);
			encode(&merged, &got);
			assert_true(span_equal(buf_span(&got), buf_span(&want)));
			assert_true(same_bucket(&merged, &whole));
			buf_release(&got);
			bucket_release(&merged);
		}
		buf_release(&want);
		bucket_release(&whole);
	}
}

/* Rank in totalOrder by sign and magnitude, as IEEE 754-2019 5.10 words it. */
static bool total_less(double a, double b)
{
	bool minus_a = double_bits(a) >> 63, minus_b = double_bits(b) >> 63;
	uint64_t size_a = double_bits(a) << 1, size_b = double_bits(b) << 1;

	if (minus_a != minus_b)
		return minus_a;
	return minus_a ? size_a > size_b : size_a < size_b;
}

static int by_time_step_value(const void *x, const void *y)
{
	const struct point *a = x, *b = y;

	if (a->t_ns != b->t_ns)
		return a->t_ns < b->t_ns ? -1 : 1;
	if (a->step != b->step)
		return a->step < b->step ? -1 : 1; /* STEP_NONE is the least there is */
	return total_less(a->value, b->value) ? -1 : total_less(b->value, a->value);
}

/* p is sorted. */
static struct bucket naive(const struct point *p, size_t n, struct bucket_rare *rare)
{
	struct bucket b;

	bucket_init(&b);
	b.first = p[0];
	b.last = p[n - 1];
	*rare = (struct bucket_rare){ 0 };
	for (size_t i = 0; i < n; i++) {
		double v = p[i].value;

		if (p[i].step != STEP_NONE && (b.step_min == STEP_NONE || p[i].step < b.step_min))
			b.step_min = p[i].step;
		if (p[i].step != STEP_NONE && (b.step_max == STEP_NONE || p[i].step > b.step_max))
			b.step_max = p[i].step;
		if (!isfinite(v)) {
			if (!b.rare) {
				rare->bad_t_ns = p[i].t_ns;
				rare->bad_step = p[i].step;
			}
			b.rare = rare;
			*(isnan(v) ? &rare->nan : v > 0 ? &rare->pos_inf : &rare->neg_inf) += 1;
			continue;
		}
		if (!b.count || total_less(v, b.min))
			b.min = v;
		if (!b.count || total_less(b.max, v))
			b.max = v;
		b.count++;
		assert_int_equal(sum_add(&b.sum, v), 0);
	}
	return b;
}

static void every_field_is_what_a_naive_look_finds(void **state)
{
	uint64_t seed = 22;
	(void)state;

	for (int round = 0; round < 5000; round++) {
		struct point p[SAMPLES_MAX];
		size_t n = 1 + random_below(&seed, round % 8 ? 6 : SAMPLES_MAX);
		struct bucket_rare rare;
		struct bucket merged, want;

		random_samples(&seed, p, n);
		merge_of_parts(&seed, p, n, &merged);
		qsort(p, n, sizeof(*p), by_time_step_value);
		want = naive(p, n, &rare);
		assert_true(same_bucket(&merged, &want));
		assert_int_equal(bucket_samples(&merged), n);
		bucket_release(&merged);
		sum_release(&want.sum);
	}
}

static void one_block_of_all_is_the_same_each_time(void **state)
{
	uint64_t seed = 23;
	(void)state;

	for (int round = 0; round < 100; round++) {
		struct block_writer *w[2];
		struct buf body[2];

		for (int i = 0; i < 2; i++) {
			buf_init(&body[i], 8192);
			assert_int_equal(block_writer_new(4064, &w[i]), 0);
		}
		for (uint32_t sid = 1; sid < 40; sid++) {
			struct block_key k = { sid, key.start_ns, key.window_ns };
			struct point p[8];
			size_t n = 1 + random_below(&seed, 8);

			random_samples(&seed, p, n);
			for (int i = 0; i < 2; i++) {
				struct bucket b;

				shuffle(&seed, p, n);
				merge_of_parts(&seed, p, n, &b);
				assert_int_equal(block_writer_add(w[i], k, &b), 0);
				bucket_release(&b);
			}
		}
		for (int i = 0; i < 2; i++) {
			assert_int_equal(block_writer_finish(w[i], &body[i]), 0);
			block_writer_free(w[i]);
		}
		assert_true(span_equal(buf_span(&body[0]), buf_span(&body[1])));
		buf_release(&body[0]);
		buf_release(&body[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_split_order_and_tree_gives_the_same_bytes),
		cmocka_unit_test(every_field_is_what_a_naive_look_finds),
		cmocka_unit_test(one_block_of_all_is_the_same_each_time),
	};
	return cmocka_run_group_tests_name("algebra", tests, NULL, NULL);
}

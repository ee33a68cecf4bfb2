/*
 * buckets.h - buckets of random samples, and whether two buckets are the same.
 */
#ifndef TESTS_BUCKETS_H
#define TESTS_BUCKETS_H

#include "store/bucket/block.h"
#include "tests/values.h"

#define TEST_WINDOW_NS INT64_C(30000000000)

static inline struct point random_point(uint64_t *seed, struct block_key key, enum value_kind kind)
{
	static const int64_t units[] = { 1, 1000, 1000000, 1000000000 };
	int64_t unit = units[random_below(seed, 4)];
	struct point p = { .step = STEP_NONE };
	uint64_t bits;

	p.t_ns = key.start_ns + (int64_t)random_below(seed, (uint64_t)(key.window_ns / unit)) * unit;
	switch (random_below(seed, 4)) {
	case 0:
		p.step = (int64_t)random_below(seed, 1000);
		break;
	case 1:
		bits = random_bits(seed);
		p.step = (int64_t)(bits >> random_below(seed, 64));
		break;
	case 2:
		p.step = p.t_ns / 1000000000;
		break;
	}
	p.value = random_value(seed, kind);
	return p;
}

/* 0, or ERR_NOMEM; b is uninitialised before. */
static inline int random_bucket(uint64_t *seed, struct block_key key, struct bucket *b)
{
	enum value_kind kind = (enum value_kind)random_below(seed, VALUE_KINDS);
	size_t n = 1 + random_below(seed, random_below(seed, 4) ? 4 : 40);
	int err = 0;

	bucket_init(b);
	for (size_t i = 0; i < n && err == 0; i++)
		err = bucket_add(b, random_point(seed, key, kind));
	return err;
}

static inline bool same_bits(double a, double b) { return double_bits(a) == double_bits(b); }

static inline bool same_point(struct point a, struct point b)
{
	return a.t_ns == b.t_ns && a.step == b.step && same_bits(a.value, b.value);
}

static inline bool same_sum(const struct sum *a, const struct sum *b)
{
	uint8_t room[2][512];
	struct buf x = { room[0], 0, 512, 512 }, y = { room[1], 0, 512, 512 };

	return sum_encode(a, &x) == 0 && sum_encode(b, &y) == 0 && span_equal(buf_span(&x), buf_span(&y));
}

static inline bool same_bucket(const struct bucket *a, const struct bucket *b)
{
	if (a->count != b->count || !same_bits(a->min, b->min) || !same_bits(a->max, b->max) ||
	    !same_point(a->first, b->first) || !same_point(a->last, b->last) || a->step_min != b->step_min ||
	    a->step_max != b->step_max || !a->rare != !b->rare || !same_sum(&a->sum, &b->sum))
		return false;
	return !a->rare || (a->rare->nan == b->rare->nan && a->rare->pos_inf == b->rare->pos_inf &&
			    a->rare->neg_inf == b->rare->neg_inf && a->rare->bad_t_ns == b->rare->bad_t_ns &&
			    a->rare->bad_step == b->rare->bad_step);
}

#endif

/*
 * Whether a part is what went into it: the digest of buckets changes with every field, and not with their
 * order or with how a sum is held; a file with other buckets is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/part/partcheck.h"
#include "tests/buckets.h"

#define FROM    (INT64_C(1751760000) * NS_PER_S)
#define HOUR    (3600 * NS_PER_S)
#define BUCKETS 240

static char directory[64], path[128];
static struct block_key keys[BUCKETS];
static struct bucket buckets[BUCKETS];

static void make_buckets(uint64_t seed)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		keys[i] = (struct block_key){ 1 + (uint32_t)(i / 120),
					      FROM + (int64_t)(i % 120) * TEST_WINDOW_NS, TEST_WINDOW_NS };
		assert_int_equal(random_bucket(&seed, keys[i], &buckets[i]), 0);
	}
}

static void forget(void)
{
	for (size_t i = 0; i < BUCKETS; i++)
		bucket_release(&buckets[i]);
}

static struct bucket_digest digest_all(void)
{
	struct bucket_digest d = { 0 };

	for (size_t i = 0; i < BUCKETS; i++)
		bucket_digest_add(&d, keys[i], &buckets[i]);
	return d;
}

static uint64_t digest_one(struct block_key key, const struct bucket *b)
{
	struct bucket_digest d = { 0 };

	bucket_digest_add(&d, key, b);
	assert_int_equal(d.buckets, 1);
	return d.sum;
}

static void test_order_does_not_matter(void **state)
{
	struct bucket_digest forward, back = { 0 };

	(void)state;
	make_buckets(1);
	forward = digest_all();
	for (size_t i = BUCKETS; i-- > 0;)
		bucket_digest_add(&back, keys[i], &buckets[i]);
	assert_int_equal(forward.buckets, BUCKETS);
	assert_int_equal(back.buckets, BUCKETS);
	assert_int_equal(forward.sum, back.sum);
	forget();
}

static void flip(double *v, unsigned bit) { *v = bits_double(double_bits(*v) ^ UINT64_C(1) << bit); }
static void flip_integer(int64_t *v, unsigned bit) { *v = (int64_t)((uint64_t)*v ^ UINT64_C(1) << bit); }

/* Any bit of any field. */
static void test_every_field_counts(void **state)
{
	struct bucket_rare rare = { 1, 2, 3, FROM + 5, 7 };
	struct block_key key = { 3, FROM, TEST_WINDOW_NS };
	const struct bucket b = { .count = 3,
				  .min = 1,
				  .max = 4,
				  .sum = { .hi = 0x1p60, .lo = 3 },
				  .first = { FROM + 1, 10, 2 },
				  .last = { FROM + 2, 12, 3 },
				  .step_min = 10,
				  .step_max = 12,
				  .rare = &rare };
	uint64_t was = digest_one(key, &b);

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		struct block_key keyed[] = { key, key, key };
		struct bucket other[18];
		struct bucket_rare rares[5];

		keyed[0].sid ^= UINT32_C(1) << bit % 32;
		flip_integer(&keyed[1].start_ns, bit);
		flip_integer(&keyed[2].window_ns, bit);
		for (size_t i = 0; i < 3; i++)
			assert_int_not_equal(digest_one(keyed[i], &b), was);
		for (size_t i = 0; i < 18; i++)
			other[i] = b;
		for (size_t i = 0; i < 5; i++) {
			rares[i] = rare;
			other[i].rare = &rares[i];
		}
		rares[0].nan ^= UINT64_C(1) << bit;
		rares[1].pos_inf ^= UINT64_C(1) << bit;
		rares[2].neg_inf ^= UINT64_C(1) << bit;
		flip_integer(&rares[3].bad_t_ns, bit);
		flip_integer(&rares[4].bad_step, bit);
		other[5].rare = NULL;
		other[6].count ^= UINT64_C(1) << bit;
		flip(&other[7].min, bit);
		flip(&other[8].max, bit);
		flip_integer(&other[9].step_min, bit);
		flip_integer(&other[10].step_max, bit);
		flip_integer(&other[11].first.t_ns, bit);
		flip_integer(&other[12].first.step, bit);
		flip(&other[13].first.value, bit);
		flip_integer(&other[14].last.t_ns, bit);
		flip_integer(&other[15].last.step, bit);
		flip(&other[16].last.value, bit);
		flip(&other[17].first.value, bit); /* and a pair, whose changes are the same */
		flip(&other[17].last.value, bit);
		for (size_t i = 0; i < 18; i++)
			assert_int_not_equal(digest_one(key, &other[i]), was);
	}
}

static void add_all(struct sum *s, const double *v, size_t n, bool back)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(sum_add(s, v[back ? n - 1 - i : i]), 0);
}

/* Equal sums are equal, whatever the way to them; others are not, be they held in two doubles or in many. */
static void test_sums(void **state)
{
	static const double kinds[][4] = { { 1, 0x1p60, -0x1p60, 2 },
					   { 0.1, 0.2, -0.3, 1e-30 },
					   { 1, 0x1p-80, 0x1p80, 0x1p-200 },
					   { 0x1p1023, 0x1p1023, 1, 0x1p-1074 },
					   { 1, -1, 0, -0.0 } };
	struct block_key key = { 3, FROM, TEST_WINDOW_NS };

	(void)state;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		struct bucket a = { .count = 4 }, b = a, c = a;

		add_all(&a.sum, kinds[k], 4, false);
		add_all(&b.sum, kinds[k], 4, true);
		add_all(&c.sum, kinds[k], 4, false);
		assert_int_equal(sum_add(&c.sum, 0x1p-1000), 0);
		assert_int_equal(digest_one(key, &a), digest_one(key, &b));
		assert_int_not_equal(digest_one(key, &a), digest_one(key, &c));
		sum_release(&a.sum);
		sum_release(&b.sum);
		sum_release(&c.sum);
	}
}

static int names(void *arg, uint32_t sid, struct part_name *ret, struct buf *row)
{
	(void)arg;
	ret->rid = 1;
	strcpy(ret->project, "default");
	strcpy(ret->id, "run");
	return buf_addf(row, "row of %u", sid);
}

static void write_part(void)
{
	struct part_id id = { 0, 0, FROM, FROM + HOUR, 7 };
	struct part_summary summary;
	struct part_writer *w;

	unlink(path);
	assert_int_equal(part_create(path, id, names, NULL, &w), 0);
	for (size_t i = 0; i < BUCKETS; i++)
		assert_int_equal(part_add(w, keys[i], &buckets[i]), 0);
	assert_int_equal(part_finish(w, &summary), 0);
}

static void test_a_part_with_other_buckets(void **state)
{
	struct bucket_digest right, d;
	atomic_bool stop = false;

	(void)state;
	make_buckets(2);
	write_part();
	right = digest_all();
	assert_int_equal(partcheck_digest(path, &right, NULL), 0);
	assert_int_equal(partcheck_digest(path, &right, &stop), 0);
	for (size_t i = 0; i < BUCKETS; i++) {
		struct bucket was = buckets[i];

		buckets[i].step_max++;
		d = digest_all();
		buckets[i] = was;
		assert_int_equal(partcheck_digest(path, &d, NULL), ERR_CORRUPT);
		flip(&buckets[i].first.value, 63);
		d = digest_all();
		buckets[i] = was;
		assert_int_equal(partcheck_digest(path, &d, NULL), ERR_CORRUPT);
	}
	d = right; /* one more, of nothing */
	d.buckets++;
	assert_int_equal(partcheck_digest(path, &d, NULL), ERR_CORRUPT);
	stop = true;
	assert_int_equal(partcheck_digest(path, &right, &stop), ERR_GONE);
	forget();
}

static int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/astraml-partcheck-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/a.part", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_does_not_matter),
		cmocka_unit_test(test_every_field_counts),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_a_part_with_other_buckets),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * Blocks of samples: what was added comes back bit for bit, whatever the values, times and steps and
 * however many; whoever wants some series gets these; any byte that is changed is found out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/part/column.h"
#include "store/raw/rawblock.h"
#include "tests/values.h"

#define ALL_MAX 40000
#define OFFSET  4711

static struct {
	uint32_t sid;
	struct point p;
} made[ALL_MAX];
static size_t n_made;

static struct rawblock_writer *writer;
static struct rawblock_reader *reader;
static struct buf block;

static int setup(void **state)
{
	(void)state;
	buf_init(&block, 2 * (size_t)RAWBLOCK_BYTES_MAX);
	return rawblock_writer_new(&writer) < 0 || rawblock_reader_new(&reader) < 0;
}

static int teardown(void **state)
{
	(void)state;
	rawblock_writer_free(writer);
	rawblock_reader_free(reader);
	buf_release(&block);
	return 0;
}

/* ---- samples ---- */

enum times { TIMES_EVEN, TIMES_JITTER, TIMES_EQUAL, TIMES_ANY, TIMES_KINDS };
enum steps { STEPS_NO, STEPS_RISE, STEPS_FALL, STEPS_SOME_HAVE, STEPS_ANY, STEPS_KINDS };

static int64_t time_at(uint64_t *seed, enum times kind, int64_t before)
{
	switch (kind) {
	case TIMES_EVEN:
		return before + 1000000000;
	case TIMES_JITTER:
		return before + (int64_t)random_below(seed, 2000) * 1000000;
	case TIMES_EQUAL:
		return before;
	default:
		return before + (int64_t)random_below(seed, UINT64_C(1) << random_below(seed, 50));
	}
}

static int64_t step_at(uint64_t *seed, enum steps kind, size_t i)
{
	switch (kind) {
	case STEPS_NO:
		return STEP_NONE;
	case STEPS_RISE:
		return (int64_t)i * 10;
	case STEPS_FALL:
		return 1000000 - (int64_t)i;
	case STEPS_SOME_HAVE:
		return random_below(seed, 3) ? (int64_t)i : STEP_NONE;
	default:
		return (int64_t)random_bits(seed);
	}
}

static int by_time(const void *a, const void *b) { return sample_compare(a, b); }

static void add_series(uint64_t *seed, uint32_t sid, size_t n, enum times times, enum steps steps,
		       enum value_kind values)
{
	struct point *p = malloc((n + 1) * sizeof(*p));
	int64_t t = INT64_C(1700000000000000000) + (int64_t)random_below(seed, 5) * 1000000;

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		t = time_at(seed, times, t);
		p[i] = (struct point){ t, step_at(seed, steps, i), random_value(seed, values) };
	}
	qsort(p, n, sizeof(*p), by_time);
	for (size_t i = 0; i < n; i++) {
		made[n_made].sid = sid;
		made[n_made++].p = p[i];
	}
	free(p);
}

static bool same_sample(const struct point *a, const struct point *b)
{
	return a->t_ns == b->t_ns && a->step == b->step && double_bits(a->value) == double_bits(b->value);
}

/* ---- there and back ---- */

static size_t add_all(size_t from)
{
	size_t at = from;

	while (at < n_made) {
		if (rawblock_add(writer, made[at].sid, &made[at].p, 1) == 0)
			break;
		at++;
	}
	return at - from;
}

struct walk {
	size_t at;
	const uint32_t *sids;
	size_t n_sids;
	bool wrong;
};

static bool wanted(const struct walk *w, uint32_t sid)
{
	for (size_t i = 0; i < w->n_sids; i++)
		if (w->sids[i] == sid)
			return true;
	return !w->sids;
}

static int take(void *arg, uint32_t sid, const struct point *p, size_t n)
{
	struct walk *w = arg;

	for (size_t i = 0; i < n; i++) {
		while (w->at < n_made && !wanted(w, made[w->at].sid))
			w->at++;
		if (w->at == n_made || made[w->at].sid != sid || !same_sample(&made[w->at].p, &p[i])) {
			w->wrong = true;
			return 0;
		}
		w->at++;
	}
	return 0;
}

static void assert_reads(size_t from, size_t upto, const uint32_t *sids, size_t n_sids)
{
	struct walk w = { .at = from, .sids = sids, .n_sids = n_sids };

	assert_int_equal(rawblock_read(reader, buf_span(&block), OFFSET, sids, n_sids, take, &w), 0);
	assert_false(w.wrong);
	while (w.at < upto && !wanted(&w, made[w.at].sid))
		w.at++;
	assert_int_equal(w.at, upto);
}

/* All that was made, in as many blocks as it takes. */
static void there_and_back(void)
{
	for (size_t from = 0, n; from < n_made; from += n) {
		struct rawblock_range range;
		const uint32_t some[] = { made[from].sid, made[from].sid + 2, made[from].sid + 3 };
		size_t held = rawblock_count(writer);

		n = held + add_all(from + held);
		assert_true(n > 0);
		if (n > 3000 && from + n < n_made)
			n -= 1000; /* the rest stays for the next */
		buf_clear(&block);
		assert_int_equal(rawblock_finish(writer, n, OFFSET, &block, &range), 0);
		assert_int_equal(range.samples, n);
		assert_int_equal(range.first_sid, made[from].sid);
		assert_int_equal(range.last_sid, made[from + n - 1].sid);
		assert_reads(from, from + n, NULL, 0);
		assert_reads(from, from + n, some, 3);
	}
	assert_int_equal(rawblock_count(writer), 0);
}

static void test_every_kind(void **state)
{
	static const size_t lengths[] = { 1, 2, 127, 128, 129, 4095, 4096, 4097, 9000 };
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		for (int v = 0; v < VALUE_KINDS; v++)
			for (int t = 0; t < TIMES_KINDS; t++) {
				n_made = 0;
				add_series(&seed, 7, lengths[i], (enum times)t,
					   (enum steps)((v + t) % STEPS_KINDS), (enum value_kind)v);
				there_and_back();
			}
}

static void test_many_series(void **state)
{
	uint64_t seed = 2;

	(void)state;
	for (int round = 0; round < 60; round++) {
		size_t longest = random_below(&seed, 3) ? 40 : 3000;
		uint32_t sid = 0;

		n_made = 0;
		while (n_made + longest < 20000 && sid < 6000) {
			sid += 1 + (uint32_t)random_below(&seed, 3);
			add_series(&seed, sid, 1 + random_below(&seed, longest),
				   (enum times)random_below(&seed, TIMES_KINDS),
				   (enum steps)random_below(&seed, STEPS_KINDS),
				   (enum value_kind)random_below(&seed, VALUE_KINDS));
		}
		there_and_back();
	}
}

/* Series of one sample fill the directory before the block. */
static void test_short_series(void **state)
{
	uint64_t seed = 3;

	(void)state;
	n_made = 0;
	for (uint32_t sid = 1; sid <= 10000; sid++)
		add_series(&seed, sid, 1, TIMES_EVEN, STEPS_RISE, VALUE_LOSS);
	there_and_back();
}

/* What series have in common is kept once: ten that are logged together take little more than their values.
 */
static void test_shared_axes(void **state)
{
	struct rawblock_range range;
	size_t alone = 0;
	uint64_t seed;

	(void)state;
	for (uint32_t n = 1; n <= 10; n += 9) {
		n_made = 0;
		for (uint32_t sid = 1; sid <= n; sid++) {
			seed = 99; /* the same times, steps and values */
			add_series(&seed, sid, 1000, TIMES_JITTER, STEPS_ANY, VALUE_COUNTER);
		}
		assert_int_equal(add_all(0), n_made);
		buf_clear(&block);
		assert_int_equal(rawblock_finish(writer, n_made, OFFSET, &block, &range), 0);
		assert_reads(0, n_made, NULL, 0);
		if (n == 1)
			alone = block.len;
	}
	assert_true(alone > 8000); /* steps of any bits */
	assert_true(block.len < alone + 10 * 600);
}

/* A strip may have the times of one neighbour and the steps of another. */
static void test_mixed_axes(void **state)
{
	struct rawblock_range range;

	(void)state;
	n_made = 0;
	for (uint32_t sid = 1; sid <= 8; sid++)
		for (int i = 0; i < 100; i++) {
			made[n_made].sid = sid;
			made[n_made++].p = (struct point){ sid & 1 ? i * 7 : i * i,
							   sid & 2 ? i * 3 : i * 5 + i % 2, i * sid };
		}
	assert_int_equal(add_all(0), n_made);
	buf_clear(&block);
	assert_int_equal(rawblock_finish(writer, n_made, OFFSET, &block, &range), 0);
	assert_reads(0, n_made, NULL, 0);
	for (uint32_t sid = 1; sid <= 8; sid++)
		assert_reads((sid - 1) * 100, sid * 100, &sid, 1);
}

/* As a table shows it that has 15 digits. */
static double printed(double v)
{
	char text[40];

	snprintf(text, sizeof(text), "%.15g", v);
	return strtod(text, NULL);
}

/* Means over minutes and hours, also printed, decimals that went through arithmetic, and any double among
 * them. */
static void test_ratios(void **state)
{
	static const double divisors[] = { 60, 3600, 7, 1000 };
	struct rawblock_range range;
	uint64_t seed = 8;

	(void)state;
	for (int kind = 0; kind < 3; kind++)
		for (size_t d = 0; d < 4; d++) {
			n_made = 0;
			for (size_t i = 0; i < 2000; i++) {
				double v = ((double)random_below(&seed, 60000) - 7) / divisors[d];

				if (kind == 2)
					v = printed(v);
				else if (random_below(&seed, 3) == 0)
					v = nextafter(v, i % 2 ? 1e9 : -1e9);
				if (kind == 1 && random_below(&seed, 50) == 0)
					v = random_value(&seed, VALUE_SPECIAL);
				made[n_made].sid = 9;
				made[n_made++].p = (struct point){ (int64_t)i * 1000, STEP_NONE, v };
			}
			assert_int_equal(add_all(0), n_made);
			buf_clear(&block);
			assert_int_equal(rawblock_finish(writer, n_made, OFFSET, &block, &range), 0);
			assert_reads(0, n_made, NULL, 0);
			if (kind != 1) /* a double has 8 bytes, 60000 numbers 2 */
				assert_true(block.len < n_made * (kind == 2 ? 21 : 24) / 10);
		}
}

static int ignore(void *arg, uint32_t sid, const struct point *p, size_t n)
{
	(void)arg, (void)sid, (void)p, (void)n;
	return 0;
}

static void test_changed_bytes(void **state)
{
	struct rawblock_range range;
	uint64_t seed = 5;

	(void)state;
	n_made = 0;
	for (uint32_t sid = 1; sid < 20; sid++)
		add_series(&seed, sid, 50, TIMES_JITTER, STEPS_SOME_HAVE, VALUE_LOSS);
	add_all(0);
	buf_clear(&block);
	assert_int_equal(rawblock_finish(writer, n_made, OFFSET, &block, &range), 0);
	for (size_t i = 0; i < block.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			block.data[i] ^= (uint8_t)(1 << bit);
			assert_int_equal(rawblock_read(reader, buf_span(&block), OFFSET, NULL, 0, ignore,
						       NULL),
					 ERR_CORRUPT);
			block.data[i] ^= (uint8_t)(1 << bit);
		}
	for (size_t len = 0; len < block.len; len++)
		assert_int_equal(rawblock_read(reader, span_of(block.data, len), OFFSET, NULL, 0, ignore,
					       NULL),
				 ERR_CORRUPT);
	assert_int_equal(rawblock_read(reader, buf_span(&block), OFFSET + 1, NULL, 0, ignore, NULL),
			 ERR_CORRUPT);
	assert_reads(0, n_made, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),   cmocka_unit_test(test_many_series),
		cmocka_unit_test(test_short_series), cmocka_unit_test(test_shared_axes),
		cmocka_unit_test(test_mixed_axes),   cmocka_unit_test(test_changed_bytes),
		cmocka_unit_test(test_ratios),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * The store against a plain oracle: random batches, some sent twice, some late, with flushes,
 * compactions and restarts in between; whatever happened, view_windows tells what merging all samples tells,
 * here and in a reader.  Some come as buckets that were made elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/admin.h"
#include "store/read.h"
#include "store/write.h"
#include "tests/commit.h"

#define SERIES  7
#define WINDOWS 400
#define T0      begin_ns

/* Half the windows lie behind the clock and half ahead, so flushes by the clock leave some in memory
 * and the journal: recovery must tell them apart. */
static int64_t begin_ns;

static uint64_t seed = 88172645463325252ULL;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

struct world {
	char dir[64];
	struct store *store;
	struct run run;
	uint32_t sids[SERIES];
	struct bucket oracle[SERIES][WINDOWS];
	uint64_t sequence, logs;
};

static struct store *open_store(const char *dir, bool read_only)
{
	struct store_options o = { .read_only = read_only,
				   .memory_max_bytes = 400 * 1000,
				   .journal_max_bytes = 60000,
				   .flush_every_ns = 20 * NS_PER_MS,
				   .grace_ns = 1,
				   .compact_every_ns = 40 * NS_PER_MS,
				   .settle_ns = 1,
				   .late_ns = 100 * NS_PER_MS,
				   .map_max_bytes = 1 << 30 };
	struct fault f = { 0 };
	struct store *s;

	if (store_open(dir, &o, &s, &f) < 0)
		fail_msg("%s", f.text);
	return s;
}

static struct batch *new_batch(struct world *w, uint64_t sequence)
{
	struct batch *b = batch_new();

	b->rid = w->run.rid;
	b->window_ns = w->run.window_ns;
	b->has_producer = true;
	memset(b->producer, 7, sizeof(b->producer));
	b->sequence = sequence;
	b->content_hash = sequence * 31;
	return b;
}

static const char *const names[SERIES] = { "a", "b", "c", "d", "e", "f", "g" };

static void define_series(struct world *w)
{
	struct batch *b = new_batch(w, ++w->sequence);

	b->series = calloc(SERIES, sizeof(*b->series));
	b->n_series = SERIES;
	for (size_t i = 0; i < SERIES; i++)
		b->series[i].name.metric = span_str(names[i]);
	assert_int_equal(commit_batch(w->store, b), 0);
	for (size_t i = 0; i < SERIES; i++)
		w->sids[i] = b->series[i].sid;
	batch_free(b);
}

static double random_value(void)
{
	switch (rnd() % 8) {
	case 0:
		return (double)(float)((double)rnd() / 1e15);
	case 1:
		return -(double)(rnd() % 1000) / 10;
	case 2:
		return 0.0 / 0.0;
	case 3:
		return rnd() % 2 ? 1e308 * 10 : -1e308 * 10;
	case 4:
		return -0.0;
	case 5:
		return 1e300 * (double)(rnd() % 100);
	case 6:
		return 5e-324 * (double)(rnd() % 9);
	default:
		return (double)(rnd() % 100000) * 1.000001;
	}
}

/* Samples cluster near a moving "now", with some anywhere. */
static void random_samples(struct world *w, struct batch *b, size_t n, int64_t focus)
{
	bool steps = rnd() % 2;

	b->n_samples = n;
	b->sid = malloc(n * sizeof(*b->sid));
	b->t_ns = malloc(n * sizeof(*b->t_ns));
	b->step = steps ? malloc(n * sizeof(*b->step)) : NULL;
	b->value = malloc(n * sizeof(*b->value));
	for (size_t i = 0; i < n; i++) {
		size_t series = rnd() % SERIES;
		int64_t window = rnd() % 8 ? focus : (int64_t)(rnd() % WINDOWS);
		struct point p = { T0 + window * 30 * NS_PER_S + (int64_t)(rnd() % 30) * NS_PER_S, STEP_NONE,
				   random_value() };

		if (steps && rnd() % 10)
			p.step = (int64_t)(rnd() % 1000) - 10;
		b->sid[i] = w->sids[series];
		b->t_ns[i] = p.t_ns;
		b->value[i] = p.value;
		if (steps)
			b->step[i] = p.step;
		bucket_add(&w->oracle[series][window], p);
	}
}

/* Windows near the focus and anywhere, each made of samples elsewhere; the same one may come twice. */
static void random_buckets(struct world *w, struct batch *b, size_t n, int64_t focus)
{
	b->n_buckets = n;
	b->buckets = calloc(n, sizeof(*b->buckets));
	for (size_t i = 0; i < n; i++) {
		struct bucket_record *r = &b->buckets[i];
		int64_t window = rnd() % 4 ? focus : (int64_t)(rnd() % WINDOWS);
		size_t series = rnd() % SERIES;
		struct fault f = { 0 };

		*r = (struct bucket_record){ w->sids[series], T0 + window * 30 * NS_PER_S, { 0 } };
		bucket_init(&r->bucket);
		for (size_t k = 1 + rnd() % (rnd() % 2 ? 2 : 20); k > 0; k--) {
			struct point p = { r->start_ns + (int64_t)(rnd() % (30 * NS_PER_S)),
					   rnd() % 3 ? (int64_t)(rnd() % 1000) : STEP_NONE, random_value() };

			bucket_add(&r->bucket, p);
		}
		if (bucket_record_check(r, 30 * NS_PER_S, &f) < 0)
			fail_msg("%s", f.text);
		bucket_merge(&w->oracle[series][window], &r->bucket);
	}
}

static void resend(struct world *w, uint64_t sequence)
{
	struct batch *b = new_batch(w, sequence);

	b->n_samples = 1;
	b->sid = malloc(sizeof(*b->sid));
	b->t_ns = malloc(sizeof(*b->t_ns));
	b->value = malloc(sizeof(*b->value));
	b->sid[0] = w->sids[0];
	b->t_ns[0] = T0;
	b->value[0] = 1;
	assert_int_equal(commit_batch(w->store, b), 0);
	assert_true(b->duplicate);
	batch_free(b);
}

struct check {
	struct world *w;
	uint32_t asked[SERIES]; /* in any order */
	unsigned fields;        /* as view_fields */
	size_t at, seen;        /* place in asked */
	int64_t before_ns;      /* of the same series */
};

static void assert_same_bucket(const struct bucket *a, const struct bucket *b)
{
	struct buf x, y;

	assert_int_equal(a->count, b->count);
	buf_init(&x, 4096);
	buf_init(&y, 4096);
	sum_encode(&a->sum, &x);
	sum_encode(&b->sum, &y);
	assert_true(span_equal(buf_span(&x), buf_span(&y)));
	buf_release(&x);
	buf_release(&y);
	if (a->count) {
		assert_memory_equal(&a->min, &b->min, 8);
		assert_memory_equal(&a->max, &b->max, 8);
	}
	assert_memory_equal(&a->first, &b->first, sizeof(a->first));
	assert_memory_equal(&a->last, &b->last, sizeof(a->last));
	assert_int_equal(a->step_min, b->step_min);
	assert_int_equal(a->step_max, b->step_max);
	assert_int_equal(!a->rare, !b->rare);
	if (a->rare)
		assert_memory_equal(a->rare, b->rare, sizeof(*a->rare));
}

static void assert_same_values(const struct bucket *a, const struct bucket *b)
{
	double sums[2] = { sum_round(&a->sum), sum_round(&b->sum) };

	assert_int_equal(a->count, b->count);
	assert_memory_equal(&sums[0], &sums[1], sizeof(sums[0]));
	if (a->count) {
		assert_memory_equal(&a->min, &b->min, sizeof(a->min));
		assert_memory_equal(&a->max, &b->max, sizeof(a->max));
	}
}

static int check_bucket(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b)
{
	struct check *c = arg;
	const struct bucket *same;
	size_t series = 0;

	for (; c->asked[c->at] != sid; c->at++, c->before_ns = INT64_MIN)
		assert_true(c->at + 1 < SERIES);
	assert_true(start_ns > c->before_ns);
	c->before_ns = start_ns;
	while (c->w->sids[series] != sid)
		series++;
	same = &c->w->oracle[series][(start_ns - T0) / (30 * NS_PER_S)];
	if (c->fields)
		assert_same_values(b, same);
	else
		assert_same_bucket(b, same);
	c->seen++;
	return 0;
}

static void shuffle(uint32_t *v, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = rnd() % i;
		uint32_t was = v[j];

		v[j] = v[i - 1];
		v[i - 1] = was;
	}
}

static void check_all(struct world *w, struct store *s)
{
	int64_t from = T0 + (int64_t)(rnd() % 2 ? 0 : rnd() % WINDOWS) * 30 * NS_PER_S;
	int64_t to = rnd() % 2 ? INT64_MAX : T0 + (int64_t)(rnd() % WINDOWS) * 30 * NS_PER_S;
	struct check c = { .w = w, .fields = rnd() % 2 ? 0 : WANT_VALUES | WANT_SUM, .before_ns = INT64_MIN };
	size_t expected = 0, n = 1 + rnd() % SERIES;
	bool partial = false;
	struct view *v;

	for (size_t i = 0; i < n; i++)
		for (int64_t j = 0; j < WINDOWS; j++) {
			int64_t start = T0 + j * 30 * NS_PER_S;
			expected += start >= from && start < to && bucket_samples(&w->oracle[i][j]) > 0;
		}
	memcpy(c.asked, w->sids, n * sizeof(*w->sids));
	if (rnd() % 2)
		shuffle(c.asked, n);
	assert_int_equal(view_open(s, &v), 0);
	view_fields(v, c.fields);
	assert_int_equal(view_windows(v, w->run.rid, c.asked, n, from, to, 0, check_bucket, &c, &partial), 0);
	view_close(v);
	assert_false(partial);
	assert_int_equal(c.seen, expected);
}

static void tell_trouble(void *arg, const char *sentence)
{
	(void)arg;
	fail_msg("%s", sentence);
}

static void check_verify(struct store *s)
{
	struct verify_counts counts;

	assert_int_equal(store_verify(s, tell_trouble, NULL, NULL, &counts), 0);
	assert_true(counts.values > 0);
}

/* Everything into parts: all that is there, or what the clock or a time says. */
static void compact(struct world *w, uint64_t *parts)
{
	int64_t until = rnd() % 3 ? T0 + (int64_t)(rnd() % WINDOWS) * 30 * NS_PER_S : INT64_MAX;
	struct compact_report report;

	assert_int_equal(store_compact(w->store, until, false, NULL, NULL, NULL, &report), 0);
	assert_int_equal(report.failed, 0);
	*parts += report.parts;
	for (int i = 0; i < 8; i++) /* nothing came late yet: parts alone may have all there is */
		check_all(w, w->store);
}

/* A reader, which folds the journal's tail itself; twice, as it keeps that while nothing changes.  The writer
 * is closed meanwhile: LMDB must not have one file open twice in a process.  A reader beside a server is
 * tests/e2e's. */
static void check_reader(struct world *w)
{
	struct store *reader;

	store_close(w->store);
	reader = open_store(w->dir, true);
	check_all(w, reader);
	check_all(w, reader);
	check_verify(reader);
	store_close(reader);
	w->store = open_store(w->dir, false);
}

static void test_random_life(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct store_stats stats;
	struct run wanted = { .project = "p", .id = "r", .state = RUN_RUNNING, .window_ns = 30 * NS_PER_S };
	uint64_t parts = 0;
	bool replayed;
	char command[128];

	(void)state;
	begin_ns = window_start(clock_now_ns(), 30 * NS_PER_S) - WINDOWS / 2 * 30 * NS_PER_S;
	for (size_t i = 0; i < SERIES; i++)
		for (size_t j = 0; j < WINDOWS; j++)
			bucket_init(&w->oracle[i][j]);
	strcpy(w->dir, "/tmp/astraml-store-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->store = open_store(w->dir, false);
	buf_init(&wanted.spec_json, 16);
	assert_int_equal(store_run_create(w->store, &wanted, span_of(NULL, 0), 0, &w->run, &replayed, NULL),
			 0);
	define_series(w);
	for (int round = 0; round < 400; round++) {
		struct batch *b = new_batch(w, ++w->sequence);

		if (rnd() % 4)
			random_samples(w, b, 1 + rnd() % (rnd() % 10 ? 100 : 3000), round % WINDOWS);
		if (rnd() % 2)
			random_buckets(w, b, 1 + rnd() % 40, round % WINDOWS);
		assert_int_equal(commit_batch(w->store, b), 0);
		assert_false(b->duplicate);
		batch_free(b);
		if (rnd() % 5 == 0)
			resend(w, w->sequence);
		if (rnd() % 4 == 0)
			check_all(w, w->store);
		if (rnd() % 10 == 0)
			check_reader(w);
		if (rnd() % 25 == 0)
			compact(w, &parts);
		if (rnd() % 40 == 0) {
			store_close(w->store);
			w->store = open_store(w->dir, false);
		}
	}
	assert_int_equal(store_stats(w->store, &stats), 0);
	assert_true(parts > 5);
	assert_true(stats.parts > 0);
	check_all(w, w->store);
	check_reader(w);
	check_verify(w->store);
	store_close(w->store);
	for (size_t i = 0; i < SERIES; i++)
		for (size_t j = 0; j < WINDOWS; j++)
			bucket_release(&w->oracle[i][j]);
	run_release(&w->run);
	snprintf(command, sizeof(command), "rm -r %s", w->dir);
	assert_int_equal(system(command), 0);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_random_life) };

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}

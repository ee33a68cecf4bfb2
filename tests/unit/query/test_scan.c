#include "tests/unit/query/fixture.h"

#include "query/scan.h"

/* Series of very different density over 3 years: what is read, and in how many slots. */
#define DENSE   120000 /* windows, one sample each */
#define SPARSE  400    /* series of SAMPLES samples */
#define SAMPLES 8
#define YEARS   (INT64_C(3) * 365 * NS_PER_DAY)

static uint32_t sids[SPARSE + 2];
static size_t n_sids;
static struct run run;

static int on_series(void *arg, uint32_t sid, const struct series_name *name)
{
	(void)arg, (void)name;
	sids[n_sids++] = sid;
	return 0;
}

static void put_sparse(int rank, const char *metric)
{
	struct point p[SAMPLES];

	for (int i = 0; i < SAMPLES; i++)
		p[i] = (struct point){ T0 + i * (YEARS / SAMPLES) + rank * S, i, 1 };
	put_samples("r", metric, rank, p, SAMPLES);
}

/* The dense ones lie among the sparse ones, so that what was learnt of these misleads. */
static void put_all(void)
{
	struct point *p = malloc(DENSE * sizeof *p);
	struct reply made = call_as(&owner, "POST", "/v2/projects/p/runs", "{\"id\":\"r\"}", NULL);
	struct view *v;

	assert_int_equal(made.status, 201);
	reply_release(&made);
	for (int i = 0; i < SPARSE; i++) {
		put_sparse(i, "sparse");
		if (i != SPARSE / 2 && i != SPARSE - 1)
			continue;
		for (int k = 0; k < DENSE; k++)
			p[k] = (struct point){ T0 + k * 30 * S, k, 1 };
		put_samples("r", "dense", i, p, DENSE);
	}
	free(p);
	assert_int_equal(view_open(fixture_store, &v), 0);
	assert_int_equal(view_run(v, "p", "r", &run), 0);
	assert_int_equal(view_series(v, run.rid, on_series, NULL), 0);
	view_close(v);
	assert_int_equal(n_sids, SPARSE + 2);
}

struct told {
	uint64_t rows, count, slots, slot_rows, slot_rows_max;
	size_t series;
	int64_t last_ns, every_ns;
};

static int on_row(void *arg, size_t series, int64_t start_ns, const struct bucket *b)
{
	struct told *t = arg;

	assert_true(series > t->series || (series == t->series && start_ns > t->last_ns));
	assert_int_equal(start_ns % t->every_ns, 0);
	t->series = series;
	t->last_ns = start_ns;
	t->rows++;
	t->count += b->count;
	t->slot_rows++;
	return 0;
}

static int on_pause(void *arg)
{
	struct told *t = arg;

	t->slots++;
	if (t->slot_rows > t->slot_rows_max)
		t->slot_rows_max = t->slot_rows;
	t->slot_rows = 0;
	return 0;
}

static struct told scanned(int64_t width_ns, int64_t every_ns)
{
	struct told t = { .last_ns = INT64_MIN, .every_ns = every_ns };
	const struct scan s = { .store = fixture_store,
				.rid = run.rid,
				.window_ns = run.window_ns,
				.sids = sids,
				.n_sids = n_sids,
				.width_ns = width_ns,
				.from_ns = window_start(T0, width_ns),
				.to_ns = window_start(T0 + YEARS, width_ns) + width_ns,
				.every_ns = every_ns,
				.row = on_row,
				.pause = on_pause,
				.arg = &t };
	bool partial = false;

	assert_int_equal(scan_run(&s, &partial), 0);
	assert_false(partial);
	assert_int_equal(t.count, SPARSE * SAMPLES + 2 * DENSE);
	return t;
}

/* Rows there must be: each sparse sample lies alone, dense ones fill their windows. */
static uint64_t rows_of(int64_t every_ns)
{
	int64_t first = T0 / every_ns, last = (T0 + (DENSE - 1) * 30 * S) / every_ns;

	return SPARSE * SAMPLES + 2 * (uint64_t)(last - first + 1);
}

static void every_window_is_told_once(void **state)
{
	static const int64_t widths[][2] = { { 30, 30 },     { 30, 300 },      { 300, 300 },     { 300, 600 },
					     { 3600, 3600 }, { 86400, 86400 }, { 86400, 604800 } };

	(void)state;
	for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
		struct told t = scanned(widths[i][0] * S, widths[i][1] * S);

		assert_int_equal(t.rows, rows_of(widths[i][1] * S));
		assert_true(t.slot_rows_max <= SCAN_SLOT_BUCKETS * 5 / 4);
		/* 400 series of 3 million windows each, nearly all of them empty */
		assert_in_range(t.slots, 2, 150);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_window_is_told_once) };
	int failed;

	if (fixture_open(NULL) < 0)
		return 1;
	put_all();
	failed = cmocka_run_group_tests_name("query/scan", tests, NULL, NULL);
	run_release(&run);
	fixture_close(NULL);
	return failed;
}

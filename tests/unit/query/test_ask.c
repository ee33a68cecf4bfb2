#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "query/ask.h"

#define S NS_PER_S

static struct params params;

static int ask(const char *query, struct ask *ret, struct fault *f)
{
	*f = (struct fault){ 0 };
	params_release(&params);
	assert_int_equal(params_parse(span_str(query), &params, f), 0);
	return ask_parse(&params, 100000 * S, ret, f);
}

static void refused(const char *query, const char *field)
{
	struct ask a;
	struct fault f;

	assert_int_equal(ask(query, &a, &f), ERR_REFUSED);
	assert_string_equal(f.field, field);
	assert_true(strlen(f.text) > 10);
}

static void what_is_refused(void **state)
{
	(void)state;
	refused("metric=a", "run");
	refused("run=a/b", "run");
	refused("run=a&run=a", "run");
	refused("run=a&agg=mean,median", "agg");
	refused("run=a&agg=mean,mean", "agg");
	refused("run=a&agg=", "agg");
	refused("run=a&every=30", "every");
	refused("run=a&every=30s&points=3", "points");
	refused("run=a&points=0", "points");
	refused("run=a&start=2000&end=1000", "start");
	refused("run=a&x=steps", "x");
	refused("run=a&samples=yes", "samples");
	refused("run=a&samples=true&every=5m", "every");
	refused("run=a&attempt=1", "attempt");
	refused("run=a&agg=stddev", "agg");
	refused("run=a&agg=count,p50", "agg");
	refused("run=a&step_start=one", "step_start");
	refused("run=a&step_end=-9223372036854775808", "step_end");
	refused("run=a&step_start=7&step_end=6", "step_start");
	refused("run=a&evry=30s", "evry");
}

static void what_is_taken(void **state)
{
	struct ask a;
	struct fault f;
	(void)state;

	assert_int_equal(ask("run=a&run=b&start=-10s&end=now&every=5m&agg=last,count&x=time&samples=false",
			     &a, &f),
			 0);
	assert_int_equal(a.n_runs, 2);
	assert_true(a.has_start && a.start_ns == 99990 * S && a.has_end && a.end_ns == 100000 * S);
	assert_int_equal(a.every_ns, 300 * S);
	assert_int_equal(a.n_aggs, 2);
	assert_int_equal(a.aggs[0], AGG_LAST);
	assert_int_equal(a.aggs[1], AGG_COUNT);
	assert_int_equal(ask("run=a", &a, &f), 0);
	assert_int_equal(a.n_aggs, 6);
	assert_false(a.has_start || a.has_end || a.x_step || a.merge);
	assert_true(ask_wants_step(&a, STEP_NONE) && ask_wants_step(&a, INT64_MAX));
	assert_int_equal(ask("run=a&x=step&step_start=-5&step_end=9223372036854775807&by=rank&by=&by=split",
			     &a, &f),
			 0);
	assert_true(a.x_step && a.merge);
	assert_false(ask_wants_step(&a, STEP_NONE) || ask_wants_step(&a, -6));
	assert_true(ask_wants_step(&a, -5) && ask_wants_step(&a, INT64_MAX));
	assert_int_equal(a.step_start, -5);
	assert_int_equal(a.step_end, INT64_MAX);
	assert_int_equal(a.n_by, 2);
	assert_int_equal(ask("run=a&step_end=7", &a, &f), 0);
	assert_true(ask_wants_step(&a, 6) && !ask_wants_step(&a, 7) && !ask_wants_step(&a, STEP_NONE));
}

static struct windows windows(const char *query, int64_t tier, int64_t from, int64_t to)
{
	struct windows w;
	struct ask a;
	struct fault f;

	assert_int_equal(ask(query, &a, &f), 0);
	assert_int_equal(ask_windows(&a, tier, from, to, &w, &f), 0);
	assert_int_equal(w.from_ns % w.every_ns, 0);
	assert_int_equal(w.to_ns % w.every_ns, 0);
	assert_true(w.every_ns % tier == 0 && w.from_ns <= w.to_ns);
	return w;
}

static void assert_windows(struct windows w, int64_t from, int64_t to, int64_t every)
{
	assert_int_equal(w.from_ns, from);
	assert_int_equal(w.to_ns, to);
	assert_int_equal(w.every_ns, every);
}

static void windows_of_a_range(void **state)
{
	(void)state;
	/* the whole life */
	assert_windows(windows("run=a", 30 * S, 90 * S, 150 * S), 90 * S, 150 * S, 30 * S);
	/* wider windows take in all of it */
	assert_windows(windows("run=a&every=60s", 30 * S, 90 * S, 150 * S), 60 * S, 180 * S, 60 * S);
	/* every is rounded up to a multiple of the tier's */
	assert_windows(windows("run=a&every=40s", 30 * S, 90 * S, 150 * S), 60 * S, 180 * S, 60 * S);
	/* a window belongs to the range when its start does */
	assert_windows(windows("run=a&start=31000&end=90001", 30 * S, 0, 300 * S), 60 * S, 120 * S, 30 * S);
	assert_windows(windows("run=a&start=30000&end=90000", 30 * S, 0, 300 * S), 30 * S, 90 * S, 30 * S);
	assert_windows(windows("run=a&start=31000&end=59000", 30 * S, 0, 300 * S), 60 * S, 60 * S, 30 * S);
	/* nothing there */
	assert_windows(windows("run=a", 30 * S, 0, 0), 0, 0, 30 * S);
	assert_windows(windows("run=a&start=600000", 30 * S, 0, 300 * S), 600 * S, 600 * S, 30 * S);
}

static void points_are_never_exceeded(void **state)
{
	(void)state;
	srand(7);
	for (int i = 0; i < 20000; i++) {
		int64_t tier = (int64_t)(1 + rand() % 60) * S, from = window_start((int64_t)rand() * S, tier);
		int64_t to = from + tier * (1 + rand() % 5000);
		unsigned points = 2 + (unsigned)rand() % 500;
		char query[96];
		struct windows w;
		uint64_t n;

		if (i % 2)
			snprintf(query, sizeof query, "run=a&points=%u", points);
		else
			snprintf(query, sizeof query, "run=a&points=%u&start=%lld&end=%lld", points,
				 (long long)(from / NS_PER_MS) + rand() % 5000,
				 (long long)(to / NS_PER_MS) + 10000);
		w = windows(query, tier, from, to);
		n = (uint64_t)((w.to_ns - w.from_ns) / w.every_ns);
		assert_true(n <= points);
		/* and at least half of them, or it is the tier's own width */
		assert_true(w.every_ns == tier || n * 2 >= points);
	}
}

/* As a run goes on, windows stay as they are until there are too many; then two become one. */
static void points_are_stable(void **state)
{
	int64_t every = 30 * S, changes = 0;
	(void)state;

	for (int64_t n = 1; n <= 5000; n++) {
		struct windows w = windows("run=a&points=100", 30 * S, 999 * 30 * S, (999 + n) * 30 * S);

		assert_true(w.every_ns == every || w.every_ns == 2 * every);
		changes += w.every_ns != every;
		every = w.every_ns;
	}
	assert_int_equal(changes, 6); /* 30 s to 32 min */
}

static struct series_name merged(const char *query)
{
	static const struct series_name name = {
		.metric = { (const uint8_t *)"m", 1 },
		.unit = { (const uint8_t *)"s", 1 },
		.labels = { { { (const uint8_t *)"host", 4 }, { (const uint8_t *)"", 0 } },
			    { { (const uint8_t *)"rank", 4 }, { (const uint8_t *)"3", 1 } },
			    { { (const uint8_t *)"split", 5 }, { (const uint8_t *)"x", 1 } } },
		.n_labels = 3
	};
	struct fault f;
	struct ask a;

	assert_int_equal(ask(query, &a, &f), 0);
	return ask_merged_name(&a, &name);
}

static void merged_names(void **state)
{
	(void)state;
	assert_int_equal(merged("run=a&by=").n_labels, 0);
	assert_int_equal(merged("run=a&by=other").n_labels, 0);
	assert_int_equal(merged("run=a&by=rank").n_labels, 1);
	assert_true(span_is(merged("run=a&by=rank").labels[0].value, "3"));
	assert_int_equal(merged("run=a&by=split&by=rank").n_labels, 2);
	assert_int_equal(merged("run=a&by=host").n_labels, 0); /* empty: as if it were not there */
	assert_int_equal(merged("run=a&by=rank").unit.len, 0);
}

static void clipping_keeps_all_that_can_hold_something(void **state)
{
	struct windows w = { 0, 600 * S, 60 * S };
	(void)state;

	assert_windows(windows_clip(&w, 90 * S, 150 * S), 60 * S, 180 * S, 60 * S);
	assert_windows(windows_clip(&w, 0, 6000 * S), 0, 600 * S, 60 * S);
	assert_windows(windows_clip(&w, 6000 * S, 6030 * S), 0, 0, 60 * S); /* none, and not beside it */
	assert_int_equal(width_join(20 * S, 30 * S), 60 * S);
	assert_int_equal(width_join(30 * S, 30 * S), 30 * S);
}

static bool wants(const char *query)
{
	const struct series_name name = { .metric = span_str("train/loss"),
					  .labels = { { span_str("rank"), span_str("3") } },
					  .n_labels = 1 };
	struct ask a;
	struct fault f;

	assert_int_equal(ask(query, &a, &f), 0);
	return ask_wants(&a, &name);
}

static void which_series(void **state)
{
	(void)state;
	assert_true(wants("run=a"));
	assert_true(wants("run=a&metric=lr&metric=train/*"));
	assert_false(wants("run=a&metric=lr"));
	assert_true(wants("run=a&label.rank=3"));
	assert_false(wants("run=a&label.rank=2"));
	assert_true(wants("run=a&label.rank=2&label.rank=3"));
	assert_false(wants("run=a&label.rank=3&label.host=a"));
	assert_true(wants("run=a&label.host="));
	assert_false(wants("run=a&metric=lr&label.rank=3"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(what_is_taken),
		cmocka_unit_test(windows_of_a_range),
		cmocka_unit_test(points_are_never_exceeded),
		cmocka_unit_test(points_are_stable),
		cmocka_unit_test(merged_names),
		cmocka_unit_test(clipping_keeps_all_that_can_hold_something),
		cmocka_unit_test(which_series),
	};

	return cmocka_run_group_tests_name("query/ask", tests, NULL, NULL);
}

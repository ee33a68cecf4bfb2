/* Panes against buckets: whatever samples come in whatever order, a pane gives back the bucket that
 * bucket_add makes of them, bit for bit, in every form and on the way from one to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/base/clock.h"
#include "store/hot/pane.h"
#include "tests/buckets.h"

#define GROUP  7u
#define START  (1750000020 * NS_PER_S)
#define WINDOW (30 * NS_PER_S)
#define MOST   400

static uint64_t seed = 20260101;

static size_t below(size_t n) { return (size_t)random_below(&seed, n); }

/* Which samples a round draws: each kind pushes panes into another form. */
struct kind {
	enum value_kind value, seldom; /* one in fifty is of the second kind */
	bool steps_fall, steps_lack, times_tie;
};

static const struct kind kinds[] = {
	{ VALUE_LOSS, VALUE_LOSS, false, false, false },
	{ VALUE_LOSS, VALUE_ZEROS, true, false, false },
	{ VALUE_COUNTER, VALUE_ZEROS, false, true, true },
	{ VALUE_TIMER, VALUE_TIMER, false, false, false },
	{ VALUE_TIMER, VALUE_WIDE, true, true, true },
	{ VALUE_LOSS, VALUE_TIMER, false, false, false },
	{ VALUE_ZEROS, VALUE_ZEROS, false, false, true },
	{ VALUE_LARGEST, VALUE_LOSS, false, false, false },
	{ VALUE_GRADIENT, VALUE_SPECIAL, false, true, true },
	{ VALUE_BITS, VALUE_SPECIAL, true, true, true },
	{ VALUE_LOSS, VALUE_LARGEST, false, false, false },
	{ VALUE_TIMER, VALUE_SUBNORMAL, false, true, false },
};

static int64_t step_of(const struct kind *k, int64_t tick)
{
	if (k->steps_lack && below(4) == 0)
		return STEP_NONE;
	if (k->steps_fall && below(8) == 0)
		return below(2) ? INT64_MAX : INT64_MIN + 1 + (int64_t)below(3);
	return tick * 3;
}

struct samples {
	uint32_t sid[MOST];
	int64_t t_ns[MOST], step[MOST];
	double value[MOST];
};

/* Series mostly in order, as they come; ticks mostly rise. */
static void draw(const struct kind *k, int64_t window_ns, struct samples *s, size_t n)
{
	uint32_t sid = (uint32_t)below(PANE_SERIES);
	int64_t tick = (int64_t)below(1000);

	for (size_t i = 0; i < n; i++) {
		sid = below(10) ? sid + 1 : (uint32_t)below(PANE_SERIES);
		if (below(PANE_SERIES) == 0)
			tick = (int64_t)below(1000);
		s->sid[i] = GROUP * PANE_SERIES + sid % PANE_SERIES;
		s->t_ns[i] = START + (k->times_tie ? tick % 4 : tick) * (window_ns / 1000);
		s->step[i] = step_of(k, tick);
		s->value[i] = random_value(&seed, below(50) ? k->value : k->seldom);
	}
}

static void compare(const struct pane *p, struct bucket *oracle)
{
	size_t n = 0;

	for (uint32_t i = 0; i < PANE_SERIES; i++) {
		uint32_t sid = GROUP * PANE_SERIES + i;
		struct bucket room;

		assert_int_equal(pane_has(p, sid), bucket_samples(&oracle[i]) > 0);
		if (!pane_has(p, sid))
			continue;
		assert_true(same_bucket(pane_bucket(p, sid, &room), &oracle[i]));
		n++;
	}
	assert_int_equal(p->n, n);
	assert_false(pane_has(p, (GROUP + 1) * PANE_SERIES));
}

static void live(const struct kind *k, int64_t window_ns)
{
	struct bucket oracle[PANE_SERIES];
	static struct samples s;
	struct pane p;

	pane_init(&p, START, (uint32_t)(window_ns / NS_PER_MS), GROUP);
	for (size_t i = 0; i < PANE_SERIES; i++)
		bucket_init(&oracle[i]);
	for (int batch = 0; batch < 6; batch++) {
		size_t n = 1 + below(MOST);
		struct journal_record rec = { .rid = 1,
					      .window_ns = window_ns,
					      .n = n,
					      .sid = s.sid,
					      .t_ns = s.t_ns,
					      .step = s.step,
					      .value = s.value };

		draw(k, window_ns, &s, n);
		if (k->steps_lack && below(2))
			rec.step = NULL;
		assert_int_equal(pane_fold(&p, &rec, 0, n), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(bucket_add(&oracle[s.sid[i] % PANE_SERIES],
						    (struct point){ s.t_ns[i],
								    rec.step ? s.step[i] : STEP_NONE,
								    s.value[i] }),
					 0);
		compare(&p, oracle);
	}
	for (size_t i = 0; i < PANE_SERIES; i++)
		bucket_release(&oracle[i]);
	pane_release(&p);
}

static void panes_are_buckets(void **state)
{
	/* imports bring windows in which times need more bits than a cell has */
	static const int64_t seconds[] = { 1, 30, 300, 1099, 1100, 3600, 86400 };

	(void)state;
	for (size_t round = 0; round < 42; round++)
		for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
			live(&kinds[i], seconds[round % 7] * NS_PER_S);
}

/* Bytes of a full pane after one sample a series and after ten. */
static void sizes(enum value_kind kind, size_t one, size_t ten)
{
	static struct samples s;
	struct journal_record rec = { .rid = 1,
				      .window_ns = WINDOW,
				      .n = PANE_SERIES,
				      .sid = s.sid,
				      .t_ns = s.t_ns,
				      .step = s.step,
				      .value = s.value };
	struct pane p;

	pane_init(&p, START, (uint32_t)(WINDOW / NS_PER_MS), GROUP);
	for (int tick = 0; tick < 10; tick++) {
		for (uint32_t i = 0; i < PANE_SERIES; i++) {
			s.sid[i] = GROUP * PANE_SERIES + i;
			s.t_ns[i] = START + tick * NS_PER_S;
			s.step[i] = tick;
			s.value[i] = random_value(&seed, kind);
		}
		assert_int_equal(pane_fold(&p, &rec, 0, PANE_SERIES), 0);
		if (tick == 0)
			assert_int_equal(pane_bytes(&p), sizeof(p) + PANE_SERIES * one);
	}
	assert_int_equal(pane_bytes(&p), sizeof(p) + PANE_SERIES * ten);
	pane_release(&p);
}

static void ordinary_cells_are_small(void **state)
{
	(void)state;
	sizes(VALUE_LOSS, 24, 48);
	sizes(VALUE_TIMER, 24, 72);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(panes_are_buckets),
		cmocka_unit_test(ordinary_cells_are_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

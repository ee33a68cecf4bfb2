/*
 * Tiers against a plain oracle, which keeps every sample: random ones of 70 days, in any order and some sent
 * twice, through compactions, policies that change, parts that go and restarts.  Whatever happened, windows
 * of any width that is still kept, and totals, are to the last bit what merging the samples gives.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/compact/slot.h"
#include "store/read.h"
#include "store/registry/project.h"
#include "store/turn.h"
#include "tests/commit.h"

#define DAYS        70
#define RUNS        5
#define SERIES      2
#define SAMPLES_MAX 40000
#define T0          (INT64_C(18000) * NS_PER_DAY)
#define SECOND      NS_PER_S
#define AT_ONCE     1 /* past its time as soon as it is sealed */

static uint64_t seed = 88172645463325252ULL;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* ---- policies ---- */

#define TIERS(...)                                                                                           \
	{                                                                                                    \
		.set = POLICY_TIERS, .tiers = { __VA_ARGS__ },                                               \
		.n_tiers = sizeof((struct policy_tier[]){ __VA_ARGS__ }) / sizeof(struct policy_tier)        \
	}
#define FINE(keep)                                                                                           \
	{                                                                                                    \
		30 * SECOND, keep                                                                            \
	}
#define MIN(n, keep)                                                                                         \
	{                                                                                                    \
		(n) * 60 * SECOND, keep                                                                      \
	}
#define DAY(keep)                                                                                            \
	{                                                                                                    \
		NS_PER_DAY, keep                                                                             \
	}

/* The last tier of these is kept. */
static const struct policy policies[] = {
	TIERS(FINE(KEEP_FOREVER), MIN(5, KEEP_FOREVER), MIN(60, KEEP_FOREVER), DAY(KEEP_FOREVER)),
	TIERS(FINE(AT_ONCE), MIN(5, KEEP_FOREVER), MIN(60, KEEP_FOREVER), DAY(KEEP_FOREVER)),
	TIERS(FINE(AT_ONCE), MIN(5, AT_ONCE), MIN(60, KEEP_FOREVER), DAY(KEEP_FOREVER)),
	TIERS(FINE(KEEP_FOREVER)),
	TIERS(FINE(AT_ONCE), MIN(10, KEEP_FOREVER), MIN(60, KEEP_FOREVER)),
	TIERS(FINE(AT_ONCE), MIN(15, KEEP_FOREVER), DAY(KEEP_FOREVER)),
	TIERS(FINE(AT_ONCE), MIN(1, KEEP_FOREVER), MIN(60, AT_ONCE), DAY(KEEP_FOREVER)),
	TIERS(FINE(AT_ONCE), MIN(5, AT_ONCE), MIN(60, AT_ONCE), DAY(KEEP_FOREVER)),
	TIERS(FINE(AT_ONCE), DAY(KEEP_FOREVER)),
};

/* Of these only totals stay. */
static const struct policy brief[] = {
	TIERS(FINE(AT_ONCE)),
	TIERS(FINE(AT_ONCE), MIN(5, AT_ONCE)),
	TIERS(FINE(AT_ONCE), MIN(5, AT_ONCE), MIN(60, AT_ONCE), DAY(AT_ONCE)),
	TIERS(FINE(AT_ONCE), MIN(5, KEEP_FOREVER)),
};

/* ---- the world ---- */

struct sample {
	uint8_t run, series;
	struct point p;
};

struct world {
	char dir[64];
	struct store *store;
	struct run run[RUNS];
	uint32_t sids[RUNS][SERIES];
	uint64_t sequence[RUNS];
	struct sample samples[SAMPLES_MAX];
	size_t n;
	uint64_t dropped, parts;
};

static const struct {
	const char *project, *id;
	int64_t window_ns;
} made[RUNS] = { { "p", "a", 30 * SECOND },
		 { "p", "b", 1 * SECOND },
		 { "q", "a", 300 * SECOND },
		 { "p", "c", 120 * SECOND }, /* makes up no windows of 5 min */
		 { "q", "b", 20 * SECOND } };

static struct store *open_store(const char *dir, bool read_only)
{
	struct store_options o = { .read_only = read_only,
				   .memory_max_bytes = 600 * 1000,
				   .journal_max_bytes = 100000,
				   .flush_every_ns = 20 * NS_PER_MS,
				   .grace_ns = 1,
				   .no_compactor = true,
				   .map_max_bytes = 1 << 30 };
	struct fault f = { 0 };
	struct store *s;

	if (store_open(dir, &o, &s, &f) < 0)
		fail_msg("%s", f.text);
	return s;
}

static struct batch *new_batch(struct world *w, size_t run)
{
	struct batch *b = batch_new();

	b->rid = w->run[run].rid;
	b->window_ns = w->run[run].window_ns;
	b->has_producer = true;
	memset(b->producer, 7, sizeof(b->producer));
	b->sequence = ++w->sequence[run];
	b->content_hash = b->sequence * 31;
	return b;
}

static void create(struct world *w, size_t i)
{
	static const char *const names[SERIES] = { "loss", "speed" };
	struct run wanted = { .state = RUN_RUNNING, .window_ns = made[i].window_ns };
	struct batch *b;
	bool replayed;

	strcpy(wanted.project, made[i].project);
	strcpy(wanted.id, made[i].id);
	buf_init(&wanted.spec_json, 16);
	assert_int_equal(store_run_create(w->store, &wanted, span_of(NULL, 0), 0, &w->run[i], &replayed,
					  NULL),
			 0);
	b = new_batch(w, i);
	b->series = calloc(SERIES, sizeof(*b->series));
	b->n_series = SERIES;
	for (size_t j = 0; j < SERIES; j++)
		b->series[j].name.metric = span_str(names[j]);
	assert_int_equal(commit_batch(w->store, b), 0);
	for (size_t j = 0; j < SERIES; j++)
		w->sids[i][j] = b->series[j].sid;
	batch_free(b);
}

static struct world *begin(void)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->dir, "/tmp/astraml-tiers-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->store = open_store(w->dir, false);
	for (size_t i = 0; i < RUNS; i++)
		create(w, i);
	return w;
}

static void end(struct world *w)
{
	char command[128];

	store_close(w->store);
	for (size_t i = 0; i < RUNS; i++)
		run_release(&w->run[i]);
	snprintf(command, sizeof(command), "rm -r %s", w->dir);
	assert_int_equal(system(command), 0);
	free(w);
}

/* ---- what happens ---- */

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

/* A stretch of some minutes somewhere, and some samples anywhere. */
static void send_to(struct world *w, size_t run)
{
	size_t n = 1 + rnd() % 300;
	int64_t focus = (int64_t)(rnd() % (DAYS * 86400)) * SECOND;
	struct batch *b = new_batch(w, run);

	b->n_samples = n;
	b->sid = malloc(n * sizeof(*b->sid));
	b->t_ns = malloc(n * sizeof(*b->t_ns));
	b->step = malloc(n * sizeof(*b->step));
	b->value = malloc(n * sizeof(*b->value));
	for (size_t i = 0; i < n && w->n < SAMPLES_MAX; i++) {
		size_t series = rnd() % SERIES;
		int64_t within = rnd() % 4
				     ? (focus + (int64_t)(rnd() % 1800) * SECOND / 2) % (DAYS * NS_PER_DAY)
				     : (int64_t)(rnd() % (uint64_t)(DAYS * NS_PER_DAY));
		struct point p = { T0 + within, rnd() % 5 ? (int64_t)(rnd() % 100000) : STEP_NONE,
				   random_value() };

		b->sid[i] = w->sids[run][series];
		b->t_ns[i] = p.t_ns;
		b->step[i] = p.step;
		b->value[i] = p.value;
		w->samples[w->n++] = (struct sample){ (uint8_t)run, (uint8_t)series, p };
	}
	assert_int_equal(commit_batch(w->store, b), 0);
	assert_false(b->duplicate);
	if (rnd() % 10 == 0) {
		struct batch *again = new_batch(w, run);

		again->sequence = --w->sequence[run];
		again->content_hash = again->sequence * 31;
		again->n_samples = 1;
		again->sid = malloc(sizeof(*again->sid));
		again->t_ns = malloc(sizeof(*again->t_ns));
		again->value = malloc(sizeof(*again->value));
		again->sid[0] = w->sids[run][0];
		again->t_ns[0] = T0;
		again->value[0] = 1;
		assert_int_equal(commit_batch(w->store, again), 0);
		assert_true(again->duplicate);
		batch_free(again);
	}
	batch_free(b);
}

static void compact(struct world *w)
{
	int64_t until = rnd() % 3 ? T0 + (int64_t)(rnd() % (DAYS * 2)) * NS_PER_DAY : clock_now_ns();
	struct compact_report report;

	assert_int_equal(store_compact(w->store, until, false, NULL, NULL, NULL, &report), 0);
	assert_int_equal(report.failed, 0);
	w->parts += report.parts;
	w->dropped += report.dropped;
}

struct change {
	const char *project;
	struct policy policy;
};

static int put_policy(void *arg, struct kv_txn *t)
{
	const struct change *c = arg;
	struct project p;
	int err = project_get(t, c->project, &p);

	p.policy = c->policy;
	return err < 0 ? err : project_put(t, &p);
}

static void choose_policy(struct world *w, const struct policy *from, size_t n)
{
	struct change c = { rnd() % 2 ? "p" : "q", from[rnd() % n] };

	assert_int_equal(writer_errand(w->store, put_policy, &c), 0);
}

/* ---- the oracle ---- */

static void assert_same_bucket(const struct bucket *a, const struct bucket *b)
{
	assert_int_equal(bucket_differs(a, b), 0);
}

static int compare_time(const void *a, const void *b)
{
	const struct sample *x = *(const struct sample *const *)a, *y = *(const struct sample *const *)b;

	return (x->p.t_ns > y->p.t_ns) - (x->p.t_ns < y->p.t_ns);
}

/* Samples of one series of [from, to), by time. */
struct expected {
	const struct sample **samples;
	size_t n, at;
	uint32_t sid;
	int64_t width_ns;   /* 0: one bucket of all */
	struct bucket open; /* of sheets: the window that is told, in pieces; empty: none */
};

static struct expected expect(const struct world *w, size_t run, size_t series, int64_t from, int64_t to,
			      int64_t width_ns)
{
	struct expected e = {
		malloc((w->n + 1) * sizeof(*e.samples)), 0, 0, w->sids[run][series], width_ns, { 0 }
	};

	bucket_init(&e.open);
	for (size_t i = 0; i < w->n; i++) {
		const struct sample *s = &w->samples[i];

		if (s->run == run && s->series == series && s->p.t_ns >= from && s->p.t_ns < to)
			e.samples[e.n++] = s;
	}
	qsort(e.samples, e.n, sizeof(*e.samples), compare_time);
	return e;
}

/* The next window, which is to start then. */
static struct bucket next_window(struct expected *e, int64_t start_ns)
{
	struct bucket want;
	int64_t start;

	assert_true(e->at < e->n);
	start = e->width_ns ? window_start(e->samples[e->at]->p.t_ns, e->width_ns) : 0;
	assert_int_equal(start_ns, start);
	bucket_init(&want);
	for (; e->at < e->n && (!e->width_ns || e->samples[e->at]->p.t_ns < start + e->width_ns); e->at++)
		assert_int_equal(bucket_add(&want, e->samples[e->at]->p), 0);
	return want;
}

static int check_window(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b)
{
	struct expected *e = arg;
	struct bucket want;

	if (sid != e->sid)
		return 0;
	want = next_window(e, start_ns);
	assert_same_bucket(b, &want);
	bucket_release(&want);
	return 0;
}

/* The window that was told in sheets, but for what these do not have. */
static void check_open(struct expected *e)
{
	struct bucket want, *b = &e->open;

	if (b->first.t_ns == INT64_MAX)
		return;
	want = next_window(e, window_start(b->first.t_ns, e->width_ns));
	b->rare = want.rare;
	b->first = (struct point){ want.first.t_ns, want.first.step, b->first.value };
	b->last = (struct point){ want.last.t_ns, want.last.step, b->last.value };
	b->step_min = want.step_min;
	b->step_max = want.step_max;
	assert_same_bucket(b, &want);
	b->rare = NULL;
	bucket_release(b);
	bucket_release(&want);
}

static uint64_t sheets;

static int check_sheet(void *arg, uint32_t sid, const struct sheet *s)
{
	struct expected *e = arg;

	if (sid != e->sid)
		return 0;
	sheets++;
	assert_int_equal(e->width_ns % s->window_ns, 0);
	for (size_t i = 0; i < s->n; i++) {
		if (window_start(s->start_ns[i], e->width_ns) !=
		    window_start(e->open.first.t_ns, e->width_ns))
			check_open(e);
		assert_int_equal(sheet_merge(s, i, i + 1, &e->open), 0);
	}
	return 0;
}

static int64_t divisor(int64_t a, int64_t b) { return b ? divisor(b, a % b) : a; }

static void check_totals(struct world *w, struct store *s)
{
	size_t run = rnd() % RUNS;
	bool partial = false;
	struct view *v;

	assert_int_equal(view_open(s, &v), 0);
	for (size_t i = 0; i < SERIES; i++) {
		struct expected e = expect(w, run, i, INT64_MIN, INT64_MAX, 0);

		assert_int_equal(view_totals(v, w->run[run].rid, w->sids[run], SERIES, check_window, &e,
					     &partial),
				 0);
		assert_int_equal(e.at, e.n);
		free(e.samples);
	}
	assert_false(partial);
	view_close(v);
}

/* Of all series or one, as buckets or, where that can be, as sheets. */
static int ask(struct view *v, struct world *w, size_t run, int64_t from, int64_t to, struct expected *e,
	       bool *ret_partial)
{
	bool as_sheets = rnd() % 2, all = rnd() % 2;
	int err;

	view_fields(v, as_sheets ? SHEET_FIELDS | WANT_ALL : 0);
	view_sheets(v, as_sheets ? check_sheet : NULL);
	err = view_windows(v, w->run[run].rid, all ? w->sids[run] : &e->sid, all ? SERIES : 1, from, to,
			   e->width_ns, check_window, e, ret_partial);
	check_open(e);
	return err;
}

/* Windows of a width that is kept in that range, which may be much wider. */
static void check_windows(struct world *w, struct store *s)
{
	static const int times[] = { 1, 1, 2, 3, 12, 24 };
	int64_t from = T0 + (int64_t)(rnd() % DAYS) * NS_PER_DAY, width, base;
	int64_t to = from + (int64_t)(1 + rnd() % (rnd() % 2 ? 3 : DAYS)) * NS_PER_DAY;
	size_t run = rnd() % RUNS;
	bool partial = false;
	struct view *v;

	assert_int_equal(view_open(s, &v), 0);
	assert_int_equal(view_width(v, w->run[run].rid, from, to, &base), 0);
	base = base ? base / divisor(base, made[run].window_ns) * made[run].window_ns : made[run].window_ns;
	width = base * times[rnd() % 6];
	if (NS_PER_DAY % width)
		width = base;
	for (size_t i = 0; i < SERIES; i++) {
		struct expected e = expect(w, run, i, from, to, width);

		assert_int_equal(ask(v, w, run, from, to, &e, &partial), 0);
		assert_int_equal(e.at, e.n);
		free(e.samples);
	}
	assert_false(partial);
	view_close(v);
}

static uint64_t refused;

/* As fine as they were recorded, also where they are not kept: windows are what they are called, or there
 * are none. */
static void check_recorded(struct world *w, struct store *s)
{
	int64_t from = T0 + (int64_t)(rnd() % DAYS) * NS_PER_DAY, to = from + 3 * NS_PER_DAY, base;
	size_t run = rnd() % RUNS;
	bool partial = false;
	struct view *v;

	assert_int_equal(view_open(s, &v), 0);
	assert_int_equal(view_width(v, w->run[run].rid, from, to, &base), 0);
	for (size_t i = 0; i < SERIES; i++) {
		struct expected e = expect(w, run, i, from, to, made[run].window_ns);
		int err = ask(v, w, run, from, to, &e, &partial);

		assert_true(err == 0 || (err == ERR_BUSY && base > made[run].window_ns));
		assert_int_equal(e.at, err == 0 ? e.n : 0);
		refused += err < 0;
		free(e.samples);
	}
	view_close(v);
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
}

static void check_in(struct world *w, struct store *s, bool windows)
{
	check_totals(w, s);
	for (int i = 0; i < 3 && windows; i++)
		check_windows(w, s);
	for (int i = 0; i < 3 && windows; i++)
		check_recorded(w, s);
}

/* Here, or in a reader; LMDB must not have one file open twice in a process. */
static void check(struct world *w, bool windows)
{
	struct store *reader;

	if (rnd() % 3) {
		check_in(w, w->store, windows);
		return;
	}
	store_close(w->store);
	reader = open_store(w->dir, true);
	check_in(w, reader, windows);
	store_close(reader);
	w->store = open_store(w->dir, false);
}

static void live(const struct policy *from, size_t n, bool windows, int rounds)
{
	struct world *w = begin();
	struct store_stats stats;

	for (int round = 0; round < rounds; round++) {
		send_to(w, rnd() % RUNS);
		if (rnd() % 3 == 0)
			check(w, windows);
		if (rnd() % 12 == 0)
			choose_policy(w, from, n);
		if (rnd() % 8 == 0) {
			compact(w);
			check(w, windows);
		}
		if (rnd() % 25 == 0)
			check_verify(w->store);
		if (rnd() % 40 == 0) {
			store_close(w->store);
			w->store = open_store(w->dir, false);
		}
	}
	check(w, windows);
	check_verify(w->store);
	assert_int_equal(store_stats(w->store, &stats), 0);
	assert_true(stats.parts > 0 && w->parts > 50 && w->dropped > 50);
	end(w);
}

static void test_windows_and_totals(void **state)
{
	(void)state;
	live(policies, sizeof(policies) / sizeof(*policies), true, 200);
	assert_true(refused > 0);
	assert_true(sheets > 0);
}

static void test_only_totals_stay(void **state)
{
	(void)state;
	live(brief, sizeof(brief) / sizeof(*brief), false, 150);
}

/* ---- windows as fine as they are kept ---- */

#define TOLD_MAX 20000

struct told {
	struct {
		uint32_t sid;
		int64_t start_ns;
		uint64_t samples;
	} all[TOLD_MAX];
	size_t n;
};

static int note_told(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b)
{
	struct told *t = arg;

	assert_true(t->n < TOLD_MAX);
	t->all[t->n].sid = sid;
	t->all[t->n].start_ns = start_ns;
	t->all[t->n++].samples = bucket_samples(b);
	return 0;
}

/* One series, in pieces that begin and end anywhere. */
static struct told *tell_all(struct world *w, size_t series, int64_t piece_ns)
{
	struct told *told = calloc(1, sizeof(*told));
	int64_t end_ns = T0 + DAYS * NS_PER_DAY;
	struct view *v;

	assert_int_equal(view_open(w->store, &v), 0);
	for (int64_t at = T0; at < end_ns;) {
		int64_t to = at + 1 + (int64_t)(rnd() % (uint64_t)piece_ns);

		assert_int_equal(view_windows(v, w->run[0].rid, &w->sids[0][series], 1, at, to, 0, note_told,
					      told, NULL),
				 0);
		at = to;
	}
	view_close(v);
	return told;
}

static void assert_same_told(struct world *w, const struct told *want, size_t series, int64_t piece_ns)
{
	struct told *told = tell_all(w, series, piece_ns);

	assert_int_equal(told->n, want->n);
	assert_memory_equal(told->all, want->all, want->n * sizeof(want->all[0]));
	free(told);
}

/* Where only 5 min are kept, what comes late is shown in these at once, as it will be when it is folded. */
static void test_late_looks_as_it_will(void **state)
{
	struct change coarse = { "p", policies[1] };
	struct world *w = begin();
	struct compact_report report;
	struct told *before;

	(void)state;
	for (int i = 0; i < 12; i++)
		send_to(w, 0);
	assert_int_equal(writer_errand(w->store, put_policy, &coarse), 0);
	assert_int_equal(store_compact(w->store, clock_now_ns(), false, NULL, NULL, NULL, &report), 0);
	for (int round = 0; round < 2; round++) {
		send_to(w, 0);
		before = tell_all(w, 1, 400 * NS_PER_DAY); /* the last of it in memory */
		assert_same_told(w, before, 1, NS_PER_DAY);
		assert_int_equal(store_compact(w->store, T0, false, NULL, NULL, NULL, &report), 0);
		assert_same_told(w, before, 1, 20 * NS_PER_DAY); /* all in blocks */
		assert_same_told(w, before, 1, 2 * NS_PER_DAY);
		assert_int_equal(store_compact(w->store, clock_now_ns(), false, NULL, NULL, NULL, &report),
				 0);
		assert_true(report.replaced > 0);
		assert_same_told(w, before, 1, 400 * NS_PER_DAY); /* folded */
		assert_same_told(w, before, 1, NS_PER_DAY / 2);
		free(before);
	}
	end(w);
}

/* ---- readers while parts go ---- */

#define READERS 3

struct readers {
	struct world *w;
	atomic_bool stop;
	atomic_uint_fast64_t reads;
	struct expected totals, days;
};

/* Run a never changes; all else of its project does. */
static void *read_on(void *arg)
{
	struct readers *r = arg;
	struct world *w = r->w;

	while (!atomic_load(&r->stop)) {
		struct expected totals = r->totals, days = r->days;
		bool partial = false;
		struct view *v;

		assert_int_equal(view_open(w->store, &v), 0);
		assert_int_equal(view_totals(v, w->run[0].rid, w->sids[0], SERIES, check_window, &totals,
					     &partial),
				 0);
		assert_int_equal(view_windows(v, w->run[0].rid, w->sids[0], SERIES, T0,
					      T0 + DAYS * NS_PER_DAY, NS_PER_DAY, check_window, &days,
					      &partial),
				 0);
		view_close(v);
		assert_false(partial);
		assert_int_equal(totals.at, totals.n);
		assert_int_equal(days.at, days.n);
		atomic_fetch_add(&r->reads, 1);
	}
	return NULL;
}

static void test_readers_while_parts_go(void **state)
{
	struct world *w = begin();
	struct readers r = { .w = w };
	pthread_t threads[READERS];

	(void)state;
	for (int i = 0; i < 20; i++)
		send_to(w, 0);
	r.totals = expect(w, 0, 1, INT64_MIN, INT64_MAX, 0);
	r.days = expect(w, 0, 1, INT64_MIN, INT64_MAX, NS_PER_DAY);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
	for (int round = 0; round < 8 || atomic_load(&r.reads) < 20; round++) {
		send_to(w, 1 + 2 * (size_t)(rnd() % 2)); /* of the same project: parts are made again */
		choose_policy(w, policies, sizeof(policies) / sizeof(*policies));
		compact(w);
	}
	atomic_store(&r.stop, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(w->dropped > 0);
	free(r.totals.samples);
	free(r.days.samples);
	end(w);
}

/* ---- a coarse part that is not what it was made of ---- */

static int publish(void *arg, struct kv_txn *t) { return manifest_replace(t, arg); }

/* A part was given the number, and is not published yet. */
static int give_number(void *arg, struct kv_txn *t)
{
	uint8_t body[8];

	put_le64(body, *(uint64_t *)arg);
	return stored_put(t, KV_META, KIND_STATE, span_str("parts"), span_of(body, sizeof(body)));
}

static uint64_t newest_flush(struct world *w)
{
	struct state state;
	struct kv_txn *t;

	assert_int_equal(kv_begin(w->store->kv, false, &t), 0);
	assert_int_equal(state_get(t, &state), 0);
	kv_abort(t);
	return state.flush;
}

static struct part_row seal_day(struct world *w, int64_t tier_ns, int64_t day, uint64_t upto,
				struct buf *runs)
{
	const struct agenda_job job = { .pid = w->run[0].pid,
					.tier_ns = tier_ns,
					.from_ns = day,
					.to_ns = day + NS_PER_DAY,
					.upto = upto };
	static atomic_bool never;
	struct part_row row;

	buf_init(runs, 65536);
	assert_int_equal(slot_seal(w->store, &job, &never, NULL, &row, runs), 0);
	return row;
}

static bool is_in(const struct world *w, size_t from, int64_t day)
{
	for (size_t i = from; i < w->n; i++)
		if (window_start(w->samples[i].p.t_ns, NS_PER_DAY) == day)
			return true;
	return false;
}

static void hear(void *arg, const char *sentence)
{
	unsigned *n = arg;

	assert_non_null(strstr(sentence, "metrics-1-5m-"));
	assert_non_null(strstr(sentence, "is not what its finer parts merge to"));
	++*n;
}

/* The coarse part is made before late data is folded, and published after it. */
static void test_verify_finds_a_wrong_coarse_part(void **state)
{
	struct world *w = begin();
	struct compact_report report;
	struct verify_counts counts;
	struct part_row fine, coarse;
	struct buf fine_runs, coarse_runs;
	unsigned troubles = 0;
	uint64_t before;
	int64_t day;
	size_t n;

	(void)state;
	send_to(w, 0);
	assert_int_equal(store_compact(w->store, clock_now_ns(), false, NULL, NULL, NULL, &report), 0);
	day = window_start(w->samples[0].p.t_ns, NS_PER_DAY);
	before = newest_flush(w);
	for (n = w->n; !is_in(w, n, day);)
		send_to(w, 0);
	assert_int_equal(store_compact(w->store, T0, false, NULL, NULL, NULL, &report), 0); /* only flushes */
	fine = seal_day(w, TIER_RECORDED, day, newest_flush(w), &fine_runs);
	assert_int_equal(writer_errand(w->store, give_number, &fine.id.number), 0);
	coarse = seal_day(w, 300 * SECOND, day, before, &coarse_runs);
	assert_int_equal(writer_errand(w->store, publish, &fine), 0);
	check_verify(w->store); /* coarser ones are out of date, and nobody reads them */
	assert_int_equal(writer_errand(w->store, publish, &coarse), 0);
	assert_int_equal(store_verify(w->store, hear, NULL, &troubles, &counts), 1);
	assert_int_equal(troubles, 1);
	buf_release(&fine_runs);
	buf_release(&coarse_runs);
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_windows_and_totals),
					    cmocka_unit_test(test_only_totals_stay),
					    cmocka_unit_test(test_late_looks_as_it_will),
					    cmocka_unit_test(test_readers_while_parts_go),
					    cmocka_unit_test(test_verify_finds_a_wrong_coarse_part) };

	if (getenv("ASTRAML_TEST_SEED"))
		seed ^= strtoull(getenv("ASTRAML_TEST_SEED"), NULL, 10) * UINT64_C(0x9E3779B97F4A7C15);
	return cmocka_run_group_tests_name("tiers", tests, NULL, NULL);
}

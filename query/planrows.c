/*
 * planrows.c - the rows of a plan: read slot by slot, of samples or of windows, and counted beforehand.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "query/cell.h"
#include "query/exact.h"
#include "query/merged.h"
#include "query/plan.h"
#include "query/scan.h"
#include "query/steps.h"
#include "query/strides.h"
#include "store/base/limits.h"

static bool is_by_step(const struct ask *a)
{
	return a->x_step || a->step_start != INT64_MIN || a->step_end != INT64_MAX;
}

/* What the columns and the choice of rows look at. */
static unsigned fields_of(const struct ask *a)
{
	unsigned fields = is_by_step(a) ? WANT_TIMES | WANT_STEPS : 0;

	for (size_t i = 0; i < a->n_aggs; i++)
		fields |= agg_fields(a->aggs[i]);
	return fields;
}

static struct scan scan_of(const struct plan *p, const struct chosen_run *r, struct store *s)
{
	struct windows w = windows_clip(&p->windows, r->life_from_ns, r->life_to_ns);

	return (struct scan){ .store = s,
			      .rid = r->rid,
			      .window_ns = r->window_ns,
			      .sids = p->picked.sids + r->first,
			      .n_sids = r->n,
			      .from_ns = w.from_ns,
			      .to_ns = r->life_from_ns == r->life_to_ns ? w.from_ns : w.to_ns,
			      .width_ns = p->tier_ns,
			      .every_ns = w.every_ns,
			      .fields = fields_of(&p->ask) };
}

/* ---- rows ---- */

struct walk {
	struct plan *p;
	const struct row_taker *t;
	const struct chosen_run *run;
	size_t opened; /* the taker was told of the series before this place in plan.picked */
	bool by_step;  /* steps say which rows are shown */
	size_t *ends;  /* by=: of the groups, see merged.h; else NULL */
	struct hidden hidden;
};

/* Tells of the series before `place`. */
static int open_until(struct walk *w, size_t place)
{
	const struct picked *names = &w->p->picked;
	int err = 0;

	while (err == 0 && w->opened < place) {
		err = w->t->series(w->t->arg, w->run->id, picked_head(names, w->opened));
		w->opened += w->p->ask.merge ? picked_alike(names, w->opened, w->run->first + w->run->n) : 1;
	}
	return err;
}

/* Whether a row of one series is shown; with by=, before it is merged. */
static bool row_shown(void *arg, size_t series, int64_t start_ns)
{
	const struct walk *w = arg;

	return !hidden_has(&w->hidden, series, start_ns);
}

static int walk_row(void *arg, size_t series, int64_t start_ns, const struct bucket *b)
{
	struct walk *w = arg;
	int err;

	if (w->by_step &&
	    (!ask_wants_step(&w->p->ask, bucket_step(b)) || (!w->ends && !row_shown(w, series, start_ns))))
		return 0;
	if (w->ends)
		series = series > 0 ? w->ends[series - 1] : 0;
	err = w->opened > w->run->first + series ? 0 : open_until(w, w->run->first + series + 1);
	return err == 0 ? w->t->row(w->t->arg, start_ns, b) : err;
}

static int walk_sheet(void *arg, size_t series, const struct sheet *s)
{
	struct walk *w = arg;
	int err = open_until(w, w->run->first + series + 1);

	return err == 0 ? w->t->sheet(w->t->arg, s) : err;
}

/* Whether a sheet has all that the rows show. */
static bool may_be_sheets(const struct walk *w)
{
	const struct ask *a = &w->p->ask;

	for (size_t i = 0; i < a->n_aggs; i++)
		if (a->aggs[i] > AGG_LAST)
			return false;
	return w->t->sheet && !w->by_step && !w->ends;
}

static int walk_pause(void *arg)
{
	struct walk *w = arg;

	return w->t->pause ? w->t->pause(w->t->arg) : 0;
}

/* by=: the run's series lie group by group (picked_group).  ERR_NOMEM. */
static int groups_find(struct walk *w)
{
	size_t *ends = malloc((w->run->n + 1) * sizeof *ends), n_groups = 0;

	if (!ends)
		return ERR_NOMEM;
	for (size_t i = 0; i < w->run->n; i = ends[n_groups++])
		ends[n_groups] =
		    i + picked_alike(&w->p->picked, w->run->first + i, w->run->first + w->run->n);
	w->ends = ends;
	return 0;
}

static int walk_sample(void *arg, size_t series, const struct point *p)
{
	struct walk *w = arg;
	struct bucket b;
	int err;

	if (!ask_wants_step(&w->p->ask, p->step))
		return 0;
	err = open_until(w, w->run->first + series + 1);
	if (err == 0)
		err = bucket_start(&b, *p);
	if (err < 0)
		return err;
	err = w->t->row(w->t->arg, p->t_ns, &b);
	bucket_release(&b);
	return err;
}

/* A row for each sample, or for each stride of steps. */
static int exact_rows(struct walk *w, struct store *store)
{
	const struct ask *a = &w->p->ask;
	struct sample_scan s = exact_scan(w->p, w->run, store);
	const struct stride_plan strides = {
		.scan = &s, .ends = w->ends, .ask = a, .most = a->points, .row = walk_row
	};

	s.pause = walk_pause;
	s.arg = w;
	if (a->points)
		return strides_run(&strides, &w->p->partial);
	s.sample = walk_sample;
	return samples_scan(&s, &w->p->partial);
}

static int window_rows(struct walk *w, struct store *store)
{
	struct scan s = scan_of(w->p, w->run, store);
	const struct merge_plan merge = { .scan = &s, .ends = w->ends, .wanted = row_shown };
	int err = 0;

	s.row = walk_row;
	s.sheet = may_be_sheets(w) ? walk_sheet : NULL;
	s.pause = walk_pause;
	s.arg = w;
	if (w->p->ask.x_step)
		err = hidden_find(&s, &w->hidden, &w->p->partial);
	if (err == 0)
		err = w->ends ? merged_run(&merge, &w->p->partial) : scan_run(&s, &w->p->partial);
	hidden_release(&w->hidden);
	return err;
}

static int run_rows(struct walk *w, struct store *store)
{
	int err = w->p->ask.merge ? groups_find(w) : 0;

	w->opened = w->run->first;
	if (err == 0)
		err = w->p->exact ? exact_rows(w, store) : window_rows(w, store);
	while (err == 0 && w->opened < w->run->first + w->run->n) {
		err = open_until(w, w->opened + 1);
		if (err == 0)
			err = walk_pause(w);
	}
	free(w->ends);
	w->ends = NULL;
	return err;
}

int plan_rows(struct plan *p, struct store *s, const struct row_taker *t)
{
	struct walk w = { .p = p, .t = t, .by_step = is_by_step(&p->ask) };
	int err = 0;

	for (size_t i = 0; err == 0 && i < p->n_runs; i++) {
		w.run = &p->runs[i];
		err = run_rows(&w, s);
	}
	return err;
}

/* ---- how many rows ---- */

static int count_series(void *arg, const char *run_id, struct span name)
{
	(void)arg, (void)run_id, (void)name;
	return 0;
}

static int count_row(void *arg, int64_t start_ns, const struct bucket *b)
{
	uint64_t *n = arg;

	(void)start_ns, (void)b;
	return ++*n > limits.rows ? ERR_TOO_LARGE : 0;
}

static int count_sheet(void *arg, const struct sheet *s)
{
	uint64_t *n = arg;

	*n += s->n;
	return *n > limits.rows ? ERR_TOO_LARGE : 0;
}

/* Windows x series: at least as many as there will be rows. */
static uint64_t rows_at_most(const struct plan *p, struct store *store)
{
	uint64_t most = 0;

	for (size_t i = 0; i < p->n_runs; i++) {
		struct scan s = scan_of(p, &p->runs[i], store);
		uint64_t windows = (uint64_t)((s.to_ns - s.from_ns) / s.every_ns);

		if (__builtin_mul_overflow(windows, s.n_sids, &windows) ||
		    __builtin_add_overflow(most, windows, &most))
			return UINT64_MAX;
	}
	return most;
}

/* Whether an answer may have too many.  Windows x series mostly prove that it has not. */
static bool may_be_many(const struct plan *p, struct store *store)
{
	if (!p->exact)
		return rows_at_most(p, store) > limits.rows;
	return !p->ask.points || p->ask.points > limits.rows / (p->picked.n ? p->picked.n : 1);
}

/* Where that proves nothing, rows are counted: a run with one stray early sample has many windows and few
 * rows. */
int plan_check(struct plan *p, const struct ctx *c)
{
	uint64_t n = 0;
	const struct row_taker t = { count_series, count_row, count_sheet, NULL, &n };
	int err = exact_find(p, c->store);

	if (err == 0 && may_be_many(p, c->store))
		err = plan_rows(p, c->store, &t);
	if (err == ERR_TOO_LARGE && p->exact && !p->ask.samples) {
		p->exact = false;
		n = 0;
		err = may_be_many(p, c->store) ? plan_rows(p, c->store, &t) : 0;
	}
	if (err == ERR_TOO_LARGE)
		return fault_set(c->f, ERR_REFUSED, "every",
				 "the answer has more than %" PRIu64 " rows (%zu series); ask for a "
				 "shorter range, fewer series, a wider every=, or points=",
				 limits.rows, p->picked.n);
	return err < 0 ? fault_default(c->f, err) : 0;
}

#include "query/plan.h"

#include <stdlib.h>

#include "query/scan.h"

#define POINTS_DETAIL 8 /* windows of its tier that at least go into a point where a wider tier serves */

void plan_release(struct plan *p)
{
	free(p->runs);
	picked_release(&p->picked);
}

/* What is asked of the run is read at once, wherever it holds something: no need to look for that. */
static bool one_slot(const struct plan *p, const struct chosen_run *r)
{
	int64_t range = p->ask.end_ns - p->ask.start_ns;

	return p->ask.has_start && p->ask.has_end && range / r->window_ns < SCAN_SLOT_BUCKETS / (int64_t)r->n;
}

static int choose_run(struct plan *p, struct view *v, const struct ctx *c, struct span id,
		      void (*write)(struct out *o, const struct series_name *name))
{
	struct fault *f = c->f;
	struct chosen_run *r = &p->runs[p->n_runs];
	struct run run;
	int err = find_run(c, v, id, &run);

	if (err < 0)
		return err;
	memcpy(r->id, run.id, sizeof r->id);
	r->rid = run.rid;
	r->window_ns = run.window_ns;
	p->recorded_ns = p->recorded_ns ? width_join(p->recorded_ns, r->window_ns) : r->window_ns;
	r->first = p->picked.n;
	run_release(&run);
	p->n_runs++;
	err = picked_add(&p->picked, v, r->rid, &p->ask, write, f);
	r->n = p->picked.n - r->first;
	if (err == 0 && p->ask.merge)
		err = picked_group(&p->picked, r->first);
	if (err < 0 || r->n == 0)
		return fault_default(f, err);
	if (one_slot(p, r)) {
		r->life_from_ns = p->ask.start_ns;
		r->life_to_ns = p->ask.end_ns;
		return 0;
	}
	err = view_time_range(v, r->rid, &r->life_from_ns, &r->life_to_ns);
	if (err == 0)
		r->life_to_ns += r->window_ns;
	return err == ERR_NOT_FOUND ? 0 : fault_default(f, err);
}

/* ---- tiers ---- */

/* The width of the finest windows there are of all these runs in [from, to): a multiple of what each
 * run of the plan was recorded in. */
static int finest(const struct plan *p, struct view *v, const struct chosen_run *runs, size_t n,
		  int64_t from_ns, int64_t to_ns, int64_t *ret_ns)
{
	int64_t width = p->recorded_ns;
	int err = 0;

	for (size_t i = 0; i < n && err == 0; i++) {
		const struct chosen_run *r = &runs[i];
		int64_t from = r->life_from_ns > from_ns ? r->life_from_ns : from_ns;
		int64_t to = r->life_to_ns < to_ns ? r->life_to_ns : to_ns, kept = 0;

		if (from < to)
			err = view_width(v, r->rid, from, to, &kept);
		if (kept)
			width = width_join(width, kept);
	}
	*ret_ns = width;
	return err;
}

/* The widest tier whose windows fill those of every_ns and are filled by those of `least_ns`. */
static int64_t tier_within(const struct policy *policy, int64_t least_ns, int64_t every_ns)
{
	int64_t tier = least_ns;

	for (size_t i = 1; i < policy->n_tiers; i++)
		if (every_ns % policy->tiers[i].every_ns == 0 && policy->tiers[i].every_ns % least_ns == 0)
			tier = policy->tiers[i].every_ns;
	return tier;
}

/* points=: the widest tier that has many more windows than are asked for, so that what is read grows
 * with the points and not with the range. */
static int64_t tier_for_points(const struct plan *p, int64_t least_ns)
{
	int64_t range = p->windows.to_ns - p->windows.from_ns, tier = least_ns;

	for (size_t i = 1; i < p->policy.n_tiers; i++) {
		int64_t every = p->policy.tiers[i].every_ns;

		if (every % least_ns == 0 && (uint64_t)(range / every) / POINTS_DETAIL >= p->ask.points)
			tier = every;
	}
	return tier;
}

static int windows_of(struct plan *p, int64_t least_ns, struct fault *f)
{
	int64_t from = INT64_MAX, to = INT64_MIN;

	for (size_t i = 0; i < p->n_runs; i++) {
		const struct chosen_run *r = &p->runs[i];

		if (r->life_from_ns == r->life_to_ns)
			continue;
		from = r->life_from_ns < from ? r->life_from_ns : from;
		to = r->life_to_ns > to ? r->life_to_ns : to;
	}
	if (from > to)
		from = to = 0;
	return ask_windows(&p->ask, least_ns, from, to, &p->windows, f);
}

/* Windows for all that the runs hold, or for what is asked of it: one width, which the finest windows
 * that are kept of the whole range fill.  Wider windows may reach where only wider ones are kept. */
static int plan_windows(struct plan *p, struct view *v, struct fault *f)
{
	int64_t least = p->recorded_ns, kept;
	int err;

	for (;;) {
		err = windows_of(p, least, f);
		if (err == 0)
			err = finest(p, v, p->runs, p->n_runs, p->windows.from_ns, p->windows.to_ns, &kept);
		if (err < 0 || least % kept == 0)
			break;
		least = width_join(least, kept);
	}
	if (err == 0 && p->ask.points)
		err = windows_of(p, tier_for_points(p, least), f);
	p->tier_ns = tier_within(&p->policy, least, p->windows.every_ns);
	return fault_default(f, err);
}

/* ---- steps ---- */

struct narrow {
	const struct ask *ask;
	int64_t from_ns, to_ns; /* least and greatest start of windows with steps asked for */
};

static int narrow_row(void *arg, size_t series, int64_t start_ns, const struct bucket *b)
{
	struct narrow *n = arg;

	(void)series;
	if (b->step_max == STEP_NONE || b->step_max < n->ask->step_start ||
	    (b->step_min >= n->ask->step_end && n->ask->step_end != INT64_MAX))
		return 0;
	n->from_ns = start_ns < n->from_ns ? start_ns : n->from_ns;
	n->to_ns = start_ns > n->to_ns ? start_ns : n->to_ns;
	return 0;
}

static int kept_width(const struct plan *p, struct store *store, const struct chosen_run *r, int64_t *ret_ns)
{
	struct view *v;
	int err = view_open(store, &v);

	if (err < 0)
		return err;
	err = finest(p, v, r, 1, r->life_from_ns, r->life_to_ns, ret_ns);
	view_close(v);
	return err;
}

/* points= is to divide the time in which these steps lie, not the whole life of the runs. */
static int narrow_run(struct plan *p, struct store *store, struct chosen_run *r)
{
	struct narrow n = { &p->ask, INT64_MAX, INT64_MIN };
	struct scan s = { .store = store,
			  .rid = r->rid,
			  .window_ns = r->window_ns,
			  .sids = p->picked.sids + r->first,
			  .n_sids = r->n,
			  .fields = WANT_TIMES | WANT_STEPS,
			  .row = narrow_row,
			  .arg = &n };
	int err = kept_width(p, store, r, &s.width_ns);

	if (err < 0)
		return err;
	s.every_ns = s.width_ns;
	s.from_ns = window_start(r->life_from_ns, s.width_ns);
	s.to_ns = window_start(r->life_to_ns + s.width_ns - 1, s.width_ns);
	err = scan_run(&s, &p->partial);
	r->life_from_ns = n.from_ns > n.to_ns ? 0 : n.from_ns;
	r->life_to_ns = n.from_ns > n.to_ns ? 0 : n.to_ns + s.width_ns;
	return err;
}

static int narrow_to_steps(struct plan *p, struct store *store)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < p->n_runs; i++)
		if (p->runs[i].life_from_ns < p->runs[i].life_to_ns)
			err = narrow_run(p, store, &p->runs[i]);
	return err;
}

/* ---- the plan ---- */

static int choose_runs(struct plan *p, const struct ctx *c,
		       void (*write)(struct out *o, const struct series_name *name))
{
	struct view *v;
	int err = view_open(c->store, &v);

	if (err < 0)
		return fault_default(c->f, err);
	err = ctx_policy(c, v, &p->policy);
	if (err == 0)
		p->complete_until_ns = store_complete_until(c->store, &p->policy);
	for (size_t i = 0; err == 0 && i < p->ask.n_runs; i++)
		err = choose_run(p, v, c, p->ask.runs[i], write);
	view_close(v);
	return err;
}

int plan_make(struct plan *p, const struct ctx *c,
	      void (*write)(struct out *o, const struct series_name *name))
{
	struct view *v;
	int err;

	p->runs = calloc(p->ask.n_runs, sizeof *p->runs);
	if (!p->runs)
		return fault_default(c->f, ERR_NOMEM);
	err = choose_runs(p, c, write);
	if (err == 0 && p->ask.points && (p->ask.step_start != INT64_MIN || p->ask.step_end != INT64_MAX))
		err = narrow_to_steps(p, c->store);
	if (err == 0)
		err = view_open(c->store, &v);
	if (err < 0)
		return fault_default(c->f, err);
	err = plan_windows(p, v, c->f);
	view_close(v);
	return err;
}

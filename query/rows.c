/*
 * rows.c - GET /query: windows of the series that were asked for (api 2).
 *
 * Plan first (which runs, series, windows, how many rows), then stream: rows are written under the
 * view of a slot into a buffer and sent between slots.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "query/handler.h"
#include "query/picked.h"
#include "query/scan.h"
#include "store/base/limits.h"

struct chosen_run {
	char id[ID_MAX + 1];
	uint32_t rid;
	int64_t window_ns, life_from_ns, life_to_ns; /* from == to: nothing asked for */
	size_t first, n;                             /* its series in plan.picked */
};

struct plan {
	struct ask ask;
	struct chosen_run *runs;
	size_t n_runs;
	struct picked picked;
	int64_t tier_ns, complete_until_ns;
	struct windows windows;
	bool partial;
};

static void plan_release(struct plan *p)
{
	free(p->runs);
	picked_release(&p->picked);
}

static void write_name(struct out *o, const struct series_name *name)
{
	out_raw(o, "\"metric\":");
	out_string(o, name->metric);
	out_ch(o, ',');
	out_labels(o, name);
}

static int choose_run(struct plan *p, struct view *v, const char *project, struct span id, struct fault *f)
{
	struct chosen_run *r = &p->runs[p->n_runs];
	struct run run;
	int err = find_run(v, project, id, &run, f);

	if (err < 0)
		return err;
	memcpy(r->id, run.id, sizeof r->id);
	r->rid = run.rid;
	r->window_ns = run.window_ns;
	r->first = p->picked.n;
	run_release(&run);
	p->n_runs++;
	err = picked_add(&p->picked, v, r->rid, &p->ask, write_name, f);
	r->n = p->picked.n - r->first;
	if (err < 0 || r->n == 0)
		return err;
	err = view_time_range(v, r->rid, &r->life_from_ns, &r->life_to_ns);
	if (err == 0)
		r->life_to_ns += r->window_ns;
	return err == ERR_NOT_FOUND ? 0 : fault_default(f, err);
}

static int plan_windows(struct plan *p, struct fault *f)
{
	int64_t from = INT64_MAX, to = INT64_MIN;

	for (size_t i = 0; i < p->n_runs; i++) {
		const struct chosen_run *r = &p->runs[i];

		p->tier_ns = p->tier_ns ? width_join(p->tier_ns, r->window_ns) : r->window_ns;
		if (r->life_from_ns == r->life_to_ns)
			continue;
		from = r->life_from_ns < from ? r->life_from_ns : from;
		to = r->life_to_ns > to ? r->life_to_ns : to;
	}
	if (from > to)
		from = to = 0;
	return ask_windows(&p->ask, p->tier_ns, from, to, &p->windows, f);
}

static int plan_make(struct plan *p, struct ctx *c)
{
	struct view *v;
	int err;

	p->complete_until_ns = store_complete_until(c->store);
	p->runs = calloc(p->ask.n_runs, sizeof *p->runs);
	if (!p->runs)
		return fault_default(c->f, ERR_NOMEM);
	err = view_open(c->store, &v);
	if (err < 0)
		return fault_default(c->f, err);
	for (size_t i = 0; err == 0 && i < p->ask.n_runs; i++)
		err = choose_run(p, v, c->project, p->ask.runs[i], c->f);
	view_close(v);
	return err < 0 ? err : plan_windows(p, c->f);
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
			      .every_ns = w.every_ns };
}

/* ---- how many rows ---- */

static int count_row(void *arg, size_t series, int64_t start_ns, const struct bucket *b)
{
	uint64_t *n = arg;

	(void)series, (void)start_ns, (void)b;
	return ++*n > limits.rows ? ERR_TOO_LARGE : 0;
}

/* Windows x series tells that an answer is small; where it does not, rows are counted: a run with
 * one stray early sample has many windows and few rows. */
static int plan_check(struct plan *p, struct ctx *c)
{
	uint64_t most = 0, n = 0;
	int err = 0;

	for (size_t i = 0; i < p->n_runs; i++) {
		struct scan s = scan_of(p, &p->runs[i], c->store);
		uint64_t windows = (uint64_t)((s.to_ns - s.from_ns) / s.every_ns);

		if (__builtin_mul_overflow(windows, s.n_sids, &windows) ||
		    __builtin_add_overflow(most, windows, &most))
			most = UINT64_MAX;
	}
	for (size_t i = 0; err == 0 && most > limits.rows && i < p->n_runs; i++) {
		struct scan s = scan_of(p, &p->runs[i], c->store);

		s.row = count_row;
		s.arg = &n;
		err = scan_run(&s, &p->partial);
	}
	if (err == ERR_TOO_LARGE)
		return fault_set(c->f, ERR_REFUSED, "every",
				 "the answer has more than %" PRIu64 " rows (%zu series); ask for a "
				 "shorter range, fewer series, a wider every=, or points=",
				 limits.rows, p->picked.n);
	return err < 0 ? fault_default(c->f, err) : 0;
}

/* ---- writing ---- */

struct answer {
	struct out o;
	const struct plan *p;
	const struct chosen_run *run;
	size_t next;    /* series whose head comes next */
	bool open, row; /* a series is open; it has a row */
};

void out_value(struct out *o, uint64_t count, double v)
{
	if (count > 0)
		out_double(o, v);
	else
		out_raw(o, "null");
}

void out_step(struct out *o, int64_t step)
{
	if (step != STEP_NONE)
		out_i64(o, step);
	else
		out_raw(o, "null");
}

static void out_rare(struct out *o, const struct bucket_rare *r, enum agg a)
{
	if (a == AGG_BAD_TIME || a == AGG_BAD_STEP) {
		if (!r)
			out_raw(o, "null");
		else if (a == AGG_BAD_TIME)
			out_time(o, r->bad_t_ns);
		else
			out_step(o, r->bad_step);
		return;
	}
	out_u64(o, !r ? 0 : a == AGG_NAN ? r->nan : a == AGG_POS_INF ? r->pos_inf : r->neg_inf);
}

static void out_agg(struct out *o, const struct bucket *b, enum agg a)
{
	switch (a) {
	case AGG_COUNT:
		out_u64(o, b->count);
		break;
	case AGG_SUM:
		out_double(o, sum_round(&b->sum));
		break;
	case AGG_MIN:
		out_value(o, b->count, b->min);
		break;
	case AGG_MAX:
		out_value(o, b->count, b->max);
		break;
	case AGG_MEAN:
		out_value(o, b->count, b->count ? sum_mean(&b->sum, b->count) : 0);
		break;
	case AGG_FIRST:
		out_double(o, b->first.value);
		break;
	case AGG_LAST:
		out_double(o, b->last.value);
		break;
	case AGG_FIRST_TIME:
		out_time(o, b->first.t_ns);
		break;
	case AGG_LAST_TIME:
		out_time(o, b->last.t_ns);
		break;
	case AGG_FIRST_STEP:
		out_step(o, b->first.step);
		break;
	case AGG_LAST_STEP:
		out_step(o, b->last.step);
		break;
	case AGG_STEP_MIN:
		out_step(o, b->step_min);
		break;
	case AGG_STEP_MAX:
		out_step(o, b->step_max);
		break;
	default:
		out_rare(o, b->rare, a);
		break;
	}
}

static void close_series(struct answer *a)
{
	if (a->open)
		out_raw(&a->o, "]}");
	a->open = false;
}

static void open_series(struct answer *a)
{
	const struct plan *p = a->p;
	struct span head = picked_head(&p->picked, a->next);

	close_series(a);
	out_raw(&a->o, a->next ? ",{\"run_id\":" : "{\"run_id\":");
	out_string(&a->o, span_str(a->run->id));
	out_ch(&a->o, ',');
	out_bytes(&a->o, head.data, head.len);
	out_raw(&a->o, ",\"columns\":[\"time_ms\"");
	for (size_t i = 0; i < p->ask.n_aggs; i++) {
		out_raw(&a->o, ",\"");
		out_raw(&a->o, agg_name(p->ask.aggs[i]));
		out_ch(&a->o, '"');
	}
	out_raw(&a->o, "],\"rows\":[");
	a->open = true;
	a->row = false;
	a->next++;
}

static int answer_row(void *arg, size_t series, int64_t start_ns, const struct bucket *b)
{
	struct answer *a = arg;

	while (a->next <= a->run->first + series)
		open_series(a);
	out_raw(&a->o, a->row ? ",[" : "[");
	a->row = true;
	out_i64(&a->o, start_ns / NS_PER_MS);
	for (size_t i = 0; i < a->p->ask.n_aggs; i++) {
		out_ch(&a->o, ',');
		out_agg(&a->o, b, a->p->ask.aggs[i]);
	}
	out_ch(&a->o, ']');
	return a->o.err;
}

static int answer_pause(void *arg)
{
	struct answer *a = arg;

	return out_flush(&a->o);
}

static void answer_end(struct answer *a, bool partial)
{
	struct out *o = &a->o;
	char text[DURATION_TEXT_MAX];

	duration_print(a->p->tier_ns, text);
	out_raw(o, "],\"tier\":");
	out_string(o, span_str(text));
	out_raw(o, ",\"every_ms\":");
	out_i64(o, a->p->windows.every_ns / NS_PER_MS);
	out_raw(o, ",\"complete_until\":");
	out_time(o, window_start(a->p->complete_until_ns, a->p->tier_ns));
	out_raw(o, ",\"partial\":");
	out_bool(o, partial);
	out_raw(o, "}\n");
}

static int answer(struct ctx *c, struct plan *p)
{
	struct answer a = { .p = p };
	int err;

	out_init(&a.o, c->sink);
	a.o.hold = true;
	err = out_begin(&a.o, 200, "application/json", NULL);
	out_raw(&a.o, "{\"series\":[");
	for (size_t i = 0; err == 0 && i < p->n_runs; i++) {
		struct scan s = scan_of(p, &p->runs[i], c->store);

		a.run = &p->runs[i];
		s.row = answer_row;
		s.pause = answer_pause;
		s.arg = &a;
		err = scan_run(&s, &p->partial);
		while (err == 0 && a.next < a.run->first + a.run->n) {
			open_series(&a);
			err = a.o.b.len > OUT_FLUSH_BYTES ? out_flush(&a.o) : a.o.err;
		}
	}
	close_series(&a);
	answer_end(&a, p->partial);
	return ctx_finish(&a.o, err);
}

int handle_query(struct ctx *c)
{
	struct plan p = { 0 };
	int err;

	picked_init(&p.picked);
	err = ask_parse(&c->params, clock_now_ns(), &p.ask, c->f);
	if (err == 0)
		err = plan_make(&p, c);
	if (err == 0)
		err = plan_check(&p, c);
	if (err == 0)
		err = answer(c, &p);
	plan_release(&p);
	return err;
}

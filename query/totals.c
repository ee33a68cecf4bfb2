/*
 * totals.c - GET /runs/{run}/metrics: what each series of a run has held in its whole life (api 2).
 */
#include "query/handler.h"
#include "query/picked.h"
#include "query/scan.h"

struct totals {
	struct out o;
	struct picked picked;
	size_t next; /* series that comes next */
};

static void write_name(struct out *o, const struct series_name *name)
{
	out_raw(o, "{\"name\":");
	out_string(o, name->metric);
	out_raw(o, ",\"labels\":");
	out_labels(o, name);
	out_raw(o, ",\"unit\":");
	out_string(o, name->unit);
}

static void out_named_u64(struct out *o, const char *name, uint64_t v)
{
	out_raw(o, name);
	out_u64(o, v);
}

/* v, or null where there were no finite samples. */
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

static void out_total(struct out *o, const struct bucket *b)
{
	const struct bucket_rare none = { 0 }, *rare = b->rare ? b->rare : &none;

	out_named_u64(o, ",\"count\":", b->count);
	out_named_u64(o, ",\"nan\":", rare->nan);
	out_named_u64(o, ",\"pos_inf\":", rare->pos_inf);
	out_named_u64(o, ",\"neg_inf\":", rare->neg_inf);
	out_raw(o, ",\"min\":");
	out_value(o, b->count, b->min);
	out_raw(o, ",\"max\":");
	out_value(o, b->count, b->max);
	out_raw(o, ",\"mean\":");
	out_value(o, b->count, b->count ? sum_mean(&b->sum, b->count) : 0);
	out_raw(o, ",\"first\":");
	out_double(o, b->first.value);
	out_raw(o, ",\"last\":");
	out_double(o, b->last.value);
	out_raw(o, ",\"last_step\":");
	out_step(o, b->last.step);
	out_raw(o, ",\"first_time\":");
	out_time(o, b->first.t_ns);
	out_raw(o, ",\"last_time\":");
	out_time(o, b->last.t_ns);
	out_ch(o, '}');
}

static void open_next(struct totals *t)
{
	struct span head = picked_head(&t->picked, t->next);

	if (t->next++ > 0)
		out_ch(&t->o, ',');
	out_bytes(&t->o, head.data, head.len);
}

/* The series before `series` that have no samples. */
static void empty_until(struct totals *t, size_t series)
{
	while (t->next < series) {
		open_next(t);
		out_raw(&t->o, ",\"count\":0,\"nan\":0,\"pos_inf\":0,\"neg_inf\":0,\"min\":null,\"max\":null,"
			       "\"mean\":null,\"first\":null,\"last\":null,\"last_step\":null,"
			       "\"first_time\":null,\"last_time\":null}");
	}
}

static int total_row(void *arg, size_t series, int64_t start_ns, const struct bucket *b)
{
	struct totals *t = arg;

	(void)start_ns;
	empty_until(t, series);
	open_next(t);
	out_total(&t->o, b);
	return t->o.err;
}

static int total_pause(void *arg)
{
	struct totals *t = arg;

	return out_flush(&t->o);
}

/* Fills the scan and picks the series. */
static int totals_plan(struct totals *t, struct ctx *c, struct scan *s)
{
	struct run run = { 0 };
	struct view *v;
	int err = view_open(c->store, &v);

	if (err < 0)
		return fault_default(c->f, err);
	err = ctx_run(c, v, &run);
	s->rid = run.rid;
	s->window_ns = run.window_ns;
	if (err == 0)
		err = picked_add(&t->picked, v, run.rid, NULL, write_name, c->f);
	if (err == 0 && t->picked.n > 0) {
		err = view_time_range(v, run.rid, &s->from_ns, &s->to_ns);
		if (err == 0)
			s->to_ns += run.window_ns;
		err = err == ERR_NOT_FOUND ? 0 : fault_default(c->f, err);
	}
	view_close(v);
	run_release(&run);
	s->sids = t->picked.sids;
	s->n_sids = t->picked.n;
	return err;
}

int handle_metrics(struct ctx *c)
{
	static const char *const known[] = { NULL };
	struct totals t = { 0 };
	struct scan s = { .store = c->store,
			  .every_ns = SCAN_WHOLE,
			  .fields = WANT_ALL,
			  .row = total_row,
			  .pause = total_pause,
			  .arg = &t };
	bool partial = false;
	int err = params_check(&c->params, known, c->f);

	out_init(&t.o, c->sink);
	t.o.hold = true;
	picked_init(&t.picked);
	if (err == 0)
		err = totals_plan(&t, c, &s);
	if (err == 0)
		err = out_begin(&t.o, 200, "application/json", NULL);
	out_raw(&t.o, "{\"metrics\":[");
	if (err == 0)
		err = scan_run(&s, &partial);
	if (err == 0) {
		empty_until(&t, t.picked.n);
		out_raw(&t.o, "],\"partial\":");
		out_bool(&t.o, partial);
		out_raw(&t.o, "}\n");
	}
	picked_release(&t.picked);
	return ctx_finish(&t.o, err);
}

/*
 * totals.c - GET /runs/{run}/metrics: what each series of a run has held in its whole life (api 2).
 */
#include "query/handler.h"
#include "query/picked.h"

#define AT_ONCE 1000 /* series that are read under one view */

struct totals {
	struct out o;
	struct picked picked;
	size_t next; /* series that comes next */
	uint32_t rid;
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

/* The series before `end` that have no samples. */
static void empty_until(struct totals *t, size_t end)
{
	while (t->next < end) {
		open_next(t);
		out_raw(&t->o, ",\"count\":0,\"nan\":0,\"pos_inf\":0,\"neg_inf\":0,\"min\":null,\"max\":null,"
			       "\"mean\":null,\"first\":null,\"last\":null,\"last_step\":null,"
			       "\"first_time\":null,\"last_time\":null}");
	}
}

static int total_row(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b)
{
	struct totals *t = arg;
	size_t at = t->next;

	(void)start_ns;
	while (t->picked.sids[at] != sid)
		at++;
	empty_until(t, at);
	open_next(t);
	out_total(&t->o, b);
	return t->o.err;
}

static int pick_series(struct totals *t, struct ctx *c)
{
	struct run run = { 0 };
	struct view *v;
	int err = view_open(c->store, &v);

	if (err < 0)
		return fault_default(c->f, err);
	err = ctx_run(c, v, &run);
	t->rid = run.rid;
	if (err == 0)
		err = picked_add(&t->picked, v, run.rid, NULL, write_name, c->f);
	view_close(v);
	run_release(&run);
	return err;
}

/* Some series, from one view; what was written leaves when it is closed. */
static int write_some(struct totals *t, struct store *s, size_t first, size_t n, bool *ret_partial)
{
	struct view *v;
	int err = view_open(s, &v);

	if (err < 0)
		return err;
	err = view_totals(v, t->rid, t->picked.sids + first, n, total_row, t, ret_partial);
	view_close(v);
	if (err == 0)
		empty_until(t, first + n);
	return err == 0 ? out_flush(&t->o) : err;
}

int handle_metrics(struct ctx *c)
{
	static const char *const known[] = { NULL };
	struct totals t = { 0 };
	bool partial = false;
	int err = params_check(&c->params, known, c->f);

	out_init(&t.o, c->sink);
	t.o.hold = true;
	picked_init(&t.picked);
	if (err == 0)
		err = pick_series(&t, c);
	if (err == 0)
		err = out_begin(&t.o, 200, "application/json", NULL);
	out_raw(&t.o, "{\"metrics\":[");
	for (size_t i = 0; i < t.picked.n && err == 0; i += AT_ONCE) {
		size_t n = t.picked.n - i < AT_ONCE ? t.picked.n - i : AT_ONCE;

		err = write_some(&t, c->store, i, n, &partial);
	}
	if (err == 0) {
		out_raw(&t.o, "],\"partial\":");
		out_bool(&t.o, partial);
		out_raw(&t.o, "}\n");
	}
	picked_release(&t.picked);
	return ctx_finish(&t.o, err);
}

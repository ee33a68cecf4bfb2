/*
 * rows.c - GET /query: windows of the series that were asked for (api 2), as JSON, CSV or protobuf.
 *
 * Planned first (plan.h), then streamed: rows are written under the view of a slot into a buffer
 * and sent between slots.
 */
#include <stdio.h>

#include "query/accept.h"
#include "query/handler.h"
#include "query/plan.h"
#include "query/rowform.h"
#include "store/base/clock.h"

struct answer {
	struct row_writer w;
	const struct row_form *form;
	struct out o;
};

static int answer_series(void *arg, const char *run_id, struct span name)
{
	struct answer *a = arg;

	a->form->series(&a->w, run_id, name);
	a->w.n_series++;
	a->w.row = false;
	return a->o.err;
}

static int answer_row(void *arg, int64_t start_ns, const struct bucket *b)
{
	struct answer *a = arg;

	a->form->row(&a->w, start_ns, b);
	a->w.row = true;
	return a->o.err;
}

static int answer_sheet(void *arg, const struct sheet *s)
{
	struct answer *a = arg;

	a->form->sheet(&a->w, s);
	a->w.row = true;
	return a->o.err;
}

static int answer_pause(void *arg)
{
	struct answer *a = arg;

	return a->o.b.len >= OUT_FLUSH_BYTES ? out_flush(&a->o) : a->o.err;
}

static int answer_begin(struct answer *a, const struct answer_about *about)
{
	char head[320], tier[DURATION_TEXT_MAX], until[CLOCK_TEXT_MAX];
	size_t n;
	int err;

	tier_print(about->tier_ns, tier);
	until[clock_format(about->complete_until_ns, until)] = 0;
	n = (size_t)snprintf(head, sizeof head,
			     "Astraml-Tier: %s\r\nAstraml-Every-Ms: %lld\r\nAstraml-Complete-Until: %s\r\n",
			     tier, (long long)(about->every_ns / NS_PER_MS), until);
	if (about->samples_since_ns != INT64_MIN) {
		until[clock_format(about->samples_since_ns, until)] = 0;
		snprintf(head + n, sizeof head - n, "Astraml-Samples-Since: %s\r\n", until);
	}
	err = out_begin(&a->o, 200, a->form->content_type, a->form->about_in_head ? head : NULL);
	return err == 0 ? a->form->begin(&a->w) : err;
}

void tier_print(int64_t tier_ns, char *ret)
{
	if (tier_ns)
		duration_print(tier_ns, ret);
	else
		strcpy(ret, "raw");
}

/* A project that keeps none has them from now on, if it does. */
static int64_t samples_since(const struct plan *p)
{
	int64_t now = clock_now_ns();

	return !p->ask.samples ? INT64_MIN : p->since_ns == INT64_MAX ? now : p->since_ns;
}

static int answer(struct ctx *c, struct plan *p, const struct row_form *form)
{
	struct answer a = { .form = form };
	const struct row_taker t = { answer_series, answer_row, form->sheet ? answer_sheet : NULL,
				     answer_pause, &a };
	struct answer_about about = { .tier_ns = p->exact ? 0 : p->tier_ns,
				      .every_ns = p->exact ? 0 : p->windows.every_ns,
				      .samples_since_ns = samples_since(p),
				      .complete_until_ns =
					  window_start(p->complete_until_ns, p->recorded_ns) };
	int err;

	out_init(&a.o, c->sink);
	a.o.hold = true;
	a.w.o = &a.o;
	columns_of(&p->ask, &a.w.columns);
	err = answer_begin(&a, &about);
	if (err == 0)
		err = plan_rows(p, c->store, &t);
	about.partial = p->partial;
	if (err == 0)
		err = form->end(&a.w, &about, c->f);
	if (form->release)
		form->release(&a.w);
	return ctx_finish(&a.o, err);
}

/* JSON before the others where a client does not mind. */
static const struct row_form *form_chosen(struct span accept)
{
	static const char *const offers[] = { "application/json", "text/csv", "application/x-protobuf",
					      NULL };
	static const struct row_form *const forms[] = { &form_json, &form_csv, &form_proto };
	int i = accept_choose(accept, offers);

	return i < 0 ? NULL : forms[i];
}

int handle_query(struct ctx *c)
{
	const struct row_form *form = form_chosen(c->rq->accept);
	struct plan p = { 0 };
	int err;

	if (!form)
		return accept_fault(c, "application/json, text/csv and application/x-protobuf");
	picked_init(&p.picked);
	err = ask_parse(&c->params, clock_now_ns(), &p.ask, c->f);
	if (err == 0)
		err = plan_make(&p, c, form->name);
	if (err == 0)
		err = plan_check(&p, c);
	if (err == 0)
		err = answer(c, &p, form);
	if (err == ERR_BUSY && !c->f->err)
		fault_set(c->f, err, "",
			  "windows of this range went, past their time, while they were read; "
			  "ask again for what is kept now");
	plan_release(&p);
	return err;
}

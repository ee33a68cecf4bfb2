/*
 * logs.c - GET /runs/{run}/logs (api 2): ndjson, slice by slice, each slice under a view of its own.
 *
 * With follow=true the answer goes on until the sink says that nobody listens.  The server does
 * not come here for that (follow.c has many followers on one thread); a verb in this process does.
 */
#include "query/handler.h"
#include "query/logread.h"

#define SLICE_BYTES    (256 * 1024) /* as much as may wait for the client */
#define FOLLOW_WAIT_MS 1000

static int run_find(struct ctx *c, struct view *v, uint32_t *ret_rid)
{
	struct run run = { 0 };
	int err = ctx_run(c, v, &run);

	*ret_rid = run.rid;
	run_release(&run);
	return err;
}

/* What was looked at, and how much of it had to be opened. */
static void write_effort(struct out *o, const struct log_effort *e)
{
	out_raw(o, ",\"read\":{\"blocks\":");
	out_u64(o, e->blocks);
	out_raw(o, ",\"bytes\":");
	out_u64(o, e->bytes);
	out_raw(o, ",\"opened_blocks\":");
	out_u64(o, e->opened_blocks);
	out_raw(o, ",\"opened_bytes\":");
	out_u64(o, e->opened_bytes);
	out_ch(o, '}');
}

static void write_end(struct out *o, const struct log_reader *r, uint64_t last_seq)
{
	out_raw(o, "{\"end\":{\"records\":");
	out_u64(o, r->found);
	out_raw(o, ",\"first_seq\":");
	out_u64(o, r->first_kept);
	out_raw(o, ",\"last_seq\":");
	out_u64(o, last_seq);
	out_raw(o, ",\"more\":");
	out_bool(o, r->limited && r->from_seq < r->to_seq);
	out_raw(o, ",\"partial\":");
	out_bool(o, r->partial);
	if (r->ask->explain)
		write_effort(o, &r->effort);
	out_raw(o, "}}\n");
}

/* One slice under one view, sent when the view is closed. */
static int slice_send(struct ctx *c, struct log_reader *r, struct out *o)
{
	struct view *v;
	int more = view_open(c->store, &v);

	if (more < 0)
		return more;
	more = log_slice(r, v, o, SLICE_BYTES, c->f);
	view_close(v);
	if (more == 1 && o->b.len == 0 && !r->ask->follow)
		return out_ask(o) < 0 ? o->err : more;
	return out_flush(o) < 0 ? o->err : more;
}

/* Trouble in the middle of a stream is its last line. */
static int stream_end(struct ctx *c, struct out *o, int err)
{
	if (err < 0 && err != ERR_GONE) {
		fault_default(c->f, err);
		out_raw(o, "{\"error\":");
		out_fault(o, c->f);
		out_raw(o, "}\n");
		err = 0;
	}
	return ctx_finish(o, err);
}

static int read_all(struct ctx *c, struct log_reader *r)
{
	uint64_t end_seq = r->to_seq;
	struct out o;
	int more;

	out_init(&o, c->sink);
	o.hold = true;
	if (out_begin(&o, 200, "application/x-ndjson", NULL) < 0)
		return ctx_finish(&o, o.err);
	do
		more = slice_send(c, r, &o);
	while (more == 1);
	if (more == 0)
		write_end(&o, r, !r->ask->backward && r->limited ? r->from_seq - 1 : end_seq - 1);
	return stream_end(c, &o, more);
}

static int follow_all(struct ctx *c, struct log_reader *r)
{
	uint64_t news = store_log_news(c->store);
	struct out o;
	int more;

	out_init(&o, c->sink);
	o.hold = true;
	if (out_begin(&o, 200, "application/x-ndjson", NULL) < 0)
		return ctx_finish(&o, o.err);
	while ((more = slice_send(c, r, &o)) >= 0) {
		if (more == 1)
			continue;
		uint64_t now = store_log_wait(c->store, news, FOLLOW_WAIT_MS);

		if (now == news)
			out_ch(&o, '\n'); /* asks the sink whether anyone is there */
		news = now;
	}
	return stream_end(c, &o, more);
}

static int follow_start(struct store *s, const struct log_ask *a, uint32_t rid, struct log_reader *r,
			struct fault *f)
{
	uint64_t from = a->after_seq + 1;
	struct view *v;
	int err = 0;

	if (!a->has_after && !a->has_start)
		err = log_tail_start(s, a, rid, &from, f);
	if (err == 0)
		err = view_open(s, &v);
	if (err < 0)
		return fault_default(f, err);
	err = log_reader_init(r, a, rid, v);
	view_close(v);
	r->from_seq = r->edge = from;
	return err < 0 ? fault_default(f, err) : 0;
}

static int read_plan(struct ctx *c, const struct log_ask *a, struct log_reader *r)
{
	struct view *v;
	uint32_t rid;
	int err = view_open(c->store, &v);

	if (err < 0)
		return fault_default(c->f, err);
	err = run_find(c, v, &rid);
	if (err == 0 && !a->follow)
		err = fault_default(c->f, log_reader_init(r, a, rid, v));
	view_close(v);
	if (err == 0 && a->follow)
		err = follow_start(c->store, a, rid, r, c->f);
	return err;
}

int logs_plan(struct ctx *c, struct log_ask *ask, struct log_reader *r)
{
	int err = log_ask_parse(c->rq->query, clock_now_ns(), ask, c->f);

	*r = (struct log_reader){ 0 };
	return err < 0 ? err : read_plan(c, ask, r);
}

int handle_logs(struct ctx *c)
{
	struct log_reader r;
	struct log_ask ask;
	int err = logs_plan(c, &ask, &r);

	if (err == 0)
		err = ask.follow ? follow_all(c, &r) : read_all(c, &r);
	log_reader_release(&r);
	log_ask_release(&ask);
	return err;
}

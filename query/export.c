/*
 * export.c - GET /runs/{run}/export: everything of a run, in lines that can be imported again.
 *
 * Windows slot by slot (scan.h) of the time of which samples are no longer kept, samples slice by slice
 * (samples.h) from then on, then the log, each under a view of its own; so a long export is not one
 * snapshot: it has the series and the log records that were there when it began.
 */
#include "query/ask.h"
#include "query/exportline.h"
#include "query/handler.h"
#include "query/picked.h"
#include "query/samples.h"
#include "query/scan.h"

#define SLICE_BYTES   (256 * 1024)
#define SLICE_RECORDS 20000

struct format {
	const char *name, *content_type;
	void (*name_of)(struct out *o, const struct series_name *name);
	void (*bucket)(struct out *o, int64_t start_ns, int64_t every_ns, const struct bucket *b);
	void (*sample)(struct out *o, int64_t every_ns, const struct point *p);
	void (*no_bucket)(struct out *o);
	bool whole; /* the run and its log too */
};

static const struct format formats[] = {
	{ "jsonl", "application/x-ndjson", out_export_name, out_export_bucket, out_export_sample,
	  out_export_no_bucket, true },
	{ "csv", "text/csv; charset=utf-8; header=present", out_csv_name, out_csv_bucket, out_csv_sample,
	  out_csv_no_bucket, false },
};

struct export
{
	struct ctx *c;
	const struct format *format;
	struct out o;
	struct run run;
	struct picked picked;
	struct scan scan;
	size_t next;               /* series whose first line comes next */
	uint64_t from_seq, to_seq; /* records that are left */
	int64_t since_ns; /* samples from then on are exported one by one, windows before; a multiple of the
			     run's */
	bool windows;     /* windows are asked for, of all time */
	uint64_t buckets, samples, records;
	size_t sliced;         /* records of this slice */
	struct log_desk *desk; /* of its records */
	bool partial;
};

/* ---- plan ---- */

static int choose_format(struct ctx *c, const struct format **ret, bool *ret_windows)
{
	static const char *const known[] = { "format", "samples", NULL };
	struct span name = span_str("jsonl"), samples = span_str("true");
	int err = params_check(&c->params, known, c->f);

	if (err < 0)
		return err;
	params_get(&c->params, "samples", 0, &samples);
	*ret_windows = span_is(samples, "false");
	if (!*ret_windows && !span_is(samples, "true"))
		return fault_set(c->f, ERR_REFUSED, "samples", "samples=%.*s is neither true nor false",
				 (int)(samples.len < 40 ? samples.len : 40), (const char *)samples.data);
	params_get(&c->params, "format", 0, &name);
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		if (span_is(name, formats[i].name)) {
			*ret = &formats[i];
			return 0;
		}
	}
	return fault_set(c->f, ERR_REFUSED, "format", "format=%.*s is none of jsonl and csv",
			 (int)(name.len < 40 ? name.len : 40), (const char *)name.data);
}

/* From when on samples are exported one by one: a multiple of the windows' width. */
static int plan_samples(const struct export *e, struct view *v, int64_t *ret)
{
	int64_t since, start, width = e->scan.width_ns;
	int err = view_samples_since(v, e->run.rid, &since);

	if (err < 0 || e->windows || since == INT64_MIN || since == INT64_MAX) {
		*ret = e->windows ? INT64_MAX : since;
		return err;
	}
	start = window_start(since, width);
	*ret = start == since ? since : start + width;
	return 0;
}

/* What it holds before that, in windows of the one width that is kept of all of it. */
static int plan_life(struct export *e, struct view *v)
{
	struct scan *s = &e->scan;
	int64_t kept = 0, end;
	int err = view_time_range(v, e->run.rid, &s->from_ns, &s->to_ns);

	s->width_ns = e->run.window_ns;
	if (err < 0 && err != ERR_NOT_FOUND)
		return fault_default(e->c->f, err);
	end = s->to_ns + s->width_ns;
	err = plan_samples(e, v, &e->since_ns);
	if (err == 0 && s->from_ns < e->since_ns)
		err = view_width(v, e->run.rid, s->from_ns, e->since_ns < end ? e->since_ns : end, &kept);
	if (kept)
		s->width_ns = width_join(s->width_ns, kept);
	if (err == 0)
		err = plan_samples(e, v, &e->since_ns);
	s->from_ns = window_start(s->from_ns, s->width_ns);
	s->to_ns = window_start(s->to_ns, s->width_ns) + s->width_ns;
	if (s->to_ns > e->since_ns)
		s->to_ns = e->since_ns > s->from_ns ? e->since_ns : s->from_ns;
	return fault_default(e->c->f, err);
}

static int plan_view(struct export *e, struct view *v)
{
	uint64_t last = 0;
	int err = ctx_run(e->c, v, &e->run);

	if (err < 0)
		return err;
	err = picked_add(&e->picked, v, e->run.rid, NULL, e->format->name_of, e->c->f);
	if (err == 0)
		err = view_last_seq(v, e->run.rid, &last);
	if (err < 0)
		return fault_default(e->c->f, err);
	e->from_seq = 1;
	e->to_seq = last + 1;
	return plan_life(e, v);
}

static int plan(struct export *e)
{
	struct view *v;
	int err = view_open(e->c->store, &v);

	if (err < 0)
		return fault_default(e->c->f, err);
	err = plan_view(e, v);
	view_close(v);
	return err;
}

/* ---- windows ---- */

static void series_until(struct export *e, size_t series)
{
	for (; e->next < series; e->next++) {
		struct span head = picked_head(&e->picked, e->next);

		out_bytes(&e->o, head.data, head.len);
		e->format->no_bucket(&e->o);
	}
}

static int export_bucket(void *arg, size_t series, int64_t start_ns, const struct bucket *b)
{
	struct export *e = arg;
	struct span head = picked_head(&e->picked, series);

	series_until(e, series);
	e->next = series + 1;
	out_bytes(&e->o, head.data, head.len);
	e->format->bucket(&e->o, start_ns, e->scan.width_ns, b);
	e->buckets++;
	return e->o.err;
}

static int export_pause(void *arg)
{
	struct export *e = arg;

	return out_flush(&e->o);
}

static int export_windows(struct export *e)
{
	struct scan *s = &e->scan;
	int err;

	s->store = e->c->store;
	s->rid = e->run.rid;
	s->window_ns = e->run.window_ns;
	s->every_ns = s->width_ns;
	s->sids = e->picked.sids;
	s->n_sids = e->picked.n;
	s->row = export_bucket;
	s->pause = export_pause;
	s->arg = e;
	err = s->from_ns < s->to_ns ? scan_run(s, &e->partial) : 0;
	if (err == 0 && e->buckets)
		series_until(e, e->picked.n);
	return err;
}

/* ---- samples ---- */

static int export_sample(void *arg, size_t series, const struct point *p)
{
	struct export *e = arg;
	struct span head = picked_head(&e->picked, series);

	if (e->next <= series) {
		series_until(e, series);
		e->next = series + 1;
	}
	out_bytes(&e->o, head.data, head.len);
	e->format->sample(&e->o, e->scan.width_ns, p);
	e->samples++;
	return e->o.err;
}

/* What was dropped while it was read may be missing. */
static int check_since(struct export *e)
{
	struct view *v;
	int64_t since;
	int err = view_open(e->c->store, &v);

	if (err < 0)
		return err;
	err = plan_samples(e, v, &since);
	view_close(v);
	if (err == 0 && since > e->since_ns)
		return fault_set(e->c->f, ERR_BUSY, "",
				 "samples grew too old to be kept while they were exported; "
				 "export the run again");
	return err;
}

static int export_samples(struct export *e)
{
	const struct sample_scan s = { .store = e->c->store,
				       .rid = e->run.rid,
				       .sids = e->picked.sids,
				       .n_sids = e->picked.n,
				       .from_ns = e->since_ns,
				       .to_ns = INT64_MAX,
				       .sample = export_sample,
				       .pause = export_pause,
				       .arg = e };
	int err = e->since_ns == INT64_MAX ? 0 : samples_scan(&s, &e->partial);

	if (err == 0)
		err = check_since(e);
	if (err == 0)
		series_until(e, e->picked.n);
	return err;
}

/* ---- log records ---- */

static int export_record(void *arg, const struct log_record *r)
{
	struct export *e = arg;

	out_export_record(&e->o, r);
	e->from_seq = r->seq + 1;
	e->records++;
	if (e->o.err < 0)
		return e->o.err;
	return ++e->sliced >= SLICE_RECORDS || e->o.b.len >= SLICE_BYTES;
}

/* 1: there is more. */
static int export_slice(struct export *e)
{
	struct log_range range = { .from_seq = e->from_seq,
				   .to_seq = e->to_seq,
				   .from_ns = INT64_MIN,
				   .to_ns = INT64_MAX,
				   .desk = e->desk };
	struct view *v;
	int more;

	if (e->from_seq >= e->to_seq)
		return 0;
	more = view_open(e->c->store, &v);
	if (more < 0)
		return more;
	e->sliced = 0;
	more = view_logs(v, e->run.rid, &range, export_record, e, &e->partial);
	view_close(v);
	return out_flush(&e->o) < 0 ? e->o.err : more;
}

/* ---- the whole ---- */

static void export_end(struct export *e)
{
	out_raw(&e->o, "{\"end\":{\"series\":");
	out_u64(&e->o, e->picked.n);
	out_raw(&e->o, ",\"buckets\":");
	out_u64(&e->o, e->buckets);
	out_raw(&e->o, ",\"samples\":");
	out_u64(&e->o, e->samples);
	out_raw(&e->o, ",\"records\":");
	out_u64(&e->o, e->records);
	out_raw(&e->o, ",\"partial\":");
	out_bool(&e->o, e->partial);
	out_raw(&e->o, "}}\n");
}

static int export_lines(struct export *e)
{
	int err;

	if (e->format->whole)
		out_export_run(&e->o, &e->run, e->scan.width_ns);
	else
		out_raw(&e->o, csv_header);
	err = export_windows(e);
	if (err == 0)
		err = export_samples(e);
	if (err == 0 && !e->format->whole && e->partial)
		return fault_set(
		    e->c->f, ERR_CORRUPT, "",
		    "damaged blocks had to be left out, and CSV cannot say so; format=jsonl can");
	if (!e->format->whole || err < 0)
		return err;
	while ((err = export_slice(e)) == 1)
		;
	if (err == 0)
		export_end(e);
	return err;
}

/* Trouble in the middle is the last line where lines can say so; CSV just breaks off. */
static int export_all(struct export *e)
{
	int err = out_begin(&e->o, 200, e->format->content_type, NULL);

	if (err == 0)
		err = export_lines(e);
	if (err < 0 && err != ERR_GONE && e->format->whole) {
		fault_default(e->c->f, err);
		out_raw(&e->o, "{\"error\":");
		out_fault(&e->o, e->c->f);
		out_raw(&e->o, "}\n");
		err = 0;
	}
	return err;
}

int handle_export(struct ctx *c)
{
	struct export e = { .c = c };
	int err = choose_format(c, &e.format, &e.windows);

	out_init(&e.o, c->sink);
	e.o.hold = true;
	picked_init(&e.picked);
	if (err == 0)
		err = fault_default(c->f, log_desk_new(&e.desk));
	if (err == 0)
		err = plan(&e);
	if (err == 0)
		err = export_all(&e);
	run_release(&e.run);
	picked_release(&e.picked);
	log_desk_free(e.desk);
	return ctx_finish(&e.o, err);
}

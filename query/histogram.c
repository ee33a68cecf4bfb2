/*
 * histogram.c - GET /runs/{run}/logs/histogram: how many records of each level, window by window.
 *
 *   {"every_ms":30000,"levels":["","trace","debug","info","warn","error","fatal"],
 *    "rows":[[time_ms, records of each level...],...],"records":N,"last_seq":N,"partial":false}
 *
 * start, end, stream, rank, level, grep and regex choose records just as they do for /logs, so the
 * counts add up to the lines that it would give.  A window without any has no row; records whose
 * level was not told are those of "".  every=W is any width (the run's own when it is left out),
 * points=N the least of 1 s, 2 s, 4 s ... that makes at most N windows.
 *
 * A block whose records have one level and lie in one window is counted by what its prefix says,
 * unread.  Reading goes slice by slice, each under a view of its own, up to the end that the log had
 * at the beginning; the rows are kept until then, at most HISTOGRAM_ROWS_MAX.
 */
#include <stdlib.h>

#include "query/handler.h"
#include "query/logask.h"
#include "query/logread.h"

#define HISTOGRAM_ROWS_MAX 100000
#define SLOTS_MIN          256

struct count_row {
	int64_t start_ns; /* SLOT_FREE */
	uint64_t n[LEVELS];
};
#define SLOT_FREE INT64_MIN

struct histogram {
	const struct log_ask *ask;
	int64_t every_ns;
	struct count_row *slots; /* a hash table by start_ns; owned */
	size_t n, n_slots;       /* a power of two, at least twice n */
	struct count_row *last;  /* found last */
	uint64_t records;
	/* reading */
	uint64_t from_seq, end_seq;
	size_t scanned;
	int64_t until_ns;
	bool by_prefix; /* nothing is asked that only the records tell */
	int64_t t_min_ns, t_max_ns;
	int err;
	struct fault *f;
};

/* ---- rows ---- */

static struct count_row *slot_of(struct count_row *slots, size_t n_slots, int64_t start_ns)
{
	uint64_t hash = (uint64_t)start_ns * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = hash >> 32;; i++) {
		struct count_row *r = &slots[i & (n_slots - 1)];

		if (r->start_ns == start_ns || r->start_ns == SLOT_FREE)
			return r;
	}
}

static int slots_grow(struct histogram *h)
{
	size_t n_slots = h->n_slots ? h->n_slots * 2 : SLOTS_MIN;
	struct count_row *slots = malloc(n_slots * sizeof *slots);

	if (!slots)
		return ERR_NOMEM;
	for (size_t i = 0; i < n_slots; i++)
		slots[i] = (struct count_row){ .start_ns = SLOT_FREE };
	for (size_t i = 0; i < h->n_slots; i++)
		if (h->slots[i].start_ns != SLOT_FREE)
			*slot_of(slots, n_slots, h->slots[i].start_ns) = h->slots[i];
	free(h->slots);
	h->slots = slots;
	h->n_slots = n_slots;
	h->last = NULL;
	return 0;
}

static int count_add(struct histogram *h, int64_t t_ns, enum level level, uint64_t n)
{
	int64_t start_ns = window_start(t_ns, h->every_ns);

	if (!h->last || h->last->start_ns != start_ns) {
		if (h->n * 2 >= h->n_slots && slots_grow(h) < 0)
			return ERR_NOMEM;
		h->last = slot_of(h->slots, h->n_slots, start_ns);
		if (h->last->start_ns == SLOT_FREE && h->n == HISTOGRAM_ROWS_MAX) {
			h->last = NULL;
			return fault_set(
			    h->f, ERR_REFUSED, "every",
			    "the answer has more than %d rows; ask for a wider every=, for points=, or "
			    "for a shorter range",
			    HISTOGRAM_ROWS_MAX);
		}
		h->n += h->last->start_ns == SLOT_FREE;
		h->last->start_ns = start_ns;
	}
	h->last->n[level] += n;
	h->records += n;
	return 0;
}

static int compare_rows(const void *a, const void *b)
{
	int64_t x = ((const struct count_row *)a)->start_ns, y = ((const struct count_row *)b)->start_ns;

	return (x > y) - (x < y);
}

/* ---- reading ---- */

static bool slice_full(const struct histogram *h)
{
	return h->scanned >= LOG_SLICE_RECORDS || (h->scanned % 64 == 0 && clock_mono_ns() > h->until_ns);
}

static bool block_in_range(const struct histogram *h, const struct log_block *b)
{
	return b->t_max_ns >= h->ask->from_ns && b->t_min_ns < h->ask->to_ns &&
	       b->levels >> h->ask->least != 0;
}

/* One level, in one window, and nothing is left to ask of its records. */
static bool block_counts(const struct histogram *h, const struct log_block *b)
{
	return h->by_prefix && (b->levels & (b->levels - 1)) == 0 && b->t_min_ns >= h->ask->from_ns &&
	       b->t_max_ns < h->ask->to_ns && b->first_seq >= h->from_seq &&
	       b->first_seq + b->count <= h->end_seq &&
	       window_start(b->t_min_ns, h->every_ns) == window_start(b->t_max_ns, h->every_ns);
}

static enum log_block_use count_block(void *arg, const struct log_block *b)
{
	struct histogram *h = arg;
	bool counts;

	if (slice_full(h) && h->scanned > 0)
		return LOG_BLOCK_STOP;
	h->scanned += 64 - h->scanned % 64; /* a block passed over costs as much as some records */
	counts = block_counts(h, b);
	if (!counts && block_in_range(h, b))
		return LOG_BLOCK_READ;
	if (counts && block_in_range(h, b))
		h->err = count_add(h, b->t_min_ns, (enum level)__builtin_ctz(b->levels), b->count);
	h->from_seq = b->first_seq + b->count;
	return h->err < 0 ? LOG_BLOCK_STOP : LOG_BLOCK_PASS;
}

static int count_record(void *arg, const struct log_record *r)
{
	struct histogram *h = arg;
	bool found = false;

	if (log_ask_selects(h->ask, r))
		h->err = log_ask_finds(h->ask, r, &found, h->f);
	if (h->err == 0 && found)
		h->err = count_add(h, r->t_ns, r->level, 1);
	h->from_seq = r->seq + 1;
	h->scanned++;
	return h->err < 0 || slice_full(h);
}

/* Least and greatest time of blocks that may hold what is asked for. */
static enum log_block_use widen_by_block(void *arg, const struct log_block *b)
{
	struct histogram *h = arg;

	if (slice_full(h) && h->scanned > 0)
		return LOG_BLOCK_STOP;
	h->scanned += 64;
	if (block_in_range(h, b)) {
		h->t_min_ns = b->t_min_ns < h->t_min_ns ? b->t_min_ns : h->t_min_ns;
		h->t_max_ns = b->t_max_ns > h->t_max_ns ? b->t_max_ns : h->t_max_ns;
	}
	h->from_seq = b->first_seq + b->count;
	return LOG_BLOCK_PASS;
}

/* Records that cannot be meant were passed over. */
static int note_passed(void *arg, uint64_t next_seq)
{
	struct histogram *h = arg;

	h->from_seq = next_seq;
	return 0;
}

/* Reads all of [1, end_seq), slice by slice. */
static int read_all(struct histogram *h, struct ctx *c, uint32_t rid,
		    enum log_block_use (*block)(void *arg, const struct log_block *b), bool *ret_partial)
{
	struct log_range range = { .to_seq = h->end_seq,
				   .from_ns = h->ask->from_ns,
				   .to_ns = h->ask->to_ns,
				   .least = h->ask->least,
				   .hint = log_ask_hint(h->ask),
				   .textless = !h->ask->grep.len && !h->ask->pattern,
				   .textless_fits = !h->ask->grep.len || !h->ask->pattern,
				   .block = block,
				   .passed = note_passed };
	int more = log_desk_new(&range.desk) < 0 ? ERR_NOMEM : 1;

	h->from_seq = 1;
	while (more == 1 && h->err == 0 && h->from_seq < h->end_seq) {
		struct view *v;

		if ((more = view_open(c->store, &v)) < 0)
			break;
		h->scanned = 0;
		h->until_ns = clock_mono_ns() + LOG_SLICE_NS;
		range.from_seq = h->from_seq;
		more = view_logs(v, rid, &range, count_record, h, ret_partial);
		view_close(v);
	}
	log_desk_free(range.desk);
	return h->err < 0 ? h->err : more < 0 ? more : 0;
}

/* ---- the answer ---- */

static uint64_t windows_between(int64_t from_ns, int64_t last_ns, int64_t every_ns)
{
	return (uint64_t)(window_start(last_ns, every_ns) - window_start(from_ns, every_ns)) /
		   (uint64_t)every_ns +
	       1;
}

/* The width for points=, by the range asked for as far as the log fills it. */
static int points_width(struct histogram *h, struct ctx *c, uint32_t rid, uint64_t points, bool *ret_partial)
{
	int err;

	h->t_min_ns = INT64_MAX;
	h->t_max_ns = INT64_MIN;
	err = read_all(h, c, rid, widen_by_block, ret_partial);
	if (err < 0)
		return err;
	if (h->t_min_ns < h->ask->from_ns)
		h->t_min_ns = h->ask->from_ns;
	if (h->t_max_ns >= h->ask->to_ns)
		h->t_max_ns = h->ask->to_ns - 1;
	h->every_ns = NS_PER_S;
	while (h->t_min_ns < h->t_max_ns && h->every_ns <= INT64_MAX / 2 &&
	       windows_between(h->t_min_ns, h->t_max_ns, h->every_ns) > points)
		h->every_ns *= 2;
	return 0;
}

static int answer(struct histogram *h, struct ctx *c, bool partial)
{
	struct out o;
	int err;

	if (h->n)
		qsort(h->slots, h->n_slots, sizeof *h->slots, compare_rows); /* free ones come first */
	out_init(&o, c->sink);
	err = out_begin(&o, 200, "application/json", NULL);
	out_raw(&o, "{\"every_ms\":");
	out_i64(&o, h->every_ns / NS_PER_MS);
	for (int i = 0; i < LEVELS; i++) {
		out_raw(&o, i ? "," : ",\"levels\":[");
		out_string(&o, span_str(level_name((enum level)i)));
	}
	out_raw(&o, "],\"rows\":[");
	for (size_t i = h->n_slots - h->n; i < h->n_slots; i++) {
		out_raw(&o, i > h->n_slots - h->n ? ",[" : "[");
		out_i64(&o, h->slots[i].start_ns / NS_PER_MS);
		for (int level = 0; level < LEVELS; level++) {
			out_ch(&o, ',');
			out_u64(&o, h->slots[i].n[level]);
		}
		out_ch(&o, ']');
	}
	out_raw(&o, "],\"records\":");
	out_u64(&o, h->records);
	out_raw(&o, ",\"last_seq\":");
	out_u64(&o, h->end_seq - 1);
	out_raw(&o, ",\"partial\":");
	out_bool(&o, partial);
	out_raw(&o, "}\n");
	return ctx_finish(&o, err);
}

/* The run, its width, and where its log ends now. */
static int run_plan(struct histogram *h, struct ctx *c, uint32_t *ret_rid)
{
	struct run run = { 0 };
	uint64_t last = 0;
	struct view *v;
	int err = view_open(c->store, &v);

	if (err < 0)
		return fault_default(c->f, err);
	err = ctx_run(c, v, &run);
	if (err == 0)
		err = fault_default(c->f, view_last_seq(v, run.rid, &last));
	view_close(v);
	if (h->every_ns == 0)
		h->every_ns = run.window_ns;
	*ret_rid = run.rid;
	h->end_seq = last + 1;
	run_release(&run);
	return err;
}

static int width_parse(const struct params *p, int64_t *ret_every_ns, uint64_t *ret_points, struct fault *f)
{
	struct span every, points;

	if (!params_get(p, "every", 0, &every))
		return params_u64(p, "points", 1, HISTOGRAM_ROWS_MAX, ret_points, f);
	if (params_get(p, "points", 0, &points))
		return fault_set(f, ERR_REFUSED, "points",
				 "every and points both say how wide a window is; give one");
	return params_duration(p, "every", ret_every_ns, f);
}

int handle_histogram(struct ctx *c)
{
	static const char *const known[] = { "start", "end",   "level",  "stream", "rank",        "grep",
					     "regex", "every", "points", "attr.",  "ignore_case", NULL };
	struct log_ask ask;
	struct histogram h = { .ask = &ask, .f = c->f };
	uint64_t points = 0;
	bool partial = false;
	uint32_t rid = 0;
	int err = log_ask_parse_known(c->rq->query, known, clock_now_ns(), &ask, c->f);

	h.by_prefix = !ask.has_rank && !ask.has_stream && ask.grep.len == 0 && !ask.pattern && !ask.has_attrs;
	if (err == 0)
		err = width_parse(&ask.params, &h.every_ns, &points, c->f);
	if (err == 0)
		err = run_plan(&h, c, &rid);
	if (err == 0 && points)
		err = points_width(&h, c, rid, points, &partial);
	if (err == 0)
		err = read_all(&h, c, rid, count_block, &partial);
	if (err == 0)
		err = answer(&h, c, partial);
	free(h.slots);
	log_ask_release(&ask);
	return err < 0 ? fault_default(c->f, err) : err;
}

/*
 * timerange.c - read.h: when a run has samples, and how wide the windows are that are kept of them.
 */
#include <stdlib.h>

#include "store/base/array.h"
#include "store/compact/quarantine.h"
#include "store/hot/flush.h"
#include "store/pair.h"
#include "store/part/cover.h"
#include "store/view.h"

struct range {
	uint32_t *sids;
	size_t n, cap;
	int64_t from_ns, to_ns;
};

static void widen(struct range *r, int64_t least, int64_t greatest)
{
	r->from_ns = least < r->from_ns ? least : r->from_ns;
	r->to_ns = greatest > r->to_ns ? greatest : r->to_ns;
}

static int range_series(void *arg, uint32_t rid, uint32_t sid, const struct series_name *name)
{
	struct range *r = arg;

	(void)rid;
	(void)name;
	if (array_grow(r->sids, r->n, r->cap) < 0)
		return ERR_NOMEM;
	r->sids[r->n++] = sid;
	return 0;
}

static int range_entry(void *arg, const struct entry *e)
{
	widen(arg, e->key.start_ns, e->key.start_ns);
	return 0;
}

static int range_flushes(struct kv_txn *t, uint32_t rid, struct range *r)
{
	struct span key, value;
	struct kv_cursor *c;
	struct state state;
	int err = state_get(t, &state), moved;

	if (err == 0)
		err = kv_cursor_open(t, KV_FLUSH, &c);
	if (err < 0)
		return err;
	for (moved = kv_first(c, &key, &value); moved == 0 && err == 0; moved = kv_next(c, &key, &value)) {
		struct flush_row row;
		int64_t least, greatest;

		err = flush_row_decode(key, value, &row);
		if (err < 0 || row.number > state.flush)
			break;
		if (flush_row_run(&row, rid, &least, &greatest))
			widen(r, least, greatest);
	}
	kv_cursor_close(c);
	return err;
}

/* Of the finest part of each time; a wide window may hold samples up to its end. */
static int range_parts(struct kv_txn *t, uint32_t pid, uint32_t rid, int64_t window_ns, struct range *r)
{
	struct manifest m;
	int err = manifest_read(t, pid, INT64_MIN, INT64_MAX, &m);

	if (err < 0)
		return err;
	for (size_t i = 0; i < m.n; i++) {
		int64_t least, greatest, tier_ns = m.rows[i].id.tier_ns;

		if ((tier_ns == TIER_RECORDED || m.rows[i].alone) &&
		    manifest_run(&m.rows[i], rid, &least, &greatest))
			widen(r, least, tier_ns > window_ns ? greatest + tier_ns - window_ns : greatest);
	}
	manifest_release(&m);
	return 0;
}

/* What is missing is asked for too: only then is an answer told to be partial. */
static int range_quarantine(struct kv_txn *t, uint32_t pid, uint32_t rid, struct range *r)
{
	struct quarantine q = { 0 };
	int err = quarantine_read(t, pid, &q);

	for (size_t i = 0; i < q.n && err == 0; i++)
		if (q.rows[i].rid == rid && !q.rows[i].batch)
			widen(r, q.rows[i].least_start, q.rows[i].greatest_start);
	quarantine_release(&q);
	return err;
}

/* What memory and blocks hold of the run, folded or not.  Called with nothing held; *ret_txn is the
 * snapshot, to be ended. */
static int range_unsealed(struct view *v, uint32_t rid, struct range *r, struct kv_txn **ret_txn)
{
	struct store *s = v->store;
	bool memory;
	int err = 0;

	/* What is in memory from now on is not in the view; a reader beside the server has none before
	 * pair_begin. */
	pthread_mutex_lock(&s->memory_lock);
	memory = s->options.read_only || memory_buckets(&s->memory) > 0;
	pthread_mutex_unlock(&s->memory_lock);
	if (memory)
		err = series_read(v->txn, rid, range_series, r);
	if (err < 0)
		return err;
	pthread_mutex_lock(&s->memory_lock);
	err = pair_begin(s, rid, ret_txn);
	if (err == 0)
		err = memory_find(&s->memory, r->sids, r->n, INT64_MIN, INT64_MAX, range_entry, r);
	pthread_mutex_unlock(&s->memory_lock);
	return err < 0 ? err : range_flushes(*ret_txn, rid, r);
}

int view_time_range(struct view *v, uint32_t rid, int64_t *ret_from_ns, int64_t *ret_to_ns)
{
	struct range r = { .from_ns = INT64_MAX, .to_ns = INT64_MIN };
	struct kv_txn *t = NULL;
	int64_t window_ns;
	uint32_t pid;
	int err = range_unsealed(v, rid, &r, &t);

	if (err == 0)
		err = run_owner(t, rid, &pid, &window_ns);
	if (err == 0)
		err = range_parts(t, pid, rid, window_ns, &r);
	if (err == 0)
		err = range_quarantine(t, pid, rid, &r);
	if (err == 0 && r.from_ns > r.to_ns)
		err = ERR_NOT_FOUND;
	if (err == 0) {
		*ret_from_ns = r.from_ns;
		*ret_to_ns = window_start(r.to_ns, window_ns); /* blocks and parts tell it to the second */
	}
	kv_abort(t);
	free(r.sids);
	return err;
}

/* ---- the width of windows ---- */

struct width {
	uint32_t rid;
	struct range unsealed;
	int64_t width_ns; /* that all windows so far make up */
};

static int widen_piece(void *arg, const struct part_row *row, int64_t from_ns, int64_t to_ns)
{
	struct width *w = arg;
	int64_t least, greatest;

	if (!row->alone)
		return 0;
	if ((manifest_run(row, w->rid, &least, &greatest) && greatest + row->id.tier_ns > from_ns &&
	     least < to_ns) ||
	    (w->unsealed.to_ns >= from_ns && w->unsealed.from_ns < to_ns))
		w->width_ns = tier_join(w->width_ns, row->id.tier_ns);
	return 0;
}

/* Whether of some time only wider windows than those recorded may be kept; mostly there is none, and nothing
 * of the run need be looked at. */
static int any_alone(struct view *v, uint32_t rid, int64_t from_ns, int64_t to_ns, bool *ret)
{
	struct manifest m = { 0 };
	int64_t window_ns;
	uint32_t pid;
	int err = run_owner(v->txn, rid, &pid, &window_ns);

	if (err == 0)
		err = manifest_read(v->txn, pid, from_ns, to_ns, &m);
	*ret = false;
	for (size_t i = 0; i < m.n; i++)
		*ret |= m.rows[i].alone;
	manifest_release(&m);
	return err;
}

static int width_of(struct view *v, uint32_t rid, int64_t from_ns, int64_t to_ns, int64_t *ret_ns)
{
	struct width w = { .rid = rid, .unsealed = { .from_ns = INT64_MAX, .to_ns = INT64_MIN } };
	struct manifest m = { 0 };
	struct kv_txn *t = NULL;
	int64_t window_ns;
	uint32_t pid;
	int err = range_unsealed(v, rid, &w.unsealed, &t);

	if (err == 0)
		err = run_owner(t, rid, &pid, &window_ns);
	if (err == 0)
		err = manifest_read(t, pid, from_ns, to_ns, &m);
	if (err == 0)
		err = cover_pieces(&m, TIER_RECORDED, from_ns, to_ns, widen_piece, &w);
	if (err == 0)
		*ret_ns = w.width_ns;
	manifest_release(&m);
	kv_abort(t);
	free(w.unsealed.sids);
	return err;
}

int view_width(struct view *v, uint32_t rid, int64_t from_ns, int64_t to_ns, int64_t *ret_ns)
{
	bool alone;
	int err = any_alone(v, rid, from_ns, to_ns, &alone);

	if (err == 0 && alone)
		return width_of(v, rid, from_ns, to_ns, ret_ns);
	if (err == 0)
		*ret_ns = TIER_RECORDED;
	return err;
}

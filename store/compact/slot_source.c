#include "store/compact/slot_source.h"

#include <stdlib.h>

#include "store/base/array.h"
#include "store/gather.h"
#include "store/hot/flush.h"

#define AT_ONCE        100000 /* buckets that are gathered at once, about */
#define TOTALS_AT_ONCE 10000  /* series: what a block gave is merged before the next is read */

struct sid_run {
	uint32_t sid, rid;
};

/* ---- whose series ---- */

static int add_run(void *arg, const struct run_range *r)
{
	struct slot_source *s = arg;

	if (r->greatest < s->from_ns || r->least >= s->to_ns)
		return 0;
	if (array_grow(s->runs, s->n_runs, s->runs_cap) < 0)
		return ERR_NOMEM;
	s->runs[s->n_runs++] = (struct run_range){ r->rid, INT64_MAX, INT64_MIN };
	return 0;
}

static int compare_run(const void *a, const void *b)
{
	uint32_t x = ((const struct run_range *)a)->rid, y = ((const struct run_range *)b)->rid;

	return (x > y) - (x < y);
}

/* Each once, those of the project that are there. */
static int unite_runs(struct slot_source *s, struct kv_txn *t)
{
	uint32_t before = 0;
	size_t n = 0;

	if (s->n_runs)
		qsort(s->runs, s->n_runs, sizeof(*s->runs), compare_run);
	for (size_t i = 0; i < s->n_runs; i++) {
		int64_t window_ns;
		uint32_t pid;
		int err;

		if (s->runs[i].rid == before)
			continue;
		before = s->runs[i].rid;
		err = run_owner(t, before, &pid, &window_ns);
		if (err < 0 && err != ERR_NOT_FOUND)
			return err;
		if (err < 0 || pid != s->pid)
			continue;
		s->least_ns = window_ns < s->least_ns ? window_ns : s->least_ns;
		s->runs[n++] = s->runs[i];
	}
	s->n_runs = n;
	return 0;
}

static int runs_of_flush(void *arg, const struct flush_row *row)
{
	const struct slot_source *s = arg;

	return row->greatest_start >= s->from_ns && row->least_start < s->to_ns
		   ? run_ranges_read(row->runs, add_run, arg)
		   : 0;
}

/* A piece of the slot, and the part that gives it. */
static int plan_piece(void *arg, const struct part_row *row, int64_t from_ns, int64_t to_ns)
{
	struct slot_source *s = arg;
	int64_t width_ns = row->id.tier_ns > s->least_ns ? row->id.tier_ns : s->least_ns;

	s->windows += (uint64_t)((to_ns - from_ns) / width_ns) + 1;
	return 0;
}

/* Of all parts that a bucket of the slot may be in. */
static int runs_of_parts(struct slot_source *s, const struct manifest *m)
{
	int err = 0;

	for (size_t i = 0; i < m->n && m->rows[i].id.tier_ns <= s->tier_ns && err == 0; i++)
		err = run_ranges_read(m->rows[i].runs, add_run, s);
	return err;
}

static int find_runs(struct slot_source *s, struct kv_txn *t)
{
	struct manifest m = { 0 };
	int err = s->finer ? 0 : flush_rows(t, s->upto, runs_of_flush, s);

	if (err == 0)
		err = manifest_read(t, s->pid, s->from_ns, s->to_ns, &m);
	if (err == 0)
		err = runs_of_parts(s, &m);
	if (err == 0)
		err = unite_runs(s, t);
	if (err == 0 && s->tier_ns == TIER_RECORDED)
		s->windows = (uint64_t)((s->to_ns - s->from_ns) / s->least_ns) + 1;
	else if (err == 0)
		err = cover_pieces(&m, s->tier_ns, s->from_ns, s->to_ns, plan_piece, s);
	manifest_release(&m);
	return err;
}

/* ---- of totals ---- */

/* The rows to be added up; their runs are borrowed from t. */
static int read_taken(const struct slot_source *s, struct kv_txn *t, struct part_row **ret, size_t *ret_n)
{
	struct part_row *rows = malloc((s->n_taken + 1) * sizeof(*rows));
	size_t n = 0;
	int err = rows ? manifest_totals(t, s->pid, rows) : ERR_NOMEM;

	n += err == 0;
	err = err == ERR_NOT_FOUND ? 0 : err;
	for (size_t i = 0; i < s->n_taken && err == 0; i++)
		err = manifest_get(t, &s->taken[i], &rows[n++]);
	if (err < 0) {
		free(rows);
		return err;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

static int find_taken_runs(struct slot_source *s, struct kv_txn *t)
{
	struct part_row *rows = NULL;
	size_t n = 0;
	int err = read_taken(s, t, &rows, &n);

	for (size_t i = 0; i < n && err == 0; i++) {
		err = run_ranges_read(rows[i].runs, add_run, s);
		if (rows[i].arrived_ns > s->taken_arrived_ns)
			s->taken_arrived_ns = rows[i].arrived_ns;
	}
	free(rows);
	return err < 0 ? err : unite_runs(s, t);
}

/* ---- their series ---- */

static int add_series(void *arg, uint32_t rid, uint32_t sid, const struct series_name *name)
{
	struct slot_source *s = arg;

	(void)name;
	if (array_grow(s->series, s->n_series, s->series_cap) < 0)
		return ERR_NOMEM;
	s->series[s->n_series++] = (struct sid_run){ sid, rid };
	return 0;
}

static int compare_series(const void *a, const void *b)
{
	const struct sid_run *x = a, *y = b;

	return (x->sid > y->sid) - (x->sid < y->sid);
}

/* A snapshot, unless there is one for all. */
static int begin(struct slot_source *s) { return s->one_txn ? 0 : kv_begin(s->store->kv, false, &s->txn); }

static void end(struct slot_source *s)
{
	if (!s->one_txn)
		kv_abort(s->txn);
}

int slot_source_find(struct slot_source *s)
{
	int err;

	s->least_ns = NS_PER_DAY;
	s->taken_arrived_ns = INT64_MIN;
	err = begin(s);
	if (err < 0)
		return err;
	err = s->taken ? find_taken_runs(s, s->txn) : find_runs(s, s->txn);
	for (size_t i = 0; i < s->n_runs && err == 0; i++)
		err = series_read(s->txn, s->runs[i].rid, add_series, s);
	end(s);
	if (s->n_series)
		qsort(s->series, s->n_series, sizeof(*s->series), compare_series);
	return err;
}

void slot_source_release(struct slot_source *s)
{
	free(s->runs);
	free(s->series);
}

uint32_t slot_source_run(const struct slot_source *s, uint32_t sid)
{
	struct sid_run key = { .sid = sid }, *found;

	found = bsearch(&key, s->series, s->n_series, sizeof(key), compare_series);
	return found ? found->rid : 0;
}

/* ---- from the sources, some series at a time ---- */

struct stretch {
	size_t at, n; /* series */
	int64_t from_ns, to_ns;
};

static int gather_taken(struct slot_source *s, struct gather *g)
{
	struct part_row *rows = NULL;
	size_t n = 0;
	int err = read_taken(s, s->txn, &rows, &n);

	if (err == 0)
		err = gather_rows(s->store, s->txn, g, rows, n);
	free(rows);
	return err;
}

static int gather_stretch(struct slot_source *s, const struct stretch *at, block_fn fn, void *arg)
{
	uint32_t *sids = malloc((at->n + 1) * sizeof(*sids));
	struct gather g = { .pid = s->pid,
			    .from_ns = at->from_ns,
			    .to_ns = at->to_ns,
			    .width_ns = s->tier_ns,
			    .finer_than_ns = s->finer ? s->tier_ns : 0,
			    .upto = s->upto,
			    .sealing = true };
	int err = sids ? begin(s) : ERR_NOMEM;

	if (err < 0)
		goto done;
	for (size_t i = 0; i < at->n; i++)
		sids[i] = s->series[at->at + i].sid;
	err = found_init(&g.found, sids, at->n);
	if (err == 0)
		err = s->taken ? gather_taken(s, &g) : gather_snapshot(s->store, s->txn, &g);
	if (err == 0 && g.partial)
		err = ERR_CORRUPT;
	if (err == 0)
		err = found_tell(&g.found, fn, arg);
	gather_release(&g);
	end(s);
done:
	free(sids);
	return err;
}

static bool stopped(const struct slot_source *s) { return s->stop && atomic_load(s->stop); }

/* One series with more windows than are gathered at once, in stretches of whole windows. */
static int gather_long(struct slot_source *s, struct stretch at, block_fn fn, void *arg)
{
	int64_t to_ns = at.to_ns, width_ns = s->tier_ns ? s->tier_ns : s->least_ns;
	int64_t n = (int64_t)(s->windows / AT_ONCE) + 1;
	int64_t length_ns = ((to_ns - at.from_ns) / n / width_ns + 1) * width_ns;
	int err = 0;

	while (at.from_ns < to_ns && err == 0 && !stopped(s)) {
		at.to_ns = to_ns - at.from_ns > length_ns ? at.from_ns + length_ns : to_ns;
		err = gather_stretch(s, &at, fn, arg);
		at.from_ns = at.to_ns;
	}
	return err;
}

int slot_source_walk(struct slot_source *s, block_fn fn, void *arg)
{
	size_t n = s->taken ? TOTALS_AT_ONCE : (size_t)(AT_ONCE / (s->windows + 1)) + 1;
	int err = 0;

	for (size_t at = 0; at < s->n_series && err == 0; at += n) {
		struct stretch all = { at, s->n_series - at < n ? s->n_series - at : n, s->from_ns,
				       s->to_ns };

		if (stopped(s))
			return ERR_GONE;
		progress_show(s->progress, SLOT_WALK_STEPS * at / s->n_series);
		err = s->windows > AT_ONCE ? gather_long(s, all, fn, arg) : gather_stretch(s, &all, fn, arg);
	}
	progress_add(s->progress, SLOT_WALK_STEPS);
	return err == 0 && stopped(s) ? ERR_GONE : err;
}

int slot_source_sids(const struct slot_source *s, uint32_t **ret)
{
	uint32_t *sids = malloc((s->n_series + 1) * sizeof(*sids));

	if (!sids)
		return ERR_NOMEM;
	for (size_t i = 0; i < s->n_series; i++)
		sids[i] = s->series[i].sid;
	*ret = sids;
	return 0;
}

/*
 * samples.c - samples of a view: those in raw parts, and in the journal's batches that are not sealed.
 *
 * Which batch is in which of them says one snapshot (state.sealed and the rows of raw parts), so each
 * sample is seen once, beside a writer as within it.  A part's file that is gone was merged or dropped
 * since: then a new snapshot is asked.
 */
#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/bytes.h"
#include "store/compact/quarantine.h"
#include "store/hot/journal.h"
#include "store/raw/rawmake.h"
#include "store/registry/project.h"
#include "store/view.h"

#define TRIES 10

struct found {
	uint32_t series; /* place in the caller's list */
	uint32_t order;  /* as they were found, which is as they were accepted */
	struct point p;
};

struct wanted {
	uint32_t sid, series;
};

struct gathering {
	const struct wanted *wanted; /* by rising sid */
	uint32_t *sids;              /* the same */
	size_t n_sids;
	int64_t from_ns, to_ns;
	struct samples_at from; /* what comes before was told */
	struct samples_at upto; /* what comes from here on is left for the next slice */
	bool cut;               /* there is such */
	size_t most;
	struct found *found;
	size_t n, cap, full; /* full: so many are cut to `most` */
	uint32_t order;
	bool partial;
	struct wanted last; /* looked up last */
};

/* ---- slices ---- */

static int compare_at(const struct samples_at *a, const struct samples_at *b)
{
	if (a->series != b->series)
		return a->series < b->series ? -1 : 1;
	return (a->t_ns > b->t_ns) - (a->t_ns < b->t_ns);
}

static struct samples_at at_of(const struct found *f) { return (struct samples_at){ f->series, f->p.t_ns }; }

static int compare_found(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int order;

	if (x->series != y->series)
		return x->series < y->series ? -1 : 1;
	order = sample_compare(&x->p, &y->p);
	return order ? order : (x->order > y->order) - (x->order < y->order);
}

static void sort_found(struct gathering *g)
{
	if (g->n)
		qsort(g->found, g->n, sizeof(*g->found), compare_found);
}

/* Keeps the first `most`, but samples of one time together. */
static void cut_slice(struct gathering *g)
{
	struct samples_at at;
	size_t n = g->most;

	sort_found(g);
	at = at_of(&g->found[n]);
	while (n > 0 && g->found[n - 1].series == at.series && g->found[n - 1].p.t_ns == at.t_ns)
		n--;
	if (n == 0) { /* all of one time */
		while (n < g->n && g->found[n].series == at.series && g->found[n].p.t_ns == at.t_ns)
			n++;
		if (n == g->n) {
			g->full = 2 * n;
			return;
		}
		at = at_of(&g->found[n]);
	}
	g->upto = at;
	g->cut = true;
	g->n = n;
	/* those that are kept were found before those to come */
	for (size_t i = 0; i < n; i++)
		g->found[i].order = (uint32_t)i;
	g->order = (uint32_t)n;
}

static int add(struct gathering *g, uint32_t series, const struct point *p)
{
	struct samples_at at = { series, p->t_ns };

	if (p->t_ns < g->from_ns || p->t_ns >= g->to_ns || compare_at(&at, &g->from) < 0 ||
	    (g->cut && compare_at(&at, &g->upto) >= 0))
		return 0;
	if (array_grow(g->found, g->n, g->cap) < 0)
		return ERR_NOMEM;
	g->found[g->n++] = (struct found){ series, g->order++, *p };
	if (g->n >= g->full)
		cut_slice(g);
	return 0;
}

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return (x->sid > y->sid) - (x->sid < y->sid);
}

/* False: it is not asked for.  Samples of a series mostly follow each other. */
static bool series_of(struct gathering *g, uint32_t sid, uint32_t *ret)
{
	struct wanted key = { .sid = sid };
	const struct wanted *w;

	if (g->last.sid != sid) {
		w = bsearch(&key, g->wanted, g->n_sids, sizeof(key), compare_wanted);
		if (!w)
			return false;
		g->last = *w;
	}
	*ret = g->last.series;
	return true;
}

/* ---- where they are ---- */

static int take_record(void *arg, uint64_t batch, const struct journal_record *rec)
{
	struct gathering *g = arg;
	uint32_t series;
	int err = 0;

	(void)batch;
	for (size_t i = 0; i < rec->n && err == 0; i++) {
		struct point p = { rec->t_ns[i], rec->step[i], rec->value[i] };

		if (series_of(g, rec->sid[i], &series))
			err = add(g, series, &p);
	}
	return err;
}

static int miss_batch(void *arg, uint64_t batch)
{
	struct gathering *g = arg;

	(void)batch;
	g->partial = true;
	return 0;
}

static int read_journal(struct gathering *g, struct kv_txn *t, uint64_t sealed, uint32_t rid)
{
	struct journal_range range = { .after = sealed, .rid = rid, .damaged = miss_batch };

	return journal_read(t, &range, take_record, g);
}

static int take_samples(void *arg, uint32_t sid, const struct point *p, size_t n)
{
	struct gathering *g = arg;
	uint32_t series;
	int err = 0;

	if (!series_of(g, sid, &series))
		return 0;
	for (size_t i = 0; i < n && err == 0; i++)
		err = add(g, series, &p[i]);
	return err;
}

struct part_room {
	struct rawblock_reader *reader;
	struct buf room;
};

static int read_part(struct gathering *g, const struct rawpart *part, struct part_room *r)
{
	int err = 0;

	for (size_t i = 0; err == 0 && rawpart_find(part, g->sids, g->n_sids, g->from_ns, g->to_ns, &i);
	     i++) {
		err = rawpart_read(part, i, r->reader, &r->room, g->sids, g->n_sids, take_samples, g);
		if (err == ERR_CORRUPT) {
			g->partial = true;
			err = 0;
		}
	}
	return err;
}

/* ERR_GONE: its file is. */
static int open_and_read(struct gathering *g, const struct store *s, const struct raw_row *row,
			 struct part_room *r)
{
	struct rawpart *part;
	int err = raw_open(s->dir, row, &part);

	if (err == ERR_NOT_FOUND)
		return ERR_GONE;
	if (err == ERR_CORRUPT) {
		g->partial = true;
		return 0;
	}
	if (err < 0)
		return err;
	err = read_part(g, part, r);
	rawpart_close(part);
	return err;
}

static int read_parts(struct gathering *g, const struct store *s, const struct raw_rows *rows, uint32_t rid,
		      bool last_try)
{
	struct part_room r = { 0 };
	int err = 0;

	buf_init(&r.room, RAWBLOCK_BYTES_MAX);
	for (size_t i = 0; i < rows->n && err == 0; i++) {
		int64_t least, greatest;

		if (!raw_row_run(&rows->rows[i], rid, &least, &greatest) || greatest < g->from_ns ||
		    least >= g->to_ns)
			continue;
		if (!r.reader)
			err = rawblock_reader_new(&r.reader);
		if (err == 0)
			err = open_and_read(g, s, &rows->rows[i], &r);
		if (err == ERR_GONE && last_try) {
			g->partial = true;
			err = 0;
		}
	}
	rawblock_reader_free(r.reader);
	buf_release(&r.room);
	return err;
}

/* ---- one snapshot ---- */

/* What the run's project keeps; 0 for a run that is gone. */
static int keep_of(struct kv_txn *t, uint32_t rid, uint32_t *ret_pid, int64_t *ret_created, int64_t *ret_keep)
{
	struct project project;
	struct run run;
	int err = run_get(t, rid, &run);

	*ret_keep = 0;
	if (err == 0) {
		*ret_pid = run.pid;
		*ret_created = run.created_ns;
		err = project_get(t, run.project, &project);
		run_release(&run);
	}
	if (err == 0)
		*ret_keep = project.policy.raw_keep_ns;
	return err == ERR_NOT_FOUND ? 0 : err;
}

static int gather(struct gathering *g, const struct store *s, uint32_t rid, bool last_try)
{
	struct raw_rows rows = { 0 };
	int64_t created, keep;
	struct state state;
	struct kv_txn *t;
	uint32_t pid;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	g->n = g->order = 0;
	g->full = 2 * g->most;
	g->cut = g->partial = false;
	err = keep_of(t, rid, &pid, &created, &keep);
	if (err == 0 && keep != 0) {
		err = state_get(t, &state);
		if (err == 0)
			err = quarantine_hides_samples(t, rid, g->from_ns, g->to_ns, &g->partial);
		if (err == 0)
			err = raw_rows_read(t, pid, &rows);
		if (err == 0)
			err = read_parts(g, s, &rows, rid, last_try);
		if (err == 0)
			err = read_journal(g, t, state.sealed, rid);
	}
	raw_rows_release(&rows);
	kv_abort(t);
	return err;
}

static int want(struct gathering *g, const uint32_t *sids, size_t n)
{
	struct wanted *w = malloc((n + 1) * sizeof(*w));

	g->sids = malloc((n + 1) * sizeof(*g->sids));
	g->wanted = w;
	if (!w || !g->sids)
		return ERR_NOMEM;
	for (size_t i = g->from.series; i < n; i++)
		w[g->n_sids++] = (struct wanted){ sids[i], (uint32_t)i };
	qsort(w, g->n_sids, sizeof(*w), compare_wanted);
	for (size_t i = 0; i < g->n_sids; i++)
		g->sids[i] = w[i].sid;
	return 0;
}

static int tell(struct gathering *g, struct samples_at *at, sample_fn fn, void *arg)
{
	int err = 0;

	if (g->n > g->most)
		cut_slice(g);
	else
		sort_found(g);
	for (size_t i = 0; i < g->n && err == 0; i++)
		err = fn(arg, g->found[i].series, &g->found[i].p);
	if (err == 0 && g->cut)
		*at = g->upto;
	return err ? err : g->cut;
}

int view_samples(struct view *v, uint32_t rid, const uint32_t *sids, size_t n_sids, int64_t from_ns,
		 int64_t to_ns, size_t most, struct samples_at *at, sample_fn fn, void *arg,
		 bool *ret_partial)
{
	struct gathering g = { .from_ns = from_ns, .to_ns = to_ns, .from = *at, .most = most ? most : 1 };
	int err;

	if (g.from.series == 0 && g.from.t_ns == 0)
		g.from.t_ns = INT64_MIN;
	err = want(&g, sids, n_sids);
	if (err == 0 && g.n_sids)
		err = ERR_GONE;
	for (int i = 1; err == ERR_GONE && i <= TRIES; i++)
		err = gather(&g, v->store, rid, i == TRIES);
	if (err == 0 && g.partial && ret_partial)
		*ret_partial = true;
	if (err == 0)
		err = tell(&g, at, fn, arg);
	free((void *)(uintptr_t)g.wanted);
	free(g.sids);
	free(g.found);
	return err;
}

int view_samples_since(struct view *v, uint32_t rid, int64_t *ret_ns)
{
	int64_t created, keep, since = INT64_MAX;
	struct kv_txn *t;
	uint32_t pid;
	int err = kv_begin(v->store->kv, false, &t);

	if (err < 0)
		return err;
	err = keep_of(t, rid, &pid, &created, &keep);
	if (err == 0 && keep != 0)
		err = raw_since(t, pid, rid, created, &since);
	kv_abort(t);
	if (err == 0)
		*ret_ns = since;
	return err;
}

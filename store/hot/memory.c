#include "store/hot/memory.h"

#include <assert.h>
#include <stdlib.h>

#include "store/base/clock.h"
#include "store/hot/panetable.h"

void memory_init(struct memory *m) { *m = (struct memory){ .floor_ns = INT64_MIN }; }

static void tables_free(struct table ***tables, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		table_free((*tables)[i]);
	free(*tables);
	*tables = NULL;
	*n = 0;
}

void memory_release(struct memory *m)
{
	tables_free(&m->open, &m->n_open);
	tables_free(&m->frozen, &m->n_frozen);
	m->recent = NULL;
}

static int64_t epoch_of(int64_t end_ns) { return (end_ns + EPOCH_NS - 1) / EPOCH_NS * EPOCH_NS; }

static struct table *open_table(struct memory *m, int64_t epoch_ns, uint64_t batch)
{
	size_t i = 0;

	if (epoch_ns <= m->floor_ns)
		epoch_ns = EPOCH_LATE;
	if (m->recent && m->recent->epoch_ns == epoch_ns)
		return m->recent;
	while (i < m->n_open && m->open[i]->epoch_ns < epoch_ns)
		i++;
	if (i == m->n_open || m->open[i]->epoch_ns != epoch_ns) {
		m->open = must(realloc(m->open, (m->n_open + 1) * sizeof(*m->open)));
		memmove(m->open + i + 1, m->open + i, (m->n_open - i) * sizeof(*m->open));
		m->open[i] = table_new(epoch_ns, batch);
		m->n_open++;
	}
	m->recent = m->open[i];
	return m->recent;
}

/* Buckets that were made elsewhere; as samples they would have come to the same table. */
static void fold_buckets(struct memory *m, uint64_t batch, const struct journal_record *rec,
			 int64_t skip_floor)
{
	uint32_t window_ms = (uint32_t)(rec->window_ns / NS_PER_MS);

	for (size_t i = 0; i < rec->n_buckets; i++) {
		const struct bucket_record *r = &rec->buckets[i];
		int64_t epoch = epoch_of(r->start_ns + rec->window_ns);
		struct bucket copy;
		struct table *t;
		struct pane *p;
		size_t buckets, bytes;

		if (epoch <= skip_floor)
			continue;
		t = open_table(m, epoch, batch);
		p = table_pane_of(t, r->start_ns, window_ms, r->sid / PANE_SERIES);
		buckets = p->n;
		bytes = pane_bytes(p);
		if (bucket_copy(&copy, &r->bucket) < 0 || pane_merge(p, r->sid, &copy) < 0)
			must(NULL);
		t->buckets += p->n - buckets;
		t->bytes += pane_bytes(p) - bytes;
	}
}

/* Samples from <= i < to, all in one window: pane by pane. */
static void fold_window(struct table *t, int64_t start_ns, const struct journal_record *rec, size_t from,
			size_t to)
{
	uint32_t window_ms = (uint32_t)(rec->window_ns / NS_PER_MS);

	for (size_t next; from < to; from = next) {
		uint32_t group = rec->sid[from] / PANE_SERIES;
		struct pane *p = table_pane_of(t, start_ns, window_ms, group);
		size_t buckets = p->n, bytes = pane_bytes(p);

		for (next = from + 1; next < to && rec->sid[next] / PANE_SERIES == group; next++)
			;
		if (pane_fold(p, rec, from, next) < 0)
			must(NULL);
		t->buckets += p->n - buckets;
		t->bytes += pane_bytes(p) - bytes;
	}
}

void memory_fold(struct memory *m, uint64_t batch, const struct journal_record *rec, int64_t skip_floor)
{
	for (size_t i = 0, next; i < rec->n; i = next) {
		int64_t start = window_start(rec->t_ns[i], rec->window_ns), epoch;

		for (next = i + 1;
		     next < rec->n && rec->t_ns[next] >= start && rec->t_ns[next] - start < rec->window_ns;
		     next++)
			;
		epoch = epoch_of(start + rec->window_ns);
		if (epoch > skip_floor)
			fold_window(open_table(m, epoch, batch), start, rec, i, next);
	}
	fold_buckets(m, batch, rec, skip_floor);
}

size_t memory_buckets(const struct memory *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_open; i++)
		n += m->open[i]->buckets;
	for (size_t i = 0; i < m->n_frozen; i++)
		n += m->frozen[i]->buckets;
	return n;
}

size_t memory_bytes(const struct memory *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_open; i++)
		n += table_bytes(m->open[i]);
	return n;
}

size_t memory_late_bytes(const struct memory *m)
{
	return m->n_open && m->open[0]->epoch_ns == EPOCH_LATE ? table_bytes(m->open[0]) : 0;
}

bool memory_due(const struct memory *m, int64_t floor_ns)
{
	return m->n_open > 0 && m->open[0]->epoch_ns <= floor_ns;
}

void memory_freeze(struct memory *m, int64_t floor_ns)
{
	size_t n = 0;

	assert(m->n_frozen == 0);
	while (n < m->n_open && m->open[n]->epoch_ns <= floor_ns)
		n++;
	if (floor_ns != INT64_MAX && floor_ns > m->floor_ns)
		m->floor_ns = floor_ns;
	m->recent = NULL;
	if (n == 0)
		return;
	m->frozen = must(malloc(n * sizeof(*m->frozen)));
	memcpy(m->frozen, m->open, n * sizeof(*m->frozen));
	m->n_frozen = n;
	m->n_open -= n;
	memmove(m->open, m->open + n, m->n_open * sizeof(*m->open));
}

void memory_drop_frozen(struct memory *m) { tables_free(&m->frozen, &m->n_frozen); }

uint64_t memory_first_batch(const struct memory *m)
{
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < m->n_open; i++)
		if (m->open[i]->first_batch < least)
			least = m->open[i]->first_batch;
	return least;
}

/* ---- frozen buckets in order ---- */

struct group_range {
	uint32_t least, greatest;
	size_t n; /* panes */
};

static struct group_range frozen_range(const struct memory *m)
{
	struct group_range r = { UINT32_MAX, 0, 0 };

	for (size_t i = 0; i < m->n_frozen; i++) {
		const struct table *t = m->frozen[i];

		for (uint32_t j = 0; j < t->n; j++) {
			uint32_t group = table_pane(t, j)->group;

			r.least = group < r.least ? group : r.least;
			r.greatest = group > r.greatest ? group : r.greatest;
		}
		r.n += t->n;
	}
	return r;
}

/* A counting sort: groups are dense.  ends[i] becomes where the panes of the i-th group end. */
static void sort_groups(const struct memory *m, struct group_range r, size_t *ends, const struct pane **panes)
{
	size_t groups = (size_t)(r.greatest - r.least) + 1, total = 0;

	for (size_t i = 0; i < m->n_frozen; i++)
		for (uint32_t j = 0; j < m->frozen[i]->n; j++)
			ends[table_pane(m->frozen[i], j)->group - r.least]++;
	for (size_t i = 0; i < groups; i++) {
		size_t n = ends[i];

		ends[i] = total;
		total += n;
	}
	for (size_t i = 0; i < m->n_frozen; i++)
		for (uint32_t j = 0; j < m->frozen[i]->n; j++) {
			const struct pane *p = table_pane(m->frozen[i], j);

			panes[ends[p->group - r.least]++] = p;
		}
}

static int compare_start(const void *a, const void *b)
{
	const struct pane *x = *(const struct pane *const *)a, *y = *(const struct pane *const *)b;

	return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

/* Panes came nearly by time, so mostly there is nothing to do. */
static void sort_by_start(const struct pane **panes, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (panes[i - 1]->start_ns > panes[i]->start_ns) {
			qsort(panes, n, sizeof(*panes), compare_start);
			return;
		}
}

static int tell(const struct pane *p, uint32_t sid, entry_fn fn, void *arg)
{
	struct bucket room;
	struct entry e = { { p->start_ns, sid, p->window_ms }, pane_bucket(p, sid, &room) };

	return fn(arg, &e);
}

/* The panes of one group, by rising start. */
static int walk_group(const struct pane **panes, size_t n, entry_fn fn, void *arg)
{
	uint64_t there = 0;
	int err = 0;

	for (size_t i = 0; i < n; i++)
		there |= panes[i]->there;
	for (; there && err == 0; there &= there - 1) {
		uint32_t sid = panes[0]->group * PANE_SERIES + (uint32_t)__builtin_ctzll(there);

		for (size_t i = 0; i < n && err == 0; i++)
			if (pane_has(panes[i], sid))
				err = tell(panes[i], sid, fn, arg);
	}
	return err;
}

int memory_walk_frozen(const struct memory *m, entry_fn fn, void *arg)
{
	struct group_range r = frozen_range(m);
	size_t groups = r.n ? (size_t)(r.greatest - r.least) + 1 : 0;
	size_t *ends = calloc(groups + 1, sizeof(*ends));
	const struct pane **panes = malloc((r.n + 1) * sizeof(*panes));
	int err = ends && panes ? 0 : ERR_NOMEM;

	if (err == 0 && groups)
		sort_groups(m, r, ends, panes);
	for (size_t i = 0, at = 0; i < groups && err == 0; at = ends[i], i++) {
		sort_by_start(panes + at, ends[i] - at);
		err = walk_group(panes + at, ends[i] - at, fn, arg);
	}
	free(ends);
	free(panes);
	return err;
}

/* ---- looking up ---- */

static int compare_sid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

struct wanted {
	const uint32_t *sids; /* by rising sid */
	size_t n;
	int64_t from_ns, to_ns;
	entry_fn fn;
	void *arg;
};

/* Index of the first wanted sid >= sid. */
static size_t first_wanted(const struct wanted *w, uint32_t sid)
{
	size_t lo = 0, hi = w->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (w->sids[mid] < sid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The wanted series of a pane, the first of which is not before w->sids[i]. */
static int find_in_pane(const struct pane *p, const struct wanted *w, size_t i)
{
	int err = 0;

	if (p->start_ns < w->from_ns || p->start_ns >= w->to_ns)
		return 0;
	for (; i < w->n && w->sids[i] / PANE_SERIES == p->group && err == 0; i++)
		if (pane_has(p, w->sids[i]))
			err = tell(p, w->sids[i], w->fn, w->arg);
	return err;
}

/* Every pane against the wanted series. */
static int table_scan(const struct table *t, const struct wanted *w)
{
	int err = 0;

	for (uint32_t i = 0; i < t->n && err == 0; i++) {
		const struct pane *p = table_pane(t, i);

		err = find_in_pane(p, w, first_wanted(w, p->group * PANE_SERIES));
	}
	return err;
}

/* Tables of one window, which live data makes, are looked up by key. */
static int table_lookup(const struct table *t, const struct wanted *w)
{
	int err = 0;

	for (size_t i = 0, next; i < w->n && err == 0; i = next) {
		uint32_t group = w->sids[i] / PANE_SERIES, tag = table_tag(group, t->least_start);
		size_t at = tag & t->mask;
		const struct pane *p;

		while (err == 0 && (p = table_next(t, t->least_start, group, tag, &at)))
			err = find_in_pane(p, w, i);
		for (next = i + 1; next < w->n && w->sids[next] / PANE_SERIES == group; next++)
			;
	}
	return err;
}

static int table_find(const struct table *t, const struct wanted *w)
{
	if (t->greatest_start < w->from_ns || t->least_start >= w->to_ns)
		return 0;
	return t->least_start == t->greatest_start && w->n < t->n ? table_lookup(t, w) : table_scan(t, w);
}

int memory_find(const struct memory *m, const uint32_t *sids, size_t n_sids, int64_t from_ns, int64_t to_ns,
		entry_fn fn, void *arg)
{
	uint32_t *sorted;
	struct wanted w;
	int err = 0;

	if (n_sids == 0)
		return 0;
	sorted = malloc(n_sids * sizeof(*sorted));
	if (!sorted)
		return ERR_NOMEM;
	memcpy(sorted, sids, n_sids * sizeof(*sorted));
	qsort(sorted, n_sids, sizeof(*sorted), compare_sid);
	w = (struct wanted){ sorted, n_sids, from_ns, to_ns, fn, arg };
	for (size_t i = 0; i < m->n_open && err == 0; i++)
		err = table_find(m->open[i], &w);
	for (size_t i = 0; i < m->n_frozen && err == 0; i++)
		err = table_find(m->frozen[i], &w);
	free(sorted);
	return err;
}

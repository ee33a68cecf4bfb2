#include "store/raw/rawmerge.h"

#include <stdlib.h>

#include "store/base/array.h"
#include "store/raw/rawagenda.h"
#include "store/raw/rawaside.h"

#define PIECE 4096 /* samples that are handed on together */

/* One of the parts: its samples in order, a block at a time. */
struct source {
	const struct rawpart_id *id;
	struct rawpart *part; /* NULL: nothing of it can be read */
	struct rawblock_reader *reader;
	struct buf room;
	size_t block;   /* that comes next */
	uint32_t *sids; /* of the samples of the block at hand */
	struct point *points;
	size_t n, at;
};

struct merge {
	struct store *store;
	atomic_bool *stop;
	size_t n;
	struct source sources[RAW_MERGE_MOST];
	struct quarantine *lost;
	struct run_name {
		uint32_t sid, rid; /* rid 0: the run is gone */
	} * runs;                  /* by rising sid */
	size_t n_runs, runs_cap;
	struct kv_txn *txn;
	size_t n_out;
	struct point out[PIECE];
};

/* ---- whose series ---- */

static int compare_sid(const void *a, const void *b)
{
	const struct run_name *x = a, *y = b;

	return (x->sid > y->sid) - (x->sid < y->sid);
}

static int add_series(void *arg, const struct part_series *s)
{
	struct merge *m = arg;

	if (array_grow(m->runs, m->n_runs, m->runs_cap) < 0)
		return ERR_NOMEM;
	m->runs[m->n_runs++] = (struct run_name){ s->sid, s->rid };
	return 0;
}

/* Each once, and without a run where that is gone. */
static int settle_runs(struct merge *m)
{
	uint32_t rid = 0, found = 0;
	size_t n = 0;
	int err = 0;

	if (m->n_runs)
		qsort(m->runs, m->n_runs, sizeof(*m->runs), compare_sid);
	for (size_t i = 0; i < m->n_runs && err == 0; i++) {
		if (n && m->runs[n - 1].sid == m->runs[i].sid)
			continue;
		if (m->runs[i].rid != rid) {
			struct run run;

			rid = m->runs[i].rid;
			err = run_get(m->txn, rid, &run);
			found = err == 0 ? rid : 0;
			if (err == 0)
				run_release(&run);
			err = err == ERR_NOT_FOUND ? 0 : err;
		}
		m->runs[n++] = (struct run_name){ m->runs[i].sid, found };
	}
	m->n_runs = n;
	return err;
}

static int find_runs(struct merge *m)
{
	int err = kv_begin(m->store->kv, false, &m->txn);

	if (err < 0)
		return err;
	for (size_t i = 0; i < m->n && err == 0; i++)
		err = m->sources[i].part ? rawpart_series(m->sources[i].part, add_series, m) : 0;
	if (err == 0)
		err = settle_runs(m);
	kv_abort(m->txn);
	return err;
}

static uint32_t run_of(const struct merge *m, uint32_t sid)
{
	struct run_name key = { .sid = sid }, *found;

	found = bsearch(&key, m->runs, m->n_runs, sizeof(key), compare_sid);
	return found ? found->rid : 0;
}

/* ---- sources ---- */

static int take_samples(void *arg, uint32_t sid, const struct point *p, size_t n)
{
	struct source *s = arg;

	for (size_t i = 0; i < n; i++)
		s->sids[s->n + i] = sid;
	memcpy(s->points + s->n, p, n * sizeof(*p));
	s->n += n;
	return 0;
}

static bool is_damage(int err) { return err == ERR_CORRUPT || err == ERR_NOT_FOUND || err == ERR_IO; }

/* The samples of the next block: all, or where it is damaged none. */
static int take_block(struct merge *m, struct source *s)
{
	int err = rawpart_read(s->part, s->block, s->reader, &s->room, NULL, 0, take_samples, s);

	if (err == 0 && s->n != rawpart_block(s->part, s->block).count)
		err = ERR_CORRUPT;
	if (is_damage(err)) {
		s->n = 0;
		err = rawaside_part(m->store, s->id, s->part, s->block, m->lost);
	}
	s->block++;
	return err;
}

/* Whether there is a sample at s->at; reads a block where it takes one. */
static int source_fill(struct merge *m, struct source *s, bool *ret)
{
	int err = 0;

	while (err == 0 && s->at == s->n && s->part &&
	       rawpart_find(s->part, NULL, 0, INT64_MIN, INT64_MAX, &s->block)) {
		s->n = s->at = 0;
		err = take_block(m, s);
	}
	*ret = s->at < s->n;
	return err;
}

static int source_open(struct merge *m, const struct raw_row *row, struct source *s)
{
	int err = raw_open(m->store->dir, row, &s->part);

	s->id = &row->id;
	buf_init(&s->room, RAWBLOCK_BYTES_MAX);
	if (is_damage(err))
		err = rawaside_part(m->store, s->id, NULL, 0, m->lost);
	if (err == 0)
		err = rawblock_reader_new(&s->reader);
	s->sids = malloc(RAWBLOCK_SAMPLES_MAX * sizeof(*s->sids));
	s->points = malloc(RAWBLOCK_SAMPLES_MAX * sizeof(*s->points));
	return err == 0 && (!s->sids || !s->points) ? ERR_NOMEM : err;
}

static void source_close(struct source *s)
{
	rawpart_close(s->part);
	rawblock_reader_free(s->reader);
	buf_release(&s->room);
	free(s->sids);
	free(s->points);
}

/* ---- merging ---- */

static int compare_next(const struct source *a, const struct source *b)
{
	if (a->sids[a->at] != b->sids[b->at])
		return a->sids[a->at] < b->sids[b->at] ? -1 : 1;
	return sample_compare(&a->points[a->at], &b->points[b->at]);
}

/* Whether the next sample of a comes before that of b: of equal ones, what was sealed earlier. */
static bool precedes(const struct source *a, const struct source *b)
{
	int order = compare_next(a, b);

	return order < 0 || (order == 0 && a < b);
}

/* The source whose sample comes first (NULL: there are no more), and the one after it. */
static int first_sources(struct merge *m, struct source **ret, struct source **ret_second)
{
	struct source *best = NULL, *second = NULL;
	int err = 0;

	for (size_t i = 0; i < m->n && err == 0; i++) {
		struct source *s = &m->sources[i];
		bool any;

		err = source_fill(m, s, &any);
		if (err < 0 || !any)
			continue;
		if (!best || precedes(s, best)) {
			second = best;
			best = s;
		} else if (!second || precedes(s, second)) {
			second = s;
		}
	}
	*ret = best;
	*ret_second = second;
	return err;
}

static int hand_on(struct merge *m, struct rawpart_writer *w, uint32_t sid)
{
	size_t n = m->n_out;
	uint32_t rid = n ? run_of(m, sid) : 0;

	m->n_out = 0;
	if (rid == 0)
		return 0;
	if (atomic_load(m->stop))
		return ERR_GONE;
	return rawpart_add(w, rid, sid, m->out, n);
}

static int fill(void *arg, struct rawpart_writer *w)
{
	struct merge *m = arg;
	struct source *s, *second;
	uint32_t sid = 0;
	int err;

	while ((err = first_sources(m, &s, &second)) == 0 && s) {
		do {
			if (sid != s->sids[s->at] || m->n_out == PIECE)
				err = hand_on(m, w, sid);
			if (err < 0)
				return err;
			sid = s->sids[s->at];
			m->out[m->n_out++] = s->points[s->at++];
		} while (s->at < s->n && (!second || precedes(s, second)));
	}
	return err < 0 ? err : hand_on(m, w, sid);
}

static int64_t youngest(const struct raw_row *rows, size_t n)
{
	int64_t t = rows[0].arrived_ns;

	for (size_t i = 1; i < n; i++)
		t = rows[i].arrived_ns > t ? rows[i].arrived_ns : t;
	return t;
}

int raw_merge(struct store *store, const struct raw_row *rows, size_t n, uint64_t number, atomic_bool *stop,
	      struct raw_made *ret, struct quarantine *lost)
{
	struct rawpart_id id = { rows[0].id.pid, rows[0].id.first, rows[n - 1].id.upto, number };
	struct merge *m = calloc(1, sizeof(*m));
	int err = 0;

	*ret = (struct raw_made){ 0 };
	if (!m)
		return ERR_NOMEM;
	m->store = store;
	m->stop = stop;
	m->lost = lost;
	for (; m->n < n && err == 0; m->n++)
		err = source_open(m, &rows[m->n], &m->sources[m->n]);
	if (err == 0)
		err = find_runs(m);
	if (err == 0)
		err = raw_make(store, id, youngest(rows, n), fill, m, ret);
	for (size_t i = 0; i < m->n; i++)
		source_close(&m->sources[i]);
	free(m->runs);
	free(m);
	return err;
}

#include "store/slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/file.h"
#include "store/flush.h"
#include "store/gather.h"
#include "store/partcheck.h"
#include "store/parts.h"

/* Buckets that are gathered at once, about. */
#define AT_ONCE 100000

struct sid_run {
	uint32_t sid, rid;
};

struct seal {
	struct store *store;
	const struct agenda_job *job;
	const struct part_id *taken; /* of totals: what is added to them */
	size_t n_taken;
	atomic_bool *stop;
	uint64_t windows;       /* that a series may have in the slot */
	int64_t least_ns;       /* of the runs' windows */
	int64_t arrived_ns;     /* of totals */
	struct run_range *runs; /* by rising rid */
	size_t n_runs, runs_cap;
	struct sid_run *series; /* by rising sid */
	size_t n_series, series_cap;
	struct kv_txn *txn; /* of the series at hand */
	struct part_writer *writer;
	struct partcheck *check;
};

/* ---- whose series ---- */

static int add_run(void *arg, const struct run_range *r)
{
	struct seal *s = arg;

	if (r->greatest < s->job->from_ns || r->least >= s->job->to_ns)
		return 0;
	if (s->n_runs == s->runs_cap) {
		size_t cap = s->runs_cap ? s->runs_cap * 2 : 64;
		struct run_range *p = realloc(s->runs, cap * sizeof(*p));

		if (!p)
			return ERR_NOMEM;
		s->runs = p;
		s->runs_cap = cap;
	}
	s->runs[s->n_runs++] = (struct run_range){ r->rid, INT64_MAX, INT64_MIN };
	return 0;
}

static int compare_run(const void *a, const void *b)
{
	uint32_t x = ((const struct run_range *)a)->rid, y = ((const struct run_range *)b)->rid;

	return (x > y) - (x < y);
}

/* Each once, those of the project that are there. */
static int unite_runs(struct seal *s, struct kv_txn *t)
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
		if (err < 0 || pid != s->job->pid)
			continue;
		s->least_ns = window_ns < s->least_ns ? window_ns : s->least_ns;
		s->runs[n++] = s->runs[i];
	}
	s->n_runs = n;
	return 0;
}

static int runs_of_flushes(struct seal *s, struct kv_txn *t)
{
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_FLUSH, &c), moved;

	if (err < 0)
		return err;
	for (moved = kv_first(c, &key, &value); moved == 0 && err == 0; moved = kv_next(c, &key, &value)) {
		struct flush_row row;

		err = flush_row_decode(key, value, &row);
		if (err < 0 || row.number > s->job->upto)
			break;
		if (row.greatest_start >= s->job->from_ns && row.least_start < s->job->to_ns)
			err = run_ranges_read(row.runs, add_run, s);
	}
	kv_cursor_close(c);
	return err;
}

/* A piece of the slot, and the part that gives it. */
static int plan_piece(void *arg, const struct part_row *row, int64_t from_ns, int64_t to_ns)
{
	struct seal *s = arg;
	int64_t width_ns = row->id.tier_ns > s->least_ns ? row->id.tier_ns : s->least_ns;

	s->windows += (uint64_t)((to_ns - from_ns) / width_ns) + 1;
	return 0;
}

/* Of all parts that a bucket of the slot may be in. */
static int runs_of_parts(struct seal *s, const struct manifest *m)
{
	int err = 0;

	for (size_t i = 0; i < m->n && m->rows[i].id.tier_ns <= s->job->tier_ns && err == 0; i++)
		err = run_ranges_read(m->rows[i].runs, add_run, s);
	return err;
}

static int find_runs(struct seal *s, struct kv_txn *t)
{
	const struct agenda_job *j = s->job;
	struct manifest m = { 0 };
	int err = runs_of_flushes(s, t);

	if (err == 0)
		err = manifest_read(t, j->pid, j->from_ns, j->to_ns, &m);
	if (err == 0)
		err = runs_of_parts(s, &m);
	if (err == 0)
		err = unite_runs(s, t);
	if (err == 0 && j->tier_ns == TIER_RECORDED)
		s->windows = (uint64_t)((j->to_ns - j->from_ns) / s->least_ns) + 1;
	else if (err == 0)
		err = cover_pieces(&m, j->tier_ns, j->from_ns, j->to_ns, plan_piece, s);
	manifest_release(&m);
	return err;
}

/* ---- of totals ---- */

/* The rows to be added up; their runs are borrowed from t. */
static int read_taken(const struct seal *s, struct kv_txn *t, struct part_row **ret, size_t *ret_n)
{
	struct part_row *rows = malloc((s->n_taken + 1) * sizeof(*rows));
	size_t n = 0;
	int err = rows ? manifest_totals(t, s->job->pid, rows) : ERR_NOMEM;

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

static int find_taken_runs(struct seal *s, struct kv_txn *t)
{
	struct part_row *rows = NULL;
	size_t n = 0;
	int err = read_taken(s, t, &rows, &n);

	for (size_t i = 0; i < n && err == 0; i++) {
		err = run_ranges_read(rows[i].runs, add_run, s);
		s->arrived_ns = rows[i].arrived_ns > s->arrived_ns ? rows[i].arrived_ns : s->arrived_ns;
	}
	free(rows);
	return err < 0 ? err : unite_runs(s, t);
}

/* ---- their series ---- */

static int add_series(void *arg, uint32_t rid, uint32_t sid, const struct series_name *name)
{
	struct seal *s = arg;

	(void)name;
	if (s->n_series == s->series_cap) {
		size_t cap = s->series_cap ? s->series_cap * 2 : 256;
		struct sid_run *p = realloc(s->series, cap * sizeof(*p));

		if (!p)
			return ERR_NOMEM;
		s->series = p;
		s->series_cap = cap;
	}
	s->series[s->n_series++] = (struct sid_run){ sid, rid };
	return 0;
}

static int compare_series(const void *a, const void *b)
{
	const struct sid_run *x = a, *y = b;

	return (x->sid > y->sid) - (x->sid < y->sid);
}

/* Runs that may have buckets in the slot, and their series. */
static int find_series(struct seal *s)
{
	struct kv_txn *t;
	int err = kv_begin(s->store->kv, false, &t);

	if (err < 0)
		return err;
	err = s->taken ? find_taken_runs(s, t) : find_runs(s, t);
	for (size_t i = 0; i < s->n_runs && err == 0; i++)
		err = series_read(t, s->runs[i].rid, add_series, s);
	kv_abort(t);
	if (s->n_series)
		qsort(s->series, s->n_series, sizeof(*s->series), compare_series);
	return err;
}

static uint32_t run_of(const struct seal *s, uint32_t sid)
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

static int gather_taken(struct seal *s, struct gather *g)
{
	struct part_row *rows = NULL;
	size_t n = 0;
	int err = read_taken(s, s->txn, &rows, &n);

	if (err == 0)
		err = gather_rows(s->store, g, rows, n);
	free(rows);
	return err;
}

static int gather_stretch(struct seal *s, const struct stretch *at, block_fn fn)
{
	uint32_t *sids = malloc((at->n + 1) * sizeof(*sids));
	struct gather g = { .pid = s->job->pid,
			    .from_ns = at->from_ns,
			    .to_ns = at->to_ns,
			    .width_ns = s->job->tier_ns,
			    .upto = s->job->upto };
	int err = sids ? kv_begin(s->store->kv, false, &s->txn) : ERR_NOMEM;

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
		err = found_tell(&g.found, fn, s);
	gather_release(&g);
	kv_abort(s->txn);
done:
	free(sids);
	return err;
}

/* One series with more windows than are gathered at once, in stretches of whole windows. */
static int gather_long(struct seal *s, struct stretch at, block_fn fn)
{
	int64_t to_ns = at.to_ns, width_ns = s->job->tier_ns ? s->job->tier_ns : s->least_ns;
	int64_t n = (int64_t)(s->windows / AT_ONCE) + 1;
	int64_t length_ns = ((to_ns - at.from_ns) / n / width_ns + 1) * width_ns;
	int err = 0;

	while (at.from_ns < to_ns && err == 0 && !atomic_load(s->stop)) {
		at.to_ns = to_ns - at.from_ns > length_ns ? at.from_ns + length_ns : to_ns;
		err = gather_stretch(s, &at, fn);
		at.from_ns = at.to_ns;
	}
	return err;
}

static int gather_slot(struct seal *s, block_fn fn)
{
	size_t n = (size_t)(AT_ONCE / (s->windows + 1)) + 1;
	int err = 0;

	for (size_t at = 0; at < s->n_series && err == 0; at += n) {
		struct stretch all = { at, s->n_series - at < n ? s->n_series - at : n, s->job->from_ns,
				       s->job->to_ns };

		if (atomic_load(s->stop))
			return ERR_GONE;
		err = s->windows > AT_ONCE ? gather_long(s, all, fn) : gather_stretch(s, &all, fn);
	}
	return err == 0 && atomic_load(s->stop) ? ERR_GONE : err;
}

/* ---- into the part ---- */

static int name_series(void *arg, uint32_t sid, struct part_name *ret, struct buf *row)
{
	struct seal *s = arg;
	uint32_t rid = run_of(s, sid);
	struct stored stored;
	uint8_t key[8];
	struct run run;
	int err = run_get(s->txn, rid, &run);

	if (err < 0)
		return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
	ret->rid = rid;
	memcpy(ret->project, run.project, sizeof(ret->project));
	memcpy(ret->id, run.id, sizeof(ret->id));
	run_release(&run);
	put_be32(key, rid);
	put_be32(key + 4, sid);
	err = stored_get(s->txn, KV_SERIES, KIND_SERIES, span_of(key, 8), &stored);
	return err < 0 ? err : buf_add(row, stored.body.data, stored.body.len);
}

static int add_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	struct seal *s = arg;
	struct run_range like = { .rid = run_of(s, key.sid) };
	struct run_range *run = bsearch(&like, s->runs, s->n_runs, sizeof(like), compare_run);

	run->least = key.start_ns < run->least ? key.start_ns : run->least;
	run->greatest = key.start_ns > run->greatest ? key.start_ns : run->greatest;
	return part_add(s->writer, key, b);
}

/* Of those that might have had some; returns how many have. */
static size_t drop_empty_runs(struct seal *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_runs; i++)
		if (s->runs[i].least <= s->runs[i].greatest)
			s->runs[n++] = s->runs[i];
	return s->n_runs = n;
}

/* ERR_NOT_FOUND: there is nothing to write. */
static int write_part(struct seal *s, const char *path, const struct part_id *id, struct part_summary *ret)
{
	int err = part_create(path, *id, name_series, s, &s->writer);

	if (err < 0)
		return err;
	err = gather_slot(s, add_bucket);
	if (err == 0 && drop_empty_runs(s) > 0)
		return part_finish(s->writer, ret);
	part_abandon(s->writer);
	return err < 0 ? err : ERR_NOT_FOUND;
}

/* ---- is it what it was made from? ---- */

static int check_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	return partcheck_bucket(((struct seal *)arg)->check, key, b);
}

static int compare_part(struct seal *s, const char *path)
{
	int err = partcheck_new(path, &s->check);

	if (err < 0)
		return err;
	err = gather_slot(s, check_bucket);
	if (err == 0)
		err = partcheck_end(s->check);
	partcheck_free(s->check);
	return err;
}

/* ---- the whole ---- */

static int number_part(struct store *s, uint64_t *ret)
{
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = manifest_newest(t, ret);
	kv_abort(t);
	++*ret;
	return err;
}

static int tmp_path(const struct store *s, const struct part_id *id, char *ret)
{
	char name[MANIFEST_FILE_MAX + sizeof("tmp/")] = "tmp/";

	manifest_file(id, name + strlen(name));
	return file_path(s->dir, name, ret);
}

static int sync_directories(const struct store *s)
{
	char path[FILE_PATH_MAX];
	int err = file_path(s->dir, "tmp", path);

	if (err == 0)
		err = file_sync_path(path);
	if (err == 0)
		err = file_path(s->dir, "parts", path);
	return err < 0 ? err : file_sync_path(path);
}

static int put_in_place(const struct store *s, const char *tmp, const struct part_id *id)
{
	char path[FILE_PATH_MAX];
	int err = parts_path(s->parts, id, path);

	if (err < 0)
		return err;
	if (rename(tmp, path) != 0)
		return file_error();
	return sync_directories(s);
}

static int make_part(struct seal *s, struct part_row *row)
{
	char tmp[FILE_PATH_MAX];
	int err = tmp_path(s->store, &row->id, tmp);

	if (err < 0)
		return err;
	unlink(tmp); /* of an attempt that failed */
	err = write_part(s, tmp, &row->id, &row->summary);
	if (err == 0)
		err = compare_part(s, tmp);
	if (err == 0)
		err = put_in_place(s->store, tmp, &row->id);
	if (err < 0)
		unlink(tmp);
	return err == ERR_NOT_FOUND ? 0 : err;
}

static int seal(struct seal *s, struct part_row *ret, struct buf *runs)
{
	const struct agenda_job *j = s->job;
	struct part_row row = { .id = { j->pid, j->tier_ns, j->from_ns, j->to_ns, 0 }, .upto = j->upto };
	int err = number_part(s->store, &row.id.number);

	if (err == 0)
		err = find_series(s);
	if (err == 0)
		err = make_part(s, &row);
	if (err == 0)
		err = run_ranges_put(s->runs, s->n_runs, runs);
	free(s->runs);
	free(s->series);
	if (err < 0)
		return err;
	row.arrived_ns = s->arrived_ns;
	row.alone = j->alone;
	row.runs = buf_span(runs);
	*ret = row;
	return 0;
}

int slot_seal(struct store *store, const struct agenda_job *job, atomic_bool *stop, struct part_row *ret,
	      struct buf *runs)
{
	struct seal s = { .store = store,
			  .job = job,
			  .stop = stop,
			  .least_ns = NS_PER_DAY,
			  .arrived_ns = job->arrived_ns };

	return seal(&s, ret, runs);
}

int slot_total(struct store *store, const struct part_id *taken, size_t n_taken, atomic_bool *stop,
	       struct part_row *ret, struct buf *runs)
{
	struct agenda_job job = { .pid = taken->pid, .tier_ns = TIER_WHOLE, .to_ns = INT64_MAX };
	struct seal s = { .store = store,
			  .job = &job,
			  .taken = taken,
			  .n_taken = n_taken,
			  .stop = stop,
			  .windows = 8, /* a series has one bucket, once what a block gave is merged */
			  .least_ns = NS_PER_DAY,
			  .arrived_ns = INT64_MIN };

	return seal(&s, ret, runs);
}

#include "store/slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/file.h"
#include "store/flush.h"
#include "store/gather.h"
#include "store/parts.h"
#include "store/strip.h"

/* Buckets of windows of 30 s that are gathered at once, about. */
#define AT_ONCE 100000

struct sid_run {
	uint32_t sid, rid;
};

struct seal {
	struct store *store;
	const struct agenda_job *job;
	atomic_bool *stop;
	struct run_range *runs; /* by rising rid */
	size_t n_runs, runs_cap;
	struct sid_run *series; /* by rising sid */
	size_t n_series, series_cap;
	struct kv_txn *txn; /* of the series at hand */
	struct part_writer *writer;
	struct part_check *check;
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

static void unite_runs(struct seal *s)
{
	size_t n = 0;

	if (s->n_runs)
		qsort(s->runs, s->n_runs, sizeof(*s->runs), compare_run);
	for (size_t i = 0; i < s->n_runs; i++)
		if (n == 0 || s->runs[n - 1].rid != s->runs[i].rid)
			s->runs[n++] = s->runs[i];
	s->n_runs = n;
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

static int runs_of_parts(struct seal *s, struct kv_txn *t)
{
	struct manifest m;
	int err = manifest_read(t, 0, s->job->from_ns, s->job->to_ns, &m);

	if (err < 0)
		return err;
	for (size_t i = 0; i < m.n && err == 0; i++)
		err = run_ranges_read(m.rows[i].runs, add_run, s);
	manifest_release(&m);
	return err;
}

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
	err = runs_of_flushes(s, t);
	if (err == 0)
		err = runs_of_parts(s, t);
	unite_runs(s);
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

static int gather_some(struct seal *s, size_t at, size_t n, block_fn fn)
{
	uint32_t *sids = malloc(n * sizeof(*sids));
	struct gather_range range = { .sids = sids,
				      .n_sids = n,
				      .from_ns = s->job->from_ns,
				      .to_ns = s->job->to_ns,
				      .upto = s->job->upto };
	bool partial = false;
	int err = sids ? kv_begin(s->store->kv, false, &s->txn) : ERR_NOMEM;

	if (err < 0)
		goto done;
	for (size_t i = 0; i < n; i++)
		sids[i] = s->series[at + i].sid;
	err = gather_stored(s->store, s->txn, &range, fn, s, &partial);
	kv_abort(s->txn);
	if (err == 0 && partial)
		err = ERR_CORRUPT;
done:
	free(sids);
	return err;
}

static int gather_slot(struct seal *s, block_fn fn)
{
	size_t n = (size_t)(AT_ONCE * (30 * NS_PER_S) / (s->job->to_ns - s->job->from_ns)) + 1;
	int err = 0;

	for (size_t at = 0; at < s->n_series && err == 0; at += n) {
		if (atomic_load(s->stop))
			return ERR_GONE;
		err = gather_some(s, at, s->n_series - at < n ? s->n_series - at : n, fn);
	}
	return err;
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

static int write_part(struct seal *s, const char *path, const struct part_id *id, struct part_summary *ret)
{
	int err = part_create(path, *id, name_series, s, &s->writer);

	if (err < 0)
		return err;
	err = gather_slot(s, add_bucket);
	if (err == 0 && drop_empty_runs(s) == 0)
		err = ERR_CORRUPT; /* what was planned for is not there */
	if (err == 0)
		return part_finish(s->writer, ret);
	part_abandon(s->writer);
	return err;
}

/* ---- is it what it was made from? ---- */

struct part_check {
	struct part *part;
	struct partblock_reader *reader;
	struct buf room;
	size_t block;
	size_t n, at; /* buckets of the block at hand */
	struct strip_bucket buckets[PARTBLOCK_BUCKETS_MAX];
};

static void check_forget(struct part_check *c)
{
	while (c->n)
		bucket_release(&c->buckets[--c->n].bucket);
	c->at = 0;
}

static int check_keep(void *arg, struct block_key key, const struct bucket *b)
{
	struct part_check *c = arg;
	int err = bucket_copy(&c->buckets[c->n].bucket, b);

	if (err == 0)
		c->buckets[c->n++].key = key;
	return err;
}

/* 0, or 1 when the part has no more. */
static int check_fill(struct part_check *c)
{
	if (c->at < c->n)
		return 0;
	check_forget(c);
	if (!part_find(c->part, NULL, 0, INT64_MIN, INT64_MAX, &c->block))
		return 1;
	return part_read(c->part, c->block++, c->reader, &c->room, &block_want_all, check_keep, c);
}

static int check_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	struct part_check *c = ((struct seal *)arg)->check;
	int err = check_fill(c);
	const struct strip_bucket *got = &c->buckets[c->at++];

	if (err)
		return err < 0 ? err : ERR_CORRUPT;
	return got->key.sid == key.sid && got->key.start_ns == key.start_ns &&
		       got->key.window_ns == key.window_ns
		   ? bucket_differs(&got->bucket, b)
		   : ERR_CORRUPT;
}

static int compare_part(struct seal *s, const char *path)
{
	struct part_check *c = malloc(sizeof(*c));
	int err = c ? 0 : ERR_NOMEM;

	if (err < 0)
		return err;
	c->part = NULL;
	c->reader = NULL;
	c->block = c->n = c->at = 0;
	buf_init(&c->room, PARTBLOCK_BYTES_MAX);
	s->check = c;
	err = part_open(path, &c->part);
	if (err == 0)
		err = partblock_reader_new(&c->reader);
	if (err == 0)
		err = gather_slot(s, check_bucket);
	if (err == 0) {
		err = check_fill(c);
		err = err == 1 ? 0 : ERR_CORRUPT;
	}
	check_forget(c);
	partblock_reader_free(c->reader);
	part_close(c->part);
	buf_release(&c->room);
	free(c);
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
	return err;
}

int slot_seal(struct store *store, const struct agenda_job *job, atomic_bool *stop, struct part_row *ret,
	      struct buf *runs)
{
	struct seal s = { .store = store, .job = job, .stop = stop };
	struct part_row row = { .id = { 0, job->from_ns, job->to_ns, 0 }, .upto = job->upto };
	int err = number_part(store, &row.id.number);

	if (err == 0)
		err = find_series(&s);
	if (err == 0)
		err = make_part(&s, &row);
	if (err == 0)
		err = run_ranges_put(s.runs, s.n_runs, runs);
	free(s.runs);
	free(s.series);
	if (err < 0)
		return err;
	row.runs = buf_span(runs);
	*ret = row;
	return 0;
}

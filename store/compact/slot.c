#include "store/compact/slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/compact/slot_source.h"
#include "store/file.h"
#include "store/part/partcheck.h"
#include "store/part/parts.h"

struct seal {
	struct slot_source source;
	struct part_writer *writer;
	struct bucket_digest digest; /* of what went into the part */
};

static int compare_run(const void *a, const void *b)
{
	uint32_t x = ((const struct run_range *)a)->rid, y = ((const struct run_range *)b)->rid;

	return (x > y) - (x < y);
}

/* ---- into the part ---- */

static int name_series(void *arg, uint32_t sid, struct part_name *ret, struct buf *row)
{
	struct seal *s = arg;
	uint32_t rid = slot_source_run(&s->source, sid);
	struct stored stored;
	uint8_t key[8];
	struct run run;
	int err = run_get(s->source.txn, rid, &run);

	if (err < 0)
		return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
	ret->rid = rid;
	memcpy(ret->project, run.project, sizeof(ret->project));
	memcpy(ret->id, run.id, sizeof(ret->id));
	run_release(&run);
	put_be32(key, rid);
	put_be32(key + 4, sid);
	err = stored_get(s->source.txn, KV_SERIES, KIND_SERIES, span_of(key, 8), &stored);
	return err < 0 ? err : buf_add(row, stored.body.data, stored.body.len);
}

static int add_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	struct seal *s = arg;
	struct run_range like = { .rid = slot_source_run(&s->source, key.sid) };
	struct run_range *run = bsearch(&like, s->source.runs, s->source.n_runs, sizeof(like), compare_run);

	run->least = key.start_ns < run->least ? key.start_ns : run->least;
	run->greatest = key.start_ns > run->greatest ? key.start_ns : run->greatest;
	bucket_digest_add(&s->digest, key, b);
	return part_add(s->writer, key, b);
}

/* Of those that might have had some; returns how many have. */
static size_t drop_empty_runs(struct seal *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->source.n_runs; i++)
		if (s->source.runs[i].least <= s->source.runs[i].greatest)
			s->source.runs[n++] = s->source.runs[i];
	return s->source.n_runs = n;
}

/* ERR_NOT_FOUND: there is nothing to write. */
static int write_part(struct seal *s, const char *path, const struct part_id *id, struct part_summary *ret)
{
	int err = part_create(path, *id, name_series, s, &s->writer);

	if (err < 0)
		return err;
	err = slot_source_walk(&s->source, add_bucket, s);
	if (err == 0 && drop_empty_runs(s) > 0)
		return part_finish(s->writer, ret);
	part_abandon(s->writer);
	return err < 0 ? err : ERR_NOT_FOUND;
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
	int err = tmp_path(s->source.store, &row->id, tmp);

	if (err < 0)
		return err;
	unlink(tmp); /* of an attempt that failed */
	err = write_part(s, tmp, &row->id, &row->summary);
	if (err == 0)
		err = partcheck_digest(tmp, &s->digest, s->source.stop);
	if (err == 0)
		err = put_in_place(s->source.store, tmp, &row->id);
	if (err < 0)
		unlink(tmp);
	return err == ERR_NOT_FOUND ? 0 : err;
}

/* row knows all but its number, its contents and its runs. */
static int seal(struct seal *s, struct part_row row, struct part_row *ret, struct buf *runs)
{
	int err = number_part(s->source.store, &row.id.number);

	if (err == 0)
		err = slot_source_find(&s->source);
	if (err == 0)
		err = make_part(s, &row);
	if (err == 0)
		err = run_ranges_put(s->source.runs, s->source.n_runs, runs);
	if (s->source.taken)
		row.arrived_ns = s->source.taken_arrived_ns;
	slot_source_release(&s->source);
	if (err < 0)
		return err;
	row.runs = buf_span(runs);
	*ret = row;
	return 0;
}

int slot_seal(struct store *store, const struct agenda_job *job, atomic_bool *stop, struct progress *progress,
	      struct part_row *ret, struct buf *runs)
{
	struct seal s = { .source = { .store = store,
				      .pid = job->pid,
				      .tier_ns = job->tier_ns,
				      .from_ns = job->from_ns,
				      .to_ns = job->to_ns,
				      .upto = job->upto,
				      .stop = stop,
				      .progress = progress } };
	const struct part_row row = { .id = { job->pid, job->tier_ns, job->from_ns, job->to_ns, 0 },
				      .upto = job->upto,
				      .arrived_ns = job->arrived_ns,
				      .alone = job->alone };

	return seal(&s, row, ret, runs);
}

int slot_total(struct store *store, const struct part_id *taken, size_t n_taken, atomic_bool *stop,
	       struct part_row *ret, struct buf *runs)
{
	struct seal s = { .source = { .store = store,
				      .pid = taken->pid,
				      .tier_ns = TIER_WHOLE,
				      .to_ns = INT64_MAX,
				      .taken = taken,
				      .n_taken = n_taken,
				      .stop = stop } };
	const struct part_row row = { .id = { taken->pid, TIER_WHOLE, 0, INT64_MAX, 0 } };

	return seal(&s, row, ret, runs);
}

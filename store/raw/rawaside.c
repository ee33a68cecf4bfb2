#include "store/raw/rawaside.h"

#include <stdio.h>

#include "store/base/log.h"
#include "store/file.h"
#include "store/hot/journal.h"
#include "store/raw/rawmake.h"
#include "store/turn.h"

#define BATCH_BYTES_MAX ((size_t)2 << 30)

/* ---- batches of the journal ---- */

/* What is to be set aside in one transaction. */
struct aside {
	struct store *store;
	struct kv_txn *txn; /* it is found in */
	uint32_t newest;    /* run */
	struct quarantine found;
};

static int pass_record(void *arg, uint64_t batch, const struct journal_record *rec)
{
	(void)arg;
	(void)batch;
	(void)rec;
	return 0;
}

static int keep_batch(struct aside *a, uint64_t batch)
{
	struct quarantined row = {
		.rid = a->newest, .least_start = INT64_MAX, .greatest_start = INT64_MIN, .batch = batch
	};
	struct buf bytes;
	int err;

	snprintf(row.file, sizeof(row.file), "journal-%llu.chunks", (unsigned long long)batch);
	buf_init(&bytes, BATCH_BYTES_MAX);
	err = journal_bytes(a->txn, batch, &bytes);
	if (err == 0)
		err = quarantine_keep(a->store->dir, row.file, buf_span(&bytes));
	buf_release(&bytes);
	return err < 0 ? err : quarantine_add(&a->found, &row);
}

/* The journal's numbers rise, so what was kept for one batch is never taken for another. */
static int add_damaged(void *arg, uint64_t batch) { return keep_batch(arg, batch); }

static int find_damaged(struct aside *a, uint64_t after, uint64_t upto)
{
	struct journal_range range = { .after = after, .upto = upto, .damaged = add_damaged };
	struct state state;
	int err = state_get(a->txn, &state);

	a->newest = state.next_rid - 1;
	return err < 0 ? err : journal_read(a->txn, &range, pass_record, a);
}

static int put_aside(void *arg, struct kv_txn *t)
{
	const struct aside *a = arg;
	int err = quarantine_put(t, &a->found);

	for (size_t i = 0; i < a->found.n && err == 0; i++)
		err = journal_del(t, a->found.rows[i].batch);
	return err;
}

static void tell_batches(const struct aside *a)
{
	for (size_t i = 0; i < a->found.n; i++)
		log_warn(
		    "raw: batch %llu of the journal is damaged and in quarantine/%s: samples that came with "
		    "it are missing one by one, windows have them; answers with samples of the runs there "
		    "are now are marked partial; a backup may have them",
		    (unsigned long long)a->found.rows[i].batch, a->found.rows[i].file);
}

int rawaside_batches(struct store *s, uint64_t after, uint64_t upto)
{
	struct aside a = { .store = s };
	int err = kv_begin(s->kv, false, &a.txn);

	if (err < 0)
		return err;
	err = find_damaged(&a, after, upto);
	kv_abort(a.txn);
	if (err == 0)
		err = a.found.n ? writer_errand(s, put_aside, &a) : ERR_CORRUPT;
	if (err == 0)
		tell_batches(&a);
	quarantine_release(&a.found);
	return err;
}

/* ---- raw parts ---- */

struct damage {
	struct kv_txn *txn;
	struct quarantine *lost;
	struct quarantined row; /* what is the same for all runs */
	struct part_block block;
	uint32_t before; /* run */
};

/* Nothing is missing of a run that is gone. */
static int add_row(struct damage *d)
{
	int64_t window_ns;
	int err = run_owner(d->txn, d->row.rid, &d->row.pid, &window_ns);

	if (err < 0)
		return err == ERR_NOT_FOUND ? 0 : err;
	return quarantine_add(d->lost, &d->row);
}

static int add_run(void *arg, const struct run_range *r)
{
	struct damage *d = arg;

	d->row.rid = r->rid;
	d->row.least_start = r->least;
	d->row.greatest_start = r->greatest;
	return add_row(d);
}

static int add_series(void *arg, const struct part_series *s)
{
	struct damage *d = arg;

	if (s->sid < d->block.first_sid || s->sid > d->block.last_sid || s->rid == d->before)
		return 0;
	d->before = d->row.rid = s->rid;
	return add_row(d);
}

/* All runs that the part's row names. */
static int add_part(struct damage *d, const struct rawpart_id *id)
{
	struct raw_rows rows = { 0 };
	int err = raw_rows_read(d->txn, id->pid, &rows);

	for (size_t i = 0; i < rows.n && err == 0; i++)
		if (rows.rows[i].id.number == id->number)
			err = run_ranges_read(rows.rows[i].runs, add_run, d);
	raw_rows_release(&rows);
	return err;
}

static int add_block(struct damage *d, const struct rawpart *part, size_t i)
{
	d->block = rawpart_block(part, i);
	d->row.least_start = d->block.least_ns;
	d->row.greatest_start = d->block.greatest_ns;
	return rawpart_series(part, add_series, d);
}

/* The file as it is.  One that is lost has no name there. */
static int keep_file(struct damage *d, const struct store *s, const struct rawpart_id *id)
{
	char path[FILE_PATH_MAX];
	int err = raw_path(s->dir, id, path);

	raw_file(id, d->row.file);
	if (err == 0)
		err = quarantine_keep_file(s->dir, d->row.file, path);
	if (err != ERR_NOT_FOUND)
		return err;
	d->row.file[0] = 0;
	return 0;
}

int rawaside_part(struct store *s, const struct rawpart_id *id, const struct rawpart *part, size_t block,
		  struct quarantine *lost)
{
	struct damage d = { .lost = lost, .row = { .batch = id->upto } };
	int err = keep_file(&d, s, id);

	if (err == 0)
		err = kv_begin(s->kv, false, &d.txn);
	if (err < 0)
		return err;
	err = part ? add_block(&d, part, block) : add_part(&d, id);
	kv_abort(d.txn);
	return err;
}

static void tell_run(struct kv_txn *t, const struct quarantined *row)
{
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	struct run run;

	if (run_get(t, row->rid, &run) < 0)
		return;
	clock_format(row->least_start, from);
	clock_format(row->greatest_start, to);
	log_warn("raw: samples of run %s of project %s from %s to %s may be missing one by one, windows have "
		 "them: what holds them is damaged and in quarantine/%s; answers with samples of that time "
		 "are marked partial; a backup may have them",
		 run.id, run.project, from, to, row->file[0] ? row->file : " (nothing could be read)");
	run_release(&run);
}

void rawaside_tell(struct store *s, const struct quarantine *lost)
{
	struct kv_txn *t;

	if (lost->n == 0 || kv_begin(s->kv, false, &t) < 0)
		return;
	for (size_t i = 0; i < lost->n; i++)
		tell_run(t, &lost->rows[i]);
	kv_abort(t);
}

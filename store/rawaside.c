/*
 * rawaside.c - batches of the journal that cannot be read are set aside, so that the others are sealed.
 */
#include <stdio.h>

#include "store/base/log.h"
#include "store/journal.h"
#include "store/quarantine.h"
#include "store/rawseal.h"
#include "store/turn.h"

#define BATCH_BYTES_MAX ((size_t)2 << 30)

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

static void tell(const struct aside *a)
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
		tell(&a);
	quarantine_release(&a.found);
	return err;
}

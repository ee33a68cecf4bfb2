#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/compact/compactor.h"
#include "store/compact/purge.h"
#include "store/compact/slot.h"
#include "store/hot/flush.h"
#include "store/turn.h"

#define DROP_BLOCKS  1000
#define TOTALS_TAKEN 64 /* parts that are added to a project's totals at once */

/* ---- parts that a coarser one stands for ---- */

/* The first part in [from, to) that is the finest there now, and not said to be alone yet; its runs are
 * copied.  ERR_NOT_FOUND. */
static int find_left_alone(struct kv_txn *t, const struct part_id *slot, struct part_row *ret,
			   struct buf *runs)
{
	struct manifest m;
	int err = manifest_read(t, slot->pid, slot->from_ns, slot->to_ns, &m);

	if (err < 0)
		return err;
	err = ERR_NOT_FOUND;
	for (size_t i = 0; i < m.n && err == ERR_NOT_FOUND; i++) {
		const struct part_row *row = &m.rows[i];

		if (row->id.tier_ns <= slot->tier_ns || row->alone || !cover_is_finest(&m, row))
			continue;
		*ret = *row;
		buf_clear(runs);
		err = buf_add(runs, row->runs.data, row->runs.len);
		ret->runs = buf_span(runs);
		ret->alone = true;
	}
	manifest_release(&m);
	return err;
}

/* All parts of a tier in a slot at once: what is left then knows that it is alone. */
static int drop_parts(void *arg, struct kv_txn *t)
{
	const struct part_id *slot = arg;
	struct part_row row;
	struct buf runs;
	int err = manifest_remove(t, slot);

	buf_init(&runs, (size_t)64 * 1024 * 1024);
	while (err == 0) {
		err = find_left_alone(t, slot, &row, &runs);
		if (err == 0)
			err = manifest_put(t, &row);
	}
	buf_release(&runs);
	return err == ERR_NOT_FOUND ? 0 : err;
}

static int drop_slot(struct compactor *c, const struct task *task, const struct project *p,
		     const struct part_id *slot)
{
	struct part_id drop = *slot, *ids = NULL;
	char text[SLOT_TEXT_MAX];
	size_t n = 0;
	int err = ids_in_slot(c->store, slot, &ids, &n);

	slot_text(p, slot, text);
	if (err == 0)
		task_tell(task, "%s: %zu part%s past their time", text, n, n == 1 ? "" : "s");
	if (err == 0)
		err = writer_errand(c->store, drop_parts, &drop);
	if (err == 0) {
		unlink_parts(c->store, ids, n);
		task->report->dropped += n;
	}
	free(ids);
	return err;
}

/* ---- parts that nothing stands for but the totals ---- */

struct totals {
	struct part_row row;
	const struct part_id *taken;
	size_t n;
};

static int publish_totals(void *arg, struct kv_txn *t)
{
	const struct totals *totals = arg;
	int err = totals->row.summary.buckets ? manifest_replace(t, &totals->row)
					      : manifest_remove(t, &totals->row.id);

	for (size_t i = 0; i < totals->n && err == 0; i++)
		err = manifest_remove(t, &totals->taken[i]);
	return err;
}

static int total_and_publish(struct compactor *c, const struct part_id *taken, size_t n)
{
	const struct part_id slot = { taken->pid, TIER_WHOLE, 0, INT64_MAX, 0 };
	struct totals totals = { .taken = taken, .n = n };
	struct part_id *old = NULL;
	size_t n_old = 0;
	struct buf runs;
	int err = ids_in_slot(c->store, &slot, &old, &n_old);

	buf_init(&runs, (size_t)64 * 1024 * 1024);
	if (err == 0)
		err = slot_total(c->store, taken, n, &c->stop, &totals.row, &runs);
	if (err == 0)
		err = writer_errand(c->store, publish_totals, &totals);
	if (err == 0) {
		unlink_parts(c->store, old, n_old);
		unlink_parts(c->store, taken, n);
	}
	free(old);
	buf_release(&runs);
	return err;
}

/* What is damaged is set aside, and the rest added. */
static int total_the_rest(struct compactor *c, const struct part_id *taken)
{
	bool any = false;
	int err = compact_quarantine_parts(c, taken, true, &any);

	if (err < 0)
		return err;
	return any ? total_and_publish(c, taken, 1) : ERR_CORRUPT;
}

/* Which part is damaged shows when they are added one by one. */
static int total_parts(struct compactor *c, const struct task *task, const struct project *p,
		       const struct part_id *taken, size_t n)
{
	int err;

	if (n == 0)
		return 0;
	err = total_and_publish(c, taken, n);
	if (err == ERR_CORRUPT && n == 1)
		err = total_the_rest(c, taken);
	if (err == 0)
		task->report->dropped += n;
	if (err != ERR_CORRUPT)
		return err;
	if (n > 1) {
		err = total_parts(c, task, p, taken, n / 2);
		return err < 0 ? err : total_parts(c, task, p, taken + n / 2, n - n / 2);
	}
	note_bad(c, p, taken);
	task->report->failed++;
	return 0;
}

int compact_totals(struct compactor *c, const struct task *task, const struct project *p)
{
	const struct part_id none = { .pid = p->pid, .tier_ns = TIER_WHOLE };
	struct part_row row;
	struct kv_txn *t;
	bool gone;
	int err = kv_begin(c->store->kv, false, &t);

	if (err < 0)
		return err;
	err = manifest_totals(t, p->pid, &row);
	gone = err == 0 && runs_any_gone(&c->store->runs, row.runs);
	kv_abort(t);
	if (!gone || is_bad(c, &row.id) || task->dry_run)
		return err == ERR_NOT_FOUND ? 0 : err;
	err = total_and_publish(c, &none, 0);
	if (err == 0)
		task->report->replaced++;
	if (err != ERR_CORRUPT)
		return err;
	note_bad(c, p, &row.id);
	task->report->failed++;
	return 0;
}

/* ---- what is past its time ---- */

static int do_expiries(struct compactor *c, const struct task *task, const struct project *p,
		       const struct expiry *list, size_t n)
{
	struct part_id taken[TOTALS_TAKEN];
	size_t n_taken = 0;
	int err = 0;

	for (size_t i = 0; i < n && err == 0 && !atomic_load(&c->stop); i++) {
		if (list[i].way == EXPIRY_DROP)
			err = drop_slot(c, task, p, &list[i].slot);
		else if (!is_bad(c, &list[i].slot))
			taken[n_taken++] = list[i].slot;
		if (err == 0 && n_taken == TOTALS_TAKEN) {
			err = total_parts(c, task, p, taken, n_taken);
			n_taken = 0;
		}
	}
	return err < 0 ? err : total_parts(c, task, p, taken, n_taken);
}

/* A dry run tells a tier in one line. */
static void tell_expiries(const struct task *task, const struct project *p, const struct expiry *list,
			  size_t n)
{
	for (size_t i = 0; i < n;) {
		enum expiry_way way = list[i].way;
		struct part_id all = list[i].slot;
		char text[SLOT_TEXT_MAX];
		size_t from = i;

		for (; i < n && list[i].way == way && list[i].slot.tier_ns == all.tier_ns; i++)
			slot_widen(&all, list[i].slot.from_ns, list[i].slot.to_ns);
		slot_text(p, &all, text);
		task_tell(task, "%s: %zu slots past their time%s", text, i - from,
			  way == EXPIRY_DROP ? "" : ", of which only totals stay");
	}
}

int compact_expire(struct compactor *c, const struct task *task, const struct project *p)
{
	struct expiry *list = NULL;
	struct picture picture;
	size_t n = 0;
	int err = picture_take(c, p, &picture);

	if (err < 0)
		return err;
	err = expiry_list(&picture.state, &p->policy, clock_now_ns(), &list, &n);
	if (err == 0 && task->dry_run)
		tell_expiries(task, p, list, n);
	else if (err == 0)
		err = do_expiries(c, task, p, list, n);
	free(list);
	picture_release(&picture);
	return err;
}

/* ---- blocks ---- */

struct drop {
	uint64_t number;
	bool more;
};

/* Some blocks of a flush, and its row with the last. */
static int drop_some(void *arg, struct kv_txn *t)
{
	struct drop *d = arg;
	uint8_t at[BLOCK_KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_BLOCK, &c), moved = 0;

	if (err < 0)
		return err;
	d->more = true;
	for (size_t n = 0; n < DROP_BLOCKS && err == 0 && d->more; n++) {
		moved = kv_seek(c, block_key_of(d->number, 0, INT64_MIN, at), &key, &value);
		d->more = moved == 0 && get_be64(key.data) == d->number;
		if (d->more)
			err = kv_cursor_del(c);
	}
	kv_cursor_close(c);
	if (err == 0 && moved < 0 && moved != ERR_NOT_FOUND)
		err = moved;
	if (err < 0 || d->more)
		return err;
	put_be64(at, d->number);
	err = kv_del(t, KV_FLUSH, span_of(at, 8));
	return err == ERR_NOT_FOUND ? 0 : err;
}

/* Of each flush, whether something of a project is not in parts yet. */
static int note_unfolded(const struct compactor *c, const struct project *p, bool *unfolded)
{
	struct picture picture;
	int err = picture_take(c, p, &picture);

	if (err < 0)
		return err;
	for (size_t i = 0; i < picture.state.n_flushes; i++)
		unfolded[i] |= !agenda_folded(&picture.state, &picture.flushes[i]);
	picture_release(&picture);
	return 0;
}

int compact_drop_folded(struct compactor *c, const struct task *task, const struct project *projects,
			size_t n_projects)
{
	bool *unfolded = calloc(c->flushes.n + 1, sizeof(*unfolded));
	int err = unfolded ? 0 : ERR_NOMEM;

	for (size_t i = 0; i < n_projects && err == 0; i++)
		err = note_unfolded(c, &projects[i], unfolded);
	for (size_t i = c->flushes.n; i-- > 0 && err == 0 && !atomic_load(&c->stop);) {
		const struct flushed *f = &c->flushes.all[i];
		struct drop d = { .number = f->number, .more = true };

		if (!f->droppable || f->damaged || unfolded[i])
			continue;
		while (err == 0 && d.more)
			err = writer_errand(c->store, drop_some, &d);
		if (err == 0) {
			flushes_forget(&c->flushes, i);
			task->report->flushes++;
		}
	}
	free(unfolded);
	return err;
}

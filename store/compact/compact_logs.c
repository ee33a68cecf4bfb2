/*
 * compact_logs.c - when logs go into parts, and what becomes of these.
 *
 * An hour after its end, and the time that all slots settle, what arrived in it goes; parts of a day become
 * one when it is over, like raw parts (rawagenda.h).  A part goes when all in it is older than the project
 * keeps logs, but for runs that are deleted and may come back.  One that cannot be read stays as it is, and
 * is told once.
 */
#include "store/compact/compactor.h"

#include <stdlib.h>

#include "store/base/duration.h"
#include "store/base/log.h"
#include "store/log/logmerge.h"
#include "store/log/logmove.h"
#include "store/part/parts.h"
#include "store/raw/rawagenda.h"
#include "store/turn.h"

#define HOUR_NS (3600 * NS_PER_S)
#define TRIES   3 /* of a part whose blocks were sealed meanwhile */

static int64_t closed_until(const struct task *task)
{
	return window_start(task->until_ns - task->settle_ns, HOUR_NS);
}

/* ---- out of the log database ---- */

static int tell_due(struct compactor *c, const struct task *task, const struct project *p, int64_t until_ns)
{
	struct log_moved due = { 0 };
	char until[CLOCK_TEXT_MAX];
	int err = logmove_due(c->store, p->pid, until_ns, &due);

	if (err < 0 || due.blocks == 0)
		return err;
	clock_format(until_ns, until);
	task_tell(task, "project %s, logs that arrived before %s: %llu records, %llu blocks", p->name, until,
		  (unsigned long long)due.records, (unsigned long long)due.blocks);
	progress_start(task->progress, due.bytes, 1);
	progress_walk(task->progress, "sealing logs of", p->name);
	return 0;
}

static int move(struct compactor *c, const struct task *task, const struct project *p, int64_t until_ns)
{
	struct log_moved moved = { 0 };
	int err = task->by_clock ? 0 : tell_due(c, task, p, until_ns), tries = TRIES;

	while (err == 0 && !task->dry_run) {
		err = logmove_some(c->store, p->pid, until_ns, &c->stop, task->progress, &moved);
		if (err == ERR_GONE && !atomic_load(&c->stop) && --tries)
			err = 0;
	}
	progress_clear(task->progress);
	task->report->log_parts += moved.parts;
	task->report->moved_records += moved.records;
	return err == 1 || (err == ERR_GONE && tries == 0) ? 0 : err;
}

/* ---- parts that take the place of others ---- */

struct swap {
	const struct logpart_row *old;
	size_t n;
	const struct logpart_row *by; /* NULL: nothing */
};

static int swap_rows(void *arg, struct kv_txn *t)
{
	const struct swap *s = arg;
	int err = 0;

	for (size_t i = 0; i < s->n && err == 0; i++)
		err = logpart_row_del(t, &s->old[i].id);
	return err == 0 && s->by ? logpart_row_put(t, s->by) : err;
}

static int swap(struct compactor *c, const struct logpart_row *old, size_t n, const struct logpart_row *by)
{
	struct swap s = { old, n, by };
	int err = writer_errand(c->store, swap_rows, &s);

	for (size_t i = 0; i < n && err == 0; i++)
		parts_remove_log(c->store->parts, &old[i].id);
	return err;
}

static bool is_bad_log(const struct compactor *c, const struct logpart_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < c->n_bad_logs; j++)
			if (c->bad_logs[j] == rows[i].id.number)
				return true;
	return false;
}

/* What cannot be read as a whole is left, and told. */
static int note_bad_log(struct compactor *c, const struct task *task, const struct logpart_row *rows,
			size_t n)
{
	uint64_t *all = realloc(c->bad_logs, (c->n_bad_logs + n) * sizeof(*all));

	if (!all)
		return ERR_NOMEM;
	c->bad_logs = all;
	for (size_t i = 0; i < n; i++)
		all[c->n_bad_logs++] = rows[i].id.number;
	log_warn("compact: %zu log part%s of project number %u from logs-%u-%llu.part on stay%s as %s; "
		 "something there cannot be read, run astraml verify",
		 n, n == 1 ? "" : "s", rows[0].id.pid, rows[0].id.pid, (unsigned long long)rows[0].id.number,
		 n == 1 ? "s" : "", n == 1 ? "it is" : "they are");
	task->report->failed++;
	return 0;
}

/* The parts made one, without runs that are not kept.  *ret_records: what that has. */
static int make_again(struct compactor *c, const struct task *task, const struct logpart_row *rows, size_t n,
		      log_keep_fn keep, uint64_t *ret_records)
{
	struct logmade made;
	int err = log_merge(c->store, rows, n, keep, c->store, &c->stop, NULL, &made);

	if (err >= 0) {
		*ret_records = err ? 0 : made.row.summary.records;
		err = swap(c, rows, n, err ? NULL : &made.row);
	} else if (err == ERR_CORRUPT || err == ERR_NOT_FOUND || err == ERR_IO) {
		*ret_records = UINT64_MAX;
		err = note_bad_log(c, task, rows, n);
	}
	logmade_release(&made);
	return err;
}

/* ---- merging ---- */

static bool keep_known(void *arg, uint32_t rid)
{
	struct store *s = arg;

	return runs_known(&s->runs, rid);
}

/* The first neighbours that are due; those that cannot be read part the others. */
static bool find_due(const struct compactor *c, const struct task *task, const struct project *p,
		     const struct logpart_rows *rows, const struct raw_piece *pieces, size_t *ret_from,
		     size_t *ret_n)
{
	for (size_t at = 0, end; at < rows->n; at = end + 1) {
		for (end = at; end < rows->n && !is_bad_log(c, &rows->rows[end], 1);)
			end++;
		if (raw_due(pieces + at, end - at, p->policy.log_keep_ns, task->until_ns - task->settle_ns,
			    ret_from, ret_n)) {
			*ret_from += at;
			return true;
		}
	}
	return false;
}

/* 1: something was merged, so there may be more. */
static int merge_some(struct compactor *c, const struct task *task, const struct project *p)
{
	struct logpart_rows rows = { 0 };
	struct raw_piece *pieces;
	uint64_t records;
	size_t from, n;
	bool due;
	int err = logpart_rows_now(c->store->kv, p->pid, &rows);

	if (err < 0)
		return err;
	pieces = malloc((rows.n + 1) * sizeof(*pieces));
	for (size_t i = 0; pieces && i < rows.n; i++)
		pieces[i] = (struct raw_piece){ rows.rows[i].summary.arrived_ns, rows.rows[i].summary.bytes };
	due = pieces && find_due(c, task, p, &rows, pieces, &from, &n);
	if (due)
		err = make_again(c, task, rows.rows + from, n, keep_known, &records);
	else if (!pieces)
		err = ERR_NOMEM;
	free(pieces);
	logpart_rows_release(&rows);
	return err < 0 ? err : due;
}

/* ---- runs that are gone ---- */

static int any_gone(void *arg, const struct logpart_run *r)
{
	struct store *s = arg;

	return !runs_known(&s->runs, r->rid);
}

/* The first part with such a run; ERR_NOT_FOUND: there is none. */
static int find_gone(struct compactor *c, uint32_t pid, struct logpart_row *ret)
{
	struct logpart_rows rows = { 0 };
	struct kv_txn *t;
	bool found = false;
	int err = kv_begin(c->store->kv, false, &t);

	if (err < 0)
		return err;
	err = logpart_rows_read(t, pid, &rows);
	for (size_t i = 0; err == 0 && i < rows.n && !found; i++) {
		found = !is_bad_log(c, &rows.rows[i], 1) &&
			logpart_row_runs(&rows.rows[i], any_gone, c->store) == 1;
		*ret = rows.rows[i];
		ret->runs = span_of(NULL, 0);
	}
	logpart_rows_release(&rows);
	kv_abort(t);
	return err < 0 ? err : found ? 0 : ERR_NOT_FOUND;
}

static int leave_out_gone(struct compactor *c, const struct task *task, const struct project *p)
{
	struct logpart_row row;
	uint64_t records;
	int err;

	while ((err = find_gone(c, p->pid, &row)) == 0) {
		err = make_again(c, task, &row, 1, keep_known, &records);
		if (err < 0)
			return err;
	}
	return err == ERR_NOT_FOUND ? 0 : err;
}

int compact_logs(struct compactor *c, const struct task *task, const struct project *p)
{
	int64_t until_ns = closed_until(task);
	int err = 0, more = 1;

	if (!task->by_clock || until_ns != c->logs_until_ns)
		err = move(c, task, p, until_ns);
	if (err < 0 || task->dry_run)
		return err;
	if (c->look_for_gone_logs)
		err = leave_out_gone(c, task, p);
	while (err == 0 && more == 1)
		more = atomic_load(&c->stop) ? ERR_GONE : merge_some(c, task, p);
	return err < 0 ? err : more;
}

void compact_logs_done(struct compactor *c, const struct task *task)
{
	c->logs_until_ns = closed_until(task);
	c->look_for_gone_logs = false;
}

/* ---- what is past its time ---- */

static bool keep_deleted(void *arg, uint32_t rid)
{
	struct store *s = arg;
	char project[ID_MAX + 1];

	return runs_known(&s->runs, rid) && !runs_project(&s->runs, rid, project);
}

struct mix {
	struct store *store;
	bool kept, dropped; /* some runs stay; some go */
};

static int look_at_run(void *arg, const struct logpart_run *r)
{
	struct mix *m = arg;

	*(keep_deleted(m->store, r->rid) ? &m->kept : &m->dropped) = true;
	return 0;
}

/* Goes on after *after; ERR_NOT_FOUND: no more of the project's parts are old. */
static int find_old(struct compactor *c, const struct project *p, uint64_t after, struct logpart_row *ret,
		    struct mix *mix)
{
	int64_t before_ns = clock_now_ns() - p->policy.log_keep_ns;
	struct logpart_rows rows = { 0 };
	struct kv_txn *t;
	size_t i = 0;
	int err = kv_begin(c->store->kv, false, &t);

	if (err < 0)
		return err;
	err = logpart_rows_read(t, p->pid, &rows);
	while (err == 0 && i < rows.n && rows.rows[i].id.first <= after)
		i++;
	if (err == 0 && (i == rows.n || rows.rows[i].summary.arrived_ns > before_ns ||
			 rows.rows[i].summary.greatest_ns > before_ns))
		err = ERR_NOT_FOUND;
	if (err == 0) {
		*ret = rows.rows[i];
		err = logpart_row_runs(ret, look_at_run, mix);
		ret->runs = span_of(NULL, 0);
	}
	logpart_rows_release(&rows);
	kv_abort(t);
	return err;
}

int compact_expire_logs(struct compactor *c, const struct task *task, const struct project *p)
{
	struct logpart_row row = { 0 };
	int err = p->policy.log_keep_ns == KEEP_FOREVER ? ERR_NOT_FOUND : 0;

	while (err == 0 && !atomic_load(&c->stop)) {
		struct mix mix = { .store = c->store };
		uint64_t left = 0;

		err = find_old(c, p, row.id.first, &row, &mix);
		if (err < 0 || !mix.dropped || (mix.kept && is_bad_log(c, &row, 1)))
			continue;
		err = mix.kept ? make_again(c, task, &row, 1, keep_deleted, &left) : swap(c, &row, 1, NULL);
		if (err == 0 && left < row.summary.records)
			task->report->log_records += row.summary.records - left;
	}
	return err == ERR_NOT_FOUND ? 0 : err;
}

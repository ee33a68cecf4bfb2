#include "store/raw/rawcare.h"

#include <stdlib.h>
#include <unistd.h>

#include "store/base/log.h"
#include "store/compact/purge.h"
#include "store/file.h"
#include "store/part/manifest.h"
#include "store/raw/rawagenda.h"
#include "store/raw/rawaside.h"
#include "store/raw/rawmerge.h"
#include "store/turn.h"

/* Journal that is flushed and waits, at which the writer holds its queue until some is sealed. */
#define BEHIND 16 /* times options.raw_max_bytes */

struct rawcare {
	struct store *store;
	pthread_mutex_t lock;
	struct raw_keeps keeps;
	int64_t waiting_ns; /* since when something waits to be sealed; 0: nothing */
	int told;           /* the trouble that was logged last */
	uint64_t bad[16];   /* numbers of parts of which merging went wrong; the newest ones */
	size_t n_bad;
	atomic_bool look_for_gone; /* parts may hold runs that are gone */
};

int rawcare_new(struct store *s, struct rawcare **ret)
{
	struct rawcare *c = calloc(1, sizeof(*c));

	if (!c)
		return ERR_NOMEM;
	c->store = s;
	atomic_init(&c->look_for_gone, true); /* a process before may have left some */
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

void rawcare_free(struct rawcare *c)
{
	if (!c)
		return;
	raw_keeps_release(&c->keeps);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- sealing ---- */

struct look {
	struct state state;
	uint64_t journal_bytes;
};

static int look(struct rawcare *c, struct look *ret)
{
	struct raw_keeps keeps;
	struct kv_stat stat;
	struct kv_txn *t;
	int err = kv_begin(c->store->kv, false, &t);

	if (err < 0)
		return err;
	err = state_get(t, &ret->state);
	if (err == 0)
		err = kv_stat(t, &stat);
	if (err == 0)
		err = raw_keeps_read(t, &keeps);
	kv_abort(t);
	if (err < 0)
		return err;
	raw_keeps_release(&c->keeps);
	c->keeps = keeps;
	ret->journal_bytes = stat.bytes[KV_JOURNAL];
	return 0;
}

static bool anybody_keeps(const struct raw_keeps *k)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->list[i].keep_ns != 0)
			return true;
	return false;
}

/* Bytes of the journal that are flushed, about. */
static uint64_t waiting_bytes(const struct rawcare *c, const struct look *l)
{
	uint64_t young = atomic_load(&c->store->journal_bytes);

	return l->journal_bytes > young ? l->journal_bytes - young : 0;
}

static bool is_due(struct rawcare *c, const struct look *l, int64_t now_ns)
{
	const struct store_options *o = &c->store->options;

	if (l->state.sealed >= l->state.trimmed) {
		c->waiting_ns = 0;
		return false;
	}
	if (!c->waiting_ns)
		c->waiting_ns = now_ns;
	if (!anybody_keeps(&c->keeps))
		return true; /* and costs nothing */
	return waiting_bytes(c, l) >= o->raw_max_bytes || now_ns - c->waiting_ns >= o->raw_wait_ns ||
	       now_ns < c->waiting_ns;
}

static int seal(struct rawcare *c, int64_t now_ns, bool all, atomic_bool *stop, struct raw_report *report)
{
	struct store *s = c->store;
	struct look l;
	int err = look(c, &l), sealed = 0;

	if (err < 0 || !(is_due(c, &l, now_ns) || all) || l.state.sealed >= l.state.trimmed)
		return err;
	atomic_store(&s->raw_behind, waiting_bytes(c, &l) > BEHIND * s->options.raw_max_bytes);
	if (!anybody_keeps(&c->keeps))
		sealed = rawseal_skip(s, now_ns) == 0;
	/* what comes meanwhile is for the next time */
	for (uint64_t upto = l.state.trimmed; err == 0 && !sealed && l.state.sealed < upto;) {
		err = rawseal_some(s, &c->keeps, now_ns, stop, report);
		if (err == 0)
			err = rawseal_trim(s);
		if (err == 0)
			err = look(c, &l);
	}
	if (err == 0 && sealed)
		err = rawseal_trim(s);
	atomic_store(&s->raw_behind, false); /* nobody is held up by what cannot be sealed */
	if (err >= 0) {
		c->waiting_ns = 0;
		atomic_store(&s->raw_bytes, 0);
	}
	return err < 0 ? err : 0;
}

/* ---- merging ---- */

struct swap {
	const struct raw_row *old;
	size_t n;
	const struct raw_made *made; /* NULL: nothing takes their place */
	struct quarantine lost;      /* what was damaged in them */
};

static int swap_rows(void *arg, struct kv_txn *t)
{
	const struct swap *s = arg;
	int err = 0;

	for (size_t i = 0; i < s->n && err == 0; i++)
		err = raw_row_del(t, s->old[i].id.pid, s->old[i].id.first);
	if (err == 0)
		err = quarantine_put(t, &s->lost);
	return err == 0 && s->made ? raw_row_put(t, &s->made->row) : err;
}

/* Readers that have them open keep them. */
static void unlink_files(const struct store *s, const struct raw_row *rows, size_t n)
{
	char path[FILE_PATH_MAX];

	for (size_t i = 0; i < n; i++)
		if (raw_path(s->dir, &rows[i].id, path) == 0)
			unlink(path);
}

static bool any_bad(const struct rawcare *c, const struct raw_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < c->n_bad && j < 16; j++)
			if (c->bad[j] == rows[i].id.number)
				return true;
	return false;
}

static int merge(struct rawcare *c, const struct raw_row *rows, size_t n, uint64_t newest, atomic_bool *stop,
		 struct raw_report *report)
{
	struct swap swap = { .old = rows, .n = n };
	struct raw_made made;
	int err = raw_merge(c->store, rows, n, newest + 1, stop, &made, &swap.lost);

	if (err == 0)
		swap.made = &made;
	if (err >= 0) {
		err = writer_errand(c->store, swap_rows, &swap);
		if (err == 0) {
			unlink_files(c->store, rows, n);
			rawaside_tell(c->store, &swap.lost);
			report->merged += n;
		}
	} else if (err == ERR_CORRUPT) {
		log_warn("raw: %zu parts stay as they are: what was made of them was not what they hold; run "
			 "astraml verify",
			 n);
		for (size_t i = 0; i < n; i++)
			c->bad[c->n_bad++ % 16] = rows[i].id.number;
		err = 0;
	}
	raw_made_release(&made);
	quarantine_release(&swap.lost);
	return err;
}

/* The rows of a project (0: of all), without their runs: they outlive the transaction. */
static int rows_of(struct store *s, uint32_t pid, struct raw_rows *ret, uint64_t *ret_newest)
{
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = raw_newest(t, ret_newest);
	if (err == 0)
		err = raw_rows_read(t, pid, ret);
	for (size_t i = 0; err == 0 && i < ret->n; i++)
		ret->rows[i].runs = span_of(NULL, 0);
	kv_abort(t);
	return err;
}

/* 1: something was merged, so there may be more. */
static int merge_some(struct rawcare *c, struct raw_keep keep, int64_t now_ns, atomic_bool *stop,
		      struct raw_report *report)
{
	struct raw_piece *pieces;
	struct raw_rows rows = { 0 };
	uint64_t newest;
	size_t from, n;
	bool due = false;
	int err = rows_of(c->store, keep.pid, &rows, &newest);

	if (err < 0)
		return err;
	pieces = malloc((rows.n + 1) * sizeof(*pieces));
	for (size_t i = 0; pieces && i < rows.n; i++)
		pieces[i] = (struct raw_piece){ rows.rows[i].arrived_ns, rows.rows[i].summary.bytes };
	if (pieces)
		due = raw_due(pieces, rows.n, keep.keep_ns, now_ns, &from, &n) &&
		      !any_bad(c, rows.rows + from, n);
	else
		err = ERR_NOMEM;
	if (due)
		err = merge(c, rows.rows + from, n, newest, stop, report);
	free(pieces);
	raw_rows_release(&rows);
	return err < 0 ? err : due;
}

static int merge_all(struct rawcare *c, struct raw_keep keep, int64_t now_ns, atomic_bool *stop,
		     struct raw_report *report)
{
	int more;

	do
		more = atomic_load(stop) ? ERR_GONE : merge_some(c, keep, now_ns, stop, report);
	while (more == 1);
	return more;
}

/* ---- runs that are gone ---- */

void rawcare_runs_went(struct rawcare *c) { atomic_store(&c->look_for_gone, true); }

/* The first part, not damaged, with such a run; 1: there is none. */
static int find_gone(struct rawcare *c, struct raw_row *ret, uint64_t *ret_newest)
{
	struct raw_rows rows = { 0 };
	struct kv_txn *t;
	int err = kv_begin(c->store->kv, false, &t), found = 1;

	if (err < 0)
		return err;
	err = raw_newest(t, ret_newest);
	if (err == 0)
		err = raw_rows_read(t, 0, &rows);
	for (size_t i = 0; err == 0 && i < rows.n && found; i++) {
		if (!runs_any_gone(&c->store->runs, rows.rows[i].runs) || any_bad(c, &rows.rows[i], 1))
			continue;
		*ret = rows.rows[i];
		ret->runs = span_of(NULL, 0);
		found = 0;
	}
	raw_rows_release(&rows);
	kv_abort(t);
	return err < 0 ? err : found;
}

static int leave_out_gone(struct rawcare *c, atomic_bool *stop, struct raw_report *report)
{
	struct raw_row row;
	uint64_t newest;
	int err;

	if (!atomic_exchange(&c->look_for_gone, false))
		return 0;
	while ((err = find_gone(c, &row, &newest)) == 0) {
		err = atomic_load(stop) ? ERR_GONE : merge(c, &row, 1, newest, stop, report);
		if (err < 0)
			break;
	}
	if (err < 0)
		atomic_store(&c->look_for_gone, true);
	return err < 0 ? err : 0;
}

/* ---- damage ---- */

static bool is_sound(const struct store *s, const struct raw_row *row)
{
	struct rawpart_summary sum;
	struct rawpart *part;
	int err = raw_open(s->dir, row, &part);

	if (err < 0)
		return false;
	err = rawpart_check(part, &sum);
	rawpart_close(part);
	return err == 0;
}

static int mend(struct rawcare *c, atomic_bool *stop, uint64_t *ret)
{
	struct raw_report report = { 0 };
	struct raw_rows rows = { 0 };
	uint64_t newest;
	int err = rows_of(c->store, 0, &rows, &newest);

	for (size_t i = 0; i < rows.n && err == 0; i++) {
		if (is_sound(c->store, &rows.rows[i]))
			continue;
		err = atomic_load(stop) ? ERR_GONE : merge(c, &rows.rows[i], 1, newest++, stop, &report);
	}
	raw_rows_release(&rows);
	*ret = report.merged;
	return err;
}

int rawcare_mend(struct rawcare *c, atomic_bool *stop, uint64_t *ret)
{
	int err;

	pthread_mutex_lock(&c->lock);
	err = mend(c, stop, ret);
	pthread_mutex_unlock(&c->lock);
	return err;
}

/* ---- dropping ---- */

/* Nobody asks for a run that is gone. */
static int mark_run(void *arg, const struct run_range *r)
{
	int64_t deleted_ns;
	int err = run_get_deleted(arg, r->rid, &deleted_ns);

	if (err == ERR_NOT_FOUND)
		return 0;
	return err < 0 ? err : raw_gone_put(arg, r->rid, r->greatest);
}

struct drop {
	const struct raw_row *row;
	struct buf runs; /* of the row: it is about to go */
};

static int drop_row(void *arg, struct kv_txn *t)
{
	struct drop *d = arg;
	int err = run_ranges_read(buf_span(&d->runs), mark_run, t);

	return err < 0 ? err : raw_row_del(t, d->row->id.pid, d->row->id.first);
}

static bool is_old(const struct raw_row *row, int64_t keep_ns, int64_t now_ns)
{
	int64_t young =
	    row->arrived_ns > row->summary.greatest_ns ? row->arrived_ns : row->summary.greatest_ns;

	return keep_ns != KEEP_FOREVER && now_ns - young >= keep_ns;
}

/* The first row that is too old; 1: there is none. */
static int find_old(struct rawcare *c, struct raw_keep keep, int64_t now_ns, struct raw_row *row,
		    struct buf *runs)
{
	struct raw_rows rows = { 0 };
	struct kv_txn *t;
	int err = kv_begin(c->store->kv, false, &t), found = 1;

	if (err < 0)
		return err;
	err = raw_rows_read(t, keep.pid, &rows);
	for (size_t i = 0; err == 0 && i < rows.n && found; i++) {
		if (!is_old(&rows.rows[i], keep.keep_ns, now_ns))
			continue;
		*row = rows.rows[i];
		buf_clear(runs);
		err = buf_add(runs, row->runs.data, row->runs.len);
		found = 0;
	}
	raw_rows_release(&rows);
	kv_abort(t);
	return err < 0 ? err : found;
}

static int drop_old(struct rawcare *c, struct raw_keep keep, int64_t now_ns, struct raw_report *report)
{
	struct raw_row row;
	struct drop d = { .row = &row };
	int err;

	buf_init(&d.runs, (size_t)64 * 1024 * 1024);
	while ((err = find_old(c, keep, now_ns, &row, &d.runs)) == 0) {
		err = writer_errand(c->store, drop_row, &d);
		if (err < 0)
			break;
		unlink_files(c->store, &row, 1);
		report->expired++;
	}
	buf_release(&d.runs);
	return err < 0 ? err : 0;
}

/* ---- the whole ---- */

static int care(struct rawcare *c, int64_t now_ns, bool all, atomic_bool *stop, struct raw_report *report)
{
	int err = seal(c, now_ns, all, stop, report);

	if (err == 0)
		err = leave_out_gone(c, stop, report);
	for (size_t i = 0; i < c->keeps.n && err == 0; i++) {
		err = drop_old(c, c->keeps.list[i], now_ns, report);
		if (err == 0)
			err = merge_all(c, c->keeps.list[i], now_ns, stop, report);
	}
	return err;
}

int rawcare_run(struct rawcare *c, int64_t now_ns, bool all, atomic_bool *stop, struct raw_report *report)
{
	int err;

	pthread_mutex_lock(&c->lock);
	err = care(c, now_ns, all, stop, report);
	if (err < 0 && err != ERR_GONE && err != ERR_BUSY && err != c->told)
		log_warn("raw: samples stay in the journal (%s); it is tried again", err_name(err));
	c->told = err < 0 ? err : 0;
	pthread_mutex_unlock(&c->lock);
	return err;
}

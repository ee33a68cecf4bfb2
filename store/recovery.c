/*
 * recovery.c - from what is stored to what is in memory.
 *
 * Nothing is repaired here: LMDB's snapshot is whole by itself.  Blocks of a flush that was not
 * done go, runs and series are read, and the journal's tail is folded again, leaving out what
 * flushes that are done have taken (format.h, invariant 3).
 */
#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/bytes.h"
#include "store/base/log.h"
#include "store/hot/flush.h"
#include "store/registry/project.h"

int state_get(struct kv_txn *t, struct state *ret)
{
	struct stored s;
	struct reader r;
	int err = stored_get(t, KV_META, KIND_STATE, span_str("state"), &s);

	if (err == ERR_NOT_FOUND) {
		*ret = (struct state){ .next_rid = 1, .next_sid = 1 };
		return 0;
	}
	if (err < 0)
		return err;
	r = reader_of(s.body);
	ret->batch = read_le64(&r);
	ret->trimmed = read_le64(&r);
	ret->sealed = read_le64(&r);
	ret->flush = read_le64(&r);
	ret->next_rid = read_le32(&r);
	ret->next_sid = read_le32(&r);
	return r.bad ? ERR_CORRUPT : 0;
}

int state_put(struct kv_txn *t, const struct state *s)
{
	uint8_t body[40];

	put_le64(body, s->batch);
	put_le64(body + 8, s->trimmed);
	put_le64(body + 16, s->sealed);
	put_le64(body + 24, s->flush);
	put_le32(body + 32, s->next_rid);
	put_le32(body + 36, s->next_sid);
	return stored_put(t, KV_META, KIND_STATE, span_str("state"), span_of(body, sizeof(body)));
}

/* ---- floors: which epochs of a batch are in blocks already ---- */

struct floor_mark {
	uint64_t upto;
	int64_t floor_ns;
};

struct floors {
	struct floor_mark *marks; /* by rising upto; floor is the greatest of this and all later ones */
	size_t n, cap;
	int64_t newest_ns; /* greatest floor that is a time */
};

static int floors_add(void *arg, const struct flush_row *row)
{
	struct floors *f = arg;

	if (array_grow(f->marks, f->n, f->cap) < 0)
		return ERR_NOMEM;
	f->marks[f->n++] = (struct floor_mark){ row->upto, row->floor_ns };
	if (row->floor_ns != INT64_MAX && row->floor_ns > f->newest_ns)
		f->newest_ns = row->floor_ns;
	return 0;
}

static int floors_read(struct kv_txn *t, const struct state *state, struct floors *ret)
{
	int err;

	*ret = (struct floors){ .newest_ns = INT64_MIN };
	err = flush_rows(t, state->flush, floors_add, ret);
	for (size_t i = ret->n; i > 1; i--)
		if (ret->marks[i - 1].floor_ns > ret->marks[i - 2].floor_ns)
			ret->marks[i - 2].floor_ns = ret->marks[i - 1].floor_ns;
	return err;
}

/* Greatest floor of the flushes with upto >= batch; INT64_MIN when there is none. */
static int64_t floor_of(const struct floors *f, uint64_t batch)
{
	size_t lo = 0, hi = f->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (f->marks[mid].upto >= batch)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo < f->n ? f->marks[lo].floor_ns : INT64_MIN;
}

/* ---- the journal's tail ---- */

struct replay {
	struct memory *memory;
	struct floors floors;
	struct store *sizes;
};

static int note_size(struct store *s, uint64_t batch, uint64_t bytes)
{
	if (s->n_journal && s->journal[s->n_journal - 1].batch == batch) {
		s->journal[s->n_journal - 1].bytes += bytes;
		atomic_fetch_add(&s->journal_bytes, bytes);
		return 0;
	}
	return note_journal(s, batch, bytes);
}

static int replay_record(void *arg, uint64_t batch, const struct journal_record *rec)
{
	struct replay *r = arg;

	memory_fold(r->memory, batch, rec, floor_of(&r->floors, batch));
	return r->sizes ? note_size(r->sizes, batch, rec->n * 8 + rec->n_buckets * 64) : 0;
}

int replay(struct kv_txn *t, uint32_t rid, int64_t floor_ns, struct memory *m, struct store *sizes)
{
	struct replay r = { .memory = m, .sizes = sizes };
	struct state state;
	int err = state_get(t, &state);

	if (err == 0)
		err = floors_read(t, &state, &r.floors);
	if (err == 0) {
		m->floor_ns = r.floors.newest_ns > floor_ns ? r.floors.newest_ns : floor_ns;
		err = journal_read(t, &(struct journal_range){ .after = state.trimmed, .rid = rid },
				   replay_record, &r);
	}
	free(r.floors.marks);
	return err;
}

/* ---- runs and series ---- */

static int load_runs(struct kv_txn *t, struct runs *runs)
{
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_RUN, &c), moved;

	if (err < 0)
		return err;
	for (moved = kv_first(c, &key, &value); moved == 0 && err == 0; moved = kv_next(c, &key, &value)) {
		struct stored s;
		struct run run;

		err = key.len == 4 ? stored_open(key, value, KIND_RUN, &s) : ERR_CORRUPT;
		if (err == 0)
			err = run_decode(get_be32(key.data), s.body, &run);
		if (err < 0)
			break;
		err = runs_add(runs, &run);
		run_release(&run);
	}
	kv_cursor_close(c);
	return err;
}

static int load_one_series(void *arg, uint32_t rid, uint32_t sid, const struct series_name *name)
{
	struct store *s = arg;
	struct run_entry *run = runs_entry(&s->runs, rid);

	if (run)
		run->n_series++;
	return registry_add(&s->series, rid, sid, name);
}

static int pass_record(void *arg, uint64_t batch, const struct journal_record *rec)
{
	(void)arg;
	(void)batch;
	(void)rec;
	return 0;
}

static int note_first(void *arg, uint64_t batch)
{
	*(uint64_t *)arg = batch;
	return 1;
}

/* The oldest batch of the tail that is damaged; 0: none is. */
static uint64_t first_damaged(struct kv_txn *t, uint64_t trimmed)
{
	struct journal_range tail = { .after = trimmed, .damaged = note_first };
	uint64_t batch = 0;

	(void)journal_read(t, &tail, pass_record, &batch);
	return batch;
}

/* A damaged batch that is in no block is not passed over: what it held was acknowledged, and is nowhere else.
 */
static int refuse(struct store *s, int err, uint64_t batch, struct fault *f)
{
	if (batch)
		return fault_set(
		    f, err, "data",
		    "%s: recovery failed: batch %llu of the journal is damaged, and what was "
		    "acknowledged with it is nowhere else here; nothing was changed; restore a backup "
		    "(astraml restore), and see astraml verify --data %s",
		    s->dir, (unsigned long long)batch, s->dir);
	return fault_set(f, err, "data", "%s: recovery failed (%s); run astraml verify --data %s", s->dir,
			 err_name(err), s->dir);
}

int recover(struct store *s, struct fault *f)
{
	int64_t grace_ns = s->options.grace_ns;
	uint64_t damaged = 0;
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return fault_default(f, err);
	err = state_get(t, &s->state);
	if (err == 0)
		err = load_runs(t, &s->runs);
	if (err == 0)
		err = series_read(t, 0, load_one_series, s);
	if (err == 0)
		err = projects_grace(t, grace_ns, &grace_ns);
	if (err == 0)
		err = replay(t, 0, clock_now_ns() - grace_ns, &s->memory, s);
	atomic_store(&s->grace_ns, grace_ns);
	s->applied = s->state;
	if (err == ERR_CORRUPT)
		damaged = first_damaged(t, s->state.trimmed);
	kv_abort(t);
	if (err == 0)
		err = flush_sweep(s->kv, s->state.flush);
	if (err < 0)
		return refuse(s, err, damaged, f);
	return 0;
}

#include "store/hot/flushed.h"

#include <stdlib.h>

#include "store/base/array.h"
#include "store/hot/flush.h"

/* ---- hours ---- */

static int compare_hour(const struct agenda_hour *h, uint32_t pid, int64_t from_ns)
{
	if (h->pid != pid)
		return h->pid < pid ? -1 : 1;
	return (h->from_ns > from_ns) - (h->from_ns < from_ns);
}

/* The first hour that is that one or comes after it. */
static size_t place_of(const struct flushed *f, uint32_t pid, int64_t from_ns)
{
	size_t lo = 0, hi = f->n_hours;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (compare_hour(&f->hours[mid], pid, from_ns) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_at(const struct flushed *f, size_t i, uint32_t pid, int64_t from_ns)
{
	return i < f->n_hours && compare_hour(&f->hours[i], pid, from_ns) == 0;
}

static int add_hour(struct flushed *f, uint32_t pid, int64_t start_ns)
{
	int64_t from = window_start(start_ns, AGENDA_HOUR_NS);
	size_t at = is_at(f, f->hint, pid, from) ? f->hint : place_of(f, pid, from);

	f->hint = at;
	if (is_at(f, at, pid, from)) {
		f->hours[at].buckets++;
		return 0;
	}
	if (array_grow(f->hours, f->n_hours, f->cap) < 0)
		return ERR_NOMEM;
	memmove(f->hours + at + 1, f->hours + at, (f->n_hours - at) * sizeof(*f->hours));
	f->hours[at] = (struct agenda_hour){ pid, from, 1 };
	f->n_hours++;
	return 0;
}

/* ---- blocks ---- */

struct reading {
	struct store *store;
	struct kv_txn *txn;
	struct flushed *flushed;
	uint32_t sid, rid, pid; /* of the bucket before */
};

/* Whose the series is; pid 0: nobody's. */
static int find_owner(struct reading *r, uint32_t sid)
{
	uint32_t rid = registry_run(&r->store->series, sid);
	int64_t window_ns;
	int err = 0;

	r->sid = sid;
	if (rid == r->rid)
		return 0;
	r->rid = rid;
	r->pid = 0;
	if (rid)
		err = run_owner(r->txn, rid, &r->pid, &window_ns);
	return err == ERR_NOT_FOUND ? 0 : err;
}

static int hour_of_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	struct reading *r = arg;
	int err = key.sid == r->sid ? 0 : find_owner(r, key.sid);

	(void)b;
	return err < 0 || r->pid == 0 ? err : add_hour(r->flushed, r->pid, key.start_ns);
}

static int read_block(struct reading *r, struct span key, struct span value)
{
	struct stored s;
	int err = stored_open(key, value, KIND_BLOCK, &s);

	if (err == 0)
		err = block_read(s.body, s.count, hour_of_bucket, r);
	if (err == ERR_CORRUPT) {
		r->flushed->damaged = true;
		return 0;
	}
	return err;
}

/* Which hours the flush has buckets of. */
static int read_hours(struct store *s, struct kv_txn *t, struct flushed *f)
{
	struct reading r = { .store = s, .txn = t, .flushed = f };
	uint8_t at[BLOCK_KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_BLOCK, &c), moved;

	if (err < 0)
		return err;
	moved = kv_seek(c, block_key_of(f->number, 0, INT64_MIN, at), &key, &value);
	for (; moved == 0 && err == 0 && key.len == BLOCK_KEY_BYTES && get_be64(key.data) == f->number;
	     moved = kv_next(c, &key, &value))
		err = read_block(&r, key, value);
	kv_cursor_close(c);
	return err;
}

/* ---- flushes ---- */

static struct flushed *find(struct flushes *f, uint64_t number)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->all[i].number == number)
			return &f->all[i];
	return NULL;
}

static int learn(struct flushes *f, struct store *s, struct kv_txn *t, uint64_t number, struct flushed **ret)
{
	struct flushed one = { .number = number, .seen_ns = clock_now_ns() };
	int err = read_hours(s, t, &one);

	if (err == 0)
		err = array_grow(f->all, f->n, f->cap);
	if (err < 0) {
		free(one.hours);
		return err;
	}
	f->all[f->n] = one;
	*ret = &f->all[f->n++];
	return 0;
}

/* One flush after the one numbered after; *ret_number 0: no more.  A snapshot each: to read all the blocks
 * of one takes some time. */
static int look_at_flush(struct flushes *f, struct store *s, uint64_t after, uint64_t *ret_number)
{
	struct span key, value;
	struct kv_cursor *cursor;
	struct flush_row row = { 0 };
	struct state state;
	struct flushed *one;
	struct kv_txn *t;
	uint8_t at[8];
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	*ret_number = 0;
	put_be64(at, after + 1);
	err = state_get(t, &state);
	if (err == 0)
		err = kv_cursor_open(t, KV_FLUSH, &cursor);
	if (err == 0) {
		err = kv_seek(cursor, span_of(at, 8), &key, &value);
		if (err == 0)
			err = flush_row_decode(key, value, &row);
		kv_cursor_close(cursor);
	}
	if (err == 0 && row.number <= state.flush) {
		one = find(f, row.number);
		err = one ? 0 : learn(f, s, t, row.number, &one);
		if (err == 0) {
			one->droppable = row.upto <= state.trimmed;
			*ret_number = row.number;
		}
	}
	kv_abort(t);
	return err == ERR_NOT_FOUND ? 0 : err;
}

int flushes_look(struct flushes *f, struct store *s, atomic_bool *stop)
{
	uint64_t number = 0;
	int err = 0;

	do
		err = look_at_flush(f, s, number, &number);
	while (err == 0 && number && !atomic_load(stop));
	return err;
}

static int learn_again(struct flushed *one, struct store *s)
{
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	one->n_hours = one->hint = 0;
	err = read_hours(s, t, one);
	kv_abort(t);
	return err;
}

int flushes_learn_again(struct flushes *f, struct store *s)
{
	int err = 0;

	for (size_t i = 0; i < f->n && err == 0; i++)
		err = learn_again(&f->all[i], s);
	return err;
}

void flushes_forget(struct flushes *f, size_t i)
{
	free(f->all[i].hours);
	memmove(f->all + i, f->all + i + 1, (f->n - i - 1) * sizeof(*f->all));
	f->n--;
}

void flushes_release(struct flushes *f)
{
	while (f->n)
		flushes_forget(f, f->n - 1);
	free(f->all);
}

int flushes_of(const struct flushes *f, uint32_t pid, struct agenda_flush **ret)
{
	struct agenda_flush *all = malloc((f->n + 1) * sizeof(*all));

	if (!all)
		return ERR_NOMEM;
	for (size_t i = 0; i < f->n; i++) {
		const struct flushed *one = &f->all[i];
		size_t from = place_of(one, pid, INT64_MIN), to = place_of(one, pid + 1, INT64_MIN);

		all[i] = (struct agenda_flush){ one->number, one->seen_ns, one->hours + from, to - from };
	}
	*ret = all;
	return 0;
}

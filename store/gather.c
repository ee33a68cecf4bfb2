/*
 * gather.c - buckets of a view: those in memory, in blocks and in parts, of exactly one state,
 * partials of one window merged.
 */
#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/flush.h"
#include "store/gather.h"
#include "store/parts.h"
#include "store/view.h"

/* ---- memory and snapshot as one pair ---- */

static bool same(const struct state *a, const struct state *b)
{
	return a->batch == b->batch && a->flush == b->flush;
}

/* Beside the writer there is no memory to share: the journal's tail is folded into our own, which
 * is kept for the next call as long as nothing has changed. */
static int pair_shadow(struct store *s, uint32_t rid, struct kv_txn **ret)
{
	struct state state;
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = state_get(t, &state);
	if (err == 0 && (s->shadow_rid != rid || !same(&state, &s->applied))) {
		memory_release(&s->memory);
		memory_init(&s->memory);
		s->shadow_rid = 0;
		err = replay(t, rid, INT64_MIN, &s->memory, NULL);
		if (err == 0) {
			s->shadow_rid = rid;
			s->applied = state;
		}
	}
	if (err < 0) {
		kv_abort(t);
		return err;
	}
	*ret = t;
	return 0;
}

/* Called with memory_lock; when it returns 0, memory holds exactly what the snapshot's blocks lack. */
static int pair(struct store *s, uint32_t rid, struct kv_txn **ret)
{
	if (s->options.read_only)
		return pair_shadow(s, rid, ret);
	for (;;) {
		struct state state;
		struct kv_txn *t;
		int err = kv_begin(s->kv, false, &t);

		if (err < 0)
			return err;
		err = state_get(t, &state);
		if (err == 0 && same(&state, &s->applied)) {
			*ret = t;
			return 0;
		}
		kv_abort(t);
		if (err < 0)
			return err;
		pthread_cond_wait(&s->memory_news, &s->memory_lock); /* a commit that is not folded yet */
	}
}

/* ---- buckets ---- */

struct found {
	uint32_t position; /* of the series in the caller's list */
	int64_t start_ns, window_ns;
	struct bucket bucket;
};

struct wanted_sid {
	uint32_t sid, position;
};

struct gather {
	uint64_t upto;                 /* flushes up to here; 0: all that are done */
	uint64_t flush;                /* being read */
	struct manifest manifest;      /* parts of the range */
	const struct wanted_sid *sids; /* by rising sid */
	const struct wanted_sid *last; /* of the bucket that came last */
	uint32_t *only_sids;           /* the same, for block_read_some */
	size_t n_sids;
	int64_t from_ns, to_ns;
	unsigned fields; /* of buckets in parts */
	struct found *found;
	size_t n, cap;
	bool may_hold;      /* what follows may be filled instead of `found` */
	struct part **held; /* parts that have all there is, in order */
	size_t n_held;
	bool partial;
	bool last_try; /* a part that is not there is lost */
};

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted_sid *x = a, *y = b;

	return (x->sid > y->sid) - (x->sid < y->sid);
}

static const struct wanted_sid *find_wanted(const struct gather *g, uint32_t sid)
{
	struct wanted_sid wanted = { .sid = sid };

	return bsearch(&wanted, g->sids, g->n_sids, sizeof(wanted), compare_wanted);
}

static int gather_add(struct gather *g, struct block_key key, const struct bucket *b)
{
	const struct wanted_sid *w = g->last;
	int err;

	if (key.start_ns < g->from_ns || key.start_ns >= g->to_ns)
		return 0;
	if (!w || w->sid != key.sid)
		w = g->last = find_wanted(g, key.sid);
	if (!w)
		return 0;
	if (g->n == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 64;
		struct found *p = realloc(g->found, cap * sizeof(*p));

		if (!p)
			return ERR_NOMEM;
		g->found = p;
		g->cap = cap;
	}
	err = bucket_copy(&g->found[g->n].bucket, b);
	if (err < 0)
		return err;
	g->found[g->n].position = w->position;
	g->found[g->n].start_ns = key.start_ns;
	g->found[g->n].window_ns = key.window_ns;
	g->n++;
	return 0;
}

static int gather_entry(void *arg, const struct entry *e)
{
	struct block_key key = { e->key.sid, e->key.start_ns, (int64_t)e->key.window_ms * NS_PER_MS };

	return gather_add(arg, key, e->bucket);
}

/* What a part has folded is read there. */
static int gather_block_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	struct gather *g = arg;

	return manifest_folded(&g->manifest, key.start_ns) >= g->flush ? 0 : gather_add(g, key, b);
}

static int gather_part_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	return gather_add(arg, key, b);
}

static void gather_truncate(struct gather *g, size_t n)
{
	while (g->n > n)
		if (bucket_owns(&g->found[--g->n].bucket))
			bucket_release(&g->found[g->n].bucket);
}

static struct block_want wanted(const struct gather *g)
{
	return (struct block_want){ g->only_sids, g->n_sids, g->from_ns, g->to_ns, g->fields };
}

/* A damaged block is left out whole, and told. */
static int gather_block(struct gather *g, struct span key, struct span value)
{
	const struct block_want want = wanted(g);
	size_t before = g->n;
	struct stored s;
	int err = stored_open(key, value, KIND_BLOCK, &s);

	if (err == 0)
		err = block_read_some(s.body, s.count, &want, gather_block_bucket, g);
	if (err == ERR_CORRUPT) {
		gather_truncate(g, before);
		g->partial = true;
		return 0;
	}
	return err;
}

struct block_at {
	struct kv_cursor *cursor;
	struct span key, value;
	int moved;
};

static bool at_block(const struct block_at *b, uint64_t flush)
{
	return b->moved == 0 && b->key.len == BLOCK_KEY_BYTES && get_be64(b->key.data) == flush;
}

/* The block that may hold (sid, start): the last that begins there or before, else the first. */
static void seek_block(struct block_at *b, uint64_t flush, uint32_t sid, int64_t start_ns)
{
	uint8_t at[BLOCK_KEY_BYTES];
	struct span key = block_key_of(flush, sid, start_ns, at);

	b->moved = kv_seek(b->cursor, key, &b->key, &b->value);
	if (at_block(b, flush) && memcmp(b->key.data, at, sizeof(at)) == 0)
		return;
	b->moved =
	    b->moved == 0 ? kv_prev(b->cursor, &b->key, &b->value) : kv_last(b->cursor, &b->key, &b->value);
	if (!at_block(b, flush))
		b->moved = kv_seek(b->cursor, key, &b->key, &b->value);
}

/* The first wanted series of which more may come after a block, when the next one begins at key. */
static size_t next_wanted(const struct gather *g, size_t i, struct span key)
{
	uint32_t sid = get_be32(key.data + 8);
	int64_t start = get_be64i(key.data + 12);

	while (i < g->n_sids && (g->sids[i].sid < sid || (g->sids[i].sid == sid && g->to_ns <= start)))
		i++;
	return i;
}

static bool before(struct span block_key, uint32_t sid, int64_t start_ns)
{
	uint32_t block_sid = get_be32(block_key.data + 8);

	return block_sid < sid || (block_sid == sid && get_be64i(block_key.data + 12) < start_ns);
}

static int gather_flush(struct gather *g, struct kv_cursor *c, uint64_t flush)
{
	struct block_at b = { .cursor = c };
	size_t i = 0;
	int err = 0;

	g->flush = flush;
	while (i < g->n_sids && err == 0) {
		seek_block(&b, flush, g->sids[i].sid, g->from_ns);
		while (at_block(&b, flush) && err == 0) {
			size_t next;

			err = gather_block(g, b.key, b.value);
			b.moved = kv_next(c, &b.key, &b.value);
			if (!at_block(&b, flush))
				break;
			next = next_wanted(g, i, b.key);
			if (next == g->n_sids)
				return err;
			if (next != i && before(b.key, g->sids[next].sid, g->from_ns)) {
				i = next; /* a gap: jump */
				break;
			}
			i = next;
		}
		if (!at_block(&b, flush))
			return err;
	}
	return err;
}

static int gather_flushes(struct gather *g, struct kv_txn *t, uint32_t rid)
{
	struct kv_cursor *flushes = NULL, *blocks = NULL;
	struct span key, value;
	struct state state;
	int err = state_get(t, &state), moved;

	if (err == 0)
		err = kv_cursor_open(t, KV_FLUSH, &flushes);
	if (err == 0)
		err = kv_cursor_open(t, KV_BLOCK, &blocks);
	for (moved = err ? err : kv_first(flushes, &key, &value); moved == 0 && err == 0;
	     moved = kv_next(flushes, &key, &value)) {
		struct flush_row row;
		int64_t least, greatest;

		err = flush_row_decode(key, value, &row);
		if (err < 0 || row.number > state.flush || (g->upto && row.number > g->upto))
			break;
		if (row.greatest_start >= g->from_ns && row.least_start < g->to_ns &&
		    (rid == 0 || (flush_row_run(&row, rid, &least, &greatest) && greatest >= g->from_ns &&
				  least < g->to_ns)))
			err = gather_flush(g, blocks, row.number);
	}
	kv_cursor_close(blocks);
	kv_cursor_close(flushes);
	return err;
}

/* ---- parts ---- */

struct part_room {
	struct partblock_reader *reader;
	struct buf block;
};

static void part_room_release(struct part_room *room)
{
	partblock_reader_free(room->reader);
	buf_release(&room->block);
}

static int part_room_init(struct part_room *room)
{
	*room = (struct part_room){ 0 };
	buf_init(&room->block, PARTBLOCK_BYTES_MAX);
	return partblock_reader_new(&room->reader);
}

/* As with blocks of a flush, one that is damaged is left out whole, and told. */
static int gather_part(struct gather *g, const struct part *part, struct part_room *room)
{
	const struct block_want want = wanted(g);
	size_t i = 0;
	int err = 0;

	for (; err == 0 && part_find(part, g->only_sids, g->n_sids, g->from_ns, g->to_ns, &i); i++) {
		size_t before = g->n;

		err = part_read(part, i, room->reader, &room->block, &want, gather_part_bucket, g);
		if (err == ERR_CORRUPT || err == ERR_IO) {
			gather_truncate(g, before);
			g->partial = true;
			err = 0;
		}
	}
	return err;
}

/* One series that is in parts alone comes in order, each window once; so do several in one part, when they
 * are asked for in its order.  They are told as they are read (tell_held), and need not be kept and
 * sorted.  The parts are held now, while all of them are there. */
static bool holds(const struct gather *g)
{
	bool in_order = g->n_sids == 1 || g->manifest.n == 1;

	for (size_t i = 0; i < g->n_sids && in_order; i++)
		in_order = g->sids[i].position == i;
	return g->may_hold && g->n == 0 && in_order;
}

static int gather_row(struct store *s, struct gather *g, const struct part_row *row, struct part_room *room)
{
	struct part *part;
	int err = parts_get(s->parts, row, &part);

	if (err == ERR_NOT_FOUND && !g->last_try)
		return ERR_GONE;
	if (err == ERR_NOT_FOUND || err == ERR_CORRUPT || err == ERR_IO) {
		g->partial = true;
		return 0;
	}
	if (err < 0)
		return err;
	if (g->held) {
		g->held[g->n_held++] = part;
		return 0;
	}
	err = gather_part(g, part, room);
	parts_put(s->parts, part);
	return err;
}

static int gather_parts(struct store *s, struct gather *g, uint32_t rid)
{
	struct part_room room;
	int err = 0;

	if (g->manifest.n == 0)
		return 0;
	if (holds(g)) {
		g->held = malloc(g->manifest.n * sizeof(*g->held));
		if (!g->held)
			return ERR_NOMEM;
	}
	err = part_room_init(&room);
	for (size_t i = 0; i < g->manifest.n && err == 0; i++) {
		const struct part_row *row = &g->manifest.rows[i];
		int64_t least, greatest;

		if (rid == 0 ||
		    (manifest_run(row, rid, &least, &greatest) && greatest >= g->from_ns && least < g->to_ns))
			err = gather_row(s, g, row, &room);
	}
	part_room_release(&room);
	return err;
}

/* All that t's snapshot has stored. */
static int gather_snapshot(struct store *s, struct gather *g, struct kv_txn *t, uint32_t rid)
{
	int err = manifest_read(t, 0, g->from_ns, g->to_ns, &g->manifest);

	if (err == 0)
		err = gather_flushes(g, t, rid);
	return err < 0 ? err : gather_parts(s, g, rid);
}

/* ---- in order ---- */

/* Found buckets by series: those of the nth are order[ends[n - 1]] up to order[ends[n]], in the order
 * in which they were found.  They are large, so they stay where they are. */
struct by_series {
	uint32_t *order;
	size_t *ends;
};

static int by_series_init(struct by_series *b, const struct gather *g)
{
	size_t at = 0;

	b->order = malloc((g->n + 1) * sizeof(*b->order));
	b->ends = calloc(g->n_sids + 1, sizeof(*b->ends));
	if (!b->order || !b->ends)
		return ERR_NOMEM;
	for (size_t i = 0; i < g->n; i++)
		b->ends[g->found[i].position]++;
	for (size_t i = 0; i < g->n_sids; i++) {
		size_t n = b->ends[i];

		b->ends[i] = at;
		at += n;
	}
	for (size_t i = 0; i < g->n; i++)
		b->order[b->ends[g->found[i].position]++] = (uint32_t)i;
	return 0;
}

static int compare_starts(const void *a, const void *b, void *found)
{
	const struct found *f = found, *x = &f[*(const uint32_t *)a], *y = &f[*(const uint32_t *)b];

	return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

/* Flushes follow each other as time does, so windows of a series are nearly always found in order. */
static void sort_windows(const struct gather *g, uint32_t *order, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (compare_starts(&order[i - 1], &order[i], g->found) > 0) {
			qsort_r(order, n, sizeof(*order), compare_starts, g->found);
			return;
		}
}

/* The windows of one series; partials of one window lie side by side now. */
static int tell_windows(const struct gather *g, const uint32_t *order, size_t n, uint32_t sid, block_fn fn,
			void *arg)
{
	int err = 0;

	for (size_t i = 0, next; i < n && err == 0; i = next) {
		struct found *f = &g->found[order[i]];

		for (next = i + 1; next < n && err == 0 && g->found[order[next]].start_ns == f->start_ns;
		     next++)
			err = bucket_merge(&f->bucket, &g->found[order[next]].bucket);
		if (err == 0)
			err = fn(arg, (struct block_key){ sid, f->start_ns, f->window_ns }, &f->bucket);
	}
	return err;
}

static int merge_and_tell(struct gather *g, const uint32_t *sids, block_fn fn, void *arg)
{
	struct by_series b = { 0 };
	int err = by_series_init(&b, g);

	for (size_t i = 0, at = 0; i < g->n_sids && err == 0; at = b.ends[i++]) {
		sort_windows(g, b.order + at, b.ends[i] - at);
		err = tell_windows(g, b.order + at, b.ends[i] - at, sids[i], fn, arg);
	}
	free(b.order);
	free(b.ends);
	return err;
}

static void gather_release(struct store *s, struct gather *g)
{
	while (g->n_held)
		parts_put(s->parts, g->held[--g->n_held]);
	free(g->held);
	g->held = NULL;
	gather_truncate(g, 0);
	manifest_release(&g->manifest);
	free(g->found);
	g->found = NULL;
	g->cap = 0;
}

static int gather_all(struct store *s, struct gather *g, uint32_t rid, const uint32_t *sids, size_t n_sids)
{
	struct kv_txn *t = NULL;
	int err;

	pthread_mutex_lock(&s->memory_lock);
	err = pair(s, rid, &t);
	if (err == 0)
		err = memory_find(&s->memory, sids, n_sids, g->from_ns, g->to_ns, gather_entry, g);
	pthread_mutex_unlock(&s->memory_lock);
	if (err == 0)
		err = gather_snapshot(s, g, t, rid);
	kv_abort(t);
	return err;
}

/* A part that its successor has replaced meanwhile is gone: a new snapshot knows the successor.  One
 * that the newest snapshot names and that is not there is lost. */
static int gather_again(struct store *s, struct gather *g, uint32_t rid, const uint32_t *sids, size_t n_sids)
{
	int err = ERR_GONE;

	for (int left = 4; left > 0 && err == ERR_GONE; left--) {
		gather_release(s, g);
		g->last_try = left == 1;
		err = gather_all(s, g, rid, sids, n_sids);
	}
	return err;
}

/* By rising sid, with their places in the caller's list. */
static int want(struct gather *g, const uint32_t *sids, size_t n_sids)
{
	struct wanted_sid *wanted = malloc((n_sids + 1) * sizeof(*wanted));

	g->sids = wanted;
	g->only_sids = malloc((n_sids + 1) * sizeof(*g->only_sids));
	if (!wanted || !g->only_sids)
		return ERR_NOMEM;
	for (size_t i = 0; i < n_sids; i++)
		wanted[i] = (struct wanted_sid){ sids[i], (uint32_t)i };
	qsort(wanted, n_sids, sizeof(*wanted), compare_wanted);
	for (size_t i = 0; i < n_sids; i++)
		g->only_sids[i] = wanted[i].sid;
	g->n_sids = n_sids;
	return 0;
}

static void gather_end(struct store *s, struct gather *g)
{
	gather_release(s, g);
	free((void *)g->sids);
	free(g->only_sids);
}

struct bucket_call {
	bucket_fn fn;
	void *arg;
	int said;
};

static int tell_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	struct bucket_call *c = arg;

	return c->said = c->fn(c->arg, key.sid, key.start_ns, b);
}

static int tell_held_part(struct gather *g, const struct part *part, struct part_room *room,
			  struct bucket_call *call)
{
	const struct block_want want = wanted(g);

	for (size_t i = 0; part_find(part, g->only_sids, g->n_sids, g->from_ns, g->to_ns, &i); i++) {
		int err = part_read(part, i, room->reader, &room->block, &want, tell_bucket, call);

		if (call->said || (err < 0 && err != ERR_CORRUPT && err != ERR_IO))
			return err;
		g->partial |= err < 0;
	}
	return 0;
}

static int tell_held(struct gather *g, struct bucket_call *call)
{
	struct part_room room;
	int err = part_room_init(&room);

	for (size_t i = 0; i < g->n_held && err == 0; i++)
		err = tell_held_part(g, g->held[i], &room, call);
	part_room_release(&room);
	return err;
}

int view_buckets(struct view *v, uint32_t rid, const uint32_t *sids, size_t n_sids, int64_t from_ns,
		 int64_t to_ns, unsigned fields, bucket_fn fn, void *arg, bool *ret_partial)
{
	struct gather g = { .from_ns = from_ns, .to_ns = to_ns, .fields = fields, .may_hold = true };
	struct bucket_call call = { fn, arg, 0 };
	int err = want(&g, sids, n_sids);

	if (err == 0)
		err = gather_again(v->store, &g, rid, sids, n_sids);
	if (err == 0)
		err = g.held ? tell_held(&g, &call) : merge_and_tell(&g, sids, tell_bucket, &call);
	if (g.partial && ret_partial)
		*ret_partial = true;
	gather_end(v->store, &g);
	return err;
}

int gather_stored(struct store *s, struct kv_txn *t, const struct gather_range *range, block_fn fn, void *arg,
		  bool *ret_partial)
{
	struct gather g = {
		.from_ns = range->from_ns, .to_ns = range->to_ns, .upto = range->upto, .fields = WANT_ALL
	};
	int err = want(&g, range->sids, range->n_sids);

	if (err == 0)
		err = gather_snapshot(s, &g, t, range->rid);
	if (err == 0)
		err = merge_and_tell(&g, range->sids, fn, arg);
	if (g.partial)
		*ret_partial = true;
	gather_end(s, &g);
	return err;
}

/* ---- time range ---- */

struct range {
	uint32_t *sids;
	size_t n, cap;
	int64_t from_ns, to_ns;
};

static void widen(struct range *r, int64_t least, int64_t greatest)
{
	r->from_ns = least < r->from_ns ? least : r->from_ns;
	r->to_ns = greatest > r->to_ns ? greatest : r->to_ns;
}

static int range_series(void *arg, uint32_t rid, uint32_t sid, const struct series_name *name)
{
	struct range *r = arg;

	(void)rid;
	(void)name;
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 64;
		uint32_t *p = realloc(r->sids, cap * sizeof(*p));

		if (!p)
			return ERR_NOMEM;
		r->sids = p;
		r->cap = cap;
	}
	r->sids[r->n++] = sid;
	return 0;
}

static int range_entry(void *arg, const struct entry *e)
{
	widen(arg, e->key.start_ns, e->key.start_ns);
	return 0;
}

static int range_flushes(struct kv_txn *t, uint32_t rid, struct range *r)
{
	struct span key, value;
	struct kv_cursor *c;
	struct state state;
	int err = state_get(t, &state), moved;

	if (err == 0)
		err = kv_cursor_open(t, KV_FLUSH, &c);
	if (err < 0)
		return err;
	for (moved = kv_first(c, &key, &value); moved == 0 && err == 0; moved = kv_next(c, &key, &value)) {
		struct flush_row row;
		int64_t least, greatest;

		err = flush_row_decode(key, value, &row);
		if (err < 0 || row.number > state.flush)
			break;
		if (flush_row_run(&row, rid, &least, &greatest))
			widen(r, least, greatest);
	}
	kv_cursor_close(c);
	return err;
}

static int range_parts(struct kv_txn *t, uint32_t rid, struct range *r)
{
	struct manifest m;
	int err = manifest_read(t, 0, INT64_MIN, INT64_MAX, &m);

	if (err < 0)
		return err;
	for (size_t i = 0; i < m.n; i++) {
		int64_t least, greatest;

		if (manifest_run(&m.rows[i], rid, &least, &greatest))
			widen(r, least, greatest);
	}
	manifest_release(&m);
	return 0;
}

int view_time_range(struct view *v, uint32_t rid, int64_t *ret_from_ns, int64_t *ret_to_ns)
{
	struct range r = { .from_ns = INT64_MAX, .to_ns = INT64_MIN };
	struct store *s = v->store;
	struct kv_txn *t = NULL;
	int err = series_read(v->txn, rid, range_series, &r);

	if (err < 0)
		goto done;
	pthread_mutex_lock(&s->memory_lock);
	err = pair(s, rid, &t);
	if (err == 0)
		err = memory_find(&s->memory, r.sids, r.n, INT64_MIN, INT64_MAX, range_entry, &r);
	pthread_mutex_unlock(&s->memory_lock);
	if (err == 0)
		err = range_flushes(t, rid, &r);
	if (err == 0)
		err = range_parts(t, rid, &r);
	kv_abort(t);
	if (err == 0 && r.from_ns > r.to_ns)
		err = ERR_NOT_FOUND;
	if (err == 0) {
		*ret_from_ns = r.from_ns;
		*ret_to_ns = r.to_ns;
	}
done:
	free(r.sids);
	return err;
}

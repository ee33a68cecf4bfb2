/*
 * gather.c - flushed blocks and parts, as one snapshot has them.
 */
#include "store/gather.h"

#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/bytes.h"
#include "store/hot/flush.h"
#include "store/part/parts.h"

/* In a total, what one block gave is merged at once. */
static int settle(struct gather *g) { return g->width_ns == TIER_WHOLE ? found_total(&g->found) : 0; }

/* ---- windows ---- */

static int64_t wider(int64_t a, int64_t b) { return a > b ? a : b; }

static bool in_range(const struct gather *g, int64_t start_ns)
{
	return g->width_ns == TIER_WHOLE || (start_ns >= g->from_ns && start_ns < g->to_ns);
}

/* Where only wide windows are kept, one that starts before the range may reach into it, and what is to be
 * merged into the last one of it may come after. */
static void set_read_range(struct gather *g)
{
	int64_t first = cover_width(&g->parts, g->from_ns);
	int64_t last = g->to_ns > g->from_ns ? cover_width(&g->parts, g->to_ns - 1) : 0;

	g->read_from_ns = first ? window_start(g->from_ns, first) : g->from_ns;
	g->read_to_ns = last ? window_start(g->to_ns - 1, last) + last : g->to_ns;
}

/* A window that nobody has folded yet, as wide as it would be then: where finer ones are no longer kept, it
 * is one of these. */
static int add_unfolded(struct gather *g, struct block_key key, int64_t kept_ns, const struct bucket *b)
{
	int64_t width_ns = wider(g->width_ns, kept_ns);
	int64_t start_ns = key.window_ns < width_ns && tier_divides(key.window_ns, width_ns)
			       ? tier_start(key.start_ns, width_ns)
			       : key.start_ns;

	return in_range(g, start_ns) ? found_add(&g->found, key, width_ns, b) : 0;
}

/* What memory gave takes its place among what is kept. */
static int place_memory(struct gather *g)
{
	struct found_bucket *all = g->found.all;
	size_t n = g->found.n;
	int err = 0;

	g->found.all = NULL;
	g->found.n = g->found.cap = 0;
	for (size_t i = 0; i < n; i++) {
		struct block_key key = { g->found.asked[all[i].position], all[i].start_ns, all[i].window_ns };

		if (err == 0)
			err = add_unfolded(g, key, cover_width(&g->parts, key.start_ns), &all[i].bucket);
		bucket_release(&all[i].bucket);
	}
	free(all);
	return err < 0 ? err : settle(g);
}

/* ---- blocks ---- */

/* What a part has folded is read there. */
static int gather_block_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	struct gather *g = arg;
	const struct part_row *row = cover_finest(&g->parts, key.start_ns);

	if (key.start_ns < g->read_from_ns || key.start_ns >= g->read_to_ns || (row && row->upto >= g->flush))
		return 0;
	return add_unfolded(g, key, row && row->alone ? row->id.tier_ns : TIER_RECORDED, b);
}

/* A damaged block is left out whole, and told. */
static int gather_block(struct gather *g, struct span key, struct span value)
{
	const struct block_want want = { g->found.sids, g->found.n_sids, g->read_from_ns, g->read_to_ns,
					 g->fields };
	size_t before = g->found.mark = g->found.n;
	struct stored s;
	int err = stored_open(key, value, KIND_BLOCK, &s);

	if (err == 0)
		err = block_read_some(s.body, s.count, &want, gather_block_bucket, g);
	if (err == ERR_CORRUPT) {
		found_truncate(&g->found, before);
		g->partial = true;
		return 0;
	}
	return err < 0 ? err : settle(g);
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

	while (i < g->found.n_sids &&
	       (g->found.sids[i] < sid || (g->found.sids[i] == sid && g->read_to_ns <= start)))
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
	while (i < g->found.n_sids && err == 0) {
		seek_block(&b, flush, g->found.sids[i], g->read_from_ns);
		while (at_block(&b, flush) && err == 0) {
			size_t next;

			err = gather_block(g, b.key, b.value);
			b.moved = kv_next(c, &b.key, &b.value);
			if (!at_block(&b, flush))
				break;
			next = next_wanted(g, i, b.key);
			if (next == g->found.n_sids)
				return err;
			if (next != i && before(b.key, g->found.sids[next], g->read_from_ns)) {
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

static int gather_flushes(struct gather *g, struct kv_txn *t)
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
		if (row.greatest_start >= g->read_from_ns && row.least_start < g->read_to_ns &&
		    (g->rid == 0 || (flush_row_run(&row, g->rid, &least, &greatest) &&
				     greatest >= g->read_from_ns && least < g->read_to_ns)))
			err = gather_flush(g, blocks, row.number);
	}
	kv_cursor_close(blocks);
	kv_cursor_close(flushes);
	return err;
}

/* ---- parts ---- */

struct part_walk {
	struct store *store;
	struct gather *g;
	struct partblock_reader *reader;
	struct buf block;
	int64_t from_ns, to_ns; /* the piece of the range that the part at hand gives */
};

static int walk_init(struct part_walk *w, struct store *s, struct gather *g)
{
	*w = (struct part_walk){ .store = s, .g = g };
	buf_init(&w->block, PARTBLOCK_BYTES_MAX);
	return partblock_reader_new(&w->reader);
}

static void walk_release(struct part_walk *w)
{
	partblock_reader_free(w->reader);
	buf_release(&w->block);
}

static int gather_part_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	struct part_walk *w = arg;

	return !in_range(w->g, key.start_ns) ? 0 : found_add(&w->g->found, key, w->g->width_ns, b);
}

/* A part is made without what is in quarantine; all else that cannot be read is told. */
static void leave_out(struct gather *g, uint64_t part, uint64_t offset)
{
	if (!g->sealing || !quarantine_knows(&g->quarantine, part, offset))
		g->partial = true;
}

/* As with blocks of a flush, one that is damaged is left out whole. */
static int gather_part(struct part_walk *w, const struct part *part)
{
	struct found *f = &w->g->found;
	const struct block_want want = { f->sids, f->n_sids, w->from_ns, w->to_ns, w->g->fields };
	size_t i = 0;
	int err = 0;

	for (; err == 0 && part_find(part, f->sids, f->n_sids, w->from_ns, w->to_ns, &i); i++) {
		size_t before = f->mark = f->n;

		err = part_read(part, i, w->reader, &w->block, &want, gather_part_bucket, w);
		if (err == ERR_CORRUPT || err == ERR_IO) {
			found_truncate(f, before);
			leave_out(w->g, part_id(part).number, part_block(part, i).offset);
			err = 0;
		} else if (err == 0)
			err = settle(w->g);
	}
	return err;
}

/* ---- parts that have all there is, read when it is told ---- */

struct gather_held {
	struct part *part;
	int64_t from_ns, to_ns; /* the piece of the range that it gives */
};

/* How many pieces and, at most, windows there are, and whether these are all as they are asked for. */
struct pieces {
	const struct gather *g;
	size_t n;
	uint64_t windows;
	bool as_asked;
};

static int count_piece(void *arg, const struct part_row *row, int64_t from_ns, int64_t to_ns)
{
	struct pieces *p = arg;
	int64_t tier_ns = row->id.tier_ns == TIER_RECORDED ? p->g->recorded_ns : row->id.tier_ns;

	p->n++;
	p->windows += p->g->found.n_sids * ((uint64_t)(to_ns - from_ns) / (uint64_t)tier_ns + 1);
	p->as_asked &= p->g->width_ns == TIER_RECORDED || tier_ns == p->g->width_ns ||
		       (p->g->as_sheets && tier_divides(tier_ns, p->g->width_ns));
	return 0;
}

/* One series in parts comes in order, each window once; so do several in one part, when they are asked for
 * in its order.  The bound is for all of them, as none can be taken back. */
static int can_hold(struct gather *g, bool *ret)
{
	struct pieces pieces = { .g = g, .as_asked = true };
	int err;

	*ret = false;
	if (!g->may_hold || g->width_ns == TIER_WHOLE || g->found.n > 0 || g->recorded_ns <= 0)
		return 0;
	err = cover_pieces(&g->parts, g->width_ns, g->read_from_ns, g->read_to_ns, count_piece, &pieces);
	for (size_t i = 0; i < g->found.n_sids && pieces.as_asked; i++)
		pieces.as_asked = g->found.positions[i] == i;
	*ret = pieces.as_asked && pieces.windows <= g->found.max && (pieces.n == 1 || g->found.n_sids == 1);
	return err;
}

static int hold(struct part_walk *w, struct part *part)
{
	struct gather *g = w->g;

	if (array_grow(g->held, g->n_held, g->held_cap) < 0) {
		parts_put(w->store->parts, part);
		return ERR_NOMEM;
	}
	g->held[g->n_held++] = (struct gather_held){ part, w->from_ns, w->to_ns };
	return 0;
}

static void let_go(struct gather *g)
{
	while (g->n_held)
		parts_put(g->store->parts, g->held[--g->n_held].part);
	free(g->held);
	g->held = NULL;
	g->held_cap = 0;
	g->store = NULL;
}

struct telling {
	struct part_walk walk;
	block_fn fn;
	sheet_fn sheet;
	void *arg;
	int said;
};

static int tell_one(void *arg, struct block_key key, const struct bucket *b)
{
	struct telling *t = arg;

	return in_range(t->walk.g, key.start_ns) ? t->said = t->fn(t->arg, key, b) : 0;
}

static int tell_sheet(void *arg, uint32_t sid, const struct sheet *s)
{
	struct telling *t = arg;
	const struct gather *g = t->walk.g;
	struct sheet clipped = sheet_clip(s, g->from_ns, g->to_ns);

	return clipped.n ? t->said = t->sheet(t->arg, sid, &clipped) : 0;
}

static int tell_block(struct telling *t, const struct part *part, size_t i, const struct block_want *want)
{
	if (t->walk.g->as_sheets)
		return part_sheets(part, i, t->walk.reader, &t->walk.block, want, tell_sheet, t);
	return part_read(part, i, t->walk.reader, &t->walk.block, want, tell_one, t);
}

static int tell_held(struct telling *t, const struct gather_held *h)
{
	struct gather *g = t->walk.g;
	const struct found *f = &g->found;
	const struct block_want want = { f->sids, f->n_sids, h->from_ns, h->to_ns,
					 g->as_sheets ? g->fields & SHEET_FIELDS : g->fields };

	for (size_t i = 0; part_find(h->part, f->sids, f->n_sids, h->from_ns, h->to_ns, &i); i++) {
		int err = tell_block(t, h->part, i, &want);

		if (t->said || (err < 0 && err != ERR_CORRUPT && err != ERR_IO))
			return err;
		g->partial |= err < 0;
	}
	return 0;
}

int gather_tell(struct gather *g, block_fn fn, sheet_fn sheet, void *arg)
{
	struct telling t = { .fn = fn, .sheet = sheet, .arg = arg };
	int err;

	if (!g->n_held)
		return found_tell(&g->found, fn, arg);
	err = walk_init(&t.walk, g->store, g);
	for (size_t i = 0; i < g->n_held && err == 0; i++)
		err = tell_held(&t, &g->held[i]);
	walk_release(&t.walk);
	return err;
}

/* A part that counts and whose file is not there is lost; one that counts no more was replaced or dropped
 * since the snapshot was taken. */
static int gather_row(struct part_walk *w, const struct part_row *row)
{
	struct part *part;
	int err = parts_get(w->store->parts, row, &part);

	if (err == ERR_NOT_FOUND && !manifest_counts(w->store->kv, &row->id))
		return ERR_GONE;
	if (err == ERR_NOT_FOUND || err == ERR_CORRUPT || err == ERR_IO) {
		leave_out(w->g, row->id.number, QUARANTINE_WHOLE);
		return 0;
	}
	if (err < 0)
		return err;
	err = w->g->store ? hold(w, part) : gather_part(w, part);
	if (!w->g->store)
		parts_put(w->store->parts, part);
	return err;
}

static int gather_piece(void *arg, const struct part_row *row, int64_t from_ns, int64_t to_ns)
{
	struct part_walk *w = arg;
	int64_t least, greatest;

	w->from_ns = from_ns;
	w->to_ns = to_ns;
	if (!w->g->sealing && quarantine_hides(&w->g->quarantine, &row->id, w->g->rid, from_ns, to_ns))
		w->g->partial = true;
	if (w->g->rid &&
	    (!manifest_run(row, w->g->rid, &least, &greatest) || greatest < from_ns || least >= to_ns))
		return 0;
	return gather_row(w, row);
}

static int gather_parts(struct store *s, struct gather *g)
{
	struct part_walk w;
	bool holding;
	int err;

	if (g->parts.n == 0)
		return 0;
	err = can_hold(g, &holding);
	g->store = holding ? s : NULL;
	if (err < 0)
		return err;
	err = walk_init(&w, s, g);
	if (err == 0)
		err = cover_pieces(&g->parts, g->width_ns, g->read_from_ns, g->read_to_ns, gather_piece, &w);
	walk_release(&w);
	return err;
}

/* ---- all ---- */

int gather_snapshot(struct store *s, struct kv_txn *t, struct gather *g)
{
	int err = manifest_read(t, g->pid, g->from_ns, g->to_ns, &g->parts);

	if (err == 0)
		err = quarantine_read(t, g->pid, &g->quarantine);
	if (err < 0)
		return err;
	while (g->finer_than_ns && g->parts.n && g->parts.rows[g->parts.n - 1].id.tier_ns >= g->finer_than_ns)
		g->parts.n--;
	set_read_range(g);
	if (!g->sealing &&
	    quarantine_hides_flushed(&g->quarantine, &g->parts, g->rid, g->read_from_ns, g->read_to_ns))
		g->partial = true;
	err = place_memory(g);
	if (err == 0 && !g->finer_than_ns)
		err = gather_flushes(g, t);
	return err < 0 ? err : gather_parts(s, g);
}

int gather_rows(struct store *s, struct kv_txn *t, struct gather *g, const struct part_row *rows, size_t n)
{
	struct part_walk w;
	int err = walk_init(&w, s, g);

	if (err == 0 && g->quarantine.n == 0)
		err = quarantine_read(t, g->pid, &g->quarantine);

	for (size_t i = 0; i < n && err == 0; i++)
		err = gather_piece(&w, &rows[i], rows[i].id.from_ns, rows[i].id.to_ns);
	walk_release(&w);
	return err;
}

void gather_again(struct gather *g)
{
	let_go(g);
	found_clear(&g->found);
	manifest_release(&g->parts);
	quarantine_release(&g->quarantine);
	g->partial = false;
}

void gather_release(struct gather *g)
{
	let_go(g);
	found_release(&g->found);
	manifest_release(&g->parts);
	quarantine_release(&g->quarantine);
}

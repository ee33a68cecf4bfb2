#include "store/part/manifest.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/clock.h"
#include "store/hot/flush.h"

#define KEY_BYTES 20
#define ROW_FIXED 73

static struct span key_of(uint32_t pid, int64_t tier_ns, int64_t from_ns, uint8_t *ret)
{
	put_be32(ret, pid);
	put_be64(ret + 4, (uint64_t)tier_ns);
	put_be64i(ret + 12, from_ns);
	return span_of(ret, KEY_BYTES);
}

int manifest_row_decode(struct span key, struct span value, struct part_row *ret)
{
	struct part_row row = { 0 };
	struct stored s;
	struct reader r;
	int err = key.len == KEY_BYTES ? stored_open(key, value, KIND_PART, &s) : ERR_CORRUPT;

	if (err < 0)
		return err;
	r = reader_of(s.body);
	row.id.pid = get_be32(key.data);
	row.id.tier_ns = (int64_t)get_be64(key.data + 4);
	row.id.from_ns = get_be64i(key.data + 12);
	row.id.to_ns = (int64_t)read_le64(&r);
	row.id.number = read_le64(&r);
	row.summary.bytes = read_le64(&r);
	row.summary.buckets = read_le64(&r);
	row.summary.blocks = read_le32(&r);
	row.summary.crc = read_le32(&r);
	row.upto = read_le64(&r);
	row.arrived_ns = (int64_t)read_le64(&r);
	row.summary.least_start = (int64_t)read_le64(&r);
	row.summary.greatest_start = (int64_t)read_le64(&r);
	row.alone = read_u8(&r);
	row.runs = read_bytes(&r, reader_left(&r));
	if (r.bad || row.id.to_ns <= row.id.from_ns || row.id.tier_ns < 0)
		return ERR_CORRUPT;
	*ret = row;
	return 0;
}

static int add_row(struct manifest *m, const struct part_row *row)
{
	if (array_grow(m->rows, m->n, m->cap) < 0)
		return ERR_NOMEM;
	m->rows[m->n++] = *row;
	return 0;
}

/* ---- walks ---- */

/* A cursor on the rows; moved is 0 while row is one. */
struct walk {
	struct kv_cursor *cursor;
	struct part_row row;
	int moved;
};

static int decode_here(struct walk *w, struct span key, struct span value)
{
	return w->moved == 0 ? manifest_row_decode(key, value, &w->row) : 0;
}

/* The first row of the tier that may reach into a range from from_ns on, or of a later tier. */
static int walk_seek(struct walk *w, uint32_t pid, int64_t tier_ns, int64_t from_ns)
{
	uint8_t at[KEY_BYTES];
	struct span key, value, want = key_of(pid, tier_ns, from_ns, at);
	int err;

	w->moved = kv_seek_before(w->cursor, want, &key, &value);
	err = decode_here(w, key, value);
	if (err < 0 || (w->moved == 0 && w->row.id.pid == pid && w->row.id.tier_ns == tier_ns))
		return err;
	w->moved = kv_seek(w->cursor, want, &key, &value);
	return decode_here(w, key, value);
}

static int walk_next(struct walk *w)
{
	struct span key, value;

	w->moved = kv_next(w->cursor, &key, &value);
	return decode_here(w, key, value);
}

static bool walk_is_at(const struct walk *w, uint32_t pid)
{
	return w->moved == 0 && w->row.id.pid == pid && w->row.id.tier_ns < TIER_WHOLE;
}

/* The rows of the tier at hand, then on to the next tier. */
static int read_tier(struct walk *w, int64_t from_ns, int64_t to_ns, struct manifest *m)
{
	struct part_id at = w->row.id;
	int err = walk_seek(w, at.pid, at.tier_ns, from_ns);

	while (err == 0 && walk_is_at(w, at.pid) && w->row.id.tier_ns == at.tier_ns &&
	       w->row.id.from_ns < to_ns) {
		if (w->row.id.to_ns > from_ns)
			err = add_row(m, &w->row);
		if (err == 0)
			err = walk_next(w);
	}
	return err < 0 ? err : walk_seek(w, at.pid, at.tier_ns + 1, INT64_MIN);
}

/* What a walk's end means. */
static int walk_error(const struct walk *w, int err)
{
	return err == 0 && w->moved < 0 && w->moved != ERR_NOT_FOUND ? w->moved : err;
}

int manifest_read(struct kv_txn *t, uint32_t pid, int64_t from_ns, int64_t to_ns, struct manifest *ret)
{
	struct manifest m = { 0 };
	struct walk w = { 0 };
	int err = kv_cursor_open(t, KV_PART, &w.cursor);

	if (err < 0)
		return err;
	err = walk_seek(&w, pid, 0, INT64_MIN);
	while (err == 0 && walk_is_at(&w, pid))
		err = read_tier(&w, from_ns, to_ns, &m);
	kv_cursor_close(w.cursor);
	err = walk_error(&w, err);
	if (err < 0)
		manifest_release(&m);
	else
		*ret = m;
	return err;
}

int manifest_read_all(struct kv_txn *t, struct manifest *ret)
{
	struct manifest m = { 0 };
	struct walk w = { 0 };
	int err = kv_cursor_open(t, KV_PART, &w.cursor);

	if (err < 0)
		return err;
	for (err = walk_seek(&w, 0, 0, INT64_MIN); err == 0 && w.moved == 0;) {
		err = add_row(&m, &w.row);
		if (err == 0)
			err = walk_next(&w);
	}
	kv_cursor_close(w.cursor);
	err = walk_error(&w, err);
	if (err < 0)
		manifest_release(&m);
	else
		*ret = m;
	return err;
}

static int row_get(struct kv_txn *t, uint32_t pid, int64_t tier_ns, int64_t from_ns, struct part_row *ret)
{
	uint8_t at[KEY_BYTES];
	struct span value, key = key_of(pid, tier_ns, from_ns, at);
	int err = kv_get(t, KV_PART, key, &value);

	return err < 0 ? err : manifest_row_decode(key, value, ret);
}

int manifest_get(struct kv_txn *t, const struct part_id *id, struct part_row *ret)
{
	struct part_row row;
	int err = row_get(t, id->pid, id->tier_ns, id->from_ns, &row);

	if (err == 0 && row.id.to_ns != id->to_ns)
		err = ERR_NOT_FOUND;
	if (err == 0)
		*ret = row;
	return err;
}

int manifest_totals(struct kv_txn *t, uint32_t pid, struct part_row *ret)
{
	return row_get(t, pid, TIER_WHOLE, 0, ret);
}

bool manifest_counts(struct kv *kv, const struct part_id *id)
{
	struct part_row row;
	struct kv_txn *t;
	int err;

	if (kv_begin(kv, false, &t) < 0)
		return true;
	err = row_get(t, id->pid, id->tier_ns, id->from_ns, &row);
	kv_abort(t);
	return err == 0 ? row.id.number == id->number : err != ERR_NOT_FOUND;
}

void manifest_detach(struct manifest *m)
{
	for (size_t i = 0; i < m->n; i++)
		m->rows[i].runs = span_of(NULL, 0);
}

void manifest_release(struct manifest *m)
{
	free(m->rows);
	*m = (struct manifest){ 0 };
}

/* ---- runs ---- */

bool manifest_run(const struct part_row *row, uint32_t rid, int64_t *ret_least, int64_t *ret_greatest)
{
	struct flush_row like = { .runs = row->runs };

	return flush_row_run(&like, rid, ret_least, ret_greatest);
}

int run_ranges_read(struct span runs, run_range_fn fn, void *arg)
{
	struct reader r = reader_of(runs);
	struct run_range range = { 0 };
	uint64_t n = read_varint(&r);
	int err = 0;

	for (uint64_t i = 0; i < n && err == 0; i++) {
		int64_t least;

		range.rid += (uint32_t)read_varint(&r);
		least = read_zigzag(&r);
		range.least = (int64_t)((uint64_t)least * NS_PER_S);
		range.greatest = (int64_t)(((uint64_t)least + read_varint(&r)) * NS_PER_S + NS_PER_S - 1);
		err = r.bad ? ERR_CORRUPT : fn(arg, &range);
	}
	return err;
}

int run_ranges_put(const struct run_range *r, size_t n, struct buf *out)
{
	uint8_t item[3 * VARINT_MAX], *p;
	uint32_t before = 0;
	int err = buf_add_varint(out, n);

	for (size_t i = 0; i < n && err == 0; i++) {
		int64_t least = window_start(r[i].least, NS_PER_S) / NS_PER_S;

		p = put_varint(item, r[i].rid - before);
		p = put_varint(p, zigzag(least));
		p = put_varint(p, (uint64_t)(window_start(r[i].greatest, NS_PER_S) / NS_PER_S - least));
		err = buf_add(out, item, (size_t)(p - item));
		before = r[i].rid;
	}
	return err;
}

/* ---- changes ---- */

/* The first row of the slot's tier in it; ERR_NOT_FOUND: there is none. */
static int first_in(struct kv_txn *t, const struct part_id *slot, struct part_id *ret)
{
	struct walk w = { 0 };
	int err = kv_cursor_open(t, KV_PART, &w.cursor);

	if (err < 0)
		return err;
	err = walk_seek(&w, slot->pid, slot->tier_ns, slot->from_ns);
	while (err == 0 && w.moved == 0 && w.row.id.pid == slot->pid && w.row.id.tier_ns == slot->tier_ns &&
	       w.row.id.to_ns <= slot->from_ns)
		err = walk_next(&w);
	kv_cursor_close(w.cursor);
	err = err < 0 ? err : w.moved;
	if (err == 0 && (w.row.id.pid != slot->pid || w.row.id.tier_ns != slot->tier_ns ||
			 w.row.id.from_ns >= slot->to_ns))
		err = ERR_NOT_FOUND;
	if (err == 0)
		*ret = w.row.id;
	return err;
}

int manifest_remove(struct kv_txn *t, const struct part_id *slot)
{
	int err = 0;

	while (err == 0) {
		uint8_t key[KEY_BYTES];
		struct part_id id;

		err = first_in(t, slot, &id);
		if (err == 0)
			err = kv_del(t, KV_PART, key_of(id.pid, id.tier_ns, id.from_ns, key));
	}
	return err == ERR_NOT_FOUND ? 0 : err;
}

int manifest_put(struct kv_txn *t, const struct part_row *row)
{
	uint8_t key[KEY_BYTES], fixed[ROW_FIXED];
	struct buf body;
	int err;

	put_le64(fixed, (uint64_t)row->id.to_ns);
	put_le64(fixed + 8, row->id.number);
	put_le64(fixed + 16, row->summary.bytes);
	put_le64(fixed + 24, row->summary.buckets);
	put_le32(fixed + 32, row->summary.blocks);
	put_le32(fixed + 36, row->summary.crc);
	put_le64(fixed + 40, row->upto);
	put_le64(fixed + 48, (uint64_t)row->arrived_ns);
	put_le64(fixed + 56, (uint64_t)row->summary.least_start);
	put_le64(fixed + 64, (uint64_t)row->summary.greatest_start);
	fixed[72] = row->alone;
	buf_init(&body, ROW_FIXED + row->runs.len);
	err = buf_add(&body, fixed, sizeof(fixed));
	if (err == 0)
		err = buf_add(&body, row->runs.data, row->runs.len);
	if (err == 0)
		err = stored_put(t, KV_PART, KIND_PART,
				 key_of(row->id.pid, row->id.tier_ns, row->id.from_ns, key), buf_span(&body));
	buf_release(&body);
	return err;
}

int manifest_replace(struct kv_txn *t, const struct part_row *row)
{
	int err = manifest_remove(t, &row->id);

	if (err == 0)
		err = manifest_put(t, row);
	return err < 0 ? err : stored_newest_raise(t, "parts", row->id.number);
}

int manifest_newest(struct kv_txn *t, uint64_t *ret) { return stored_newest(t, "parts", ret); }

void manifest_file(const struct part_id *id, char *ret)
{
	char from[CLOCK_TEXT_MAX], tier[TIER_NAME_MAX];
	size_t n = 0;

	tier_name(id->tier_ns, tier);
	clock_format(id->from_ns, from);
	for (size_t i = 0; from[i]; i++)
		if (from[i] != '-' && from[i] != ':')
			from[n++] = from[i];
	from[n] = 0;
	snprintf(ret, MANIFEST_FILE_MAX, "metrics-%u-%s-%s-%lld-%llu.part", id->pid, tier, from,
		 (long long)((id->to_ns - id->from_ns) / NS_PER_S), (unsigned long long)id->number);
}

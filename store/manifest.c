#include "store/manifest.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/base/clock.h"
#include "store/flush.h"

#define KEY_BYTES 16
#define ROW_FIXED 64

static struct span key_of(int64_t tier_ns, int64_t from_ns, uint8_t *ret)
{
	put_be64(ret, (uint64_t)tier_ns);
	put_be64i(ret + 8, from_ns);
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
	row.id.tier_ns = (int64_t)get_be64(key.data);
	row.id.from_ns = get_be64i(key.data + 8);
	row.id.to_ns = (int64_t)read_le64(&r);
	row.id.number = read_le64(&r);
	row.summary.bytes = read_le64(&r);
	row.summary.buckets = read_le64(&r);
	row.summary.blocks = read_le32(&r);
	row.summary.crc = read_le32(&r);
	row.upto = read_le64(&r);
	row.summary.least_start = (int64_t)read_le64(&r);
	row.summary.greatest_start = (int64_t)read_le64(&r);
	row.runs = read_bytes(&r, reader_left(&r));
	if (r.bad || row.id.to_ns <= row.id.from_ns)
		return ERR_CORRUPT;
	*ret = row;
	return 0;
}

static int add_row(struct manifest *m, const struct part_row *row)
{
	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 16;
		struct part_row *p = realloc(m->rows, cap * sizeof(*p));

		if (!p)
			return ERR_NOMEM;
		m->rows = p;
		m->cap = cap;
	}
	m->rows[m->n++] = *row;
	return 0;
}

/* The row before `from` may reach into the range. */
static int seek_first(struct kv_cursor *c, struct span at, struct span *key, struct span *value)
{
	int moved = kv_seek_before(c, at, key, value);

	return moved == ERR_NOT_FOUND ? kv_seek(c, at, key, value) : moved;
}

int manifest_read(struct kv_txn *t, int64_t tier_ns, int64_t from_ns, int64_t to_ns, struct manifest *ret)
{
	struct manifest m = { 0 };
	uint8_t at[KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_PART, &c), moved;

	if (err < 0)
		return err;
	moved = seek_first(c, key_of(tier_ns, from_ns, at), &key, &value);
	for (; moved == 0 && err == 0; moved = kv_next(c, &key, &value)) {
		struct part_row row;

		err = manifest_row_decode(key, value, &row);
		if (err < 0 || row.id.tier_ns > tier_ns ||
		    (row.id.tier_ns == tier_ns && row.id.from_ns >= to_ns))
			break;
		if (row.id.tier_ns == tier_ns && row.id.to_ns > from_ns)
			err = add_row(&m, &row);
	}
	kv_cursor_close(c);
	if (err == 0 && moved < 0 && moved != ERR_NOT_FOUND)
		err = moved;
	if (err < 0)
		manifest_release(&m);
	else
		*ret = m;
	return err;
}

int manifest_read_all(struct kv_txn *t, struct manifest *ret)
{
	struct manifest m = { 0 };
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_PART, &c), moved;

	if (err < 0)
		return err;
	for (moved = kv_first(c, &key, &value); moved == 0 && err == 0; moved = kv_next(c, &key, &value)) {
		struct part_row row;

		err = manifest_row_decode(key, value, &row);
		if (err == 0)
			err = add_row(&m, &row);
	}
	kv_cursor_close(c);
	if (err < 0)
		manifest_release(&m);
	else
		*ret = m;
	return err;
}

void manifest_release(struct manifest *m)
{
	free(m->rows);
	*m = (struct manifest){ 0 };
}

uint64_t manifest_folded(const struct manifest *m, int64_t start_ns)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (m->rows[mid].id.to_ns <= start_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->n && m->rows[lo].id.from_ns <= start_ns ? m->rows[lo].upto : 0;
}

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

static int take_out_covered(struct kv_txn *t, const struct part_row *row)
{
	struct manifest m;
	uint8_t key[KEY_BYTES];
	int err = manifest_read(t, row->id.tier_ns, row->id.from_ns, row->id.to_ns, &m);

	for (size_t i = 0; err == 0 && i < m.n; i++)
		m.rows[i].runs = (struct span){ NULL, 0 }; /* a deletion ends what they borrow */
	for (size_t i = 0; err == 0 && i < m.n; i++)
		err = kv_del(t, KV_PART, key_of(row->id.tier_ns, m.rows[i].id.from_ns, key));
	if (err == 0)
		manifest_release(&m);
	return err;
}

static int put_newest(struct kv_txn *t, uint64_t number)
{
	uint8_t body[8];

	put_le64(body, number);
	return stored_put(t, KV_META, KIND_STATE, span_str("parts"), span_of(body, sizeof(body)));
}

int manifest_replace(struct kv_txn *t, const struct part_row *row)
{
	uint8_t key[KEY_BYTES], fixed[ROW_FIXED];
	struct buf body;
	int err = take_out_covered(t, row);

	put_le64(fixed, (uint64_t)row->id.to_ns);
	put_le64(fixed + 8, row->id.number);
	put_le64(fixed + 16, row->summary.bytes);
	put_le64(fixed + 24, row->summary.buckets);
	put_le32(fixed + 32, row->summary.blocks);
	put_le32(fixed + 36, row->summary.crc);
	put_le64(fixed + 40, row->upto);
	put_le64(fixed + 48, (uint64_t)row->summary.least_start);
	put_le64(fixed + 56, (uint64_t)row->summary.greatest_start);
	buf_init(&body, ROW_FIXED + row->runs.len);
	if (err == 0)
		err = buf_add(&body, fixed, sizeof(fixed));
	if (err == 0)
		err = buf_add(&body, row->runs.data, row->runs.len);
	if (err == 0)
		err = stored_put(t, KV_PART, KIND_PART, key_of(row->id.tier_ns, row->id.from_ns, key),
				 buf_span(&body));
	buf_release(&body);
	return err < 0 ? err : put_newest(t, row->id.number);
}

int manifest_newest(struct kv_txn *t, uint64_t *ret)
{
	struct stored s;
	int err = stored_get(t, KV_META, KIND_STATE, span_str("parts"), &s);

	if (err == ERR_NOT_FOUND)
		*ret = 0;
	else if (err == 0 && s.body.len == 8)
		*ret = get_le64(s.body.data);
	else
		return err < 0 ? err : ERR_CORRUPT;
	return 0;
}

void manifest_file(const struct part_id *id, char *ret)
{
	char from[CLOCK_TEXT_MAX];
	size_t n = 0;

	clock_format(id->from_ns, from);
	for (size_t i = 0; from[i]; i++)
		if (from[i] != '-' && from[i] != ':')
			from[n++] = from[i];
	from[n] = 0;
	snprintf(ret, MANIFEST_FILE_MAX, "metrics-%s-%lld-%llu.part", from,
		 (long long)((id->to_ns - id->from_ns) / NS_PER_S), (unsigned long long)id->number);
}

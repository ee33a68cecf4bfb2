#include "store/raw/rawrow.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/bytes.h"
#include "store/base/limits.h"
#include "store/hot/flush.h"
#include "store/stored.h"

#define KEY_BYTES 12
#define ROW_FIXED 64

static struct span key_of(uint32_t pid, uint64_t first, uint8_t *ret)
{
	put_be32(ret, pid);
	put_be64(ret + 4, first);
	return span_of(ret, KEY_BYTES);
}

int raw_row_decode(struct span key, struct span value, struct raw_row *ret)
{
	struct raw_row row = { 0 };
	struct stored s;
	struct reader r;
	int err = key.len == KEY_BYTES ? stored_open(key, value, KIND_RAW, &s) : ERR_CORRUPT;

	if (err < 0)
		return err;
	r = reader_of(s.body);
	row.id.pid = get_be32(key.data);
	row.id.first = get_be64(key.data + 4);
	row.id.upto = read_le64(&r);
	row.id.number = read_le64(&r);
	row.summary.bytes = read_le64(&r);
	row.summary.samples = read_le64(&r);
	row.summary.blocks = read_le32(&r);
	row.summary.crc = read_le32(&r);
	row.summary.least_ns = (int64_t)read_le64(&r);
	row.summary.greatest_ns = (int64_t)read_le64(&r);
	row.arrived_ns = (int64_t)read_le64(&r);
	row.runs = read_bytes(&r, reader_left(&r));
	if (r.bad || row.id.upto < row.id.first)
		return ERR_CORRUPT;
	*ret = row;
	return 0;
}

static int add_row(struct raw_rows *r, const struct raw_row *row)
{
	if (array_grow(r->rows, r->n, r->cap) < 0)
		return ERR_NOMEM;
	r->rows[r->n++] = *row;
	return 0;
}

int raw_rows_read(struct kv_txn *t, uint32_t pid, struct raw_rows *ret)
{
	struct raw_rows rows = { 0 };
	struct span key, value;
	struct kv_cursor *c;
	uint8_t at[KEY_BYTES];
	int err = kv_cursor_open(t, KV_RAW, &c), moved;

	if (err < 0)
		return err;
	moved = kv_seek(c, key_of(pid, 0, at), &key, &value);
	for (; moved == 0 && err == 0; moved = kv_next(c, &key, &value)) {
		struct raw_row row;

		err = raw_row_decode(key, value, &row);
		if (err < 0 || (pid && row.id.pid != pid))
			break;
		err = add_row(&rows, &row);
	}
	kv_cursor_close(c);
	if (err == 0 && moved < 0 && moved != ERR_NOT_FOUND)
		err = moved;
	if (err < 0)
		raw_rows_release(&rows);
	else
		*ret = rows;
	return err;
}

void raw_rows_release(struct raw_rows *r)
{
	free(r->rows);
	*r = (struct raw_rows){ 0 };
}

int raw_row_put(struct kv_txn *t, const struct raw_row *row)
{
	uint8_t key[KEY_BYTES], fixed[ROW_FIXED];
	struct buf body;
	int err;

	put_le64(fixed, row->id.upto);
	put_le64(fixed + 8, row->id.number);
	put_le64(fixed + 16, row->summary.bytes);
	put_le64(fixed + 24, row->summary.samples);
	put_le32(fixed + 32, row->summary.blocks);
	put_le32(fixed + 36, row->summary.crc);
	put_le64(fixed + 40, (uint64_t)row->summary.least_ns);
	put_le64(fixed + 48, (uint64_t)row->summary.greatest_ns);
	put_le64(fixed + 56, (uint64_t)row->arrived_ns);
	buf_init(&body, ROW_FIXED + row->runs.len);
	err = buf_add(&body, fixed, sizeof(fixed));
	if (err == 0)
		err = buf_add(&body, row->runs.data, row->runs.len);
	if (err == 0)
		err =
		    stored_put(t, KV_RAW, KIND_RAW, key_of(row->id.pid, row->id.first, key), buf_span(&body));
	buf_release(&body);
	return err < 0 ? err : stored_newest_raise(t, "raw", row->id.number);
}

int raw_row_del(struct kv_txn *t, uint32_t pid, uint64_t first)
{
	uint8_t key[KEY_BYTES];

	return kv_del(t, KV_RAW, key_of(pid, first, key));
}

bool raw_row_run(const struct raw_row *row, uint32_t rid, int64_t *ret_least, int64_t *ret_greatest)
{
	struct flush_row like = { .runs = row->runs };

	return flush_row_run(&like, rid, ret_least, ret_greatest);
}

int raw_newest(struct kv_txn *t, uint64_t *ret) { return stored_newest(t, "raw", ret); }

void raw_file(const struct rawpart_id *id, char *ret)
{
	snprintf(ret, RAW_FILE_MAX, "raw-%u-%llu.part", id->pid, (unsigned long long)id->number);
}

/* ---- what is gone ---- */

static struct span run_key(uint32_t rid, uint8_t *ret)
{
	put_be32(ret, rid);
	return span_of(ret, 4);
}

static struct span project_key(uint32_t pid, uint8_t *ret)
{
	put_be32(ret, 0);
	put_be32(ret + 4, pid);
	return span_of(ret, 8);
}

/* INT64_MIN: nothing. */
static int mark_get(struct kv_txn *t, struct span key, int64_t *ret)
{
	struct stored s;
	int err = stored_get(t, KV_RAWGONE, KIND_RAW_GONE, key, &s);

	if (err == ERR_NOT_FOUND)
		*ret = INT64_MIN;
	else if (err == 0 && s.body.len == 8)
		*ret = (int64_t)get_le64(s.body.data);
	else
		return err < 0 ? err : ERR_CORRUPT;
	return 0;
}

static int mark_put(struct kv_txn *t, struct span key, int64_t upto_ns)
{
	uint8_t body[8];
	int64_t before;
	int err = mark_get(t, key, &before);

	if (err < 0 || before >= upto_ns)
		return err;
	put_le64(body, (uint64_t)upto_ns);
	return stored_put(t, KV_RAWGONE, KIND_RAW_GONE, key, span_of(body, sizeof(body)));
}

int raw_gone_put(struct kv_txn *t, uint32_t rid, int64_t upto_ns)
{
	uint8_t key[4];

	return mark_put(t, run_key(rid, key), upto_ns);
}

int raw_gone_put_all(struct kv_txn *t, uint32_t pid, int64_t now_ns)
{
	uint8_t key[8];

	return mark_put(t, project_key(pid, key), now_ns);
}

int raw_since(struct kv_txn *t, uint32_t pid, uint32_t rid, int64_t created_ns, int64_t *ret)
{
	int64_t gone, all_gone;
	uint8_t key[8];
	int err = mark_get(t, run_key(rid, key), &gone);

	if (err == 0)
		err = mark_get(t, project_key(pid, key), &all_gone);
	if (err < 0)
		return err;
	/* what was dropped then may have been of times ahead of the clock */
	if (all_gone >= created_ns && all_gone + limits.future_ns > gone)
		gone = all_gone + limits.future_ns;
	*ret = gone == INT64_MIN ? INT64_MIN : gone + 1;
	return 0;
}

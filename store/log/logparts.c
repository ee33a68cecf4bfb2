#include "store/log/logparts.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/bytes.h"

#define KEY_BYTES 12
#define ROW_FIXED 64

static struct span key_of(uint32_t pid, uint64_t first, uint8_t *ret)
{
	put_be32(ret, pid);
	put_be64(ret + 4, first);
	return span_of(ret, KEY_BYTES);
}

int logpart_row_decode(struct span key, struct span value, struct logpart_row *ret)
{
	struct logpart_row row = { 0 };
	struct stored s;
	struct reader r;
	int err = key.len == KEY_BYTES ? stored_open(key, value, KIND_LOG_PART, &s) : ERR_CORRUPT;

	if (err < 0)
		return err;
	r = reader_of(s.body);
	row.id.pid = get_be32(key.data);
	row.id.first = get_be64(key.data + 4);
	row.id.upto = read_le64(&r);
	row.id.number = read_le64(&r);
	row.summary.bytes = read_le64(&r);
	row.summary.records = read_le64(&r);
	row.summary.blocks = read_le32(&r);
	row.summary.crc = read_le32(&r);
	row.summary.least_ns = (int64_t)read_le64(&r);
	row.summary.greatest_ns = (int64_t)read_le64(&r);
	row.summary.arrived_ns = (int64_t)read_le64(&r);
	row.runs = read_bytes(&r, reader_left(&r));
	if (r.bad || row.id.upto < row.id.first)
		return ERR_CORRUPT;
	*ret = row;
	return 0;
}

static int add_row(struct logpart_rows *r, const struct logpart_row *row)
{
	if (array_grow(r->rows, r->n, r->cap) < 0)
		return ERR_NOMEM;
	r->rows[r->n++] = *row;
	return 0;
}

int logpart_rows_read(struct kv_txn *t, uint32_t pid, struct logpart_rows *ret)
{
	struct logpart_rows rows = { 0 };
	struct span key, value;
	struct kv_cursor *c;
	uint8_t at[KEY_BYTES];
	int err = kv_cursor_open(t, KV_LOGPART, &c), moved;

	if (err < 0)
		return err;
	moved = kv_seek(c, key_of(pid, 0, at), &key, &value);
	for (; moved == 0 && err == 0; moved = kv_next(c, &key, &value)) {
		struct logpart_row row;

		err = logpart_row_decode(key, value, &row);
		if (err < 0 || (pid && row.id.pid != pid))
			break;
		err = add_row(&rows, &row);
	}
	kv_cursor_close(c);
	if (err == 0 && moved < 0 && moved != ERR_NOT_FOUND)
		err = moved;
	if (err < 0)
		logpart_rows_release(&rows);
	else
		*ret = rows;
	return err;
}

void logpart_rows_release(struct logpart_rows *r)
{
	free(r->rows);
	*r = (struct logpart_rows){ 0 };
}

int logpart_rows_now(struct kv *kv, uint32_t pid, struct logpart_rows *ret)
{
	struct kv_txn *t;
	int err = kv_begin(kv, false, &t);

	if (err < 0)
		return err;
	err = logpart_rows_read(t, pid, ret);
	for (size_t i = 0; err == 0 && i < ret->n; i++)
		ret->rows[i].runs = span_of(NULL, 0);
	kv_abort(t);
	return err;
}

bool logpart_counts(struct kv *kv, const struct logpart_id *id)
{
	uint8_t at[KEY_BYTES];
	struct span key = key_of(id->pid, id->first, at), value;
	struct logpart_row row;
	struct kv_txn *t;
	int err;

	if (kv_begin(kv, false, &t) < 0)
		return true;
	err = kv_get(t, KV_LOGPART, key, &value);
	if (err == 0)
		err = logpart_row_decode(key, value, &row);
	kv_abort(t);
	return err == 0 ? row.id.number == id->number : err != ERR_NOT_FOUND;
}

/* ---- changes ---- */

int logpart_row_put(struct kv_txn *t, const struct logpart_row *row)
{
	const struct logpart_summary *sum = &row->summary;
	uint8_t key[KEY_BYTES], fixed[ROW_FIXED];
	struct buf body;
	int err;

	put_le64(fixed, row->id.upto);
	put_le64(fixed + 8, row->id.number);
	put_le64(fixed + 16, sum->bytes);
	put_le64(fixed + 24, sum->records);
	put_le32(fixed + 32, sum->blocks);
	put_le32(fixed + 36, sum->crc);
	put_le64(fixed + 40, (uint64_t)sum->least_ns);
	put_le64(fixed + 48, (uint64_t)sum->greatest_ns);
	put_le64(fixed + 56, (uint64_t)sum->arrived_ns);
	buf_init(&body, ROW_FIXED + row->runs.len);
	err = buf_add(&body, fixed, sizeof(fixed));
	if (err == 0)
		err = buf_add(&body, row->runs.data, row->runs.len);
	if (err == 0)
		err = stored_put(t, KV_LOGPART, KIND_LOG_PART, key_of(row->id.pid, row->id.first, key),
				 buf_span(&body));
	buf_release(&body);
	return err < 0 ? err : stored_newest_raise(t, "logs", row->id.number);
}

int logpart_row_del(struct kv_txn *t, const struct logpart_id *id)
{
	uint8_t at[KEY_BYTES];
	struct span key = key_of(id->pid, id->first, at), value;
	struct logpart_row row;
	int err = kv_get(t, KV_LOGPART, key, &value);

	if (err == 0)
		err = logpart_row_decode(key, value, &row);
	if (err == 0 && row.id.number != id->number)
		err = ERR_NOT_FOUND;
	return err < 0 ? err : kv_del(t, KV_LOGPART, key);
}

int logpart_newest(struct kv_txn *t, uint64_t *ret) { return stored_newest(t, "logs", ret); }

void logpart_file(const struct logpart_id *id, char *ret)
{
	snprintf(ret, LOGPART_FILE_MAX, "logs-%u-%llu.part", id->pid, (unsigned long long)id->number);
}

/* ---- runs ---- */

int logpart_row_runs(const struct logpart_row *row, logpart_run_fn fn, void *arg)
{
	struct reader r = reader_of(row->runs);
	struct logpart_run run = { 0 };
	uint64_t n = read_varint(&r);
	int err = 0;

	for (uint64_t i = 0; i < n && err == 0; i++) {
		run.rid += (uint32_t)read_varint(&r);
		run.first_seq = read_varint(&r);
		run.end_seq = run.first_seq + read_varint(&r);
		err = r.bad ? ERR_CORRUPT : fn(arg, &run);
	}
	return err;
}

static int match_run(void *arg, const struct logpart_run *r)
{
	struct logpart_run *wanted = arg;

	if (r->rid < wanted->rid)
		return 0;
	if (r->rid == wanted->rid)
		*wanted = *r;
	return 1;
}

bool logpart_row_run(const struct logpart_row *row, uint32_t rid, struct logpart_run *ret)
{
	struct logpart_run found = { .rid = rid };

	logpart_row_runs(row, match_run, &found);
	*ret = found;
	return found.end_seq > 0;
}

#include "store/log/logs.h"

#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/log/logblock.h"
#include "store/log/logparts.h"
#include "store/registry/run.h"

/* Rows of one sequence per run; 1 where there is none. */
static int get_seq(struct kv_txn *t, enum kv_db db, enum kind kind, uint32_t rid, uint64_t *ret)
{
	struct stored s;
	uint8_t key[4];
	int err;

	put_be32(key, rid);
	err = stored_get(t, db, kind, span_of(key, 4), &s);
	if (err < 0 && err != ERR_NOT_FOUND)
		return err;
	if (err == 0 && s.body.len != 8)
		return ERR_CORRUPT;
	*ret = err == 0 ? get_le64(s.body.data) : 1;
	return 0;
}

static int put_seq(struct kv_txn *t, enum kv_db db, enum kind kind, uint32_t rid, uint64_t seq)
{
	uint8_t key[4], body[8];

	put_be32(key, rid);
	put_le64(body, seq);
	return stored_put(t, db, kind, span_of(key, 4), span_of(body, 8));
}

int logs_next_seq(struct kv_txn *t, uint32_t rid, uint64_t *ret)
{
	return get_seq(t, KV_LOGSEQ, KIND_LOGSEQ, rid, ret);
}

int logs_sealed_seq(struct kv_txn *t, uint32_t rid, uint64_t *ret)
{
	return get_seq(t, KV_LOGSEAL, KIND_LOGSEAL, rid, ret);
}

int logs_put_sealed_seq(struct kv_txn *t, uint32_t rid, uint64_t seq)
{
	return put_seq(t, KV_LOGSEAL, KIND_LOGSEAL, rid, seq);
}

int logs_put(struct kv_txn *t, struct batch *b)
{
	struct reader blocks = reader_of(buf_span(&b->log_blocks));
	uint8_t key[LOG_KEY_BYTES];
	uint64_t first, seq;
	struct stored s;
	int err = logs_next_seq(t, b->rid, &first);

	if (err < 0)
		return err;
	b->log_bytes = 0;
	for (seq = first; (err = logblock_next(&blocks, &s)) == 0; seq += s.count) {
		err = stored_put_as(t, KV_LOG, KIND_LOG, log_key(b->rid, seq, key), s, false);
		if (err < 0)
			return err;
		b->log_bytes += s.raw_len;
	}
	if (err < 0)
		return err;
	b->first_seq = first;
	b->last_seq = seq - 1;
	return put_seq(t, KV_LOGSEQ, KIND_LOGSEQ, b->rid, seq);
}

int logs_first_in_database(struct kv_txn *t, uint32_t rid, uint64_t *ret)
{
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_LOG, &c);

	if (err < 0)
		return err;
	err = logs_seek(c, rid, 0, &key, &value);
	if (err == 0)
		*ret = get_be64(key.data + 4);
	kv_cursor_close(c);
	return err == ERR_NOT_FOUND ? logs_next_seq(t, rid, ret) : err;
}

int logs_first_seq(struct kv_txn *t, uint32_t rid, uint64_t *ret)
{
	struct logpart_rows rows = { 0 };
	struct logpart_run run;
	int64_t window_ns;
	uint32_t pid;
	int err = logs_first_in_database(t, rid, ret);

	if (err < 0 || *ret <= 1)
		return err;
	err = run_owner(t, rid, &pid, &window_ns);
	if (err == 0)
		err = logpart_rows_read(t, pid, &rows);
	for (size_t i = 0; err == 0 && i < rows.n; i++)
		if (logpart_row_run(&rows.rows[i], rid, &run)) {
			*ret = run.first_seq;
			break;
		}
	logpart_rows_release(&rows);
	return err == ERR_NOT_FOUND ? 0 : err;
}

/* ---- sealing ---- */

static bool is_of(struct span key, uint32_t rid)
{
	return key.len == LOG_KEY_BYTES && get_be32(key.data) == rid;
}

int logs_seek(struct kv_cursor *c, uint32_t rid, uint64_t seq, struct span *ret_key, struct span *ret_value)
{
	uint8_t at[LOG_KEY_BYTES];
	int err = kv_seek(c, log_key(rid, seq, at), ret_key, ret_value);

	return err == 0 && !is_of(*ret_key, rid) ? ERR_NOT_FOUND : err;
}

int logs_next(struct kv_cursor *c, uint32_t rid, struct span *ret_key, struct span *ret_value)
{
	int err = kv_next(c, ret_key, ret_value);

	return err == 0 && !is_of(*ret_key, rid) ? ERR_NOT_FOUND : err;
}

bool logs_all_there(struct kv_txn *t, uint32_t rid, uint64_t first, uint64_t end, size_t blocks)
{
	uint64_t at = first, next;
	struct span key, value;
	struct kv_cursor *c;
	size_t n = 0;
	int moved;

	if (logs_next_seq(t, rid, &next) < 0 || kv_cursor_open(t, KV_LOG, &c) < 0)
		return false;
	moved = logs_seek(c, rid, first, &key, &value);
	if (moved == 0)
		at = get_be64(key.data + 4);
	for (bool begun = at == first; moved == 0 && begun && at < end; n++) {
		moved = logs_next(c, rid, &key, &value);
		at = moved == 0 ? get_be64(key.data + 4) : next;
	}
	kv_cursor_close(c);
	/* one of them may have grown beyond the end */
	return n == blocks && at == end && (moved == 0 || moved == ERR_NOT_FOUND);
}

int logs_take_out(struct kv_txn *t, uint32_t rid, uint64_t first, uint64_t end, size_t blocks)
{
	struct span key, value;
	struct kv_cursor *c;
	int err;

	if (!logs_all_there(t, rid, first, end, blocks))
		return ERR_GONE;
	err = kv_cursor_open(t, KV_LOG, &c);
	for (size_t n = 0; n < blocks && err == 0; n++) {
		err = logs_seek(c, rid, first, &key, &value);
		if (err == 0)
			err = kv_cursor_del(c);
	}
	kv_cursor_close(c);
	return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

int logs_replace(struct kv_txn *t, uint32_t rid, uint64_t first, uint64_t end, size_t blocks,
		 const struct stored *by)
{
	uint8_t at[LOG_KEY_BYTES];
	int err = logs_take_out(t, rid, first, end, blocks);

	return err < 0 ? err : stored_put_as(t, KV_LOG, KIND_LOG, log_key(rid, first, at), *by, false);
}

#include "store/logs.h"

#include "store/base/bytes.h"
#include "store/logblock.h"

#define KEY_BYTES 12

static struct span key_of(uint32_t rid, uint64_t seq, uint8_t *ret)
{
	put_be32(ret, rid);
	put_be64(ret + 4, seq);
	return span_of(ret, KEY_BYTES);
}

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
	uint8_t key[KEY_BYTES];
	uint64_t first, seq;
	struct stored s;
	int err = logs_next_seq(t, b->rid, &first);

	if (err < 0)
		return err;
	b->log_bytes = 0;
	for (seq = first; (err = logblock_next(&blocks, &s)) == 0; seq += s.count) {
		err = stored_put_as(t, KV_LOG, KIND_LOG, key_of(b->rid, seq, key), s, false);
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

/* ---- reading ---- */

struct walk {
	const struct log_range *range;
	struct logblock *block;
	log_fn fn;
	void *arg;
	bool *partial;
};

static bool may_match(const struct walk *w, const struct logblock_prefix *p)
{
	return p->t_max_ns >= w->range->from_ns && p->t_min_ns <= w->range->to_ns &&
	       p->levels >> w->range->least != 0;
}

static bool wanted(const struct walk *w, uint64_t seq)
{
	return seq >= w->range->from_seq && (!w->range->to_seq || seq < w->range->to_seq);
}

/* What to do with a block whose prefix this is. */
static enum log_block_use use_of(const struct walk *w, uint64_t first_seq, uint64_t count,
				 const struct logblock_prefix *p)
{
	struct log_block b = { .first_seq = first_seq,
			       .count = count,
			       .t_min_ns = p->t_min_ns,
			       .t_max_ns = p->t_max_ns,
			       .levels = p->levels };
	enum log_block_use use = w->range->block ? w->range->block(w->arg, &b) : LOG_BLOCK_READ;

	return use == LOG_BLOCK_READ && !may_match(w, p) ? LOG_BLOCK_PASS : use;
}

static int tell_records(struct walk *w)
{
	const struct log_range *range = w->range;
	size_t n = logblock_count(w->block);
	const uint8_t *maybe = NULL;
	struct log_record r;
	int err = range->holds.len ? logblock_find(w->block, range->holds, &maybe) : 0;

	for (size_t i = 0; i < n && err == 0; i++) {
		size_t at = range->backward ? n - 1 - i : i;

		if ((maybe && !maybe[at]) || !wanted(w, logblock_seq(w->block, at)))
			continue;
		err = (range->textless ? logblock_get_row : logblock_get)(w->block, at, &r);
		if (err == 0)
			err = w->fn(w->arg, &r);
	}
	return err;
}

/* Opens the block where it may match.  Records told before damage showed are good. */
static int walk_records(struct walk *w, const struct stored *s, uint64_t first_seq)
{
	struct log_effort *effort = w->range->effort;
	struct logblock_prefix prefix;
	int err = logblock_prefix(s->body, &prefix);
	enum log_block_use use = err < 0 ? LOG_BLOCK_PASS : use_of(w, first_seq, s->count, &prefix);

	if (use != LOG_BLOCK_READ)
		return use == LOG_BLOCK_STOP ? 1 : err;
	if (effort) {
		effort->opened_blocks++;
		effort->opened_bytes += s->body.len;
	}
	err = logblock_open(w->block, s, first_seq);
	if (err < 0 || (w->range->holds.len && !logblock_may_hold(w->block, w->range->holds)))
		return err;
	return tell_records(w);
}

/* A damaged block is passed over and told. */
static int walk_block(struct walk *w, struct span key, struct span value)
{
	uint64_t first = get_be64(key.data + 4);
	struct stored s = { 0 };
	int err = stored_open(key, value, KIND_LOG, &s);

	if (err == 0 && w->range->effort) {
		w->range->effort->blocks++;
		w->range->effort->bytes += s.body.len;
	}
	if (err == 0)
		err = walk_records(w, &s, first);
	if (err == ERR_CORRUPT) {
		*w->partial = true;
		err = 0;
	}
	if (err != 0 || !w->range->passed || s.count == 0)
		return err;
	return w->range->passed(w->arg, w->range->backward ? first : first + s.count);
}

static bool is_of(struct span key, uint32_t rid) { return key.len == KEY_BYTES && get_be32(key.data) == rid; }

/* The block that holds from_seq, or the first after it. */
static int seek_forward(struct kv_cursor *c, uint32_t rid, uint64_t seq, struct span *key, struct span *value)
{
	uint8_t at[KEY_BYTES];
	int err = kv_seek_before(c, key_of(rid, seq + 1, at), key, value);

	if (err == 0 && is_of(*key, rid))
		return 0;
	return kv_seek(c, key_of(rid, seq, at), key, value);
}

static int walk_blocks(struct kv_cursor *c, uint32_t rid, struct walk *w)
{
	uint64_t end = w->range->to_seq ? w->range->to_seq : UINT64_MAX;
	uint8_t at[KEY_BYTES];
	struct span key, value;
	int moved = w->range->backward ? kv_seek_before(c, key_of(rid, end, at), &key, &value)
				       : seek_forward(c, rid, w->range->from_seq, &key, &value);

	while (moved == 0 && is_of(key, rid)) {
		uint64_t first = get_be64(key.data + 4);
		int err = first >= end ? 1 : walk_block(w, key, value);

		if (err != 0)
			return first >= end ? 0 : err;
		if (w->range->backward && first <= w->range->from_seq)
			return 0;
		moved = w->range->backward ? kv_prev(c, &key, &value) : kv_next(c, &key, &value);
	}
	return moved == ERR_NOT_FOUND ? 0 : moved;
}

int logs_read(struct kv_txn *t, uint32_t rid, const struct log_range *range, log_fn fn, void *arg,
	      bool *ret_partial)
{
	struct walk w = { .range = range, .fn = fn, .arg = arg };
	struct kv_cursor *c = NULL;
	bool partial = false;
	int err = logblock_new(&w.block);

	w.partial = &partial;
	if (err == 0)
		err = kv_cursor_open(t, KV_LOG, &c);
	if (err == 0)
		err = walk_blocks(c, rid, &w);
	kv_cursor_close(c);
	logblock_free(w.block);
	if (partial && ret_partial)
		*ret_partial = true;
	return err;
}

int logs_first_seq(struct kv_txn *t, uint32_t rid, uint64_t *ret)
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

/* ---- sealing ---- */

int logs_seek(struct kv_cursor *c, uint32_t rid, uint64_t seq, struct span *ret_key, struct span *ret_value)
{
	uint8_t at[KEY_BYTES];
	int err = kv_seek(c, key_of(rid, seq, at), ret_key, ret_value);

	return err == 0 && !is_of(*ret_key, rid) ? ERR_NOT_FOUND : err;
}

int logs_next(struct kv_cursor *c, uint32_t rid, struct span *ret_key, struct span *ret_value)
{
	int err = kv_next(c, ret_key, ret_value);

	return err == 0 && !is_of(*ret_key, rid) ? ERR_NOT_FOUND : err;
}

/* Retention and purges take blocks away at any time. */
static bool all_there(struct kv_cursor *c, uint32_t rid, uint64_t first, uint64_t end, size_t blocks)
{
	struct span key, value;
	int moved = logs_seek(c, rid, first, &key, &value);
	size_t n = 0;

	while (moved == 0 && get_be64(key.data + 4) < end) {
		n++;
		moved = logs_next(c, rid, &key, &value);
	}
	return n == blocks && (moved == 0 || moved == ERR_NOT_FOUND);
}

int logs_replace(struct kv_txn *t, uint32_t rid, uint64_t first, uint64_t end, size_t blocks,
		 const struct stored *by)
{
	uint8_t at[KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_LOG, &c), moved;
	size_t n = 0;

	if (err < 0)
		return err;
	if (!all_there(c, rid, first, end, blocks)) {
		kv_cursor_close(c);
		return ERR_GONE;
	}
	moved = logs_seek(c, rid, first, &key, &value);
	while (moved == 0 && err == 0 && get_be64(key.data + 4) < end) {
		err = kv_cursor_del(c);
		n++;
		moved = logs_seek(c, rid, first, &key, &value);
	}
	kv_cursor_close(c);
	if (err == 0 && (n != blocks || (moved < 0 && moved != ERR_NOT_FOUND)))
		err = ERR_CORRUPT;
	return err < 0 ? err : stored_put_as(t, KV_LOG, KIND_LOG, key_of(rid, first, at), *by, false);
}

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

int logs_next_seq(struct kv_txn *t, uint32_t rid, uint64_t *ret)
{
	struct stored s;
	uint8_t key[4];
	int err;

	put_be32(key, rid);
	err = stored_get(t, KV_LOGSEQ, KIND_LOGSEQ, span_of(key, 4), &s);
	if (err < 0 && err != ERR_NOT_FOUND)
		return err;
	if (err == 0 && s.body.len != 8)
		return ERR_CORRUPT;
	*ret = err == 0 ? get_le64(s.body.data) : 1;
	return 0;
}

int logs_put(struct kv_txn *t, struct batch *b)
{
	struct reader blocks = reader_of(buf_span(&b->log_blocks));
	uint8_t key[KEY_BYTES], next[8];
	uint64_t first, seq;
	struct stored s;
	int err = logs_next_seq(t, b->rid, &first);

	if (err < 0)
		return err;
	for (seq = first; (err = logblock_next(&blocks, &s)) == 0; seq += s.count) {
		err = stored_put_as(t, KV_LOG, KIND_LOG, key_of(b->rid, seq, key), s, false);
		if (err < 0)
			return err;
	}
	if (err < 0)
		return err;
	b->first_seq = first;
	b->last_seq = seq - 1;
	put_le64(next, seq);
	return stored_put(t, KV_LOGSEQ, KIND_LOGSEQ, span_of(key, 4), span_of(next, 8));
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

/* A damaged block is passed over and told. */
static int walk_block(struct walk *w, struct span key, struct span value)
{
	enum log_block_use use = LOG_BLOCK_READ;
	struct logblock_prefix prefix;
	struct log_record r;
	struct stored s;
	size_t n;
	int err = stored_open(key, value, KIND_LOG, &s);

	if (err == 0)
		err = logblock_prefix(s.body, &prefix);
	if (err == 0)
		use = use_of(w, get_be64(key.data + 4), s.count, &prefix);
	if (use != LOG_BLOCK_READ)
		return use == LOG_BLOCK_STOP;
	if (err == 0)
		err = logblock_open(w->block, &s, get_be64(key.data + 4));
	if (err == ERR_CORRUPT) {
		*w->partial = true;
		return 0;
	}
	n = err == 0 ? logblock_count(w->block) : 0;
	for (size_t i = 0; i < n && err == 0; i++) {
		logblock_get(w->block, w->range->backward ? n - 1 - i : i, &r);
		if (wanted(w, r.seq))
			err = w->fn(w->arg, &r);
	}
	return err;
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

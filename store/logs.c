#include "store/logs.h"

#include <stdlib.h>

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

#define COUNTED_MAX 256 /* blocks between which a search may go to and fro and count each once */

struct counted {
	uint64_t first[COUNTED_MAX];
	size_t n; /* ever; the last COUNTED_MAX are there */
};

struct log_desk {
	struct logblock *block;
	struct counted seen, opened;
	/* the block that is open; len 0: none that can be kept */
	uint8_t header[STORED_HEADER_BYTES];
	uint64_t first_seq;
	struct stored s; /* its body lies in body */
	struct buf body;
	const uint8_t *fits; /* NULL: none, where they were found */
	bool found;
};

int log_desk_new(struct log_desk **ret)
{
	struct log_desk *d = calloc(1, sizeof *d);

	if (!d)
		return ERR_NOMEM;
	buf_init(&d->body, SIZE_MAX / 2);
	if (logblock_new(&d->block) < 0) {
		free(d);
		return ERR_NOMEM;
	}
	*ret = d;
	return 0;
}

void log_desk_free(struct log_desk *d)
{
	if (!d)
		return;
	logblock_free(d->block);
	buf_release(&d->body);
	free(d);
}

/* Whether it is the first time; COUNTED_MAX others make it be forgotten. */
static bool count_first(struct counted *c, uint64_t first_seq)
{
	size_t there = c->n < COUNTED_MAX ? c->n : COUNTED_MAX;

	for (size_t i = 1; i <= there; i++)
		if (c->first[(c->n - i) % COUNTED_MAX] == first_seq)
			return false;
	c->first[c->n++ % COUNTED_MAX] = first_seq;
	return true;
}

struct walk {
	const struct log_range *range;
	struct log_desk *desk;
	log_fn fn;
	void *arg;
	bool *partial;
	struct span value; /* of the block that is looked at */
};

static bool may_match(const struct walk *w, const struct logblock_prefix *p)
{
	return p->t_max_ns >= w->range->from_ns && p->t_min_ns <= w->range->to_ns &&
	       p->levels >> w->range->least != 0;
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

/* The records of the open block that the hint lets through; *ret_fits NULL: none. */
static int find_records(struct walk *w, const uint8_t **ret_fits)
{
	struct log_desk *d = w->desk;
	int err = d->found ? 0 : logblock_find(d->block, w->range->hint, &d->fits);

	d->found = err == 0;
	*ret_fits = d->fits;
	return err;
}

static int tell_record(struct walk *w, size_t at, enum log_fit fit)
{
	struct log_record r;
	bool textless = w->range->textless || (w->range->textless_fits && fit == LOG_FIT_SURE);
	int err = textless ? logblock_get_row(w->desk->block, at, &r) : logblock_get(w->desk->block, at, &r);

	if (err < 0)
		return err;
	r.flags |= fit == LOG_FIT_SURE ? LOG_FITS : 0;
	return w->fn(w->arg, &r);
}

static int tell_records(struct walk *w)
{
	const struct log_range *range = w->range;
	const struct logblock *b = w->desk->block;
	uint64_t first = logblock_seq(b, 0);
	size_t n = logblock_count(b), from, to;
	const uint8_t *fits = NULL;
	int err = range->hint ? find_records(w, &fits) : 0;

	if (err < 0 || (range->hint && !fits))
		return err;
	from = range->from_seq > first ? range->from_seq - first : 0;
	to = range->to_seq && range->to_seq < first + n ? range->to_seq - first : n;
	for (size_t i = from; i < to && err == 0; i++) {
		size_t at = range->backward ? to - 1 - (i - from) : i;

		if (!fits || fits[at] != LOG_FIT_NO)
			err = tell_record(w, at, fits ? (enum log_fit)fits[at] : LOG_FIT_MAYBE);
	}
	return err;
}

/* Opens the block on the desk.  A sealed one that is kept gets a body of its own, which outlives the view. */
static int open_block(struct walk *w, const struct stored *s, uint64_t first_seq, bool *ret_fits)
{
	struct log_desk *d = w->desk;
	int err = logblock_open(d->block, s, first_seq);

	d->found = false;
	*ret_fits = err == 0 && (!w->range->hint || logblock_may_fit(d->block, w->range->hint));
	if (err < 0 || !*ret_fits || s->codec != CODEC_SEALED || d != w->range->desk)
		return err;
	err = buf_add(&d->body, s->body.data, s->body.len);
	memcpy(d->header, w->value.data, sizeof d->header);
	d->s = *s;
	d->s.body = buf_span(&d->body);
	d->first_seq = first_seq;
	return err < 0 ? err : logblock_open(d->block, &d->s, first_seq);
}

static void count_opened(struct walk *w, const struct stored *s, uint64_t first_seq)
{
	if (!w->range->effort || !count_first(&w->desk->opened, first_seq))
		return;
	w->range->effort->opened_blocks++;
	w->range->effort->opened_bytes += s->body.len;
}

/* Opens the block where it may match.  Records told before damage showed are good. */
static int walk_records(struct walk *w, const struct stored *s, uint64_t first_seq, bool open)
{
	struct logblock_prefix prefix;
	int err = logblock_prefix(s->body, &prefix);
	enum log_block_use use = err < 0 ? LOG_BLOCK_PASS : use_of(w, first_seq, s->count, &prefix);
	bool fits = true;

	if (use != LOG_BLOCK_READ)
		return use == LOG_BLOCK_STOP ? 1 : err;
	if (!open) {
		w->desk->body.len = 0;
		if (s->codec != CODEC_SEALED)
			count_opened(w, s, first_seq);
		err = open_block(w, s, first_seq, &fits);
	}
	if (err < 0 || !fits)
		return err;
	count_opened(w, s, first_seq);
	return tell_records(w);
}

/* Whether the block is the one that is open, byte for byte: its header has the checksum. */
static bool is_open(const struct log_desk *d, uint64_t first_seq, struct span value)
{
	return d->body.len && d->first_seq == first_seq && value.len == STORED_HEADER_BYTES + d->body.len &&
	       memcmp(value.data, d->header, STORED_HEADER_BYTES) == 0;
}

/* A damaged block is passed over and told. */
static int walk_block(struct walk *w, struct span key, struct span value)
{
	uint64_t first = get_be64(key.data + 4);
	struct log_desk *d = w->desk;
	bool open = is_open(d, first, value);
	struct stored s = open ? d->s : (struct stored){ 0 };
	int err = open ? 0 : stored_open(key, value, KIND_LOG, &s);

	w->value = value;
	if (err == 0 && w->range->effort && count_first(&d->seen, first)) {
		w->range->effort->blocks++;
		w->range->effort->bytes += s.body.len;
	}
	if (err == 0)
		err = walk_records(w, &s, first, open);
	if (err == ERR_CORRUPT) {
		d->body.len = 0;
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
	struct walk w = { .range = range, .desk = range->desk, .fn = fn, .arg = arg };
	struct kv_cursor *c = NULL;
	bool partial = false;
	int err = w.desk ? 0 : log_desk_new(&w.desk);

	w.partial = &partial;
	if (err == 0)
		err = kv_cursor_open(t, KV_LOG, &c);
	if (err == 0)
		err = walk_blocks(c, rid, &w);
	kv_cursor_close(c);
	if (!range->desk)
		log_desk_free(w.desk);
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

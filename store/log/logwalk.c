/*
 * logwalk.c - log records of a run in the order of their sequences: from its project's log parts, then from
 * the log database; backward the other way round.
 */
#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/bytes.h"
#include "store/log/logblock.h"
#include "store/log/logpins.h"
#include "store/log/logs.h"
#include "store/store.h"

/* ---- the desk ---- */

#define COUNTED_MAX 256 /* blocks between which a search may go to and fro and count each once */

struct counted {
	uint64_t first[COUNTED_MAX];
	size_t n; /* ever; the last COUNTED_MAX are there */
};

struct log_desk {
	struct logblock *block;
	struct counted seen, opened;
	struct logpins pins;
	/* the block that is open; len 0: none that can be kept */
	uint8_t header[STORED_HEADER_BYTES];
	uint64_t first_seq;
	uint64_t part;       /* the number of the part it is from; 0: it is from the database */
	struct stored s;     /* its body lies in body */
	struct buf body;     /* of a part: the whole value */
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
	logpins_release(&d->pins);
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

/* ---- a block ---- */

struct walk {
	struct kv_txn *txn;
	struct store *store;
	uint32_t rid;
	struct log_range *range; /* what is left of it */
	struct log_desk *desk;
	log_fn fn;
	void *arg;
	bool partial, again;
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
	struct logblock *b = w->desk->block;
	int err = textless ? logblock_get_row(b, at, &r) : logblock_get(b, at, &r);

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
	d->part = 0;
	return err < 0 ? err : logblock_open(d->block, &d->s, first_seq);
}

static void count_seen(struct walk *w, uint64_t first_seq, size_t bytes)
{
	if (!w->range->effort || !count_first(&w->desk->seen, first_seq))
		return;
	w->range->effort->blocks++;
	w->range->effort->bytes += bytes;
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
	return d->body.len && d->part == 0 && d->first_seq == first_seq &&
	       value.len == STORED_HEADER_BYTES + d->body.len &&
	       memcmp(value.data, d->header, STORED_HEADER_BYTES) == 0;
}

/* Sequences [first, end) were looked at. */
static int tell_passed(struct walk *w, uint64_t first, uint64_t end)
{
	return w->range->passed ? w->range->passed(w->arg, w->range->backward ? first : end) : 0;
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
	if (err == 0)
		count_seen(w, first, s.body.len);
	if (err == 0)
		err = walk_records(w, &s, first, open);
	if (err == ERR_CORRUPT) {
		d->body.len = 0;
		w->partial = true;
		err = 0;
	}
	return err != 0 || s.count == 0 ? err : tell_passed(w, first, first + s.count);
}

static bool is_of(struct span key, uint32_t rid)
{
	return key.len == LOG_KEY_BYTES && get_be32(key.data) == rid;
}

/* ---- blocks of the database ---- */

/* The block that holds from_seq, or the first after it. */
static int seek_forward(struct kv_cursor *c, uint32_t rid, uint64_t seq, struct span *key, struct span *value)
{
	uint8_t at[LOG_KEY_BYTES];
	int err = kv_seek_before(c, log_key(rid, seq + 1, at), key, value);

	if (err == 0 && is_of(*key, rid))
		return 0;
	return kv_seek(c, log_key(rid, seq, at), key, value);
}

static int walk_database(struct walk *w)
{
	uint64_t end = w->range->to_seq ? w->range->to_seq : UINT64_MAX;
	uint8_t at[LOG_KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(w->txn, KV_LOG, &c), moved;

	if (err < 0)
		return err;
	moved = w->range->backward ? kv_seek_before(c, log_key(w->rid, end, at), &key, &value)
				   : seek_forward(c, w->rid, w->range->from_seq, &key, &value);
	while (moved == 0 && is_of(key, w->rid)) {
		uint64_t first = get_be64(key.data + 4);

		if (first >= end)
			break;
		err = walk_block(w, key, value);
		if (err != 0 || (w->range->backward && first <= w->range->from_seq))
			break;
		moved = w->range->backward ? kv_prev(c, &key, &value) : kv_next(c, &key, &value);
	}
	kv_cursor_close(c);
	return err != 0 || moved == ERR_NOT_FOUND ? err : moved;
}

/* ---- blocks of parts ---- */

/* Puts a block of a part on the desk.  *ret_fits: it may have what is searched for. */
static int fetch_block(struct walk *w, const struct logpin *p, size_t i, bool *ret_fits)
{
	struct log_desk *d = w->desk;
	uint64_t first = logpart_block(p->part, i)->first_seq;
	int err;

	if (d->body.len && d->part == p->number && d->first_seq == first)
		return 0;
	err = logpart_open_block(p->part, i, &d->body, &d->s);
	if (err == 0 && d->s.codec != CODEC_SEALED)
		count_opened(w, &d->s, first);
	if (err == 0)
		err = logblock_open(d->block, &d->s, first);
	d->found = false;
	d->part = p->number;
	d->first_seq = first;
	*ret_fits = err == 0 && (!w->range->hint || logblock_may_fit(d->block, w->range->hint));
	if (!*ret_fits)
		d->body.len = 0; /* not kept */
	return err;
}

static int walk_part_block(struct walk *w, const struct logpin *p, size_t i)
{
	const struct logpart_block *b = logpart_block(p->part, i);
	const struct logblock_prefix prefix = { .t_min_ns = b->least_ns,
						.t_max_ns = b->greatest_ns,
						.levels = b->levels };
	enum log_block_use use;
	bool fits = true;
	int err = 0;

	count_seen(w, b->first_seq, b->bytes - STORED_HEADER_BYTES);
	use = use_of(w, b->first_seq, b->count, &prefix);
	if (use == LOG_BLOCK_STOP)
		return 1;
	if (use == LOG_BLOCK_READ) {
		err = fetch_block(w, p, i, &fits);
		if (err == 0 && fits) {
			count_opened(w, &w->desk->s, b->first_seq);
			err = tell_records(w);
		}
	}
	if (err == ERR_CORRUPT || err == ERR_IO) {
		w->desk->body.len = 0;
		w->partial = true;
		err = 0;
	}
	return err != 0 ? err : tell_passed(w, b->first_seq, b->first_seq + b->count);
}

static int walk_part(struct walk *w, const struct logpin *p)
{
	uint64_t end = w->range->to_seq ? w->range->to_seq : UINT64_MAX;
	size_t from, to;
	int err = 0;

	if (!p->part) {
		w->partial = true;
		return tell_passed(w, p->run.first_seq, p->run.end_seq);
	}
	logpart_find(p->part, w->rid, &from, &to);
	for (size_t n = 0; n < to - from && err == 0; n++) {
		size_t i = w->range->backward ? to - 1 - n : from + n;
		const struct logpart_block *b = logpart_block(p->part, i);

		if (b->first_seq < end && b->first_seq + b->count > w->range->from_seq)
			err = walk_part_block(w, p, i);
	}
	return err;
}

static int take_pins(struct walk *w, uint64_t seq)
{
	struct logpins *pins = &w->desk->pins;
	int err = 0;

	if (!logpins_hold(pins, seq))
		err = logpins_take(pins, w->txn, w->store->parts, w->store->kv, w->rid, seq,
				   w->range->backward);
	w->again = err == 1;
	return err;
}

/* What parts have from range->from_seq on, which goes along: parts that are taken next may have been merged
 * with those before. */
static int walk_parts_forward(struct walk *w)
{
	const uint64_t end = w->range->to_seq ? w->range->to_seq : UINT64_MAX;
	const struct logpins *pins = &w->desk->pins;
	uint64_t *at = &w->range->from_seq;
	int err = 0;

	while (err == 0 && *at < end) {
		err = take_pins(w, *at);
		if (err || pins->n == 0 || pins->pins[pins->n - 1].run.end_seq <= *at)
			break;
		for (size_t i = 0; i < pins->n && err == 0; i++)
			if (pins->pins[i].run.end_seq > *at)
				err = walk_part(w, &pins->pins[i]);
		*at = pins->pins[pins->n - 1].run.end_seq;
	}
	return err;
}

/* What parts have before range->to_seq, which goes along. */
static int walk_parts_backward(struct walk *w)
{
	const struct logpins *pins = &w->desk->pins;
	uint64_t *at = &w->range->to_seq;
	int err = 0;

	while (err == 0 && *at > w->range->from_seq && *at > 1) {
		err = take_pins(w, *at - 1);
		if (err || pins->n == 0 || pins->pins[0].run.first_seq >= *at)
			break;
		for (size_t i = pins->n; i-- > 0 && err == 0;)
			if (pins->pins[i].run.first_seq < *at &&
			    pins->pins[i].run.end_seq > w->range->from_seq)
				err = walk_part(w, &pins->pins[i]);
		*at = pins->pins[0].run.first_seq;
	}
	return err;
}

/* ---- all of them ---- */

static int walk_forward(struct walk *w, uint64_t database)
{
	int err = 0;

	if (w->range->from_seq < database || logpins_hold(&w->desk->pins, w->range->from_seq))
		err = walk_parts_forward(w);
	return err != 0 ? err : walk_database(w);
}

static int walk_backward(struct walk *w, uint64_t database)
{
	int err = walk_database(w);

	if (!w->range->to_seq || w->range->to_seq > database)
		w->range->to_seq = database;
	return err != 0 ? err : walk_parts_backward(w);
}

int logs_read(struct kv_txn *t, struct store *s, uint32_t rid, struct log_range *range, log_fn fn, void *arg,
	      bool *ret_partial, bool *ret_again)
{
	struct walk w = {
		.txn = t, .store = s, .rid = rid, .range = range, .desk = range->desk, .fn = fn, .arg = arg
	};
	uint64_t database;
	int err = logs_first_in_database(t, rid, &database);

	if (err == 0 && !w.desk)
		err = log_desk_new(&w.desk);
	if (err == 0)
		err = (range->backward ? walk_backward : walk_forward)(&w, database);
	if (!range->desk)
		log_desk_free(w.desk);
	if (w.partial && ret_partial)
		*ret_partial = true;
	*ret_again = w.again;
	return err;
}

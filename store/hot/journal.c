/* The columns' loops are worth vectors: what they look for is or'ed together and tested once. */
#ifndef __clang__
#pragma GCC optimize("O3")
#endif

#include "store/hot/journal.h"

#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/base/clock.h"
#include "store/stored.h"

#define KEY_BYTES   10
#define BODY_MAX    (JOURNAL_CHUNK_BYTES - STORED_HEADER_BYTES)
#define ENTRY_MAX   ((size_t)1 << 30)
#define SAMPLES_MAX (1u << 24)

enum sid_mode { SID_CONST, SID_STRIDE, SID_DELTAS };
enum time_mode { TIME_CONST, TIME_DELTAS };
enum step_mode { STEP_ABSENT, STEP_CONST, STEP_DELTAS, STEP_RAW };
enum value_mode { VALUE_F32, VALUE_F64 };

/* ---- encoding ---- */

static uint8_t *put_zigzag(uint8_t *p, int64_t v) { return put_varint(p, zigzag(v)); }

static uint8_t *put_sids(uint8_t *p, const uint32_t *sid, size_t n)
{
	uint32_t stride = n > 1 ? sid[1] - sid[0] : 0, irregular = 0;
	bool regular;

	for (size_t i = 1; i < n; i++)
		irregular |= (sid[i] - sid[i - 1]) ^ stride;
	regular = stride <= 1 && !irregular;
	*p++ = (uint8_t)(!regular ? SID_DELTAS : stride ? SID_STRIDE : SID_CONST);
	p = put_varint(p, sid[0]);
	for (size_t i = 1; !regular && i < n; i++)
		p = put_zigzag(p, (int64_t)sid[i] - (int64_t)sid[i - 1]);
	return p;
}

/* The largest of 1 s, 1 ms, 1 us, 1 ns that divides every time. */
static int64_t time_unit(const int64_t *t, size_t n)
{
	int64_t unit = NS_PER_S;

	for (size_t i = 0; i < n; i++)
		while (t[i] % unit != 0)
			unit /= 1000;
	return unit;
}

static uint8_t *put_times(uint8_t *p, const int64_t *t, size_t n)
{
	uint64_t differ = 0;
	bool same;
	int64_t unit;

	for (size_t i = 1; i < n; i++)
		differ |= (uint64_t)(t[i] ^ t[0]);
	same = differ == 0;
	*p++ = same ? TIME_CONST : TIME_DELTAS;
	if (same)
		return put_zigzag(p, t[0]);
	unit = time_unit(t, n);
	p = put_varint(p, (uint64_t)unit);
	p = put_zigzag(p, t[0] / unit);
	for (size_t i = 1; i < n; i++)
		p = put_zigzag(p, (t[i] - t[i - 1]) / unit);
	return p;
}

static enum step_mode step_mode_of(const int64_t *step, size_t n)
{
	uint64_t differ = 0;
	bool absent = false;

	if (!step)
		return STEP_ABSENT;
	for (size_t i = 1; i < n; i++)
		differ |= (uint64_t)(step[i] ^ step[0]);
	if (!differ)
		return step[0] == STEP_NONE ? STEP_ABSENT : STEP_CONST;
	for (size_t i = 0; i < n; i++)
		absent |= step[i] == STEP_NONE;
	return absent ? STEP_RAW : STEP_DELTAS;
}

static uint8_t *put_steps(uint8_t *p, const int64_t *step, size_t n)
{
	enum step_mode mode = step_mode_of(step, n);

	*p++ = (uint8_t)mode;
	if (mode == STEP_CONST || mode == STEP_DELTAS)
		p = put_zigzag(p, step[0]);
	for (size_t i = 1; mode == STEP_DELTAS && i < n; i++)
		p = put_zigzag(p, (int64_t)((uint64_t)step[i] - (uint64_t)step[i - 1]));
	if (mode == STEP_RAW) {
		memcpy(p, step, n * sizeof(*step));
		p += n * sizeof(*step);
	}
	return p;
}

/* Tries float32 first; a value that is not one shows after the fact, in one pass without branches. */
static uint8_t *put_values(uint8_t *p, const double *v, size_t n)
{
	uint64_t lost = 0;

	*p = VALUE_F32;
	for (size_t i = 0; i < n; i++) {
		float narrow = (float)v[i];

		lost |= double_bits((double)narrow) ^ double_bits(v[i]);
		memcpy(p + 1 + 4 * i, &narrow, 4);
	}
	if (!lost)
		return p + 1 + 4 * n;
	*p++ = VALUE_F64;
	memcpy(p, v, n * sizeof(*v));
	return p + n * sizeof(*v);
}

static int encode_samples(const struct journal_record *rec, struct buf *out)
{
	size_t most = 64 + rec->n * (5 + VARINT_MAX + VARINT_MAX + sizeof(double)), body;
	uint8_t *p, *start, length[VARINT_MAX];
	size_t length_bytes;
	int err = buf_reserve(out, most + VARINT_MAX);

	if (err < 0)
		return err;
	start = p = out->data + out->len + VARINT_MAX;
	p = put_varint(p, rec->rid);
	p = put_varint(p, (uint64_t)(rec->window_ns / NS_PER_MS));
	p = put_varint(p, rec->n);
	p = put_sids(p, rec->sid, rec->n);
	p = put_times(p, rec->t_ns, rec->n);
	p = put_steps(p, rec->step, rec->n);
	p = put_values(p, rec->value, rec->n);
	body = (size_t)(p - start);
	length_bytes = (size_t)(put_varint(length, body) - length);
	memcpy(out->data + out->len, length, length_bytes);
	memmove(out->data + out->len + length_bytes, start, body);
	out->len += length_bytes + body;
	return 0;
}

static int encode_buckets(const struct journal_record *rec, struct buf *out)
{
	struct buf body;
	int err;

	buf_init(&body, out->max);
	if ((err = buf_add_varint(&body, 0)) < 0 || (err = buf_add_varint(&body, rec->rid)) < 0 ||
	    (err = buf_add_varint(&body, (uint64_t)(rec->window_ns / NS_PER_MS))) < 0 ||
	    (err = bucket_records_encode(rec->buckets, rec->n_buckets, rec->window_ns, &body)) < 0 ||
	    (err = buf_add_varint(out, body.len)) < 0)
		goto done;
	err = buf_add(out, body.data, body.len);
done:
	buf_release(&body);
	return err;
}

int journal_encode(const struct journal_record *rec, struct buf *out)
{
	int err = rec->n ? encode_samples(rec, out) : 0;

	return err == 0 && rec->n_buckets ? encode_buckets(rec, out) : err;
}

/* ---- decoding ---- */

struct columns {
	size_t cap;
	uint32_t *sid;
	int64_t *t_ns, *step;
	double *value;
	struct bucket_record *buckets; /* of the last record; the columns are kept from one to the next */
	size_t n_buckets;
};

static void buckets_drop(struct columns *c)
{
	bucket_records_release(c->buckets, c->n_buckets);
	free(c->buckets);
	c->buckets = NULL;
	c->n_buckets = 0;
}

static void columns_release(struct columns *c)
{
	free(c->sid);
	free(c->t_ns);
	free(c->step);
	free(c->value);
	buckets_drop(c);
}

static int columns_grow(struct columns *c, size_t n)
{
	if (n <= c->cap)
		return 0;
	columns_release(c);
	*c = (struct columns){ .cap = n };
	c->sid = malloc(n * sizeof(*c->sid));
	c->t_ns = malloc(n * sizeof(*c->t_ns));
	c->step = malloc(n * sizeof(*c->step));
	c->value = malloc(n * sizeof(*c->value));
	return c->sid && c->t_ns && c->step && c->value ? 0 : ERR_NOMEM;
}

static void read_sids(struct reader *r, uint32_t *sid, size_t n)
{
	enum sid_mode mode = read_u8(r);
	uint64_t v = read_varint(r), stride = mode == SID_STRIDE;

	r->bad |= mode > SID_DELTAS || v == 0 || v > UINT32_MAX || (stride && n - 1 > UINT32_MAX - v);
	if (r->bad)
		return;
	for (size_t i = 0; mode != SID_DELTAS && i < n; i++)
		sid[i] = (uint32_t)v + (uint32_t)stride * (uint32_t)i;
	sid[0] = (uint32_t)v;
	for (size_t i = 1; mode == SID_DELTAS && i < n && !r->bad; i++) {
		v += (uint64_t)read_zigzag(r);
		r->bad |= v == 0 || v > UINT32_MAX;
		sid[i] = (uint32_t)v;
	}
}

static void read_times(struct reader *r, int64_t *t, size_t n)
{
	enum time_mode mode = read_u8(r);
	uint64_t unit = mode == TIME_DELTAS ? read_varint(r) : 1;
	uint64_t v = (uint64_t)read_zigzag(r) * unit;

	r->bad |= mode > TIME_DELTAS;
	for (size_t i = 0; mode == TIME_CONST && i < n; i++)
		t[i] = (int64_t)v;
	t[0] = (int64_t)v;
	for (size_t i = 1; mode == TIME_DELTAS && i < n && !r->bad; i++) {
		v += (uint64_t)read_zigzag(r) * unit;
		t[i] = (int64_t)v;
	}
}

static void read_steps(struct reader *r, int64_t *step, size_t n)
{
	enum step_mode mode = read_u8(r);
	uint64_t v =
	    mode == STEP_CONST || mode == STEP_DELTAS ? (uint64_t)read_zigzag(r) : (uint64_t)STEP_NONE;
	struct span raw = read_bytes(r, mode == STEP_RAW ? n * sizeof(*step) : 0);

	r->bad |= mode > STEP_RAW;
	if (r->bad)
		return;
	if (mode == STEP_RAW) {
		memcpy(step, raw.data, raw.len);
		return;
	}
	for (size_t i = 0; mode != STEP_DELTAS && i < n; i++)
		step[i] = (int64_t)v;
	step[0] = (int64_t)v;
	for (size_t i = 1; mode == STEP_DELTAS && i < n && !r->bad; i++) {
		v += (uint64_t)read_zigzag(r);
		step[i] = (int64_t)v;
	}
}

static void read_values(struct reader *r, double *value, size_t n)
{
	enum value_mode mode = read_u8(r);
	struct span s = read_bytes(r, n * (mode == VALUE_F32 ? sizeof(float) : sizeof(double)));

	r->bad |= mode > VALUE_F64;
	if (r->bad)
		return;
	if (mode == VALUE_F64)
		memcpy(value, s.data, s.len);
	for (size_t i = 0; mode == VALUE_F32 && i < n; i++) {
		float narrow;
		memcpy(&narrow, s.data + 4 * i, 4);
		value[i] = (double)narrow;
	}
}

static int decode_buckets(struct reader *r, struct columns *c, struct journal_record *ret)
{
	int err;

	buckets_drop(c);
	err = bucket_records_decode(r, ret->window_ns, &c->buckets, &c->n_buckets);
	ret->buckets = c->buckets;
	ret->n_buckets = c->n_buckets;
	return err < 0 ? err : reader_left(r) != 0 ? ERR_CORRUPT : 0;
}

static int decode_samples(struct reader *r, struct columns *c, struct journal_record *ret)
{
	uint64_t n = read_varint(r);
	int err;

	if (r->bad || n == 0 || n > SAMPLES_MAX)
		return ERR_CORRUPT;
	err = columns_grow(c, n);
	if (err < 0)
		return err;
	read_sids(r, c->sid, n);
	read_times(r, c->t_ns, n);
	read_steps(r, c->step, n);
	read_values(r, c->value, n);
	if (r->bad || reader_left(r) != 0)
		return ERR_CORRUPT;
	ret->n = n;
	ret->sid = c->sid;
	ret->t_ns = c->t_ns;
	ret->step = c->step;
	ret->value = c->value;
	return 0;
}

static int decode_record(struct span bytes, uint32_t rid, struct columns *c, struct journal_record *ret)
{
	struct reader r = reader_of(bytes);
	uint64_t run = read_varint(&r), window_ms;
	bool buckets = run == 0;

	if (buckets)
		run = read_varint(&r);
	window_ms = read_varint(&r);
	if (r.bad || run == 0 || run > UINT32_MAX || window_ms == 0 || window_ms > 86400000)
		return ERR_CORRUPT;
	*ret = (struct journal_record){ .rid = (uint32_t)run, .window_ns = (int64_t)window_ms * NS_PER_MS };
	if (rid != 0 && rid != run)
		return 0;
	return buckets ? decode_buckets(&r, c, ret) : decode_samples(&r, c, ret);
}

/* *ret_damaged: ERR_CORRUPT is of the entry, not of fn. */
static int decode_entry(struct span entry, uint64_t batch, uint32_t rid, struct columns *c, journal_fn fn,
			void *arg, bool *ret_damaged)
{
	struct reader r = reader_of(entry);
	int err = 0;

	while (err == 0 && reader_left(&r) > 0) {
		struct span bytes = read_lenspan(&r);
		struct journal_record rec;

		err = r.bad ? ERR_CORRUPT : decode_record(bytes, rid, c, &rec);
		*ret_damaged = err == ERR_CORRUPT;
		if (err == 0 && (rid == 0 || rid == rec.rid))
			err = fn(arg, batch, &rec);
	}
	return err;
}

/* ---- entries ---- */

static struct span key_of(uint64_t batch, uint16_t chunk, uint8_t *ret)
{
	put_be64(ret, batch);
	put_be16(ret + 8, chunk);
	return span_of(ret, KEY_BYTES);
}

/* The header's count says how many chunks the entry has; all but the last are full. */
int journal_put(struct kv_txn *t, uint64_t batch, struct span records)
{
	size_t chunks = (records.len + BODY_MAX - 1) / BODY_MAX;
	uint8_t key[KEY_BYTES];
	int err = chunks > UINT16_MAX ? ERR_TOO_LARGE : 0;

	for (size_t i = 0; i < chunks && err == 0; i++) {
		size_t at = i * BODY_MAX, n = records.len - at < BODY_MAX ? records.len - at : BODY_MAX;
		struct stored s = { .count = (uint32_t)chunks,
				    .raw_len = (uint32_t)n,
				    .body = span_of(records.data + at, n) };

		err = stored_put_as(t, KV_JOURNAL, KIND_JOURNAL, key_of(batch, (uint16_t)i, key), s, true);
	}
	return err;
}

struct entry_reader {
	struct kv_cursor *cursor;
	struct span key, value;
	int err; /* of the cursor's last move */
};

/* Gathers the chunks of the entry the cursor is at into out, and moves past them. */
static int read_entry(struct entry_reader *e, uint64_t *ret_batch, struct buf *out)
{
	uint64_t batch = e->key.len == KEY_BYTES ? get_be64(e->key.data) : 0;
	uint32_t chunks = 1;
	int err = 0;

	buf_clear(out);
	for (uint32_t i = 0; i < chunks && err == 0; i++) {
		struct stored s;

		if (e->err < 0 || e->key.len != KEY_BYTES || get_be64(e->key.data) != batch ||
		    get_be16(e->key.data + 8) != i) {
			err = ERR_CORRUPT;
			break;
		}
		err = stored_open(e->key, e->value, KIND_JOURNAL, &s);
		if (err == 0)
			err = buf_add(out, s.body.data, s.body.len);
		if (err == 0) {
			chunks = s.count;
			e->err = kv_next(e->cursor, &e->key, &e->value);
		}
	}
	*ret_batch = batch;
	return err;
}

/* To the first chunk after those of a batch, wherever the cursor is. */
static void seek_after(struct entry_reader *e, uint64_t batch)
{
	uint8_t key[KEY_BYTES];

	e->err = batch == UINT64_MAX ? ERR_NOT_FOUND
				     : kv_seek(e->cursor, key_of(batch + 1, 0, key), &e->key, &e->value);
}

static bool is_past(const struct entry_reader *e, const struct journal_range *range)
{
	return range->upto && e->key.len == KEY_BYTES && get_be64(e->key.data) > range->upto;
}

int journal_read(struct kv_txn *t, const struct journal_range *range, journal_fn fn, void *arg)
{
	struct entry_reader e = { 0 };
	struct columns columns = { 0 };
	struct buf entry;
	int err = kv_cursor_open(t, KV_JOURNAL, &e.cursor);

	if (err < 0)
		return err;
	buf_init(&entry, ENTRY_MAX);
	seek_after(&e, range->after);
	while (err == 0 && e.err == 0 && !is_past(&e, range)) {
		uint64_t batch;
		bool damaged;

		err = read_entry(&e, &batch, &entry);
		damaged = err == ERR_CORRUPT && batch != 0;
		if (err == 0)
			err = decode_entry(buf_span(&entry), batch, range->rid, &columns, fn, arg, &damaged);
		if (damaged && range->damaged) {
			err = range->damaged(arg, batch);
			seek_after(&e, batch);
		}
	}
	if (err == 0 && e.err != ERR_NOT_FOUND)
		err = e.err; /* 0 past the range */
	columns_release(&columns);
	buf_release(&entry);
	kv_cursor_close(e.cursor);
	return err;
}

int journal_bytes(struct kv_txn *t, uint64_t batch, struct buf *out)
{
	uint8_t at[KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_JOURNAL, &c), moved;

	if (err < 0)
		return err;
	for (moved = kv_seek(c, key_of(batch, 0, at), &key, &value);
	     moved == 0 && err == 0 && key.len == KEY_BYTES && get_be64(key.data) == batch;
	     moved = kv_next(c, &key, &value))
		err = buf_add(out, value.data, value.len);
	kv_cursor_close(c);
	return err < 0 ? err : moved < 0 && moved != ERR_NOT_FOUND ? moved : 0;
}

int journal_del(struct kv_txn *t, uint64_t batch)
{
	uint8_t at[KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_JOURNAL, &c);

	if (err < 0)
		return err;
	while (err == 0) {
		err = kv_seek(c, key_of(batch, 0, at), &key, &value);
		if (err < 0 || key.len != KEY_BYTES || get_be64(key.data) != batch)
			break;
		err = kv_cursor_del(c);
	}
	kv_cursor_close(c);
	return err == ERR_NOT_FOUND ? 0 : err;
}

int journal_trim(struct kv_txn *t, uint64_t upto, size_t max_chunks, bool *ret_more)
{
	struct kv_cursor *c;
	struct span key, value;
	int err = kv_cursor_open(t, KV_JOURNAL, &c);

	if (err < 0)
		return err;
	*ret_more = false;
	err = kv_first(c, &key, &value);
	for (size_t n = 0; err == 0 && get_be64(key.data) <= upto; n++) {
		if (n == max_chunks) {
			*ret_more = true;
			break;
		}
		err = kv_cursor_del(c);
		if (err == 0)
			err = kv_first(c, &key, &value);
	}
	kv_cursor_close(c);
	return err == ERR_NOT_FOUND ? 0 : err;
}

#include "store/hot/flush.h"

#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/bytes.h"
#include "store/part/manifest.h"

struct flush {
	struct store *store;
	pthread_mutex_t lock;
	pthread_cond_t news;
	bool active, ready, last, stopping;
	struct flush_row row;
	struct block_writer *blocks;
	struct buf piece;       /* per block: key, u32 length, value */
	struct buf body;        /* of the block being made */
	struct block_key first; /* of its buckets */
	uint32_t sid, rid;      /* of the newest bucket */
	struct run_range *runs;
	size_t n_runs, runs_cap;
};

int flush_new(struct store *s, struct flush **ret)
{
	struct flush *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return ERR_NOMEM;
	f->store = s;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->news, NULL);
	buf_init(&f->piece, 64 * FLUSH_PIECE_BYTES);
	buf_init(&f->body, 16 * FLUSH_PIECE_BYTES);
	err = block_writer_new(BLOCK_BODY_MAX, &f->blocks);
	if (err < 0) {
		flush_free(f);
		return err;
	}
	*ret = f;
	return 0;
}

void flush_free(struct flush *f)
{
	if (!f)
		return;
	block_writer_free(f->blocks);
	buf_release(&f->piece);
	buf_release(&f->body);
	free(f->runs);
	pthread_cond_destroy(&f->news);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* ---- rows ---- */

#define ROW_FIXED 56

static int64_t floor_s(int64_t ns) { return window_start(ns, NS_PER_S) / NS_PER_S; }

static int row_put(const struct flush *f, struct kv_txn *t)
{
	const struct flush_row *row = &f->row;
	uint8_t key[8], fixed[ROW_FIXED], one[3 * VARINT_MAX], *p;
	struct buf body;
	uint32_t before = 0;
	int err;

	put_be64(key, row->number);
	put_le64(fixed, row->upto);
	put_le64(fixed + 8, (uint64_t)row->floor_ns);
	put_le64(fixed + 16, (uint64_t)row->least_start);
	put_le64(fixed + 24, (uint64_t)row->greatest_start);
	put_le64(fixed + 32, row->buckets);
	put_le64(fixed + 40, row->blocks);
	put_le64(fixed + 48, row->bytes);
	buf_init(&body, ROW_FIXED + VARINT_MAX + f->n_runs * sizeof(one) + 64);
	err = buf_add(&body, fixed, sizeof(fixed));
	if (err == 0)
		err = buf_add_varint(&body, f->n_runs);
	for (size_t i = 0; err == 0 && i < f->n_runs; i++) {
		const struct run_range *r = &f->runs[i];
		int64_t least = floor_s(r->least);

		p = put_varint(one, r->rid - before);
		p = put_varint(p, zigzag(least));
		p = put_varint(p, (uint64_t)(floor_s(r->greatest) - least));
		err = buf_add(&body, one, (size_t)(p - one));
		before = r->rid;
	}
	if (err == 0)
		err = stored_put(t, KV_FLUSH, KIND_FLUSH, span_of(key, 8), buf_span(&body));
	buf_release(&body);
	return err;
}

int flush_row_decode(struct span key, struct span value, struct flush_row *ret)
{
	struct flush_row row;
	struct stored s;
	struct reader r;
	int err = key.len == 8 ? stored_open(key, value, KIND_FLUSH, &s) : ERR_CORRUPT;

	if (err < 0)
		return err;
	r = reader_of(s.body);
	row.number = get_be64(key.data);
	row.upto = read_le64(&r);
	row.floor_ns = (int64_t)read_le64(&r);
	row.least_start = (int64_t)read_le64(&r);
	row.greatest_start = (int64_t)read_le64(&r);
	row.buckets = read_le64(&r);
	row.blocks = read_le64(&r);
	row.bytes = read_le64(&r);
	row.runs = read_bytes(&r, reader_left(&r));
	if (r.bad)
		return ERR_CORRUPT;
	*ret = row;
	return 0;
}

int flush_rows(struct kv_txn *t, uint64_t last, flush_row_fn fn, void *arg)
{
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_FLUSH, &c), moved;

	if (err < 0)
		return err;
	for (moved = kv_first(c, &key, &value); moved == 0 && err == 0; moved = kv_next(c, &key, &value)) {
		struct flush_row row;

		err = flush_row_decode(key, value, &row);
		if (err < 0 || row.number > last)
			break;
		err = fn(arg, &row);
	}
	kv_cursor_close(c);
	return err;
}

bool flush_row_run(const struct flush_row *row, uint32_t rid, int64_t *ret_least, int64_t *ret_greatest)
{
	struct reader r = reader_of(row->runs);
	uint64_t n = read_varint(&r), at = 0;

	for (uint64_t i = 0; i < n && !r.bad; i++) {
		int64_t least;
		uint64_t length;

		at += read_varint(&r);
		least = read_zigzag(&r);
		length = read_varint(&r);
		if (r.bad || at > rid)
			return false;
		if (at == rid) {
			*ret_least = least * NS_PER_S;
			*ret_greatest = (least + (int64_t)length) * NS_PER_S + NS_PER_S - 1;
			return true;
		}
	}
	return false;
}

struct span block_key_of(uint64_t flush, uint32_t sid, int64_t start_ns, uint8_t *ret)
{
	put_be64(ret, flush);
	put_be32(ret + 8, sid);
	put_be64i(ret + 12, start_ns);
	return span_of(ret, BLOCK_KEY_BYTES);
}

/* ---- the writer's side ---- */

void flush_begin(struct flush *f, uint64_t number, uint64_t upto, int64_t floor_ns)
{
	pthread_mutex_lock(&f->lock);
	f->row = (struct flush_row){ .number = number,
				     .upto = upto,
				     .floor_ns = floor_ns,
				     .least_start = INT64_MAX,
				     .greatest_start = INT64_MIN };
	f->n_runs = 0;
	f->active = true;
	f->last = false;
	pthread_cond_broadcast(&f->news);
	pthread_mutex_unlock(&f->lock);
}

bool flush_active(struct flush *f)
{
	bool active;

	pthread_mutex_lock(&f->lock);
	active = f->active;
	pthread_mutex_unlock(&f->lock);
	return active;
}

bool flush_ready(struct flush *f)
{
	bool ready;

	pthread_mutex_lock(&f->lock);
	ready = f->ready;
	pthread_mutex_unlock(&f->lock);
	return ready;
}

int flush_put(struct flush *f, struct kv_txn *t, bool *ret_done)
{
	const uint8_t *p = f->piece.data, *end = p + f->piece.len;
	int err = 0;

	while (p < end && err == 0) {
		size_t len = get_le32(p + BLOCK_KEY_BYTES);
		uint8_t *room;

		err = kv_reserve(t, KV_BLOCK, span_of(p, BLOCK_KEY_BYTES), len, true, &room);
		if (err == 0)
			memcpy(room, p + BLOCK_KEY_BYTES + 4, len);
		p += BLOCK_KEY_BYTES + 4 + len;
	}
	if (err == 0 && f->last)
		err = row_put(f, t);
	*ret_done = f->last;
	return err;
}

void flush_taken(struct flush *f)
{
	pthread_mutex_lock(&f->lock);
	f->ready = false;
	if (f->last)
		f->active = false;
	buf_clear(&f->piece);
	pthread_cond_broadcast(&f->news);
	pthread_mutex_unlock(&f->lock);
}

void flush_stop(struct flush *f)
{
	pthread_mutex_lock(&f->lock);
	f->stopping = true;
	pthread_cond_broadcast(&f->news);
	pthread_mutex_unlock(&f->lock);
}

/* ---- the flusher ---- */

/* Hands the piece to the writer and waits until it is taken.  False: stopping. */
static bool hand_over(struct flush *f, bool last)
{
	bool go_on;

	pthread_mutex_lock(&f->lock);
	f->ready = true;
	f->last = last;
	pthread_mutex_unlock(&f->lock);
	writer_wake(f->store);
	pthread_mutex_lock(&f->lock);
	while (f->ready && !f->stopping)
		pthread_cond_wait(&f->news, &f->lock);
	go_on = !f->stopping;
	pthread_mutex_unlock(&f->lock);
	return go_on;
}

/* The body of the block goes into the piece, with its header. */
static int end_block(struct flush *f)
{
	size_t count = block_writer_count(f->blocks), value_len, at;
	uint8_t key[BLOCK_KEY_BYTES], len[4];
	struct span k = block_key_of(f->row.number, f->first.sid, f->first.start_ns, key);
	int err;

	buf_clear(&f->body);
	err = block_writer_finish(f->blocks, &f->body);
	if (err < 0)
		return err;
	value_len = STORED_HEADER_BYTES + f->body.len;
	put_le32(len, (uint32_t)value_len);
	err = buf_reserve(&f->piece, BLOCK_KEY_BYTES + 4 + value_len);
	if (err < 0)
		return err;
	buf_add(&f->piece, k.data, k.len);
	buf_add(&f->piece, len, sizeof(len));
	at = f->piece.len;
	f->piece.len += STORED_HEADER_BYTES;
	buf_add(&f->piece, f->body.data, f->body.len);
	stored_seal(f->piece.data + at, KIND_BLOCK, CODEC_PLAIN, (uint32_t)count, (uint32_t)f->body.len, k,
		    f->body.len);
	f->row.blocks++;
	f->row.bytes += value_len;
	return 0;
}

static int compare_run(const void *a, const void *b)
{
	const struct run_range *x = a, *y = b;

	return (x->rid > y->rid) - (x->rid < y->rid);
}

/* Makes the run's range the newest.  Series of one run mostly follow each other. */
static int note_run(struct flush *f, uint32_t rid)
{
	if (f->n_runs && f->runs[f->n_runs - 1].rid == rid)
		return 0;
	if (array_grow(f->runs, f->n_runs, f->runs_cap) < 0)
		return ERR_NOMEM;
	f->runs[f->n_runs++] = (struct run_range){ rid, INT64_MAX, INT64_MIN };
	return 0;
}

/* One range for each run, by rising rid; the row's range is that of them all. */
static void merge_runs(struct flush *f)
{
	size_t n = 0;

	if (f->n_runs > 1)
		qsort(f->runs, f->n_runs, sizeof(*f->runs), compare_run);
	for (size_t i = 0; i < f->n_runs; i++) {
		struct run_range *r = n ? &f->runs[n - 1] : NULL;

		if (f->runs[i].least < f->row.least_start)
			f->row.least_start = f->runs[i].least;
		if (f->runs[i].greatest > f->row.greatest_start)
			f->row.greatest_start = f->runs[i].greatest;
		if (!r || r->rid != f->runs[i].rid) {
			f->runs[n++] = f->runs[i];
			continue;
		}
		r->least = f->runs[i].least < r->least ? f->runs[i].least : r->least;
		r->greatest = f->runs[i].greatest > r->greatest ? f->runs[i].greatest : r->greatest;
	}
	f->n_runs = n;
}

static int note_entry(struct flush *f, const struct entry_key *key)
{
	struct run_range *r;
	int err = note_run(f, f->rid);

	if (err < 0)
		return err;
	r = &f->runs[f->n_runs - 1];
	r->least = key->start_ns < r->least ? key->start_ns : r->least;
	r->greatest = key->start_ns > r->greatest ? key->start_ns : r->greatest;
	return 0;
}

/* The run of the entry's series; 0: it is gone (purge.h). */
static uint32_t run_of(struct flush *f, uint32_t sid)
{
	if (sid != f->sid) {
		f->sid = sid;
		f->rid = registry_run(&f->store->series, sid);
	}
	return f->rid;
}

/* ERR_BUSY: stopping. */
static int add_entry(void *arg, const struct entry *e)
{
	struct block_key key = { e->key.sid, e->key.start_ns, (int64_t)e->key.window_ms * NS_PER_MS };
	struct flush *f = arg;
	int err;

	if (!run_of(f, key.sid))
		return 0;
	err = block_writer_add(f->blocks, key, e->bucket);

	if (err == ERR_FULL) {
		err = end_block(f);
		if (err == 0)
			err = block_writer_add(f->blocks, key, e->bucket);
	}
	if (err < 0)
		return err;
	if (block_writer_count(f->blocks) == 1)
		f->first = key;
	f->row.buckets++;
	err = note_entry(f, &e->key);
	if (err == 0 && f->piece.len >= FLUSH_PIECE_BYTES && !hand_over(f, false))
		err = ERR_BUSY;
	return err;
}

/* False: stopping. */
static bool run_flush(struct flush *f)
{
	int64_t began = clock_mono_ns();
	int err;
	bool go_on;

	f->sid = 0;
	err = memory_walk_frozen(&f->store->memory, add_entry, f);
	if (err == ERR_BUSY)
		return false;
	if (err == 0 && block_writer_count(f->blocks) > 0)
		err = end_block(f);
	if (err < 0)
		abort(); /* out of memory: the journal has everything */
	merge_runs(f);
	go_on = hand_over(f, true);
	atomic_fetch_add(&f->store->counters.flush_ns, (uint64_t)(clock_mono_ns() - began));
	return go_on;
}

void *flush_main(void *arg)
{
	struct flush *f = arg;

	for (;;) {
		bool stop;

		pthread_mutex_lock(&f->lock);
		while (!f->stopping && (!f->active || f->last))
			pthread_cond_wait(&f->news, &f->lock);
		stop = f->stopping;
		pthread_mutex_unlock(&f->lock);
		if (stop || !run_flush(f))
			return NULL;
	}
}

/* ---- leftovers ---- */

#define SWEEP_BLOCKS 10000

static int sweep_some(struct kv_txn *t, uint64_t last, bool *ret_more)
{
	uint8_t from[BLOCK_KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_BLOCK, &c);

	if (err < 0)
		return err;
	*ret_more = false;
	err = kv_seek(c, block_key_of(last + 1, 0, INT64_MIN, from), &key, &value);
	for (size_t n = 0; err == 0 && n < SWEEP_BLOCKS; n++) {
		err = kv_cursor_del(c);
		if (err == 0)
			err = kv_seek(c, span_of(from, sizeof(from)), &key, &value);
	}
	*ret_more = err == 0;
	kv_cursor_close(c);
	return err == ERR_NOT_FOUND ? 0 : err;
}

int flush_sweep(struct kv *kv, uint64_t last)
{
	bool more = true;
	int err = 0;

	while (err == 0 && more) {
		struct kv_txn *t;

		err = kv_begin(kv, true, &t);
		if (err < 0)
			return err;
		err = sweep_some(t, last, &more);
		if (err < 0)
			kv_abort(t);
		else
			err = kv_commit(t);
	}
	return err;
}

#include "store/part/partblock.h"

#include <assert.h>
#include <stdlib.h>

#include "store/base/checksum.h"
#include "store/base/compress.h"
#include "store/format.h"
#include "store/part/strip.h"

#define LEVEL 5

const struct block_want block_want_all = { NULL, 0, INT64_MIN, INT64_MAX, WANT_ALL };

struct head {
	enum codec codec;
	uint32_t count, directory, dense, loose, loose_stored;
};

struct partblock_writer {
	size_t n;
	struct strip *strip;
	struct column_out out;
	struct buf directory, packed;
	struct strip_bucket buckets[PARTBLOCK_BUCKETS_MAX];
};

struct partblock_reader {
	struct strip *strip;
	struct buf loose;
	partblock_column_fn watch; /* NULL: nobody does */
	void *watch_arg;
	double share; /* of a byte that is stored for one of the loose stream of the block at hand */
	double told;  /* bytes of its streams */
};

static uint32_t checksum(const uint8_t *block, size_t len, uint64_t offset)
{
	uint8_t at[8];
	uint32_t crc = crc32c(block, PARTBLOCK_HEADER_BYTES - 4);

	put_le64(at, offset);
	crc = crc32c_extend(crc, at, sizeof(at));
	return crc32c_extend(crc, block + PARTBLOCK_HEADER_BYTES, len - PARTBLOCK_HEADER_BYTES);
}

/* ---- writing ---- */

int partblock_writer_new(struct partblock_writer **ret)
{
	struct partblock_writer *w = malloc(sizeof(*w));
	int err;

	if (!w)
		return ERR_NOMEM;
	w->n = 0;
	w->strip = NULL;
	buf_init(&w->out.dense, PARTBLOCK_BYTES_MAX / 2);
	buf_init(&w->out.loose, PARTBLOCK_BYTES_MAX / 2);
	buf_init(&w->directory, PARTBLOCK_BYTES_MAX / 2);
	buf_init(&w->packed, PARTBLOCK_BYTES_MAX);
	err = strip_new(&w->strip);
	if (err < 0) {
		partblock_writer_free(w);
		return err;
	}
	*ret = w;
	return 0;
}

static void writer_clear(struct partblock_writer *w)
{
	while (w->n)
		bucket_release(&w->buckets[--w->n].bucket);
}

void partblock_writer_free(struct partblock_writer *w)
{
	if (!w)
		return;
	writer_clear(w);
	strip_free(w->strip);
	buf_release(&w->out.dense);
	buf_release(&w->out.loose);
	buf_release(&w->directory);
	buf_release(&w->packed);
	free(w);
}

size_t partblock_writer_count(const struct partblock_writer *w) { return w->n; }

int partblock_writer_add(struct partblock_writer *w, struct block_key key, const struct bucket *b)
{
	const struct block_key *before = w->n ? &w->buckets[w->n - 1].key : NULL;
	int err;

	assert(!before || key.sid > before->sid ||
	       (key.sid == before->sid && key.start_ns > before->start_ns));
	if (w->n == PARTBLOCK_BUCKETS_MAX)
		return ERR_FULL;
	err = bucket_copy(&w->buckets[w->n].bucket, b);
	if (err < 0)
		return err;
	w->buckets[w->n++].key = key;
	return 0;
}

static size_t strip_len(const struct strip_bucket *b, size_t n)
{
	size_t len = 1;

	while (len < n && b[len].key.sid == b->key.sid && b[len].key.window_ns == b->key.window_ns)
		len++;
	return len;
}

static int put_strip(struct partblock_writer *w, const struct strip_bucket *b, size_t n,
		     const struct block_key *before)
{
	size_t dense = w->out.dense.len, loose = w->out.loose.len;
	int64_t window = before && before->window_ns == b->key.window_ns ? 0 : b->key.window_ns;
	int err = strip_put(w->strip, &w->out, b, n);

	if (err == 0)
		err = buf_add_varint(&w->directory, b->key.sid - (before ? before->sid : 0));
	if (err == 0)
		err = buf_add_varint(&w->directory, (uint64_t)window);
	if (err == 0)
		err = buf_add_varint(&w->directory, n);
	if (err == 0)
		err = buf_add_varint(&w->directory, w->out.dense.len - dense);
	return err < 0 ? err : buf_add_varint(&w->directory, w->out.loose.len - loose);
}

static int put_strips(struct partblock_writer *w)
{
	int err = 0;

	buf_clear(&w->out.dense);
	buf_clear(&w->out.loose);
	buf_clear(&w->directory);
	for (size_t i = 0, len; i < w->n && err == 0; i += len) {
		len = strip_len(w->buckets + i, w->n - i);
		err = put_strip(w, w->buckets + i, len, i ? &w->buckets[i - 1].key : NULL);
	}
	return err;
}

/* Header and bodies. */
static int put_block(struct partblock_writer *w, uint64_t offset, struct buf *out)
{
	struct span loose = buf_span(&w->out.loose);
	enum codec codec = CODEC_PLAIN;
	size_t at = out->len;
	uint8_t head[PARTBLOCK_HEADER_BYTES] = { STORED_MAGIC, KIND_PART_BLOCK, FORMAT_MAJOR };
	int err;

	buf_clear(&w->packed);
	err = compress_block(loose, LEVEL, &w->packed);
	if (err < 0)
		return err;
	if (w->packed.len < loose.len) {
		loose = buf_span(&w->packed);
		codec = CODEC_ZSTD;
	}
	head[3] = (uint8_t)codec;
	put_le32(head + 4, (uint32_t)w->n);
	put_le32(head + 8, (uint32_t)w->directory.len);
	put_le32(head + 12, (uint32_t)w->out.dense.len);
	put_le32(head + 16, (uint32_t)w->out.loose.len);
	put_le32(head + 20, (uint32_t)loose.len);
	err = buf_add(out, head, sizeof(head));
	if (err == 0)
		err = buf_add(out, w->directory.data, w->directory.len);
	if (err == 0)
		err = buf_add(out, w->out.dense.data, w->out.dense.len);
	if (err == 0)
		err = buf_add(out, loose.data, loose.len);
	if (err == 0)
		put_le32(out->data + at + 24, checksum(out->data + at, out->len - at, offset));
	return err;
}

int partblock_writer_finish(struct partblock_writer *w, uint64_t offset, struct buf *out)
{
	int err = put_strips(w);

	assert(w->n > 0);
	if (err == 0)
		err = put_block(w, offset, out);
	writer_clear(w);
	return err;
}

/* ---- reading ---- */

int partblock_reader_new(struct partblock_reader **ret)
{
	struct partblock_reader *r = calloc(1, sizeof(*r));
	int err = r ? strip_new(&r->strip) : ERR_NOMEM;

	if (err < 0) {
		free(r);
		return err;
	}
	buf_init(&r->loose, PARTBLOCK_BYTES_MAX);
	*ret = r;
	return 0;
}

void partblock_reader_free(struct partblock_reader *r)
{
	if (!r)
		return;
	strip_free(r->strip);
	buf_release(&r->loose);
	free(r);
}

static void tell_column(void *arg, const struct strip_column *c)
{
	struct partblock_reader *r = arg;
	double bytes = (double)c->dense + r->share * (double)c->loose;

	r->told += bytes;
	r->watch(r->watch_arg, c->name, c->codec, c->n, bytes);
}

void partblock_watch(struct partblock_reader *r, partblock_column_fn fn, void *arg)
{
	r->watch = fn;
	r->watch_arg = arg;
	strip_watch(r->strip, fn ? tell_column : NULL, r);
}

static void tell_rest(struct partblock_reader *r, const struct head *h)
{
	double streams = (double)h->dense + (double)h->loose_stored;

	r->watch(r->watch_arg, "directory", "none", h->count, PARTBLOCK_HEADER_BYTES + (double)h->directory);
	r->watch(r->watch_arg, "scales, wide sums", "none", h->count, streams - r->told);
}

static int open_head(struct span block, uint64_t offset, struct head *ret)
{
	const uint8_t *p = block.data;

	if (block.len < PARTBLOCK_HEADER_BYTES || block.len > PARTBLOCK_BYTES_MAX || p[0] != STORED_MAGIC ||
	    p[1] != KIND_PART_BLOCK || get_le32(p + 24) != checksum(p, block.len, offset))
		return ERR_CORRUPT;
	if (p[2] > FORMAT_MAJOR)
		return ERR_VERSION;
	*ret = (struct head){ (enum codec)p[3], get_le32(p + 4),  get_le32(p + 8),
			      get_le32(p + 12), get_le32(p + 16), get_le32(p + 20) };
	if (ret->codec > CODEC_ZSTD || ret->count > PARTBLOCK_BUCKETS_MAX ||
	    ret->loose > PARTBLOCK_BYTES_MAX ||
	    (uint64_t)PARTBLOCK_HEADER_BYTES + ret->directory + ret->dense + ret->loose_stored != block.len)
		return ERR_CORRUPT;
	return 0;
}

static int open_loose(struct partblock_reader *r, const struct head *h, struct span stored, struct span *ret)
{
	int err = 0;

	if (h->codec == CODEC_PLAIN) {
		*ret = stored;
		return h->loose == h->loose_stored ? 0 : ERR_CORRUPT;
	}
	buf_clear(&r->loose);
	err = buf_reserve(&r->loose, h->loose);
	if (err == 0)
		err = decompress_block(stored, r->loose.data, h->loose);
	*ret = span_of(r->loose.data, h->loose);
	return err;
}

struct strip_entry {
	uint32_t sid;
	int64_t window_ns;
	uint64_t n;
	struct column_in in;
};

/* The next entry of the directory and its share of the two streams. */
static int next_strip(struct reader *directory, struct reader *dense, struct reader *loose,
		      struct strip_entry *e)
{
	uint64_t sid = read_varint(directory), window = read_varint(directory), dense_len, loose_len;

	e->n = read_varint(directory);
	dense_len = read_varint(directory);
	loose_len = read_varint(directory);
	if (directory->bad || sid > UINT32_MAX - e->sid || window > INT64_MAX ||
	    dense_len > reader_left(dense) || loose_len > reader_left(loose))
		return ERR_CORRUPT;
	e->sid += (uint32_t)sid;
	if (window)
		e->window_ns = (int64_t)window;
	e->in.dense = reader_of(read_bytes(dense, (size_t)dense_len));
	e->in.loose = reader_of(read_bytes(loose, (size_t)loose_len));
	return 0;
}

static int compare_sid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool is_wanted(const struct block_want *want, uint32_t sid)
{
	return !want->sids || bsearch(&sid, want->sids, want->n_sids, sizeof(sid), compare_sid);
}

/* How a strip is told. */
struct telling {
	const struct block_want *want;
	block_fn bucket; /* NULL: as sheets */
	sheet_fn sheet;
	void *arg;
};

/* A strip whose streams hold more than its buckets is damaged. */
static int check_end(const struct strip_entry *e)
{
	return e->in.dense.bad || e->in.loose.bad || reader_left(&e->in.dense) || reader_left(&e->in.loose)
		   ? ERR_CORRUPT
		   : 0;
}

static int tell_sheet(struct partblock_reader *r, struct strip_entry *e, const struct telling *t)
{
	struct sheet all, wanted;
	int err = strip_sheet(r->strip, &e->in, e->window_ns, e->n, t->want->fields, &all);

	if (err == 0)
		err = check_end(e);
	if (err < 0)
		return err;
	wanted = sheet_clip(&all, t->want->from_ns, t->want->to_ns);
	return wanted.n ? t->sheet(t->arg, e->sid, &wanted) : 0;
}

static int read_strip(struct partblock_reader *r, struct strip_entry *e, const struct telling *t)
{
	int err;

	if (!t->bucket)
		return tell_sheet(r, e, t);
	err = strip_get(r->strip, &e->in, e->sid, e->window_ns, e->n, t->want, t->bucket, t->arg);
	return err ? err : check_end(e);
}

static int read_block(struct partblock_reader *r, struct span block, uint64_t offset, const struct telling *t)
{
	struct strip_entry e = { 0 };
	struct reader all, directory, dense, loose;
	struct span loose_span;
	uint64_t buckets = 0;
	struct head h;
	int err = open_head(block, offset, &h);

	if (err < 0)
		return err;
	all = reader_of(span_of(block.data + PARTBLOCK_HEADER_BYTES, block.len - PARTBLOCK_HEADER_BYTES));
	directory = reader_of(read_bytes(&all, h.directory));
	dense = reader_of(read_bytes(&all, h.dense));
	err = open_loose(r, &h, read_bytes(&all, h.loose_stored), &loose_span);
	if (err < 0)
		return err;
	loose = reader_of(loose_span);
	r->share = h.loose ? (double)h.loose_stored / (double)h.loose : 0;
	r->told = 0;
	while (reader_left(&directory)) {
		err = next_strip(&directory, &dense, &loose, &e);
		buckets += err == 0 ? e.n : 0;
		if (err == 0 && buckets > h.count)
			err = ERR_CORRUPT;
		if (err == 0 && is_wanted(t->want, e.sid))
			err = read_strip(r, &e, t);
		if (err)
			return err;
	}
	if (buckets != h.count || reader_left(&dense) || reader_left(&loose))
		return ERR_CORRUPT;
	if (r->watch)
		tell_rest(r, &h);
	return 0;
}

int partblock_read(struct partblock_reader *r, struct span block, uint64_t offset,
		   const struct block_want *want, block_fn fn, void *arg)
{
	return read_block(r, block, offset, &(struct telling){ .want = want, .bucket = fn, .arg = arg });
}

int partblock_sheets(struct partblock_reader *r, struct span block, uint64_t offset,
		     const struct block_want *want, sheet_fn fn, void *arg)
{
	return read_block(r, block, offset, &(struct telling){ .want = want, .sheet = fn, .arg = arg });
}

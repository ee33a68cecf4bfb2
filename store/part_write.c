#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/base/array.h"
#include "store/base/compress.h"
#include "store/file.h"
#include "store/part_layout.h"

/* A series with that many buckets or more begins a block of its own. */
#define SERIES_ALONE 1024
#define INDEX_LEVEL  6

struct block_note {
	struct block_key first;
	uint32_t last_sid;
	int64_t least, greatest;
};

struct run_note {
	struct part_name name;
	int64_t least, greatest;
};

struct part_writer {
	int fd;
	struct part_id id;
	uint8_t header[PART_HEADER_BYTES];
	part_name_fn names;
	void *arg;
	struct partblock_writer *block;
	struct buf out; /* the block just made */
	struct part_summary so_far;
	struct block_note at; /* of the block being filled */
	int64_t before_least;
	uint32_t before_sid;
	struct buf blocks, series; /* of the index */
	struct run_note *runs;
	size_t n_runs, runs_cap;
	struct {
		uint32_t sid, before; /* sid 0: none yet */
		size_t run;
		uint64_t buckets, all;
		struct buf row;
	} now; /* the series being added */
};

static void put_header(struct part_writer *w)
{
	uint8_t *p = w->header;

	memcpy(p, part_magic, sizeof(part_magic));
	p[8] = FORMAT_MAJOR;
	p[9] = PART_METRICS;
	put_le32(p + 12, w->id.pid);
	put_le64(p + 16, (uint64_t)w->id.tier_ns);
	put_le64(p + 24, (uint64_t)w->id.from_ns);
	put_le64(p + 32, (uint64_t)w->id.to_ns);
	put_le64(p + 40, w->id.number);
	put_le32(p + 48, crc32c(p, PART_HEADER_BYTES - 4));
}

int part_create(const char *path, struct part_id id, part_name_fn names, void *arg, struct part_writer **ret)
{
	struct part_writer *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return ERR_NOMEM;
	*w = (struct part_writer){ .id = id, .names = names, .arg = arg };
	w->so_far.least_start = INT64_MAX;
	w->so_far.greatest_start = INT64_MIN;
	buf_init(&w->out, 2 * PARTBLOCK_BYTES_MAX);
	buf_init(&w->blocks, PART_INDEX_MAX);
	buf_init(&w->series, PART_INDEX_MAX);
	buf_init(&w->now.row, PARTBLOCK_BYTES_MAX);
	w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	err = w->fd < 0 ? file_error() : partblock_writer_new(&w->block);
	if (err == 0) {
		put_header(w);
		err = file_write(w->fd, span_of(w->header, PART_HEADER_BYTES));
		w->so_far.bytes = PART_HEADER_BYTES;
	}
	if (err < 0) {
		part_abandon(w);
		return err;
	}
	*ret = w;
	return 0;
}

void part_abandon(struct part_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	partblock_writer_free(w->block);
	buf_release(&w->out);
	buf_release(&w->blocks);
	buf_release(&w->series);
	buf_release(&w->now.row);
	free(w->runs);
	free(w);
}

/* ---- blocks ---- */

static int note_block(struct part_writer *w, size_t bytes, size_t buckets)
{
	const struct block_note *b = &w->at;
	uint8_t item[6 * VARINT_MAX], *p = item;

	p = put_varint(p, bytes);
	p = put_varint(p, buckets);
	p = put_varint(p, b->first.sid - w->before_sid);
	p = put_varint(p, b->last_sid - b->first.sid);
	p = put_varint(p, zigzag((int64_t)((uint64_t)b->least - (uint64_t)w->before_least)));
	p = put_varint(p, (uint64_t)b->greatest - (uint64_t)b->least);
	w->before_sid = b->first.sid;
	w->before_least = b->least;
	return buf_add(&w->blocks, item, (size_t)(p - item));
}

static int end_block(struct part_writer *w)
{
	size_t buckets = partblock_writer_count(w->block);
	int err;

	if (buckets == 0)
		return 0;
	buf_clear(&w->out);
	err = partblock_writer_finish(w->block, w->so_far.bytes, &w->out);
	if (err == 0)
		err = file_write(w->fd, buf_span(&w->out));
	if (err == 0)
		err = note_block(w, w->out.len, buckets);
	w->so_far.bytes += w->out.len;
	w->so_far.buckets += buckets;
	w->so_far.blocks++;
	return err;
}

/* ---- series and runs ---- */

static int run_place(struct part_writer *w, const struct part_name *name, size_t *ret)
{
	for (size_t i = w->n_runs; i-- > 0;)
		if (w->runs[i].name.rid == name->rid) {
			*ret = i;
			return 0;
		}
	if (array_grow(w->runs, w->n_runs, w->runs_cap) < 0)
		return ERR_NOMEM;
	w->runs[w->n_runs] = (struct run_note){ *name, INT64_MAX, INT64_MIN };
	*ret = w->n_runs++;
	return 0;
}

/* The series that was being added goes into the index. */
static int end_series(struct part_writer *w)
{
	uint8_t item[4 * VARINT_MAX], *p = item;
	int err;

	if (!w->now.sid)
		return 0;
	p = put_varint(p, w->now.sid - w->now.before);
	p = put_varint(p, w->now.run);
	p = put_varint(p, w->now.buckets);
	p = put_varint(p, w->now.row.len);
	err = buf_add(&w->series, item, (size_t)(p - item));
	w->now.before = w->now.sid;
	return err < 0 ? err : buf_add(&w->series, w->now.row.data, w->now.row.len);
}

static int begin_series(struct part_writer *w, uint32_t sid)
{
	struct part_name name = { 0 };
	int err = end_series(w);

	assert(sid > w->now.sid);
	buf_clear(&w->now.row);
	if (err == 0)
		err = w->names(w->arg, sid, &name, &w->now.row);
	if (err == 0)
		err = run_place(w, &name, &w->now.run);
	w->now.sid = sid;
	w->now.buckets = 0;
	w->now.all++;
	return err;
}

static void widen(int64_t *least, int64_t *greatest, int64_t start)
{
	*least = start < *least ? start : *least;
	*greatest = start > *greatest ? start : *greatest;
}

/* Room in the block; a block does not begin in the middle of a series that would fit the next. */
static int make_room(struct part_writer *w, struct block_key key, bool new_series)
{
	size_t n = partblock_writer_count(w->block);
	int err = 0;

	if (n == PARTBLOCK_BUCKETS_MAX || (new_series && n >= SERIES_ALONE))
		err = end_block(w);
	if (err == 0 && partblock_writer_count(w->block) == 0)
		w->at = (struct block_note){ key, key.sid, INT64_MAX, INT64_MIN };
	return err;
}

int part_add(struct part_writer *w, struct block_key key, const struct bucket *b)
{
	bool new_series = key.sid != w->now.sid;
	int err = make_room(w, key, new_series);

	assert(key.start_ns >= w->id.from_ns && key.start_ns < w->id.to_ns);
	if (err == 0 && new_series)
		err = begin_series(w, key.sid);
	if (err == 0)
		err = partblock_writer_add(w->block, key, b);
	if (err < 0)
		return err;
	w->now.buckets++;
	w->at.last_sid = key.sid;
	widen(&w->at.least, &w->at.greatest, key.start_ns);
	widen(&w->so_far.least_start, &w->so_far.greatest_start, key.start_ns);
	widen(&w->runs[w->now.run].least, &w->runs[w->now.run].greatest, key.start_ns);
	return 0;
}

/* ---- the end ---- */

static int put_text(struct buf *b, const char *s)
{
	int err = buf_add_varint(b, strlen(s));

	return err < 0 ? err : buf_addstr(b, s);
}

static int put_runs(const struct part_writer *w, struct buf *b)
{
	int err = buf_add_varint(b, w->n_runs);

	for (size_t i = 0; i < w->n_runs && err == 0; i++) {
		const struct run_note *r = &w->runs[i];

		err = buf_add_varint(b, r->name.rid);
		if (err == 0)
			err = put_text(b, r->name.project);
		if (err == 0)
			err = put_text(b, r->name.id);
		if (err == 0)
			err = buf_add_varint(b, zigzag(r->least));
		if (err == 0)
			err = buf_add_varint(b, (uint64_t)r->greatest - (uint64_t)r->least);
	}
	return err;
}

static int make_index(const struct part_writer *w, struct buf *b)
{
	int err = buf_add_varint(b, w->so_far.blocks);

	if (err == 0)
		err = buf_add(b, w->blocks.data, w->blocks.len);
	if (err == 0)
		err = put_runs(w, b);
	if (err == 0)
		err = buf_add_varint(b, w->now.all);
	return err < 0 ? err : buf_add(b, w->series.data, w->series.len);
}

static int put_index(struct part_writer *w)
{
	uint8_t head[PART_INDEX_HEADER_BYTES] = { STORED_MAGIC, KIND_PART_INDEX, FORMAT_MAJOR, CODEC_ZSTD };
	struct buf plain, packed;
	int err;

	buf_init(&plain, PART_INDEX_MAX);
	buf_init(&packed, PART_INDEX_MAX);
	err = make_index(w, &plain);
	if (err == 0)
		err = compress_block(buf_span(&plain), INDEX_LEVEL, &packed);
	put_le32(head + 4, (uint32_t)plain.len);
	put_le32(head + 8, (uint32_t)packed.len);
	put_le32(head + 12, part_index_crc(head, w->so_far.bytes, buf_span(&packed)));
	if (err == 0)
		err = file_write(w->fd, span_of(head, sizeof(head)));
	if (err == 0)
		err = file_write(w->fd, buf_span(&packed));
	w->so_far.bytes += sizeof(head) + packed.len;
	buf_release(&plain);
	buf_release(&packed);
	return err;
}

static int put_footer(struct part_writer *w, uint64_t index)
{
	uint8_t foot[PART_FOOTER_BYTES];

	put_le64(foot, index);
	put_le64(foot + 8, w->so_far.buckets);
	put_le32(foot + 16, w->so_far.blocks);
	w->so_far.crc = part_footer_crc(w->header, foot);
	put_le32(foot + 20, w->so_far.crc);
	memcpy(foot + 24, part_end_magic, sizeof(part_end_magic));
	w->so_far.bytes += sizeof(foot);
	return file_write(w->fd, span_of(foot, sizeof(foot)));
}

int part_finish(struct part_writer *w, struct part_summary *ret)
{
	uint64_t index;
	int err = end_block(w);

	assert(w->now.sid);
	if (err == 0)
		err = end_series(w);
	index = w->so_far.bytes;
	if (err == 0)
		err = put_index(w);
	if (err == 0)
		err = put_footer(w, index);
	if (err == 0 && fsync(w->fd) != 0)
		err = ERR_IO;
	if (err == 0)
		*ret = w->so_far;
	part_abandon(w);
	return err;
}

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/base/array.h"
#include "store/base/compress.h"
#include "store/file.h"
#include "store/manifest.h"
#include "store/rawpart_layout.h"
#include "store/scale.h"

#define INDEX_LEVEL 6

/* Names of series are read again only through the index. */
struct run_note {
	uint32_t rid;
	char id[ID_MAX + 1];
	int64_t least, greatest;
};

struct rawpart_writer {
	int fd;
	struct rawpart_id id;
	uint8_t header[RAWPART_HEADER_BYTES];
	rawpart_name_fn names;
	void *arg;
	struct rawblock_writer *block;
	struct buf out; /* the block just made */
	struct rawpart_summary so_far;
	struct {
		uint32_t first_sid;
		int64_t least;
	} before;                  /* of the block before */
	struct buf blocks, series; /* of the index */
	struct run_note *runs;
	size_t n_runs, runs_cap;
	struct {
		uint32_t sid, before; /* sid 0: none yet */
		size_t run, in_block; /* its run's place; samples of it in the block */
		uint64_t samples, all;
		struct buf row;
	} now; /* the series being added */
};

/* splitmix64's last steps (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Odd numbers without a pattern, so that no likely fault changes two fields to the same sum; mixed, so that
 * none that changes two samples does. */
uint64_t sample_digest(uint32_t sid, const struct point *p, size_t n)
{
	uint64_t sum = 0, of_series = sid * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < n; i++)
		sum += mix(of_series + (uint64_t)p[i].t_ns * UINT64_C(0xd6e8feb86659fd93) +
			   (uint64_t)p[i].step * UINT64_C(0xa0761d6478bd642f) +
			   double_bits(p[i].value) * UINT64_C(0xe7037ed1a0b428db));
	return sum;
}

static void put_header(struct rawpart_writer *w)
{
	uint8_t *p = w->header;

	memcpy(p, rawpart_magic, sizeof(rawpart_magic));
	p[8] = FORMAT_MAJOR;
	put_le32(p + 12, w->id.pid);
	put_le64(p + 16, w->id.first);
	put_le64(p + 24, w->id.upto);
	put_le64(p + 32, w->id.number);
	put_le32(p + 40, crc32c(p, RAWPART_HEADER_BYTES - 4));
}

int rawpart_create(const char *path, struct rawpart_id id, rawpart_name_fn names, void *arg,
		   struct rawpart_writer **ret)
{
	struct rawpart_writer *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return ERR_NOMEM;
	*w = (struct rawpart_writer){ .id = id, .names = names, .arg = arg };
	w->so_far.least_ns = INT64_MAX;
	w->so_far.greatest_ns = INT64_MIN;
	buf_init(&w->out, 2 * (size_t)RAWBLOCK_BYTES_MAX);
	buf_init(&w->blocks, RAWPART_INDEX_MAX);
	buf_init(&w->series, RAWPART_INDEX_MAX);
	buf_init(&w->now.row, RAWPART_INDEX_MAX);
	w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	err = w->fd < 0 ? file_error() : rawblock_writer_new(&w->block);
	if (err == 0) {
		put_header(w);
		err = file_write(w->fd, span_of(w->header, RAWPART_HEADER_BYTES));
		w->so_far.bytes = RAWPART_HEADER_BYTES;
	}
	if (err < 0) {
		rawpart_abandon(w);
		return err;
	}
	*ret = w;
	return 0;
}

void rawpart_abandon(struct rawpart_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	rawblock_writer_free(w->block);
	buf_release(&w->out);
	buf_release(&w->blocks);
	buf_release(&w->series);
	buf_release(&w->now.row);
	free(w->runs);
	free(w);
}

/* ---- blocks ---- */

static int note_block(struct rawpart_writer *w, size_t bytes, const struct rawblock_range *r)
{
	uint8_t item[6 * VARINT_MAX], *p = item;

	p = put_varint(p, bytes);
	p = put_varint(p, r->samples);
	p = put_varint(p, r->first_sid - w->before.first_sid);
	p = put_varint(p, r->last_sid - r->first_sid);
	p = put_varint(p, zigzag((int64_t)((uint64_t)r->least_ns - (uint64_t)w->before.least)));
	p = put_varint(p, (uint64_t)r->greatest_ns - (uint64_t)r->least_ns);
	w->before.first_sid = r->first_sid;
	w->before.least = r->least_ns;
	return buf_add(&w->blocks, item, (size_t)(p - item));
}

/* The first n samples become a block. */
static int end_block(struct rawpart_writer *w, size_t n)
{
	struct rawblock_range range;
	int err;

	if (n == 0)
		return 0;
	buf_clear(&w->out);
	err = rawblock_finish(w->block, n, w->so_far.bytes, &w->out, &range);
	if (err == 0)
		err = file_write(w->fd, buf_span(&w->out));
	if (err == 0)
		err = note_block(w, w->out.len, &range);
	w->so_far.bytes += w->out.len;
	w->so_far.samples += n;
	w->so_far.blocks++;
	if (range.least_ns < w->so_far.least_ns)
		w->so_far.least_ns = range.least_ns;
	if (range.greatest_ns > w->so_far.greatest_ns)
		w->so_far.greatest_ns = range.greatest_ns;
	return err;
}

/* A full block ends.  A series that began in it goes whole into the next, so that one of that length
 * is never in two and shares its times with its neighbours. */
static int end_full_block(struct rawpart_writer *w)
{
	size_t n = rawblock_count(w->block), begun = w->now.in_block;

	if (begun > COLUMN_MAX || begun == n)
		begun = 0;
	w->now.in_block = begun;
	return end_block(w, n - begun);
}

/* ---- series and runs ---- */

static int run_place(struct rawpart_writer *w, uint32_t rid, const char *id, size_t *ret)
{
	for (size_t i = w->n_runs; i-- > 0;)
		if (w->runs[i].rid == rid) {
			*ret = i;
			return 0;
		}
	if (array_grow(w->runs, w->n_runs, w->runs_cap) < 0)
		return ERR_NOMEM;
	w->runs[w->n_runs] = (struct run_note){ .rid = rid, .least = INT64_MAX, .greatest = INT64_MIN };
	memcpy(w->runs[w->n_runs].id, id, ID_MAX + 1);
	*ret = w->n_runs++;
	return 0;
}

/* The series that was being added goes into the index. */
static int end_series(struct rawpart_writer *w)
{
	uint8_t item[4 * VARINT_MAX], *p = item;
	int err;

	if (!w->now.sid)
		return 0;
	p = put_varint(p, w->now.sid - w->now.before);
	p = put_varint(p, w->now.run);
	p = put_varint(p, w->now.samples);
	p = put_varint(p, w->now.row.len);
	err = buf_add(&w->series, item, (size_t)(p - item));
	w->now.before = w->now.sid;
	return err < 0 ? err : buf_add(&w->series, w->now.row.data, w->now.row.len);
}

static int begin_series(struct rawpart_writer *w, uint32_t rid, uint32_t sid)
{
	char id[ID_MAX + 1] = "";
	int err = end_series(w);

	assert(sid > w->now.sid);
	buf_clear(&w->now.row);
	if (err == 0)
		err = w->names(w->arg, rid, sid, id, &w->now.row);
	if (err == 0)
		err = run_place(w, rid, id, &w->now.run);
	w->now.sid = sid;
	w->now.samples = w->now.in_block = 0;
	w->now.all++;
	return err;
}

int rawpart_add(struct rawpart_writer *w, uint32_t rid, uint32_t sid, const struct point *p, size_t n)
{
	struct run_note *run;
	int err = n && sid != w->now.sid ? begin_series(w, rid, sid) : 0;

	if (err < 0 || n == 0)
		return err;
	w->so_far.digest += sample_digest(sid, p, n);
	w->now.samples += n;
	run = &w->runs[w->now.run];
	run->least = p[0].t_ns < run->least ? p[0].t_ns : run->least;
	run->greatest = p[n - 1].t_ns > run->greatest ? p[n - 1].t_ns : run->greatest;
	while (n && err == 0) {
		size_t taken = rawblock_add(w->block, sid, p, n);

		w->now.in_block += taken;
		p += taken;
		n -= taken;
		if (n)
			err = end_full_block(w);
	}
	return err;
}

/* ---- the end ---- */

static int put_runs(const struct rawpart_writer *w, struct buf *b)
{
	int err = buf_add_varint(b, w->n_runs);

	for (size_t i = 0; i < w->n_runs && err == 0; i++) {
		const struct run_note *r = &w->runs[i];

		err = buf_add_varint(b, r->rid);
		if (err == 0)
			err = buf_add_varint(b, strlen(r->id));
		if (err == 0)
			err = buf_addstr(b, r->id);
		if (err == 0)
			err = buf_add_varint(b, zigzag(r->least));
		if (err == 0)
			err = buf_add_varint(b, (uint64_t)r->greatest - (uint64_t)r->least);
	}
	return err;
}

static int make_index(const struct rawpart_writer *w, struct buf *b)
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

static int put_index(struct rawpart_writer *w)
{
	uint8_t head[RAWPART_INDEX_HEADER_BYTES] = { STORED_MAGIC, KIND_RAW_INDEX, FORMAT_MAJOR, CODEC_ZSTD };
	struct buf plain, packed;
	int err;

	buf_init(&plain, RAWPART_INDEX_MAX);
	buf_init(&packed, RAWPART_INDEX_MAX);
	err = make_index(w, &plain);
	if (err == 0)
		err = compress_block(buf_span(&plain), INDEX_LEVEL, &packed);
	put_le32(head + 4, (uint32_t)plain.len);
	put_le32(head + 8, (uint32_t)packed.len);
	put_le32(head + 12, rawpart_index_crc(head, w->so_far.bytes, buf_span(&packed)));
	if (err == 0)
		err = file_write(w->fd, span_of(head, sizeof(head)));
	if (err == 0)
		err = file_write(w->fd, buf_span(&packed));
	w->so_far.bytes += sizeof(head) + packed.len;
	buf_release(&plain);
	buf_release(&packed);
	return err;
}

static int put_footer(struct rawpart_writer *w, uint64_t index)
{
	uint8_t foot[RAWPART_FOOTER_BYTES];

	put_le64(foot, index);
	put_le64(foot + 8, w->so_far.samples);
	put_le32(foot + 16, w->so_far.blocks);
	w->so_far.crc = rawpart_footer_crc(w->header, foot);
	put_le32(foot + 20, w->so_far.crc);
	memcpy(foot + 24, rawpart_end_magic, sizeof(rawpart_end_magic));
	w->so_far.bytes += sizeof(foot);
	return file_write(w->fd, span_of(foot, sizeof(foot)));
}

static int compare_range(const void *a, const void *b)
{
	uint32_t x = ((const struct run_range *)a)->rid, y = ((const struct run_range *)b)->rid;

	return (x > y) - (x < y);
}

static int tell_runs(const struct rawpart_writer *w, struct buf *runs)
{
	struct run_range *ranges = malloc((w->n_runs + 1) * sizeof(*ranges));
	int err;

	if (!ranges)
		return ERR_NOMEM;
	for (size_t i = 0; i < w->n_runs; i++)
		ranges[i] = (struct run_range){ w->runs[i].rid, w->runs[i].least, w->runs[i].greatest };
	qsort(ranges, w->n_runs, sizeof(*ranges), compare_range);
	err = run_ranges_put(ranges, w->n_runs, runs);
	free(ranges);
	return err;
}

int rawpart_finish(struct rawpart_writer *w, struct rawpart_summary *ret, struct buf *runs)
{
	uint64_t index;
	int err = end_block(w, rawblock_count(w->block));

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
		err = tell_runs(w, runs);
	if (err == 0)
		*ret = w->so_far;
	rawpart_abandon(w);
	return err;
}

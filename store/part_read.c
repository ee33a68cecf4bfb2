#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/compress.h"
#include "store/file.h"
#include "store/part_layout.h"

struct part {
	int fd;
	struct part_id id;
	struct part_summary summary;
	uint64_t index; /* where the index begins, and the blocks end */
	struct part_block *blocks;
	struct buf body;          /* of the index */
	struct span runs, series; /* in it */
};

/* ---- opening ---- */

static int read_header(struct part *p, uint8_t *header)
{
	int err = file_read(p->fd, 0, header, PART_HEADER_BYTES);

	if (err < 0)
		return err;
	if (memcmp(header, part_magic, sizeof(part_magic)) != 0 ||
	    get_le32(header + 48) != crc32c(header, PART_HEADER_BYTES - 4))
		return ERR_CORRUPT;
	if (header[8] > FORMAT_MAJOR)
		return ERR_VERSION;
	p->id = (struct part_id){ get_le32(header + 12), (int64_t)get_le64(header + 16),
				  (int64_t)get_le64(header + 24), (int64_t)get_le64(header + 32),
				  get_le64(header + 40) };
	return header[9] == PART_METRICS && p->id.from_ns < p->id.to_ns ? 0 : ERR_CORRUPT;
}

static int read_footer(struct part *p, const uint8_t *header)
{
	uint8_t foot[PART_FOOTER_BYTES];
	struct stat st;
	int err;

	if (fstat(p->fd, &st) != 0)
		return file_error();
	if (st.st_size < PART_HEADER_BYTES + PART_INDEX_HEADER_BYTES + PART_FOOTER_BYTES)
		return ERR_CORRUPT;
	p->summary.bytes = (uint64_t)st.st_size;
	err = file_read(p->fd, p->summary.bytes - PART_FOOTER_BYTES, foot, PART_FOOTER_BYTES);
	if (err < 0)
		return err;
	p->index = get_le64(foot);
	p->summary.buckets = get_le64(foot + 8);
	p->summary.blocks = get_le32(foot + 16);
	p->summary.crc = get_le32(foot + 20);
	if (memcmp(foot + 24, part_end_magic, sizeof(part_end_magic)) != 0 ||
	    p->summary.crc != part_footer_crc(header, foot) || p->index < PART_HEADER_BYTES ||
	    p->index > p->summary.bytes - PART_FOOTER_BYTES - PART_INDEX_HEADER_BYTES)
		return ERR_CORRUPT;
	return 0;
}

/* The index decoded, into p->body. */
static int read_index(struct part *p)
{
	size_t len = (size_t)(p->summary.bytes - PART_FOOTER_BYTES - p->index);
	struct span body;
	struct buf raw;
	int err;

	if (len > PART_INDEX_MAX)
		return ERR_CORRUPT;
	buf_init(&raw, PART_INDEX_MAX);
	err = buf_reserve(&raw, len);
	if (err == 0)
		err = file_read(p->fd, p->index, raw.data, len);
	if (err < 0)
		goto done;
	body = span_of(raw.data + PART_INDEX_HEADER_BYTES, len - PART_INDEX_HEADER_BYTES);
	err = ERR_CORRUPT;
	if (raw.data[0] != STORED_MAGIC || raw.data[1] != KIND_PART_INDEX || raw.data[3] != CODEC_ZSTD ||
	    get_le32(raw.data + 4) > PART_INDEX_MAX || get_le32(raw.data + 8) != body.len ||
	    get_le32(raw.data + 12) != part_index_crc(raw.data, p->index, body))
		goto done;
	p->body.len = get_le32(raw.data + 4);
	p->body.data = malloc(p->body.len + 1);
	err = p->body.data ? decompress_block(body, p->body.data, p->body.len) : ERR_NOMEM;
done:
	buf_release(&raw);
	return err;
}

/* One block of the index, which goes on from the one before. */
static int decode_block(struct part *p, struct reader *r, struct part_block *before, struct part_block *ret)
{
	uint64_t bytes = read_varint(r), buckets = read_varint(r), first = read_varint(r),
		 last = read_varint(r);
	int64_t least = (int64_t)((uint64_t)before->least_start + (uint64_t)read_zigzag(r));
	uint64_t range = read_varint(r);

	if (r->bad || bytes < PART_BLOCK_LEAST || bytes > PARTBLOCK_BYTES_MAX ||
	    bytes > p->index - before->offset || buckets > PARTBLOCK_BUCKETS_MAX ||
	    first > UINT32_MAX - before->first_sid || last > UINT32_MAX - before->first_sid - first ||
	    range > (uint64_t)INT64_MAX - (uint64_t)least)
		return ERR_CORRUPT;
	*ret = (struct part_block){ before->offset,
				    (uint32_t)bytes,
				    before->first_sid + (uint32_t)first,
				    before->first_sid + (uint32_t)(first + last),
				    least,
				    (int64_t)((uint64_t)least + range) };
	p->summary.least_start = least < p->summary.least_start ? least : p->summary.least_start;
	if (ret->greatest_start > p->summary.greatest_start)
		p->summary.greatest_start = ret->greatest_start;
	*before = *ret;
	before->offset += bytes;
	return 0;
}

static void skip_run(struct reader *r)
{
	read_varint(r);
	read_lenspan(r);
	read_lenspan(r);
	read_varint(r);
	read_varint(r);
}

static void skip_series(struct reader *r)
{
	read_varint(r);
	read_varint(r);
	read_varint(r);
	read_lenspan(r);
}

/* A count and that many items, as a span. */
static struct span take_items(struct reader *r, void (*skip)(struct reader *r))
{
	const uint8_t *from = r->p;
	uint64_t n = read_varint(r);

	for (uint64_t i = 0; i < n && !r->bad; i++)
		skip(r);
	return span_of(from, (size_t)(r->p - from));
}

static int decode_index(struct part *p)
{
	struct reader r = reader_of(span_of(p->body.data, p->body.len));
	struct part_block before = { .offset = PART_HEADER_BYTES };
	int err = 0;

	if (read_varint(&r) != p->summary.blocks || p->summary.blocks > reader_left(&r) / 6)
		return ERR_CORRUPT;
	p->blocks = malloc((p->summary.blocks + (size_t)1) * sizeof(*p->blocks));
	if (!p->blocks)
		return ERR_NOMEM;
	p->summary.least_start = INT64_MAX;
	p->summary.greatest_start = INT64_MIN;
	for (uint32_t i = 0; i < p->summary.blocks && err == 0; i++)
		err = decode_block(p, &r, &before, &p->blocks[i]);
	if (err < 0)
		return err;
	p->runs = take_items(&r, skip_run);
	p->series = take_items(&r, skip_series);
	return r.bad || reader_left(&r) || before.offset != p->index ? ERR_CORRUPT : 0;
}

int part_open(const char *path, struct part **ret)
{
	struct part *p = calloc(1, sizeof(*p));
	uint8_t header[PART_HEADER_BYTES];
	int err;

	if (!p)
		return ERR_NOMEM;
	p->fd = open(path, O_RDONLY | O_CLOEXEC);
	err = p->fd < 0 ? file_error() : read_header(p, header);
	if (err == 0)
		err = read_footer(p, header);
	if (err == 0)
		err = read_index(p);
	if (err == 0)
		err = decode_index(p);
	if (err < 0) {
		part_close(p);
		return err;
	}
	*ret = p;
	return 0;
}

void part_close(struct part *p)
{
	if (!p)
		return;
	if (p->fd >= 0)
		close(p->fd);
	free(p->blocks);
	free(p->body.data);
	free(p);
}

struct part_id part_id(const struct part *p) { return p->id; }
struct part_summary part_summary(const struct part *p) { return p->summary; }

/* ---- reading ---- */

/* Whether one of the sids lies in [first, last]. */
static bool any_between(const uint32_t *sids, size_t n, uint32_t first, uint32_t last)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (sids[mid] < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && sids[lo] <= last;
}

bool part_find(const struct part *p, const uint32_t *sids, size_t n_sids, int64_t from_ns, int64_t to_ns,
	       size_t *i)
{
	for (; *i < p->summary.blocks; ++*i) {
		const struct part_block *b = &p->blocks[*i];

		if (b->greatest_start >= from_ns && b->least_start < to_ns &&
		    (!sids || any_between(sids, n_sids, b->first_sid, b->last_sid)))
			return true;
	}
	return false;
}

struct part_block part_block(const struct part *p, size_t i) { return p->blocks[i]; }

int part_bytes(const struct part *p, size_t i, struct buf *room)
{
	const struct part_block *b = &p->blocks[i];
	int err;

	buf_clear(room);
	err = buf_reserve(room, b->bytes);
	if (err == 0)
		err = file_read(p->fd, b->offset, room->data, b->bytes);
	if (err == 0)
		room->len = b->bytes;
	return err;
}

int part_read(const struct part *p, size_t i, struct partblock_reader *r, struct buf *room,
	      const struct block_want *want, block_fn fn, void *arg)
{
	const struct part_block *b = &p->blocks[i];
	int err = part_bytes(p, i, room);

	return err < 0 ? err : partblock_read(r, span_of(room->data, b->bytes), b->offset, want, fn, arg);
}

int part_sheets(const struct part *p, size_t i, struct partblock_reader *r, struct buf *room,
		const struct block_want *want, sheet_fn fn, void *arg)
{
	const struct part_block *b = &p->blocks[i];
	int err = part_bytes(p, i, room);

	return err < 0 ? err : partblock_sheets(r, span_of(room->data, b->bytes), b->offset, want, fn, arg);
}

static struct part_run read_run(struct reader *r)
{
	struct part_run run = { .rid = (uint32_t)read_varint(r) };

	run.project = read_lenspan(r);
	run.id = read_lenspan(r);
	run.least_start = read_zigzag(r);
	run.greatest_start = (int64_t)((uint64_t)run.least_start + read_varint(r));
	return run;
}

int part_runs(const struct part *p, part_run_fn fn, void *arg)
{
	struct reader r = reader_of(p->runs);
	uint64_t n = read_varint(&r);
	int err = 0;

	for (uint64_t i = 0; i < n && err == 0; i++) {
		struct part_run run = read_run(&r);

		err = fn(arg, &run);
	}
	return err;
}

/* The rid at a place of the list of runs; places mostly stay or rise by one. */
struct run_walk {
	struct reader at;
	uint64_t next; /* place of the run that `at` is before */
	uint32_t rid;
};

static uint32_t rid_at(const struct part *p, struct run_walk *w, uint64_t place)
{
	if (place + 1 < w->next || w->next == 0) {
		w->at = reader_of(p->runs);
		read_varint(&w->at);
		w->next = 0;
	}
	for (; w->next <= place && !w->at.bad; w->next++)
		w->rid = read_run(&w->at).rid;
	return w->at.bad ? 0 : w->rid;
}

int part_series(const struct part *p, part_series_fn fn, void *arg)
{
	struct reader r = reader_of(p->series);
	struct part_series s = { 0 };
	struct run_walk runs = { 0 };
	uint64_t n = read_varint(&r);
	int err = 0;

	for (uint64_t i = 0; i < n && err == 0; i++) {
		s.sid += (uint32_t)read_varint(&r);
		s.rid = rid_at(p, &runs, read_varint(&r));
		s.buckets = read_varint(&r);
		s.row = read_lenspan(&r);
		err = s.rid ? fn(arg, &s) : ERR_CORRUPT;
	}
	return err;
}

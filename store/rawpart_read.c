#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/compress.h"
#include "store/file.h"
#include "store/rawpart_layout.h"

struct block_at {
	uint64_t offset;
	uint32_t bytes, samples, first_sid, last_sid;
	int64_t least, greatest;
};

struct rawpart {
	int fd;
	struct rawpart_id id;
	struct rawpart_summary summary;
	uint64_t index; /* where the index begins, and the blocks end */
	struct block_at *blocks;
	struct buf body;          /* of the index */
	struct span runs, series; /* in it */
};

/* ---- opening ---- */

static int read_header(struct rawpart *p, uint8_t *header)
{
	int err = file_read(p->fd, 0, header, RAWPART_HEADER_BYTES);

	if (err < 0)
		return err;
	if (memcmp(header, rawpart_magic, sizeof(rawpart_magic)) != 0 ||
	    get_le32(header + 40) != crc32c(header, RAWPART_HEADER_BYTES - 4))
		return ERR_CORRUPT;
	if (header[8] > FORMAT_MAJOR)
		return ERR_VERSION;
	p->id = (struct rawpart_id){ get_le32(header + 12), get_le64(header + 16), get_le64(header + 24),
				     get_le64(header + 32) };
	return p->id.first <= p->id.upto ? 0 : ERR_CORRUPT;
}

static int read_footer(struct rawpart *p, const uint8_t *header)
{
	uint8_t foot[RAWPART_FOOTER_BYTES];
	struct stat st;
	int err;

	if (fstat(p->fd, &st) != 0)
		return file_error();
	if (st.st_size < RAWPART_HEADER_BYTES + RAWPART_INDEX_HEADER_BYTES + RAWPART_FOOTER_BYTES)
		return ERR_CORRUPT;
	p->summary.bytes = (uint64_t)st.st_size;
	err = file_read(p->fd, p->summary.bytes - RAWPART_FOOTER_BYTES, foot, RAWPART_FOOTER_BYTES);
	if (err < 0)
		return err;
	p->index = get_le64(foot);
	p->summary.samples = get_le64(foot + 8);
	p->summary.blocks = get_le32(foot + 16);
	p->summary.crc = get_le32(foot + 20);
	if (memcmp(foot + 24, rawpart_end_magic, sizeof(rawpart_end_magic)) != 0 ||
	    p->summary.crc != rawpart_footer_crc(header, foot) || p->index < RAWPART_HEADER_BYTES ||
	    p->index > p->summary.bytes - RAWPART_FOOTER_BYTES - RAWPART_INDEX_HEADER_BYTES)
		return ERR_CORRUPT;
	return 0;
}

/* The index decoded, into p->body. */
static int read_index(struct rawpart *p)
{
	size_t len = (size_t)(p->summary.bytes - RAWPART_FOOTER_BYTES - p->index);
	struct span body;
	struct buf raw;
	int err;

	if (len > RAWPART_INDEX_MAX)
		return ERR_CORRUPT;
	buf_init(&raw, RAWPART_INDEX_MAX);
	err = buf_reserve(&raw, len);
	if (err == 0)
		err = file_read(p->fd, p->index, raw.data, len);
	if (err < 0)
		goto done;
	body = span_of(raw.data + RAWPART_INDEX_HEADER_BYTES, len - RAWPART_INDEX_HEADER_BYTES);
	err = ERR_CORRUPT;
	if (raw.data[0] != STORED_MAGIC || raw.data[1] != KIND_RAW_INDEX || raw.data[3] != CODEC_ZSTD ||
	    get_le32(raw.data + 4) > RAWPART_INDEX_MAX || get_le32(raw.data + 8) != body.len ||
	    get_le32(raw.data + 12) != rawpart_index_crc(raw.data, p->index, body))
		goto done;
	p->body.len = get_le32(raw.data + 4);
	p->body.data = malloc(p->body.len + 1);
	err = p->body.data ? decompress_block(body, p->body.data, p->body.len) : ERR_NOMEM;
done:
	buf_release(&raw);
	return err;
}

/* One block of the index, which goes on from the one before. */
static int decode_block(struct rawpart *p, struct reader *r, struct block_at *before, struct block_at *ret)
{
	uint64_t bytes = read_varint(r), samples = read_varint(r), first = read_varint(r),
		 last = read_varint(r);
	int64_t least = (int64_t)((uint64_t)before->least + (uint64_t)read_zigzag(r));
	uint64_t range = read_varint(r);

	if (r->bad || bytes < RAWPART_BLOCK_LEAST || bytes > RAWBLOCK_BYTES_MAX ||
	    bytes > p->index - before->offset || samples > RAWBLOCK_SAMPLES_MAX ||
	    first > UINT32_MAX - before->first_sid || last > UINT32_MAX - before->first_sid - first ||
	    range > (uint64_t)INT64_MAX - (uint64_t)least)
		return ERR_CORRUPT;
	*ret = (struct block_at){ before->offset,
				  (uint32_t)bytes,
				  (uint32_t)samples,
				  before->first_sid + (uint32_t)first,
				  before->first_sid + (uint32_t)(first + last),
				  least,
				  (int64_t)((uint64_t)least + range) };
	p->summary.least_ns = least < p->summary.least_ns ? least : p->summary.least_ns;
	if (ret->greatest > p->summary.greatest_ns)
		p->summary.greatest_ns = ret->greatest;
	*before = *ret;
	before->offset += bytes;
	return 0;
}

static void skip_run(struct reader *r)
{
	read_varint(r);
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

static int decode_index(struct rawpart *p)
{
	struct reader r = reader_of(span_of(p->body.data, p->body.len));
	struct block_at before = { .offset = RAWPART_HEADER_BYTES };
	int err = 0;

	if (read_varint(&r) != p->summary.blocks || p->summary.blocks > reader_left(&r) / 6)
		return ERR_CORRUPT;
	p->blocks = malloc((p->summary.blocks + (size_t)1) * sizeof(*p->blocks));
	if (!p->blocks)
		return ERR_NOMEM;
	p->summary.least_ns = INT64_MAX;
	p->summary.greatest_ns = INT64_MIN;
	for (uint32_t i = 0; i < p->summary.blocks && err == 0; i++)
		err = decode_block(p, &r, &before, &p->blocks[i]);
	if (err < 0)
		return err;
	p->runs = take_items(&r, skip_run);
	p->series = take_items(&r, skip_series);
	return r.bad || reader_left(&r) || before.offset != p->index ? ERR_CORRUPT : 0;
}

int rawpart_open(const char *path, struct rawpart **ret)
{
	struct rawpart *p = calloc(1, sizeof(*p));
	uint8_t header[RAWPART_HEADER_BYTES];
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
		rawpart_close(p);
		return err;
	}
	*ret = p;
	return 0;
}

void rawpart_close(struct rawpart *p)
{
	if (!p)
		return;
	if (p->fd >= 0)
		close(p->fd);
	free(p->blocks);
	free(p->body.data);
	free(p);
}

struct rawpart_id rawpart_id(const struct rawpart *p) { return p->id; }
struct rawpart_summary rawpart_summary(const struct rawpart *p) { return p->summary; }

/* ---- reading ---- */

struct rawpart_block rawpart_block(const struct rawpart *p, size_t i)
{
	const struct block_at *b = &p->blocks[i];

	return (struct rawpart_block){ b->first_sid, b->last_sid, b->samples, b->least, b->greatest };
}

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

bool rawpart_find(const struct rawpart *p, const uint32_t *sids, size_t n_sids, int64_t from_ns,
		  int64_t to_ns, size_t *i)
{
	for (; *i < p->summary.blocks; ++*i) {
		const struct block_at *b = &p->blocks[*i];

		if (b->greatest >= from_ns && b->least < to_ns &&
		    (!sids || any_between(sids, n_sids, b->first_sid, b->last_sid)))
			return true;
	}
	return false;
}

int rawpart_read(const struct rawpart *p, size_t i, struct rawblock_reader *r, struct buf *room,
		 const uint32_t *sids, size_t n_sids, samples_fn fn, void *arg)
{
	const struct block_at *b = &p->blocks[i];
	int err;

	buf_clear(room);
	err = buf_reserve(room, b->bytes);
	if (err == 0)
		err = file_read(p->fd, b->offset, room->data, b->bytes);
	return err < 0 ? err
		       : rawblock_read(r, span_of(room->data, b->bytes), b->offset, sids, n_sids, fn, arg);
}

struct run_name {
	uint32_t rid;
	struct span id;
};

static struct run_name read_run(struct reader *r)
{
	struct run_name run = { .rid = (uint32_t)read_varint(r) };

	run.id = read_lenspan(r);
	read_varint(r);
	read_varint(r);
	return run;
}

/* The run at a place of the list; places mostly stay or rise by one. */
struct run_walk {
	struct reader at;
	uint64_t next; /* place of the run that `at` is before */
	struct run_name run;
};

static bool run_at(const struct rawpart *p, struct run_walk *w, uint64_t place)
{
	if (place + 1 < w->next || w->next == 0) {
		w->at = reader_of(p->runs);
		read_varint(&w->at);
		w->next = 0;
	}
	for (; w->next <= place && !w->at.bad; w->next++)
		w->run = read_run(&w->at);
	return !w->at.bad && w->run.rid;
}

int rawpart_series(const struct rawpart *p, rawpart_series_fn fn, void *arg)
{
	struct reader r = reader_of(p->series);
	struct rawpart_series s = { 0 };
	struct run_walk runs = { 0 };
	uint64_t n = read_varint(&r);
	int err = 0;

	for (uint64_t i = 0; i < n && err == 0; i++) {
		s.sid += (uint32_t)read_varint(&r);
		if (!run_at(p, &runs, read_varint(&r)))
			return ERR_CORRUPT;
		s.rid = runs.run.rid;
		s.id = runs.run.id;
		s.samples = read_varint(&r);
		s.row = read_lenspan(&r);
		err = fn(arg, &s);
	}
	return err;
}

/* ---- all of it ---- */

struct check {
	const struct block_at *block;
	uint32_t sid;
	struct point last;
	struct rawpart_summary found;
	uint64_t in_block;
};

static int check_samples(void *arg, uint32_t sid, const struct point *p, size_t n)
{
	struct check *c = arg;

	if (sid < c->sid || (sid == c->sid && sample_compare(&c->last, &p[0]) > 0) ||
	    sid < c->block->first_sid || sid > c->block->last_sid || p[0].t_ns < c->block->least ||
	    p[n - 1].t_ns > c->block->greatest)
		return ERR_CORRUPT;
	c->sid = sid;
	c->last = p[n - 1];
	c->in_block += n;
	c->found.digest += sample_digest(sid, p, n);
	return 0;
}

int rawpart_check(const struct rawpart *p, struct rawpart_summary *ret)
{
	struct check c = { .found = p->summary };
	struct rawblock_reader *reader;
	struct buf room;
	int err = rawblock_reader_new(&reader);

	if (err < 0)
		return err;
	buf_init(&room, RAWBLOCK_BYTES_MAX);
	c.found.samples = 0;
	for (size_t i = 0; i < p->summary.blocks && err == 0; i++) {
		c.block = &p->blocks[i];
		c.in_block = 0;
		err = rawpart_read(p, i, reader, &room, NULL, 0, check_samples, &c);
		if (err == 0 && c.in_block != c.block->samples)
			err = ERR_CORRUPT;
		c.found.samples += c.in_block;
	}
	buf_release(&room);
	rawblock_reader_free(reader);
	if (err == 0 && c.found.samples != p->summary.samples)
		err = ERR_CORRUPT;
	if (err == 0)
		*ret = c.found;
	return err;
}

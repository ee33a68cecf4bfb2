#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/bytes.h"
#include "store/base/checksum.h"
#include "store/log/logpart.h"

struct named_run {
	uint32_t rid;
	struct span project, id; /* in the file's index */
};

struct logpart {
	struct partfile file;
	struct logpart_summary summary;
	struct logpart_block *blocks;
	struct named_run *runs;
	size_t n, n_runs;
};

/* ---- opening ---- */

static int64_t plus(int64_t a, uint64_t b) { return (int64_t)((uint64_t)a + b); }

static void widen(struct logpart_summary *s, const struct logpart_block *b)
{
	s->least_ns = b->least_ns < s->least_ns ? b->least_ns : s->least_ns;
	s->greatest_ns = b->greatest_ns > s->greatest_ns ? b->greatest_ns : s->greatest_ns;
	s->arrived_ns = b->arrived_ns > s->arrived_ns ? b->arrived_ns : s->arrived_ns;
	s->records += b->count;
}

/* One block, which goes on from the one before in *at. */
static int decode_block(struct logpart *p, struct reader *r, struct logpart_block *at)
{
	uint64_t gap = read_varint(r), count = read_varint(r), bytes = read_varint(r), range;
	uint64_t first = at->first_seq + gap;

	at->least_ns = plus(at->least_ns, (uint64_t)read_zigzag(r));
	range = read_varint(r);
	at->greatest_ns = plus(at->least_ns, range);
	at->arrived_ns = plus(at->greatest_ns, (uint64_t)read_zigzag(r));
	at->levels = read_u8(r);
	if (r->bad || first < gap || first == 0 || count == 0 || count > UINT32_MAX ||
	    first > UINT64_MAX - count || bytes <= STORED_HEADER_BYTES || bytes > LOGPART_BLOCK_MAX ||
	    bytes > p->file.index - at->offset || range > (uint64_t)INT64_MAX - (uint64_t)at->least_ns)
		return ERR_CORRUPT;
	at->first_seq = first;
	at->count = count;
	at->bytes = (uint32_t)bytes;
	p->blocks[p->n++] = *at;
	widen(&p->summary, at);
	at->first_seq = first + count;
	at->offset += bytes;
	return 0;
}

static int decode_run(struct logpart *p, struct reader *r, struct logpart_block *at)
{
	uint64_t rid = at->rid + read_varint(r), n;
	struct named_run *run = &p->runs[p->n_runs++];
	int err = 0;

	run->project = read_lenspan(r);
	run->id = read_lenspan(r);
	n = read_varint(r);
	if (r->bad || rid <= at->rid || rid > UINT32_MAX || n == 0 || n > p->file.summary.blocks - p->n)
		return ERR_CORRUPT;
	run->rid = (uint32_t)rid;
	*at = (struct logpart_block){ .rid = run->rid, .offset = at->offset };
	for (uint64_t i = 0; i < n && err == 0; i++)
		err = decode_block(p, r, at);
	return err;
}

static int decode_index(struct logpart *p)
{
	struct reader r = reader_of(buf_span(&p->file.body));
	struct logpart_block at = { .offset = PARTFILE_HEADER_BYTES };
	size_t blocks = p->file.summary.blocks, left = reader_left(&r);
	uint64_t runs = read_varint(&r);
	int err = 0;

	if (blocks > left || runs > blocks || runs == 0)
		return ERR_CORRUPT;
	p->blocks = malloc(blocks * sizeof(*p->blocks));
	p->runs = malloc(runs * sizeof(*p->runs));
	if (!p->blocks || !p->runs)
		return ERR_NOMEM;
	p->summary.least_ns = INT64_MAX;
	p->summary.greatest_ns = p->summary.arrived_ns = INT64_MIN;
	for (uint64_t i = 0; i < runs && err == 0; i++)
		err = decode_run(p, &r, &at);
	if (err < 0)
		return err;
	return r.bad || reader_left(&r) || p->n != blocks || at.offset != p->file.index ||
		       p->summary.records != p->file.summary.items
		   ? ERR_CORRUPT
		   : 0;
}

int logpart_open(const char *path, struct logpart **ret)
{
	struct logpart *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return ERR_NOMEM;
	err = partfile_open(path, PART_LOGS, &p->file);
	if (err == 0 && p->file.id.from > p->file.id.to)
		err = ERR_CORRUPT;
	if (err == 0)
		err = decode_index(p);
	if (err < 0) {
		logpart_close(p);
		return err;
	}
	p->summary.bytes = p->file.summary.bytes;
	p->summary.blocks = p->file.summary.blocks;
	p->summary.crc = p->file.summary.crc;
	*ret = p;
	return 0;
}

void logpart_close(struct logpart *p)
{
	if (!p)
		return;
	partfile_close(&p->file);
	free(p->blocks);
	free(p->runs);
	free(p);
}

struct logpart_id logpart_id(const struct logpart *p)
{
	const struct partfile_id *id = &p->file.id;

	return (struct logpart_id){ id->pid, id->from, id->to, id->number };
}

struct logpart_summary logpart_summary(const struct logpart *p) { return p->summary; }

/* ---- reading ---- */

const struct logpart_block *logpart_block(const struct logpart *p, size_t i) { return &p->blocks[i]; }

/* The first block of a rid at least this. */
static size_t first_of(const struct logpart *p, uint64_t rid)
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (p->blocks[mid].rid < rid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void logpart_find(const struct logpart *p, uint32_t rid, size_t *ret_from, size_t *ret_to)
{
	*ret_from = first_of(p, rid);
	*ret_to = first_of(p, (uint64_t)rid + 1);
}

bool logpart_name(const struct logpart *p, uint32_t rid, struct span *ret_project, struct span *ret_id)
{
	for (size_t i = 0; i < p->n_runs; i++) {
		if (p->runs[i].rid != rid)
			continue;
		*ret_project = p->runs[i].project;
		*ret_id = p->runs[i].id;
		return true;
	}
	return false;
}

int logpart_read(const struct logpart *p, size_t i, struct buf *room)
{
	return partfile_read(&p->file, p->blocks[i].offset, p->blocks[i].bytes, room);
}

int logpart_open_block(const struct logpart *p, size_t i, struct buf *room, struct stored *ret)
{
	const struct logpart_block *b = &p->blocks[i];
	uint8_t key[LOG_KEY_BYTES];
	struct stored s;
	int err = logpart_read(p, i, room);

	if (err == 0)
		err = stored_open(log_key(b->rid, b->first_seq, key), buf_span(room), KIND_LOG, &s);
	if (err == 0 && s.count != b->count)
		err = ERR_CORRUPT;
	if (err == 0)
		*ret = s;
	return err;
}

int logpart_digest(const struct logpart *p, uint32_t *ret)
{
	uint32_t digest = 0;
	struct buf room;
	int err = 0;

	buf_init(&room, LOGPART_BLOCK_MAX);
	for (size_t i = 0; i < p->n && err == 0; i++) {
		err = logpart_read(p, i, &room);
		if (err == 0)
			digest = crc32c_extend(digest, room.data, room.len);
	}
	buf_release(&room);
	*ret = digest;
	return err;
}

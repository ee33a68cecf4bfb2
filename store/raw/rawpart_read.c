#include <stdlib.h>

#include "store/raw/rawpart.h"

struct rawpart {
	struct partfile file;
	struct partindex index;
};

int rawpart_open(const char *path, struct rawpart **ret)
{
	struct rawpart *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return ERR_NOMEM;
	err = partfile_open(path, PART_SAMPLES, &p->file);
	if (err == 0)
		err = partindex_open(&p->file, RAWBLOCK_HEADER_BYTES + 1, RAWBLOCK_BYTES_MAX,
				     RAWBLOCK_SAMPLES_MAX, &p->index);
	if (err == 0 && p->file.id.from > p->file.id.to)
		err = ERR_CORRUPT;
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
	partfile_close(&p->file);
	partindex_close(&p->index);
	free(p);
}

struct rawpart_id rawpart_id(const struct rawpart *p)
{
	const struct partfile_id *id = &p->file.id;

	return (struct rawpart_id){ id->pid, id->from, id->to, id->number };
}

struct rawpart_summary rawpart_summary(const struct rawpart *p)
{
	const struct partfile_summary *s = &p->file.summary;

	return (struct rawpart_summary){ .bytes = s->bytes,
					 .samples = s->items,
					 .blocks = s->blocks,
					 .crc = s->crc,
					 .least_ns = p->index.least_ns,
					 .greatest_ns = p->index.greatest_ns };
}

/* ---- reading ---- */

struct part_block rawpart_block(const struct rawpart *p, size_t i) { return p->index.blocks[i]; }
bool rawpart_find(const struct rawpart *p, const uint32_t *sids, size_t n_sids, int64_t from_ns,
		  int64_t to_ns, size_t *i)
{
	return partindex_find(&p->index, sids, n_sids, from_ns, to_ns, i);
}

int rawpart_read(const struct rawpart *p, size_t i, struct rawblock_reader *r, struct buf *room,
		 const uint32_t *sids, size_t n_sids, samples_fn fn, void *arg)
{
	const struct part_block *b = &p->index.blocks[i];
	int err = partfile_read(&p->file, b->offset, b->bytes, room);

	return err < 0 ? err : rawblock_read(r, buf_span(room), b->offset, sids, n_sids, fn, arg);
}

int rawpart_series(const struct rawpart *p, part_series_fn fn, void *arg)
{
	return partindex_each(&p->index, fn, arg);
}

/* ---- all of it ---- */

struct check {
	const struct part_block *block;
	uint32_t sid;
	struct point last;
	struct rawpart_summary found;
	uint64_t in_block;
};

static int check_samples(void *arg, uint32_t sid, const struct point *p, size_t n)
{
	struct check *c = arg;

	if (sid < c->sid || (sid == c->sid && sample_compare(&c->last, &p[0]) > 0) ||
	    sid < c->block->first_sid || sid > c->block->last_sid || p[0].t_ns < c->block->least_ns ||
	    p[n - 1].t_ns > c->block->greatest_ns)
		return ERR_CORRUPT;
	c->sid = sid;
	c->last = p[n - 1];
	c->in_block += n;
	c->found.digest += sample_digest(sid, p, n);
	return 0;
}

int rawpart_check(const struct rawpart *p, struct rawpart_summary *ret)
{
	struct check c = { .found = rawpart_summary(p) };
	struct rawblock_reader *reader;
	struct buf room;
	int err = rawblock_reader_new(&reader);

	if (err < 0)
		return err;
	buf_init(&room, RAWBLOCK_BYTES_MAX);
	c.found.samples = 0;
	for (size_t i = 0; i < p->index.n && err == 0; i++) {
		c.block = &p->index.blocks[i];
		c.in_block = 0;
		err = rawpart_read(p, i, reader, &room, NULL, 0, check_samples, &c);
		if (err == 0 && c.in_block != c.block->count)
			err = ERR_CORRUPT;
		c.found.samples += c.in_block;
	}
	buf_release(&room);
	rawblock_reader_free(reader);
	if (err == 0 && c.found.samples != p->file.summary.items)
		err = ERR_CORRUPT;
	if (err == 0)
		*ret = c.found;
	return err;
}

#include <stdlib.h>

#include "store/part/part.h"

struct part {
	struct partfile file;
	struct partindex index;
};

int part_open(const char *path, struct part **ret)
{
	struct part *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return ERR_NOMEM;
	err = partfile_open(path, PART_METRICS, &p->file);
	if (err == 0)
		err = partindex_open(&p->file, PARTBLOCK_HEADER_BYTES + 1, PARTBLOCK_BYTES_MAX,
				     PARTBLOCK_BUCKETS_MAX, &p->index);
	if (err == 0 && (int64_t)p->file.id.from >= (int64_t)p->file.id.to)
		err = ERR_CORRUPT;
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
	partfile_close(&p->file);
	partindex_close(&p->index);
	free(p);
}

struct part_id part_id(const struct part *p)
{
	const struct partfile_id *id = &p->file.id;

	return (struct part_id){ id->pid, id->tier, (int64_t)id->from, (int64_t)id->to, id->number };
}

struct part_summary part_summary(const struct part *p)
{
	const struct partfile_summary *s = &p->file.summary;

	return (struct part_summary){ s->bytes, s->items,          s->blocks,
				      s->crc,   p->index.least_ns, p->index.greatest_ns };
}

bool part_find(const struct part *p, const uint32_t *sids, size_t n_sids, int64_t from_ns, int64_t to_ns,
	       size_t *i)
{
	return partindex_find(&p->index, sids, n_sids, from_ns, to_ns, i);
}

struct part_block part_block(const struct part *p, size_t i) { return p->index.blocks[i]; }

int part_bytes(const struct part *p, size_t i, struct buf *room)
{
	const struct part_block *b = &p->index.blocks[i];

	return partfile_read(&p->file, b->offset, b->bytes, room);
}

int part_read(const struct part *p, size_t i, struct partblock_reader *r, struct buf *room,
	      const struct block_want *want, block_fn fn, void *arg)
{
	int err = part_bytes(p, i, room);

	return err < 0 ? err : partblock_read(r, buf_span(room), p->index.blocks[i].offset, want, fn, arg);
}

int part_read_all(const struct part *p, block_fn fn, part_damage_fn damaged, void *arg)
{
	struct partblock_reader *reader;
	struct buf room;
	size_t i = 0;
	int err = partblock_reader_new(&reader);

	if (err < 0)
		return err;
	buf_init(&room, PARTBLOCK_BYTES_MAX);
	for (; err == 0 && part_find(p, NULL, 0, INT64_MIN, INT64_MAX, &i); i++) {
		err = part_read(p, i, reader, &room, &block_want_all, fn, arg);
		if (err == ERR_CORRUPT || err == ERR_IO)
			err = damaged(arg, p, i, err, &room);
	}
	buf_release(&room);
	partblock_reader_free(reader);
	return err;
}

int part_sheets(const struct part *p, size_t i, struct partblock_reader *r, struct buf *room,
		const struct block_want *want, sheet_fn fn, void *arg)
{
	int err = part_bytes(p, i, room);

	return err < 0 ? err : partblock_sheets(r, buf_span(room), p->index.blocks[i].offset, want, fn, arg);
}

int part_runs(const struct part *p, part_run_fn fn, void *arg) { return partindex_runs(&p->index, fn, arg); }

int part_series(const struct part *p, part_series_fn fn, void *arg)
{
	return partindex_each(&p->index, fn, arg);
}

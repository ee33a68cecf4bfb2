#include <assert.h>
#include <stdlib.h>

#include "store/part/part.h"

/* A block with that many buckets or more takes no other series in, so that who wants one reads few others. */
#define BLOCK_ENOUGH 512

struct part_writer {
	struct partfile_writer file;
	struct partindex_writer index;
	struct part_id id;
	part_name_fn names;
	void *arg;
	struct partblock_writer *block;
	struct buf out;       /* the block just made, and the index at last */
	struct part_block at; /* being filled */
	int64_t least_start, greatest_start;
};

int part_create(const char *path, struct part_id id, part_name_fn names, void *arg, struct part_writer **ret)
{
	const struct partfile_id file = { PART_METRICS,       id.pid,   id.tier_ns, (uint64_t)id.from_ns,
					  (uint64_t)id.to_ns, id.number };
	struct part_writer *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return ERR_NOMEM;
	*w = (struct part_writer){ .id = id, .names = names, .arg = arg };
	w->least_start = INT64_MAX;
	w->greatest_start = INT64_MIN;
	buf_init(&w->out, PARTFILE_INDEX_MAX);
	partindex_init(&w->index);
	err = partfile_create(path, &file, &w->file);
	if (err == 0)
		err = partblock_writer_new(&w->block);
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
	partfile_abandon(&w->file);
	partblock_writer_free(w->block);
	partindex_free(&w->index);
	buf_release(&w->out);
	free(w);
}

static int end_block(struct part_writer *w)
{
	size_t buckets = partblock_writer_count(w->block);
	int err;

	if (buckets == 0)
		return 0;
	buf_clear(&w->out);
	err = partblock_writer_finish(w->block, w->file.so_far.bytes, &w->out);
	if (err == 0)
		err = partfile_add(&w->file, buf_span(&w->out), buckets);
	w->at.bytes = (uint32_t)w->out.len;
	w->at.count = (uint32_t)buckets;
	return err < 0 ? err : partindex_block(&w->index, &w->at);
}

static void widen(int64_t *least, int64_t *greatest, int64_t start)
{
	*least = start < *least ? start : *least;
	*greatest = start > *greatest ? start : *greatest;
}

/* Room in the block at hand, or a new one. */
static int make_room(struct part_writer *w, struct block_key key, bool new_series)
{
	size_t n = partblock_writer_count(w->block);
	int err = 0;

	if (n == PARTBLOCK_BUCKETS_MAX || (new_series && n >= BLOCK_ENOUGH))
		err = end_block(w);
	if (err == 0 && partblock_writer_count(w->block) == 0)
		w->at = (struct part_block){ .first_sid = key.sid,
					     .least_ns = INT64_MAX,
					     .greatest_ns = INT64_MIN };
	return err;
}

int part_add(struct part_writer *w, struct block_key key, const struct bucket *b)
{
	bool new_series = key.sid != w->index.now.sid;
	int err = make_room(w, key, new_series);

	assert(key.start_ns >= w->id.from_ns && key.start_ns < w->id.to_ns);
	if (err == 0 && new_series)
		err = partindex_series(&w->index, key.sid, 0, w->names, w->arg);
	if (err == 0)
		err = partblock_writer_add(w->block, key, b);
	if (err < 0)
		return err;
	w->at.last_sid = key.sid;
	widen(&w->at.least_ns, &w->at.greatest_ns, key.start_ns);
	widen(&w->least_start, &w->greatest_start, key.start_ns);
	partindex_count(&w->index, 1, key.start_ns, key.start_ns);
	return 0;
}

int part_finish(struct part_writer *w, struct part_summary *ret)
{
	struct partfile_summary made;
	int err = end_block(w);

	assert(w->index.now.sid);
	if (err == 0)
		err = partindex_finish(&w->index, &w->out);
	if (err == 0)
		err = partfile_finish(&w->file, buf_span(&w->out), &made);
	if (err == 0)
		*ret = (struct part_summary){ made.bytes, made.items,     made.blocks,
					      made.crc,   w->least_start, w->greatest_start };
	part_abandon(w);
	return err;
}

#include "store/part/partcheck.h"

#include <stdlib.h>

#include "store/base/err.h"
#include "store/part/strip.h"

/* ---- by digest ---- */

struct digest_walk {
	struct part_block at;    /* the block at hand */
	struct block_key before; /* sid 0: none yet */
	struct bucket_digest found;
};

static int add_found(void *arg, struct block_key key, const struct bucket *b)
{
	struct digest_walk *w = arg;

	if (key.sid < w->before.sid || (key.sid == w->before.sid && key.start_ns <= w->before.start_ns) ||
	    key.sid < w->at.first_sid || key.sid > w->at.last_sid || key.start_ns < w->at.least_ns ||
	    key.start_ns > w->at.greatest_ns)
		return ERR_CORRUPT;
	w->before = key;
	bucket_digest_add(&w->found, key, b);
	return 0;
}

static int walk_part(const struct part *part, atomic_bool *stop, struct digest_walk *w)
{
	struct partblock_reader *reader;
	struct buf room;
	int err = partblock_reader_new(&reader);

	if (err < 0)
		return err;
	buf_init(&room, PARTBLOCK_BYTES_MAX);
	for (size_t i = 0; i < part_summary(part).blocks && err == 0; i++) {
		w->at = part_block(part, i);
		err = stop && atomic_load(stop)
			  ? ERR_GONE
			  : part_read(part, i, reader, &room, &block_want_all, add_found, w);
	}
	buf_release(&room);
	partblock_reader_free(reader);
	return err;
}

int partcheck_digest(const char *path, const struct bucket_digest *digest, atomic_bool *stop)
{
	struct digest_walk w = { 0 };
	struct part *part;
	int err = part_open(path, &part);

	if (err < 0)
		return err;
	err = walk_part(part, stop, &w);
	if (err == 0 && (w.found.buckets != digest->buckets || w.found.sum != digest->sum ||
			 w.found.buckets != part_summary(part).buckets))
		err = ERR_CORRUPT;
	part_close(part);
	return err;
}

/* ---- bucket by bucket ---- */

struct partcheck {
	struct part *part;
	struct partblock_reader *reader;
	struct buf room;
	const uint32_t *sids;
	size_t n_sids, block;
	size_t n, at; /* buckets of the block at hand */
	struct strip_bucket buckets[PARTBLOCK_BUCKETS_MAX];
};

int partcheck_new(const char *path, const uint32_t *sids, size_t n_sids, struct partcheck **ret)
{
	struct partcheck *c = malloc(sizeof(*c));
	int err;

	if (!c)
		return ERR_NOMEM;
	c->part = NULL;
	c->reader = NULL;
	c->block = c->n = c->at = 0;
	c->sids = sids;
	c->n_sids = n_sids;
	buf_init(&c->room, PARTBLOCK_BYTES_MAX);
	err = part_open(path, &c->part);
	if (err == 0)
		err = partblock_reader_new(&c->reader);
	if (err < 0) {
		partcheck_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

static void forget(struct partcheck *c)
{
	while (c->n)
		bucket_release(&c->buckets[--c->n].bucket);
	c->at = 0;
}

void partcheck_free(struct partcheck *c)
{
	if (!c)
		return;
	forget(c);
	partblock_reader_free(c->reader);
	part_close(c->part);
	buf_release(&c->room);
	free(c);
}

static int keep(void *arg, struct block_key key, const struct bucket *b)
{
	struct partcheck *c = arg;
	int err = bucket_copy(&c->buckets[c->n].bucket, b);

	if (err == 0)
		c->buckets[c->n++].key = key;
	return err;
}

/* 0, or 1 when the part has no more. */
static int fill(struct partcheck *c)
{
	const struct block_want want = { c->sids, c->n_sids, INT64_MIN, INT64_MAX, WANT_ALL };
	int err = 0;

	while (c->at == c->n && err == 0) { /* a block may have nothing of these series */
		forget(c);
		if (!part_find(c->part, c->sids, c->n_sids, INT64_MIN, INT64_MAX, &c->block))
			return 1;
		err = part_read(c->part, c->block++, c->reader, &c->room, &want, keep, c);
	}
	return err;
}

int partcheck_bucket(struct partcheck *c, struct block_key key, const struct bucket *b)
{
	int err = fill(c);
	const struct strip_bucket *got;

	if (err)
		return err < 0 ? err : ERR_CORRUPT;
	got = &c->buckets[c->at++];
	return got->key.sid == key.sid && got->key.start_ns == key.start_ns &&
		       got->key.window_ns == key.window_ns
		   ? bucket_differs(&got->bucket, b)
		   : ERR_CORRUPT;
}

int partcheck_end(struct partcheck *c)
{
	int err = fill(c);

	return err == 1 ? 0 : err < 0 ? err : ERR_CORRUPT;
}

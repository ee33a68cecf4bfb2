#include <assert.h>
#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/base/checksum.h"
#include "store/log/logpart.h"

struct logpart_writer {
	struct partfile_writer file;
	struct buf index, runs; /* their items, without how many */
	struct buf blocks;      /* the index's items of the run being added */
	uint32_t n_runs, before, digest;
	struct {
		uint32_t rid;
		char project[ID_MAX + 1], id[ID_MAX + 1];
		uint64_t n, first_seq, end; /* blocks; sequences */
		int64_t least_ns;           /* of the block before */
	} now;
	int64_t least_ns, greatest_ns, arrived_ns;
};

struct span log_key(uint32_t rid, uint64_t seq, uint8_t *ret)
{
	put_be32(ret, rid);
	put_be64(ret + 4, seq);
	return span_of(ret, LOG_KEY_BYTES);
}

int logpart_create(const char *path, struct logpart_id id, struct logpart_writer **ret)
{
	const struct partfile_id file = { PART_LOGS, id.pid, 0, id.first, id.upto, id.number };
	struct logpart_writer *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return ERR_NOMEM;
	w->least_ns = INT64_MAX;
	w->greatest_ns = w->arrived_ns = INT64_MIN;
	buf_init(&w->index, PARTFILE_INDEX_MAX);
	buf_init(&w->runs, PARTFILE_INDEX_MAX);
	buf_init(&w->blocks, PARTFILE_INDEX_MAX);
	err = partfile_create(path, &file, &w->file);
	if (err < 0) {
		logpart_abandon(w);
		return err;
	}
	*ret = w;
	return 0;
}

void logpart_abandon(struct logpart_writer *w)
{
	if (!w)
		return;
	partfile_abandon(&w->file);
	buf_release(&w->index);
	buf_release(&w->runs);
	buf_release(&w->blocks);
	free(w);
}

/* ---- runs ---- */

static int put_text(struct buf *b, const char *s)
{
	int err = buf_add_varint(b, strlen(s));

	return err < 0 ? err : buf_addstr(b, s);
}

/* The run that was being added goes into both lists. */
static int end_run(struct logpart_writer *w)
{
	int err;

	if (w->now.n == 0)
		return 0;
	err = buf_add_varint(&w->index, w->now.rid - w->before);
	if (err == 0)
		err = put_text(&w->index, w->now.project);
	if (err == 0)
		err = put_text(&w->index, w->now.id);
	if (err == 0)
		err = buf_add_varint(&w->index, w->now.n);
	if (err == 0)
		err = buf_add(&w->index, w->blocks.data, w->blocks.len);
	if (err == 0)
		err = buf_add_varint(&w->runs, w->now.rid - w->before);
	if (err == 0)
		err = buf_add_varint(&w->runs, w->now.first_seq);
	if (err == 0)
		err = buf_add_varint(&w->runs, w->now.end - w->now.first_seq);
	w->before = w->now.rid;
	w->n_runs++;
	return err;
}

int logpart_run(struct logpart_writer *w, uint32_t rid, const char *project, const char *id)
{
	int err = end_run(w);

	assert(rid > w->now.rid);
	memset(&w->now, 0, sizeof(w->now));
	w->now.rid = rid;
	memcpy(w->now.project, project, strlen(project) + 1);
	memcpy(w->now.id, id, strlen(id) + 1);
	buf_clear(&w->blocks);
	return err;
}

/* ---- blocks ---- */

static int note_block(struct logpart_writer *w, const struct logpart_block *b, size_t bytes)
{
	uint8_t item[6 * VARINT_MAX + 1], *p = item;

	p = put_varint(p, b->first_seq - w->now.end);
	p = put_varint(p, b->count);
	p = put_varint(p, bytes);
	p = put_varint(p, zigzag((int64_t)((uint64_t)b->least_ns - (uint64_t)w->now.least_ns)));
	p = put_varint(p, (uint64_t)b->greatest_ns - (uint64_t)b->least_ns);
	p = put_varint(p, zigzag((int64_t)((uint64_t)b->arrived_ns - (uint64_t)b->greatest_ns)));
	*p++ = (uint8_t)b->levels;
	return buf_add(&w->blocks, item, (size_t)(p - item));
}

int logpart_add(struct logpart_writer *w, const struct logpart_block *b, struct span value)
{
	int err = partfile_add(&w->file, value, b->count);

	assert(w->now.rid && b->rid == w->now.rid && b->count && b->first_seq >= w->now.end);
	if (err == 0)
		err = note_block(w, b, value.len);
	w->digest = crc32c_extend(w->digest, value.data, value.len);
	if (w->now.n++ == 0)
		w->now.first_seq = b->first_seq;
	w->now.end = b->first_seq + b->count;
	w->now.least_ns = b->least_ns;
	w->least_ns = b->least_ns < w->least_ns ? b->least_ns : w->least_ns;
	w->greatest_ns = b->greatest_ns > w->greatest_ns ? b->greatest_ns : w->greatest_ns;
	w->arrived_ns = b->arrived_ns > w->arrived_ns ? b->arrived_ns : w->arrived_ns;
	return err;
}

/* A count and these items. */
static int put_list(struct buf *out, uint32_t n, const struct buf *items)
{
	int err = buf_add_varint(out, n);

	return err < 0 ? err : buf_add(out, items->data, items->len);
}

int logpart_finish(struct logpart_writer *w, struct logpart_summary *ret, uint32_t *ret_digest,
		   struct buf *runs)
{
	struct partfile_summary made;
	int err = end_run(w);

	assert(w->n_runs);
	buf_clear(&w->blocks);
	buf_clear(runs);
	if (err == 0)
		err = put_list(&w->blocks, w->n_runs, &w->index);
	if (err == 0)
		err = put_list(runs, w->n_runs, &w->runs);
	if (err == 0)
		err = partfile_finish(&w->file, buf_span(&w->blocks), &made);
	if (err == 0) {
		*ret = (struct logpart_summary){ made.bytes,  made.items,     made.blocks,  made.crc,
						 w->least_ns, w->greatest_ns, w->arrived_ns };
		*ret_digest = w->digest;
	}
	logpart_abandon(w);
	return err;
}

#include <assert.h>
#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/part/manifest.h"
#include "store/part/scale.h"
#include "store/raw/rawpart.h"

struct rawpart_writer {
	struct partfile_writer file;
	struct partindex_writer index;
	part_name_fn names;
	void *arg;
	struct rawblock_writer *block;
	struct buf out;  /* the block just made, and the index at last */
	size_t in_block; /* samples in the block, of the series being added */
	int64_t least_ns, greatest_ns;
	uint64_t digest;
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

int rawpart_create(const char *path, struct rawpart_id id, part_name_fn names, void *arg,
		   struct rawpart_writer **ret)
{
	const struct partfile_id file = { PART_SAMPLES, id.pid, 0, id.first, id.upto, id.number };
	struct rawpart_writer *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return ERR_NOMEM;
	*w = (struct rawpart_writer){ .names = names, .arg = arg };
	w->least_ns = INT64_MAX;
	w->greatest_ns = INT64_MIN;
	buf_init(&w->out, PARTFILE_INDEX_MAX);
	partindex_init(&w->index);
	err = partfile_create(path, &file, &w->file);
	if (err == 0)
		err = rawblock_writer_new(&w->block);
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
	partfile_abandon(&w->file);
	rawblock_writer_free(w->block);
	partindex_free(&w->index);
	buf_release(&w->out);
	free(w);
}

/* The first n samples become a block. */
static int end_block(struct rawpart_writer *w, size_t n)
{
	struct rawblock_range r;
	struct part_block at;
	int err;

	if (n == 0)
		return 0;
	buf_clear(&w->out);
	err = rawblock_finish(w->block, n, w->file.so_far.bytes, &w->out, &r);
	if (err == 0)
		err = partfile_add(&w->file, buf_span(&w->out), n);
	if (err < 0)
		return err;
	w->least_ns = r.least_ns < w->least_ns ? r.least_ns : w->least_ns;
	w->greatest_ns = r.greatest_ns > w->greatest_ns ? r.greatest_ns : w->greatest_ns;
	at = (struct part_block){ .bytes = (uint32_t)w->out.len,
				  .count = (uint32_t)r.samples,
				  .first_sid = r.first_sid,
				  .last_sid = r.last_sid,
				  .least_ns = r.least_ns,
				  .greatest_ns = r.greatest_ns };
	return partindex_block(&w->index, &at);
}

/* A full block ends.  A series that began in it goes whole into the next, so that one of that length
 * is never in two and shares its times with its neighbours. */
static int end_full_block(struct rawpart_writer *w)
{
	size_t n = rawblock_count(w->block), begun = w->in_block;

	if (begun > COLUMN_MAX || begun == n)
		begun = 0;
	w->in_block = begun;
	return end_block(w, n - begun);
}

int rawpart_add(struct rawpart_writer *w, uint32_t rid, uint32_t sid, const struct point *p, size_t n)
{
	int err = 0;

	if (n == 0)
		return 0;
	if (sid != w->index.now.sid) {
		err = partindex_series(&w->index, sid, rid, w->names, w->arg);
		w->in_block = 0;
	}
	if (err < 0)
		return err;
	w->digest += sample_digest(sid, p, n);
	partindex_count(&w->index, n, p[0].t_ns, p[n - 1].t_ns);
	while (n && err == 0) {
		size_t taken = rawblock_add(w->block, sid, p, n);

		w->in_block += taken;
		p += taken;
		n -= taken;
		if (n)
			err = end_full_block(w);
	}
	return err;
}

/* ---- the end ---- */

static int compare_range(const void *a, const void *b)
{
	uint32_t x = ((const struct run_range *)a)->rid, y = ((const struct run_range *)b)->rid;

	return (x > y) - (x < y);
}

static int tell_runs(const struct partindex_writer *x, struct buf *runs)
{
	struct run_range *ranges = malloc((x->n_runs + 1) * sizeof(*ranges));
	int err;

	if (!ranges)
		return ERR_NOMEM;
	for (size_t i = 0; i < x->n_runs; i++)
		ranges[i] =
		    (struct run_range){ x->runs[i].name.rid, x->runs[i].least_ns, x->runs[i].greatest_ns };
	qsort(ranges, x->n_runs, sizeof(*ranges), compare_range);
	err = run_ranges_put(ranges, x->n_runs, runs);
	free(ranges);
	return err;
}

int rawpart_finish(struct rawpart_writer *w, struct rawpart_summary *ret, struct buf *runs)
{
	struct partfile_summary made;
	int err = end_block(w, rawblock_count(w->block));

	assert(w->index.now.sid);
	if (err == 0)
		err = partindex_finish(&w->index, &w->out);
	if (err == 0)
		err = partfile_finish(&w->file, buf_span(&w->out), &made);
	if (err == 0)
		err = tell_runs(&w->index, runs);
	if (err == 0)
		*ret = (struct rawpart_summary){ .bytes = made.bytes,
						 .samples = made.items,
						 .blocks = made.blocks,
						 .crc = made.crc,
						 .least_ns = w->least_ns,
						 .greatest_ns = w->greatest_ns,
						 .digest = w->digest };
	rawpart_abandon(w);
	return err;
}

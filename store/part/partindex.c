#include "store/part/partindex.h"

#include <assert.h>
#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/bytes.h"

/* ---- writing ---- */

void partindex_init(struct partindex_writer *w)
{
	buf_init(&w->blocks, PARTFILE_INDEX_MAX);
	buf_init(&w->series, PARTFILE_INDEX_MAX);
	buf_init(&w->now.row, PARTFILE_INDEX_MAX);
}

void partindex_free(struct partindex_writer *w)
{
	buf_release(&w->blocks);
	buf_release(&w->series);
	buf_release(&w->now.row);
	free(w->runs);
}

int partindex_block(struct partindex_writer *w, const struct part_block *b)
{
	uint8_t item[6 * VARINT_MAX], *p = item;

	p = put_varint(p, b->bytes);
	p = put_varint(p, b->count);
	p = put_varint(p, b->first_sid - w->before_sid);
	p = put_varint(p, b->last_sid - b->first_sid);
	p = put_varint(p, zigzag((int64_t)((uint64_t)b->least_ns - (uint64_t)w->before_ns)));
	p = put_varint(p, (uint64_t)b->greatest_ns - (uint64_t)b->least_ns);
	w->before_sid = b->first_sid;
	w->before_ns = b->least_ns;
	w->n_blocks++;
	return buf_add(&w->blocks, item, (size_t)(p - item));
}

static int run_place(struct partindex_writer *w, const struct part_name *name, size_t *ret)
{
	for (size_t i = w->n_runs; i-- > 0;)
		if (w->runs[i].name.rid == name->rid) {
			*ret = i;
			return 0;
		}
	if (array_grow(w->runs, w->n_runs, w->runs_cap) < 0)
		return ERR_NOMEM;
	w->runs[w->n_runs] = (struct partindex_run){ *name, INT64_MAX, INT64_MIN };
	*ret = w->n_runs++;
	return 0;
}

/* The series that was being added goes into the list. */
static int end_series(struct partindex_writer *w)
{
	uint8_t item[4 * VARINT_MAX], *p = item;
	int err;

	if (!w->now.sid)
		return 0;
	p = put_varint(p, w->now.sid - w->now.before);
	p = put_varint(p, w->now.run);
	p = put_varint(p, w->now.count);
	p = put_varint(p, w->now.row.len);
	err = buf_add(&w->series, item, (size_t)(p - item));
	w->now.before = w->now.sid;
	return err < 0 ? err : buf_add(&w->series, w->now.row.data, w->now.row.len);
}

int partindex_series(struct partindex_writer *w, uint32_t sid, uint32_t rid, part_name_fn names, void *arg)
{
	struct part_name name = { .rid = rid };
	int err = end_series(w);

	assert(sid > w->now.sid);
	buf_clear(&w->now.row);
	if (err == 0)
		err = names(arg, sid, &name, &w->now.row);
	if (err == 0)
		err = run_place(w, &name, &w->now.run);
	w->now.sid = sid;
	w->now.count = 0;
	w->now.all++;
	return err;
}

void partindex_count(struct partindex_writer *w, uint64_t n, int64_t least_ns, int64_t greatest_ns)
{
	struct partindex_run *run = &w->runs[w->now.run];

	w->now.count += n;
	run->least_ns = least_ns < run->least_ns ? least_ns : run->least_ns;
	run->greatest_ns = greatest_ns > run->greatest_ns ? greatest_ns : run->greatest_ns;
}

static int put_text(struct buf *b, const char *s)
{
	int err = buf_add_varint(b, strlen(s));

	return err < 0 ? err : buf_addstr(b, s);
}

static int put_run(const struct partindex_run *r, struct buf *b)
{
	int err = buf_add_varint(b, r->name.rid);

	if (err == 0)
		err = put_text(b, r->name.project);
	if (err == 0)
		err = put_text(b, r->name.id);
	if (err == 0)
		err = buf_add_varint(b, zigzag(r->least_ns));
	return err < 0 ? err : buf_add_varint(b, (uint64_t)r->greatest_ns - (uint64_t)r->least_ns);
}

int partindex_finish(struct partindex_writer *w, struct buf *out)
{
	int err = end_series(w);

	buf_clear(out);
	if (err == 0)
		err = buf_add_varint(out, w->n_blocks);
	if (err == 0)
		err = buf_add(out, w->blocks.data, w->blocks.len);
	if (err == 0)
		err = buf_add_varint(out, w->n_runs);
	for (size_t i = 0; i < w->n_runs && err == 0; i++)
		err = put_run(&w->runs[i], out);
	if (err == 0)
		err = buf_add_varint(out, w->now.all);
	return err < 0 ? err : buf_add(out, w->series.data, w->series.len);
}

/* ---- opening ---- */

struct bounds {
	uint64_t end; /* of the blocks */
	uint32_t least_bytes, most_bytes, most_count;
};

/* One block of the index, which goes on from the one before. */
static int decode_block(struct reader *r, const struct bounds *b, struct part_block *before,
			struct part_block *ret)
{
	uint64_t bytes = read_varint(r), count = read_varint(r), first = read_varint(r),
		 last = read_varint(r);
	int64_t least = (int64_t)((uint64_t)before->least_ns + (uint64_t)read_zigzag(r));
	uint64_t range = read_varint(r);

	if (r->bad || bytes < b->least_bytes || bytes > b->most_bytes || bytes > b->end - before->offset ||
	    count > b->most_count || first > UINT32_MAX - before->first_sid ||
	    last > UINT32_MAX - before->first_sid - first || range > (uint64_t)INT64_MAX - (uint64_t)least)
		return ERR_CORRUPT;
	*ret = (struct part_block){ before->offset,
				    (uint32_t)bytes,
				    (uint32_t)count,
				    before->first_sid + (uint32_t)first,
				    before->first_sid + (uint32_t)(first + last),
				    least,
				    (int64_t)((uint64_t)least + range) };
	*before = *ret;
	before->offset += bytes;
	return 0;
}

static struct part_run read_run(struct reader *r)
{
	struct part_run run = { .rid = (uint32_t)read_varint(r) };

	run.project = read_lenspan(r);
	run.id = read_lenspan(r);
	run.least_ns = read_zigzag(r);
	run.greatest_ns = (int64_t)((uint64_t)run.least_ns + read_varint(r));
	return run;
}

static void skip_run(struct reader *r) { (void)read_run(r); }

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

int partindex_open(const struct partfile *p, uint32_t least_bytes, uint32_t most_bytes, uint32_t most_count,
		   struct partindex *ret)
{
	const struct bounds bounds = { p->index, least_bytes, most_bytes, most_count };
	struct part_block before = { .offset = PARTFILE_HEADER_BYTES };
	struct reader r = reader_of(buf_span(&p->body));
	uint32_t n = p->summary.blocks;

	*ret = (struct partindex){ .least_ns = INT64_MAX, .greatest_ns = INT64_MIN };
	if (read_varint(&r) != n || n > reader_left(&r) / 6)
		return ERR_CORRUPT;
	ret->blocks = malloc((n + (size_t)1) * sizeof(*ret->blocks));
	if (!ret->blocks)
		return ERR_NOMEM;
	for (; ret->n < n; ret->n++) {
		struct part_block *b = &ret->blocks[ret->n];

		if (decode_block(&r, &bounds, &before, b) < 0)
			return ERR_CORRUPT;
		ret->least_ns = b->least_ns < ret->least_ns ? b->least_ns : ret->least_ns;
		ret->greatest_ns = b->greatest_ns > ret->greatest_ns ? b->greatest_ns : ret->greatest_ns;
	}
	ret->runs = take_items(&r, skip_run);
	ret->series = take_items(&r, skip_series);
	return r.bad || reader_left(&r) || before.offset != p->index ? ERR_CORRUPT : 0;
}

void partindex_close(struct partindex *x) { free(x->blocks); }

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

bool partindex_find(const struct partindex *x, const uint32_t *sids, size_t n_sids, int64_t from_ns,
		    int64_t to_ns, size_t *i)
{
	for (; *i < x->n; ++*i) {
		const struct part_block *b = &x->blocks[*i];

		if (b->greatest_ns >= from_ns && b->least_ns < to_ns &&
		    (!sids || any_between(sids, n_sids, b->first_sid, b->last_sid)))
			return true;
	}
	return false;
}

int partindex_runs(const struct partindex *x, part_run_fn fn, void *arg)
{
	struct reader r = reader_of(x->runs);
	uint64_t n = read_varint(&r);
	int err = 0;

	for (uint64_t i = 0; i < n && err == 0; i++) {
		struct part_run run = read_run(&r);

		err = fn(arg, &run);
	}
	return err;
}

/* The run at a place of the list; places mostly stay or rise by one. */
struct run_walk {
	struct reader at;
	uint64_t next; /* place of the run that `at` is before */
	struct part_run run;
};

static bool run_at(const struct partindex *x, struct run_walk *w, uint64_t place)
{
	if (place + 1 < w->next || w->next == 0) {
		w->at = reader_of(x->runs);
		read_varint(&w->at);
		w->next = 0;
	}
	for (; w->next <= place && !w->at.bad; w->next++)
		w->run = read_run(&w->at);
	return !w->at.bad && w->run.rid;
}

int partindex_each(const struct partindex *x, part_series_fn fn, void *arg)
{
	struct reader r = reader_of(x->series);
	struct part_series s = { 0 };
	struct run_walk runs = { 0 };
	uint64_t n = read_varint(&r);
	int err = 0;

	for (uint64_t i = 0; i < n && err == 0; i++) {
		s.sid += (uint32_t)read_varint(&r);
		if (!run_at(x, &runs, read_varint(&r)))
			return ERR_CORRUPT;
		s.rid = runs.run.rid;
		s.id = runs.run.id;
		s.count = read_varint(&r);
		s.row = read_lenspan(&r);
		err = fn(arg, &s);
	}
	return err;
}

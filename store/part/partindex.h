/*
 * partindex.h - the index of a part of series: its blocks, the runs and series in them, by name.
 *
 *   v blocks; each: v bytes, v count, v first sid - first sid before, v last sid - first sid, z least time -
 *             that before, v greatest - least
 *   v runs; in the order of their first series: v rid, project s, id s, z least time, v greatest - least
 *   v series; by rising sid: v sid - before, v place of its run, v count, s row (series.h)
 *
 * Times are starts of windows, or of samples; what is counted are buckets, or samples.
 */
#ifndef STORE_PARTINDEX_H
#define STORE_PARTINDEX_H

#include "store/model.h"
#include "store/part/partfile.h"

struct part_block {
	uint64_t offset; /* in the file */
	uint32_t bytes, count, first_sid, last_sid;
	int64_t least_ns, greatest_ns;
};

/* The names of a series: its run, and its row's body appended. */
struct part_name {
	uint32_t rid;
	char project[ID_MAX + 1], id[ID_MAX + 1];
};
typedef int (*part_name_fn)(void *arg, uint32_t sid, struct part_name *ret, struct buf *row);

/* ---- writing ---- */

struct partindex_run {
	struct part_name name;
	int64_t least_ns, greatest_ns;
};

/* Zeroed but for what partindex_init sets: empty. */
struct partindex_writer {
	struct buf blocks, series;
	uint32_t n_blocks, before_sid; /* first sid and least time of the block before */
	int64_t before_ns;
	struct partindex_run *runs;
	size_t n_runs, runs_cap;
	struct {
		uint32_t sid, before; /* sid 0: none yet */
		size_t run;
		uint64_t count, all;
		struct buf row;
	} now; /* the series being added */
};

void partindex_init(struct partindex_writer *w);
void partindex_free(struct partindex_writer *w);

/* The next block; its offset is not looked at. */
int partindex_block(struct partindex_writer *w, const struct part_block *b);

/* The next series, greater than the one before; `name.rid` goes in as a hint for names. */
int partindex_series(struct partindex_writer *w, uint32_t sid, uint32_t rid, part_name_fn names, void *arg);

/* Of it so many were added, with times in this range. */
void partindex_count(struct partindex_writer *w, uint64_t n, int64_t least_ns, int64_t greatest_ns);

/* The index, replacing out. */
int partindex_finish(struct partindex_writer *w, struct buf *out);

/* ---- reading ---- */

struct partindex {
	struct part_block *blocks;
	size_t n;
	struct span runs, series; /* in the file's index */
	int64_t least_ns, greatest_ns;
};

/* Of a file that is open; ret borrows from it, and is to be freed, whatever is returned.  Blocks are within
 * these bounds.  ERR_CORRUPT. */
int partindex_open(const struct partfile *p, uint32_t least_bytes, uint32_t most_bytes, uint32_t most_count,
		   struct partindex *ret);
void partindex_close(struct partindex *x);

/* The first block from *i on that may hold some of these series (rising; NULL: of all) with times in
 * [from, to): *i, or false. */
bool partindex_find(const struct partindex *x, const uint32_t *sids, size_t n_sids, int64_t from_ns,
		    int64_t to_ns, size_t *i);

/* Spans are borrowed from the file. */
struct part_run {
	uint32_t rid;
	struct span project, id;
	int64_t least_ns, greatest_ns;
};
struct part_series {
	uint32_t sid, rid;
	uint64_t count;
	struct span id, row; /* of its run; the series' */
};
typedef int (*part_run_fn)(void *arg, const struct part_run *r);
typedef int (*part_series_fn)(void *arg, const struct part_series *s);
int partindex_runs(const struct partindex *x, part_run_fn fn, void *arg);
int partindex_each(const struct partindex *x, part_series_fn fn, void *arg);

#endif

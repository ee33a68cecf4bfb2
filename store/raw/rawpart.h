/*
 * rawpart.h - raw parts: immutable files of samples of one project, series-major.
 *
 * A raw part holds the samples that the journal's batches [first, upto] brought the project; rows (rawrow.h)
 * say which raw parts count.  The file is as partfile.h says, of kind PART_SAMPLES, from first to upto; its
 * blocks are rawblock.h's, by rising (sid, time, step), and samples that are equal in these lie as they came;
 * its index is partindex.h's, of samples and their times.
 */
#ifndef STORE_RAWPART_H
#define STORE_RAWPART_H

#include "store/part/partindex.h"
#include "store/raw/rawblock.h"

struct rawpart_id {
	uint32_t pid;
	uint64_t first, upto; /* batches */
	uint64_t number;      /* of the store's raw parts, never given twice */
};

struct rawpart_summary {
	uint64_t bytes, samples;
	uint32_t blocks, crc; /* the footer's */
	int64_t least_ns, greatest_ns;
	uint64_t digest; /* of all samples, in whatever order; not stored */
};

/* What samples add to a digest: a sum, so that neither order nor grouping matters. */
uint64_t sample_digest(uint32_t sid, const struct point *p, size_t n);

/* ---- writing: one thread, memory bounded by a block and the names ---- */

struct rawpart_writer; /* rawpart_write.c */

/* Makes the file, which must not be there.  Names are asked for once per series, at its first samples, with
 * the rid that was given with them. */
int rawpart_create(const char *path, struct rawpart_id id, part_name_fn names, void *arg,
		   struct rawpart_writer **ret);

/* Samples of one series, which is run rid's; all rise by (sid, time, step). */
int rawpart_add(struct rawpart_writer *w, uint32_t rid, uint32_t sid, const struct point *p, size_t n);

/* Writes what is left, the index and the footer, and syncs.  At least one sample was added.  The writer
 * is freed either way; on failure the file may be there, and is worthless.  The ranges of the runs, by
 * rising rid, go to runs as in a part's row (manifest.h). */
int rawpart_finish(struct rawpart_writer *w, struct rawpart_summary *ret, struct buf *runs);
void rawpart_abandon(struct rawpart_writer *w); /* frees it; NULL is fine */

/* ---- reading: any number of threads; nothing is believed before its checksum ---- */

struct rawpart; /* rawpart_read.c */

/* Reads header, index and footer.  ERR_NOT_FOUND, ERR_CORRUPT, ERR_VERSION, ERR_IO. */
int rawpart_open(const char *path, struct rawpart **ret);
void rawpart_close(struct rawpart *p); /* NULL is fine */

struct rawpart_id rawpart_id(const struct rawpart *p);
struct rawpart_summary rawpart_summary(const struct rawpart *p); /* its digest is 0 */

/* What the index says of a block. */
struct part_block rawpart_block(const struct rawpart *p, size_t i);

/* The first block from *i on that may hold samples of these series (rising; NULL: of all) in [from, to):
 * *i, or false. */
bool rawpart_find(const struct rawpart *p, const uint32_t *sids, size_t n_sids, int64_t from_ns,
		  int64_t to_ns, size_t *i);

/* Reads a block into room, which is the caller's, and tells fn the samples of these series, of any time
 * in it.  ERR_CORRUPT, ERR_IO. */
int rawpart_read(const struct rawpart *p, size_t i, struct rawblock_reader *r, struct buf *room,
		 const uint32_t *sids, size_t n_sids, samples_fn fn, void *arg);

/* Its series (partindex.h). */
int rawpart_series(const struct rawpart *p, part_series_fn fn, void *arg);

/* Reads all of it: whether blocks, order, counts and ranges are as the index says; ret's digest is that
 * of the samples. */
int rawpart_check(const struct rawpart *p, struct rawpart_summary *ret);

#endif

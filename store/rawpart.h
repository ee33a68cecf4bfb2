/*
 * rawpart.h - raw parts: immutable files of samples of one project, series-major.
 *
 * A raw part holds the samples that the journal's batches [first, upto] brought the project.  It is made
 * aside, synced, compared with what it was made from, and never changes; rows (rawrow.h) say which
 * raw parts count.
 *
 *   header   "ASTRRAWP", u8 FORMAT_MAJOR, u8 0, u16 0, u32 pid, u64 first, u64 upto, u64 number,
 *            u32 CRC-32C of all that
 *   blocks   by rising (sid, time, step), see rawblock.h; samples that are equal in these lie as they came
 *   index    u8 STORED_MAGIC, u8 KIND_RAW_INDEX, u8 FORMAT_MAJOR, u8 CODEC_ZSTD, u32 length decoded, u32
 *            length as stored, u32 CRC-32C of these 12 bytes, the index's offset (le64) and the body; body:
 *              v blocks; each: v bytes, v samples, v first sid - first sid before, v last sid - first
 *              sid, z least time - that before, v greatest - least
 *              v runs; in the order of their first series: v rid, id s, z least time, v greatest - least
 *              v series; by rising sid: v sid - before, v place of its run, v samples, s row (series.h)
 *   footer   u64 offset of the index, u64 samples, u32 blocks, u32 CRC-32C of the header and these 20 bytes,
 *            "ASTRRAWE"
 *
 * So a raw part tells by itself what it holds, should the hot store be lost.
 */
#ifndef STORE_RAWPART_H
#define STORE_RAWPART_H

#include "store/model.h"
#include "store/rawblock.h"

#define RAWPART_HEADER_BYTES 44
#define RAWPART_FOOTER_BYTES 32

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

/* The id of a series' run, and its row's body appended, asked for once, at its first samples. */
typedef int (*rawpart_name_fn)(void *arg, uint32_t rid, uint32_t sid, char id[ID_MAX + 1], struct buf *row);

/* Makes the file, which must not be there. */
int rawpart_create(const char *path, struct rawpart_id id, rawpart_name_fn names, void *arg,
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
struct rawpart_block {
	uint32_t first_sid, last_sid, samples;
	int64_t least_ns, greatest_ns;
};
struct rawpart_block rawpart_block(const struct rawpart *p, size_t i);

/* The first block from *i on that may hold samples of these series (rising; NULL: of all) in [from, to):
 * *i, or false. */
bool rawpart_find(const struct rawpart *p, const uint32_t *sids, size_t n_sids, int64_t from_ns,
		  int64_t to_ns, size_t *i);

/* Reads a block into room, which is the caller's, and tells fn the samples of these series, of any time
 * in it.  ERR_CORRUPT, ERR_IO. */
int rawpart_read(const struct rawpart *p, size_t i, struct rawblock_reader *r, struct buf *room,
		 const uint32_t *sids, size_t n_sids, samples_fn fn, void *arg);

/* Its series.  Spans are borrowed from p. */
struct rawpart_series {
	uint32_t sid, rid;
	uint64_t samples;
	struct span id, row; /* the run's id */
};
typedef int (*rawpart_series_fn)(void *arg, const struct rawpart_series *s);
int rawpart_series(const struct rawpart *p, rawpart_series_fn fn, void *arg);

/* Reads all of it: whether blocks, order, counts and ranges are as the index says; ret's digest is that
 * of the samples. */
int rawpart_check(const struct rawpart *p, struct rawpart_summary *ret);

#endif

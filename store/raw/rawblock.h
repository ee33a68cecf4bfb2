/*
 * rawblock.h - a block of a raw part: the samples of one series, or of several small ones.
 *
 *   offset size
 *        0    1  STORED_MAGIC
 *        1    1  KIND_RAW_BLOCK
 *        2    1  FORMAT_MAJOR
 *        3    1  codec of directory and loose stream, which are one frame: 0 plain, 1 zstd
 *        4    4  samples
 *        8    4  bytes of the directory
 *       12    4  bytes of the dense stream
 *       16    4  bytes of directory and loose stream once decoded
 *       20    4  bytes of them as stored
 *       24    4  CRC-32C of bytes 0-23, the block's offset in the file (le64), and all that follows
 *       28       dense stream; directory and loose stream
 *
 * A strip is up to COLUMN_MAX samples of one series, by time, then step (STEP_NONE lowest).  The
 * directory is, per strip: v sid - sid before, v samples, v times, v steps, v bytes of its dense and of
 * its loose stream.  Series that are logged together have the same times and steps, which a block holds
 * once.  Real curves take 2.0 to 2.4 bytes for time, step and value:
 *
 *   times   0: a column of its own; k: those of the strip k before, which has a column of its own
 *   steps   0: no sample has one; 1: a column; 2: a column of 0 and 1, whether a sample has one, then a
 *           column with 0 where it has none; k: those of the strip k - 2 before, which has its own
 *
 * A strip's streams are its own columns (column.h) of times, of steps, then the scale of the values and
 * the numbers in it (scale.h).
 */
#ifndef STORE_RAWBLOCK_H
#define STORE_RAWBLOCK_H

#include "store/base/buf.h"
#include "store/bucket/bucket.h"

#define RAWBLOCK_HEADER_BYTES 28
#define RAWBLOCK_SAMPLES_MAX  16384
#define RAWBLOCK_STRIPS_MAX   4096
#define RAWBLOCK_BYTES_MAX    (2 * 1024 * 1024)

/* By time, then step; 0 for samples that differ in the value alone. */
static inline int sample_compare(const struct point *a, const struct point *b)
{
	if (a->t_ns != b->t_ns)
		return a->t_ns < b->t_ns ? -1 : 1;
	return (a->step > b->step) - (a->step < b->step);
}

/* ---- writing: bounded memory, one thread ---- */

struct rawblock_writer; /* rawblock.c */

int rawblock_writer_new(struct rawblock_writer **ret);
void rawblock_writer_free(struct rawblock_writer *w); /* NULL is fine */

/* Adds samples of a series, copied, as many as fit, and returns how many.  They rise by (sid, time, step). */
size_t rawblock_add(struct rawblock_writer *w, uint32_t sid, const struct point *p, size_t n);
size_t rawblock_count(const struct rawblock_writer *w);

struct rawblock_range {
	size_t samples;
	uint32_t first_sid, last_sid;
	int64_t least_ns, greatest_ns;
};

/* Appends a block of the first n samples, which will lie at offset, to out; the others stay for the next.
 * What was made is not read back: that is done once, from the file (rawmake.h). */
int rawblock_finish(struct rawblock_writer *w, size_t n, uint64_t offset, struct buf *out,
		    struct rawblock_range *ret);

/* ---- reading ---- */

struct rawblock_reader; /* room; rawblock.c */

int rawblock_reader_new(struct rawblock_reader **ret);
void rawblock_reader_free(struct rawblock_reader *r); /* NULL is fine */

/* Tells fn the samples of the wanted series (sids rise; NULL: all), some at a time.  `block` is the whole
 * block and nothing more.  A non-zero value of fn ends it and is returned.  ERR_CORRUPT, ERR_VERSION. */
typedef int (*samples_fn)(void *arg, uint32_t sid, const struct point *p, size_t n);
int rawblock_read(struct rawblock_reader *r, struct span block, uint64_t offset, const uint32_t *sids,
		  size_t n_sids, samples_fn fn, void *arg);

#endif

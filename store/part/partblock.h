/*
 * partblock.h - a block of a part: the strips of one series, or of several small ones.
 *
 *   offset size
 *        0    1  STORED_MAGIC
 *        1    1  KIND_PART_BLOCK
 *        2    1  FORMAT_MAJOR
 *        3    1  codec of the loose stream: 0 plain, 1 zstd
 *        4    4  buckets
 *        8    4  bytes of the directory
 *       12    4  bytes of the dense stream
 *       16    4  bytes of the loose stream once decoded
 *       20    4  bytes of it as stored
 *       24    4  CRC-32C of bytes 0-23, the block's offset in the file (le64), and all that follows
 *       28       directory; dense stream; loose stream
 *
 * The directory is, per strip: v sid - sid before, v window in ns (0: as before), v buckets, v bytes of
 * its dense and of its loose stream (strip.h).  So a reader passes over series it does not want.
 */
#ifndef STORE_PARTBLOCK_H
#define STORE_PARTBLOCK_H

#include "store/bucket/block.h"
#include "store/part/sheet.h"

#define PARTBLOCK_HEADER_BYTES 28
#define PARTBLOCK_BUCKETS_MAX  4096
#define PARTBLOCK_BYTES_MAX    (8 * 1024 * 1024)

/* ---- writing: bounded memory, one thread ---- */

struct partblock_writer; /* partblock.c */

int partblock_writer_new(struct partblock_writer **ret);
void partblock_writer_free(struct partblock_writer *w); /* NULL is fine */

/* Adds a bucket, which is copied; keys rise by (sid, start).  ERR_FULL: finish this block first. */
int partblock_writer_add(struct partblock_writer *w, struct block_key key, const struct bucket *b);
size_t partblock_writer_count(const struct partblock_writer *w);

/* Appends the block, which will lie at offset, to out, and makes the writer empty again.  What was made is
 * not read back: that is done once, from the file (partcheck.h). */
int partblock_writer_finish(struct partblock_writer *w, uint64_t offset, struct buf *out);

/* ---- reading ---- */

struct partblock_reader; /* room; partblock.c */

int partblock_reader_new(struct partblock_reader **ret);
void partblock_reader_free(struct partblock_reader *r); /* NULL is fine */

/* From now on fn is told what the blocks that are read whole are made of: strip.h's columns, each with its
 * share of the loose stream as that is stored; "directory", with the block's header; "scales, wide sums",
 * which is the rest.  bytes of a block add up to its length. */
typedef void (*partblock_column_fn)(void *arg, const char *name, const char *codec, size_t n, double bytes);
void partblock_watch(struct partblock_reader *r, partblock_column_fn fn, void *arg);

/* Tells fn the wanted buckets, and of these the wanted fields; the others are as in an empty bucket, or
 * right.  `block` is the whole block and nothing more.  A non-zero value of fn ends it and is returned.
 * ERR_CORRUPT, ERR_VERSION. */
int partblock_read(struct partblock_reader *r, struct span block, uint64_t offset,
		   const struct block_want *want, block_fn fn, void *arg);

/* The same as sheets of the wanted fields (of SHEET_FIELDS), without windows that are not wanted. */
int partblock_sheets(struct partblock_reader *r, struct span block, uint64_t offset,
		     const struct block_want *want, sheet_fn fn, void *arg);

#endif

/*
 * logblock.h - log records of one run as the bodies of stored values, and back.
 *
 * Records of a block follow each other in sequence: the first one's number is in the key, so a
 * block can be encoded before its numbers are given.  A young block is made for each request; what
 * has come together is sealed later: many young blocks become one, in far fewer bytes, of which a
 * search reads little (logtext.h).
 *
 * Body: a prefix that stays uncompressed, so that a block which cannot match is passed over
 * unread, then by the header's codec.  "v", "z", "s" as in format.h.
 *
 *   prefix   i64 least time, v greatest - least time, u8 levels (bit 1 << level),
 *            z observed - least time (of the first row), v latest observed - that
 *   young    rows, plain or zstd
 *   sealed   v length, v packed length, and as zstd: v bytes of each group of 256 rows, then the
 *            rows without their texts, those of a group as if a block began there; then the texts,
 *            packed by logtext.h; the header's raw length is that of the texts
 *   row      u8 flags, then for each flag set, in this order:
 *     1 TIME       z time - time of the row before (of the first row: - least time)
 *     2 STREAM     s name; the row before's when not set (of the first row: empty)
 *     4 RANK       z rank, likewise (none)
 *     8 LEVEL      u8 level, likewise (LEVEL_NONE)
 *    16 ATTRS      v number, (s key, s value) each, likewise (none)
 *    32 CONTINUES  nothing follows; the record's LOG_CONTINUES
 *    64 OBSERVED   z observed - observed of the row before, likewise (the prefix's)
 *            and at last s text, in a young block
 *
 * A young block has at most LOGBLOCK_ROWS_MAX rows, all observed at one time, and LOGBLOCK_RAW_BYTES
 * before compression; a record larger than that is a block of its own.
 */
#ifndef STORE_LOGBLOCK_H
#define STORE_LOGBLOCK_H

#include "store/log/loghint.h"
#include "store/model.h"
#include "store/stored.h"

#define LOGBLOCK_RAW_BYTES (64 * 1024)
#define LOGBLOCK_ROWS_MAX  2048
#define LOGBLOCK_RAW_MAX   (2 * 1024 * 1024) /* of a block that is one record */

#define LOGBLOCK_SEALED_ROWS_MAX 65536
#define LOGBLOCK_SEALED_RAW_MAX  (6 * 1024 * 1024) /* of texts, streams and attributes */

/* What a record counts for that. */
size_t logblock_weight(const struct log_record *r);

/* Appends as many blocks as the records take, for logblock_next.  The seq of records is not used.
 * ERR_TOO_LARGE: a record over LOGBLOCK_RAW_MAX.  ERR_FULL, ERR_NOMEM. */
int logblock_pack(const struct log_record *records, size_t n, struct buf *out);

/* The next block of what logblock_pack appended, ready for stored_put_as; the body is borrowed from
 * what the reader walks.  1 at the end.  ERR_CORRUPT. */
int logblock_next(struct reader *r, struct stored *ret);

/* Replaces out by the body of a sealed block of these records, which keeps within the maxima above;
 * *ret_raw_len goes into its header.  ERR_FULL when out's maximum is reached, ERR_NOMEM. */
int logblock_seal(const struct log_record *records, size_t n, struct buf *out, uint32_t *ret_raw_len);

struct logblock_prefix {
	int64_t t_min_ns, t_max_ns;
	int64_t observed_ns, latest_ns; /* of the first row; the latest of any */
	unsigned levels;                /* bit 1 << level for each level there is */
};

/* Reads the prefix alone. */
int logblock_prefix(struct span body, struct logblock_prefix *ret);

struct logblock; /* a block opened for reading, its memory used again for the next: logblock.c */

int logblock_new(struct logblock **ret);
void logblock_free(struct logblock *b); /* NULL is fine */

/* Opens a block; what is sealed is decoded when it is asked for, in memory bounded by the maxima above.
 * s->body is borrowed until the next open.  ERR_CORRUPT for bytes that have not this form, also from
 * the calls below. */
int logblock_open(struct logblock *b, const struct stored *s, uint64_t first_seq);

size_t logblock_count(const struct logblock *b);

uint64_t logblock_seq(const struct logblock *b, size_t i); /* of record i */

/* Record i of logblock_count(); its spans are borrowed until the next open, its attrs and the text of
 * a sealed block until the next get.  ERR_CORRUPT, ERR_NOMEM. */
int logblock_get(struct logblock *b, size_t i, struct log_record *ret);

/* The same without its text, which is empty in a sealed block. */
int logblock_get_row(struct logblock *b, size_t i, struct log_record *ret);

/* False: no record of it is wanted.  Of a sealed block nothing is decoded for that. */
bool logblock_may_fit(const struct logblock *b, const struct log_hint *hint);

/* Which records are wanted: an enum log_fit each, borrowed until the next find; *ret_fits NULL: none.  Of
 * a sealed block most stays unread.  ERR_CORRUPT, ERR_NOMEM. */
int logblock_find(struct logblock *b, const struct log_hint *hint, const uint8_t **ret_fits);

#endif

/*
 * logblock.h - log records of one run as the bodies of stored values, and back.
 *
 * Records of a block follow each other in sequence: the first one's number is in the key, so a
 * block can be encoded before its numbers are given.  All were observed at one time.
 *
 * Body: a prefix that stays uncompressed, so that a block which cannot match is passed over
 * unread, then the rows, of which the header's codec speaks.  "v", "z", "s" as in format.h.
 *
 *   prefix   i64 least time, v greatest - least time, u8 levels (bit 1 << level),
 *            z observed - least time
 *   row      u8 flags, then for each flag set, in this order:
 *     1 TIME       z time - time of the row before (of the first row: - least time)
 *     2 STREAM     s name; the row before's when not set (of the first row: empty)
 *     4 RANK       z rank, likewise (none)
 *     8 LEVEL      u8 level, likewise (LEVEL_NONE)
 *    16 ATTRS      v number, (s key, s value) each, likewise (none)
 *    32 CONTINUES  nothing follows; the record's LOG_CONTINUES
 *            and at last s text
 *
 * A block has at most LOGBLOCK_ROWS_MAX rows and LOGBLOCK_RAW_BYTES before compression; a record
 * larger than that is a block of its own.
 */
#ifndef STORE_LOGBLOCK_H
#define STORE_LOGBLOCK_H

#include "store/model.h"
#include "store/stored.h"

#define LOGBLOCK_RAW_BYTES (64 * 1024)
#define LOGBLOCK_ROWS_MAX  2048
#define LOGBLOCK_RAW_MAX   (2 * 1024 * 1024) /* of a block that is one record */

/* Appends as many blocks as the records take, for logblock_next.  The seq of records is not used.
 * ERR_TOO_LARGE: a record over LOGBLOCK_RAW_MAX.  ERR_FULL, ERR_NOMEM. */
int logblock_pack(const struct log_record *records, size_t n, struct buf *out);

/* The next block of what logblock_pack appended, ready for stored_put_as; the body is borrowed from
 * what the reader walks.  1 at the end.  ERR_CORRUPT. */
int logblock_next(struct reader *r, struct stored *ret);

struct logblock_prefix {
	int64_t t_min_ns, t_max_ns, observed_ns;
	unsigned levels; /* bit 1 << level for each level there is */
};

/* Reads the prefix alone. */
int logblock_prefix(struct span body, struct logblock_prefix *ret);

struct logblock; /* a block opened for reading, its memory used again for the next: logblock.c */

int logblock_new(struct logblock **ret);
void logblock_free(struct logblock *b); /* NULL is fine */

/* Decodes all of it, in memory bounded by the maxima above.  s->body is borrowed until the next
 * open.  ERR_CORRUPT for bytes that have not this form; the block then holds nothing. */
int logblock_open(struct logblock *b, const struct stored *s, uint64_t first_seq);

size_t logblock_count(const struct logblock *b);

/* Record i of logblock_count(); its spans are borrowed until the next open, its attrs until the next
 * get. */
void logblock_get(struct logblock *b, size_t i, struct log_record *ret);

#endif

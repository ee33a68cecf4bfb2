/*
 * logrow.h - the prefix and the rows of log blocks (their bytes: logblock.h), for logblock.c and
 * logblock_seal.c.  Pure.
 */
#ifndef STORE_LOGROW_H
#define STORE_LOGROW_H

#include "store/log/logblock.h"

#define LOGPREFIX_MAX (8 + 1 + 3 * VARINT_MAX)

#define SEALED_ROWS_BYTES_MAX (16u * 1024 * 1024)
#define SEALED_GROUP          256 /* rows that begin with one that refers to none before it */

/* Writes the prefix of a block of these records; *ret_t_min is their least time. */
uint8_t *logprefix_put(uint8_t *p, const struct log_record *records, size_t rows, int64_t *ret_t_min);
int logprefix_read(struct reader *r, struct logblock_prefix *ret);

/* The most bytes that a row takes, its text included.  before: NULL for the first. */
size_t logrow_bound(const struct log_record *r, const struct log_record *before);

/* Writes the row without its text, relative to the record before and to these two times. */
uint8_t *logrow_put(uint8_t *p, const struct log_record *r, const struct log_record *before, int64_t t_ns,
		    int64_t observed_ns);

struct logrow {
	int64_t t_ns, observed_ns;
	struct span stream, attrs, text; /* attrs: as encoded, the number first; empty for none */
	int32_t rank;
	uint8_t level;
	bool continues;
};

/* The row, which holds the one before it on entry; its text only in a young block. */
int logrow_read(struct reader *r, struct logrow *row, bool sealed);

#endif

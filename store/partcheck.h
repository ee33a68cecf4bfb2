/*
 * partcheck.h - whether a part holds exactly these buckets: it is walked while they are told.
 */
#ifndef STORE_PARTCHECK_H
#define STORE_PARTCHECK_H

#include "store/part.h"

struct partcheck; /* partcheck.c */

/* Of these series alone, which rise and are borrowed; NULL: of all.  Errors of part_open; ERR_NOMEM. */
int partcheck_new(const char *path, const uint32_t *sids, size_t n_sids, struct partcheck **ret);
void partcheck_free(struct partcheck *c); /* NULL is fine */

/* The next bucket: ERR_CORRUPT when the part's is another, to the last bit. */
int partcheck_bucket(struct partcheck *c, struct block_key key, const struct bucket *b);

/* ERR_CORRUPT when the part holds more. */
int partcheck_end(struct partcheck *c);

#endif

/*
 * partcheck.h - whether a part holds exactly these buckets: by their digest, or as they are told.
 */
#ifndef STORE_PARTCHECK_H
#define STORE_PARTCHECK_H

#include <stdatomic.h>

#include "store/bucket/bucket_digest.h"
#include "store/part/part.h"

/* Reads all of the file: ERR_CORRUPT when its buckets are not those of the digest, or do not rise by (sid,
 * start), or lie in a block whose place in the index says otherwise.  ERR_GONE: *stop, which may be NULL,
 * was set.  Errors of part_open; ERR_NOMEM. */
int partcheck_digest(const char *path, const struct bucket_digest *digest, atomic_bool *stop);

/* ---- bucket by bucket ---- */

struct partcheck; /* partcheck.c */

/* Of these series alone, which rise and are borrowed; NULL: of all.  Errors of part_open; ERR_NOMEM. */
int partcheck_new(const char *path, const uint32_t *sids, size_t n_sids, struct partcheck **ret);
void partcheck_free(struct partcheck *c); /* NULL is fine */

/* The next bucket: ERR_CORRUPT when the part's is another, to the last bit. */
int partcheck_bucket(struct partcheck *c, struct block_key key, const struct bucket *b);

/* ERR_CORRUPT when the part holds more. */
int partcheck_end(struct partcheck *c);

#endif

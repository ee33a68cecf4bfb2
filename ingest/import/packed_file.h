/*
 * packed_file.h - the bytes of a file, plain, gzip or zstd (told by their first bytes), as a stream.
 *
 * Memory is bounded whatever the file holds.  One thread.
 */
#ifndef INGEST_IMPORT_PACKED_FILE_H
#define INGEST_IMPORT_PACKED_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/buf.h"

struct packed_file;

/* ERR_NOT_FOUND, ERR_DENIED, ERR_REFUSED (not a regular file), ERR_IO.  The path is borrowed until
 * packed_file_free. */
int packed_file_open(const char *path, struct packed_file **ret, struct fault *f);
void packed_file_free(struct packed_file *s); /* NULL is fine */

/* Appends some more unpacked bytes to out: at most PACKED_FILE_STEP, perhaps none though more
 * follow.  1: the file has ended.  ERR_MALFORMED: damaged or cut short. */
#define PACKED_FILE_STEP (9u << 20)
int packed_file_read(struct packed_file *s, struct buf *out, struct fault *f);

uint64_t packed_file_done(const struct packed_file *s); /* how many packed bytes have been unpacked */

#endif

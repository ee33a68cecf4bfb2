/*
 * line_file.h - the lines of a file, plain, gzip or zstd (told by their first bytes), as a stream.
 *
 * Memory is bounded whatever the file holds.  A line comes with its end; one longer than
 * LOG_TEXT_MAX comes in pieces of that size.  One thread.
 */
#ifndef INGEST_IMPORT_LINE_FILE_H
#define INGEST_IMPORT_LINE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/buf.h"

struct line_file;

/* ERR_NOT_FOUND, ERR_DENIED, ERR_REFUSED (not a regular file), ERR_IO.  The path is borrowed until
 * line_file_free. */
int line_file_open(const char *path, struct line_file **ret, struct fault *f);
void line_file_free(struct line_file *s); /* NULL is fine */

/* The next line, borrowed until the next call.  1: no more.  ERR_MALFORMED: damaged or cut short. */
int line_file_next(struct line_file *s, struct span *ret_line, struct fault *f);

/* Back to the first line. */
int line_file_rewind(struct line_file *s, struct fault *f);

uint64_t line_file_size(const struct line_file *s); /* of the file, when it was opened */
uint64_t line_file_done(const struct line_file *s); /* how much of that has been read */
int64_t line_file_mtime_ns(const struct line_file *s);

#endif

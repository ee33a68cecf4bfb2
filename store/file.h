/*
 * file.h - files of the data directory: whole writes, whole reads, syncs, errors as ours.
 */
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include "store/base/buf.h"

#define FILE_PATH_MAX 4096

/* errno as one of ours: ERR_NOT_FOUND, ERR_DENIED, ERR_DISK_FULL, ERR_NOMEM, ERR_IO. */
int file_error(void);

/* "dir/name" into ret of FILE_PATH_MAX bytes; ERR_TOO_LARGE. */
int file_path(const char *dir, const char *name, char *ret);

int file_write(int fd, struct span bytes);                        /* all of it */
int file_read(int fd, uint64_t offset, uint8_t *ret, size_t len); /* all of it; ERR_CORRUPT past the end */

/* What was created, renamed or removed in a directory reaches the disk (or the file's bytes do). */
int file_sync_path(const char *path);

#endif

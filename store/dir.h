/*
 * dir.h - the data directory as files: who holds it, which format it has, the owner's token.
 *
 *   VERSION  "astraml-data MAJOR.MINOR page BYTES\n", written first and synced
 *   BACKUP   in a backup (backup.c), with when it was made: such a directory is read, not served
 *   LOCK     F_OFD_SETLK of the whole file by the one writer; its text is "pid PID url URL\n"
 */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include <stdbool.h>

#include "store/base/err.h"

/* Makes the directory where it is missing, takes the lock (*ret_lock_fd, close gives it back),
 * checks or writes VERSION, makes DIR/hot, parts and tmp.  ERR_HELD names the holder; ERR_VERSION; ERR_DENIED
 * where it cannot be written; ERR_REFUSED when it holds files that are not ours. */
int dir_open_writer(const char *dir, int *ret_lock_fd, struct fault *f);

/* Checks that it is a data directory of a format we read.  ERR_NOT_FOUND, ERR_VERSION. */
int dir_open_reader(const char *dir, struct fault *f);

/* Whether it has the mark of a backup. */
bool dir_is_backup(const char *dir);

/* Rewrites LOCK's text, in place. */
int dir_announce(int lock_fd, const char *url);

/* Makes files just created in DIR and DIR/hot findable after a power cut. */
int dir_sync(const char *dir);

/* Writes DIR/name, synced, all or nothing; a secret with mode 0600. */
int dir_write_file(const char *dir, const char *name, const char *text);
int dir_write_secret(const char *dir, const char *name, const char *text);

#endif

/*
 * tarball.h - a copy (copy.h) as one archive: tar, or tar in zstd.  The one door to libarchive.
 *
 * Members are the files of the copy in their order, BACKUP first and SHA256SUMS last, so an archive that
 * was cut short is told by what it lacks.  Any tar reads them; sizes over 8 GiB stand in pax headers.
 *
 * What is read may be any bytes: only regular files that a copy may have are taken, each once.
 * One thread.
 */
#ifndef STORE_TARBALL_H
#define STORE_TARBALL_H

#include "store/care/copy.h"

/* Whether a path asks for an archive: it ends in .tar or .tar.zst. */
bool tarball_named(const char *path);

/* Writes the files of c->made into the new file `path`, synced; packed when c->place ends in .zst. */
int tarball_pack(struct copy *c, const char *path);

/* Reads it back: each member is the file of c->made, byte for byte, and none is missing. */
int tarball_compare(struct copy *c, const char *path);

/* Writes its members as the files of c->made, which is empty, synced.  ERR_CORRUPT: no archive, cut
 * short, or not one of ours. */
int tarball_unpack(struct copy *c, const char *path);

/* Whether the file begins as an archive of a copy does. */
bool tarball_is_backup(const char *path);

#endif

/*
 * sums.h - the file SHA256SUMS of a copy (copy.h), as sha256sum writes it and `sha256sum -c` reads it.
 *
 * LMDB's pages have no checksums; with these a file that changed on its way is found before it is opened.
 */
#ifndef STORE_SUMS_H
#define STORE_SUMS_H

#include "store/care/copy.h"

/* Writes c->made/SHA256SUMS, synced. */
int sums_write(struct copy *c);

/* Compares the files of c->made with the SHA256SUMS there.  ERR_CORRUPT: the fault names the first that
 * differs, after `from`, where the copy comes from.  ERR_NOT_FOUND, without a fault: it has none. */
int sums_check(struct copy *c, const char *from);

#endif

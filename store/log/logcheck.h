/*
 * logcheck.h - whether log parts are sound: every block as its checksum and the index say, and the parts one
 * behind the other.  For verify.
 */
#ifndef STORE_LOGCHECK_H
#define STORE_LOGCHECK_H

#include "store/log/logblock.h"
#include "store/store.h"

struct logcheck {
	struct store *store; /* these are borrowed */
	struct kv_txn *txn;
	struct logblock *block; /* room */
	verify_fn fn;           /* is told what records are lost, as sentences */
	void *arg;
	uint64_t parts, blocks, records; /* counted */
	int troubles;                    /* told of blocks */
	uint64_t *ends;                  /* of what was met so far, by rid */
	size_t ends_cap;
};

/* A row and its file; rows come by rising key, to a check that is zeroed but for what it borrows.
 * ERR_CORRUPT, ERR_NOT_FOUND, ERR_IO: the row, or the file as a whole. */
int logcheck_row(struct logcheck *c, struct span key, struct span value);
void logcheck_release(struct logcheck *c);

#endif

/*
 * removal.h - runs that were deleted, and can still be had back.
 *
 * A run that is deleted loses its name (the row of runid) and keeps everything else; its own row says
 * when.  So nobody finds it, its id may be used again at once, and to give it back is to give it its name
 * back.  RUN_DELETED_KEEP_NS later it is purged (purge.h), and then it cannot be had back.
 *
 * Row (kind DELETED), key project, 0x00, id, 0x00, rid u32: deleted i64, u8 1 when purging has begun.
 * Runs of one id are ordered by rid, which is also the order in which they were deleted.
 *
 * The calls of write.h that delete, give back and alter a run are here too: each is decided by what the
 * writer's transaction sees.
 */
#ifndef STORE_REMOVAL_H
#define STORE_REMOVAL_H

#include "store/store.h"

struct removal {
	char project[ID_MAX + 1], id[ID_MAX + 1];
	uint32_t rid;
	int64_t deleted_ns;
	bool purging;
};

/* The newest deleted run of that id.  ERR_NOT_FOUND. */
int removal_find(struct kv_txn *t, const char *project, const char *id, struct removal *ret);

int removal_decode(struct span key, struct span value, struct removal *ret);
int removal_put(struct kv_txn *t, const struct removal *r);

/* Into ret, REMOVAL_KEY_MAX bytes. */
struct span removal_key(const struct removal *r, uint8_t *ret);
#define REMOVAL_KEY_MAX (2 * ID_MAX + 2 + 4)

#endif

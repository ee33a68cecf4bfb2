/*
 * rowname.h - what a row of the hot store is called before people: a part by its project, tier, slot and
 * file, samples and logs by project and file, everything else by database and key.
 */
#ifndef STORE_ROWNAME_H
#define STORE_ROWNAME_H

#include "store/kv.h"
#include "store/part/manifest.h"

#define ROW_NAME_MAX 384

/* "part metrics-1-5m-20250706T000000Z-86400-17.part (project default, tier 5m, 1d from 2025-07-06T00:00:00Z)"
 * or "raw part raw-1-17.part (project default)" or "run 00000007", into ret of ROW_NAME_MAX bytes. */
void row_name(struct kv_txn *t, enum kv_db db, struct span key, struct span value, char *ret);

/* "project default, tier 5m, 1d from 2025-07-06T00:00:00Z", into ret of ROW_NAME_MAX bytes. */
void part_name(struct kv_txn *t, const struct part_id *id, char *ret);

#endif

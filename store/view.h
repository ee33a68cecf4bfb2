/*
 * view.h - the inside of read.h's struct view.
 */
#ifndef STORE_VIEW_H
#define STORE_VIEW_H

#include "store/read.h"
#include "store/store.h"

struct view {
	struct store *store;
	struct kv_txn *txn;
	size_t bound, *found; /* view_bound */
	unsigned fields;      /* view_fields */
	sheet_fn sheet;       /* view_sheets */
};

#endif

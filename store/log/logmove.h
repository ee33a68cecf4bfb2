/*
 * logmove.h - log blocks leave the log database for a log part of their project.
 *
 * Of each run the first ones go, as long as they arrived before a time; so what is in parts comes before what
 * is in the database, whatever the clock did.  A part gets blocks of one day of arrival, and not too many:
 * they are deleted by the transaction that puts its row.
 */
#ifndef STORE_LOGMOVE_H
#define STORE_LOGMOVE_H

#include "store/base/progress.h"
#include "store/store.h"

struct log_moved {
	uint64_t blocks, records, bytes; /* as they were in the database */
	uint64_t parts, part_bytes;
};

/* What would go; adds to *ret. */
int logmove_due(struct store *s, uint32_t pid, int64_t until_ns, struct log_moved *ret);

/* Makes one part of what arrived before until_ns, and adds to *ret.  1: there was nothing.  ERR_GONE: *stop
 * was set, or sealing or a purge came in between: another time. */
int logmove_some(struct store *s, uint32_t pid, int64_t until_ns, const atomic_bool *stop,
		 struct progress *progress, struct log_moved *ret);

#endif

/*
 * logkeep.h - blocks of the log database that are older than their project keeps logs go.
 *
 * Log parts go first (compact_logs.c): as long as one has something of a run, the run's blocks here stay.
 * A block's age counts from the latest of its records' times and of when they were observed; both are in
 * its prefix (logblock.h), so the walk opens none.  Blocks go from the front of a run's log, in the order
 * of their sequences, and in small errands of the writer: what is left always is one unbroken rest, and
 * sequences only rise, also when nothing is left.  Logs of deleted runs stay as they are: they come back
 * whole, or go with the run (purge.h).
 */
#ifndef STORE_LOGKEEP_H
#define STORE_LOGKEEP_H

#include "store/store.h"

/* Adds the records that went to *records.  Returns early, with 0, once *stop is set. */
int logkeep_sweep(struct store *s, const atomic_bool *stop, uint64_t *records);

#endif

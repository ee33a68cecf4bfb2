/*
 * slot.h - one slot becomes one part: the compactor's heavy step.
 *
 * Buckets of the slot, from the parts in it and from flushes up to job->upto, go series by series
 * into DIR/tmp; the file is synced, read again and compared with the same sources, bucket by
 * bucket; it is renamed into DIR/parts, and both directories are synced.  Nothing counts until the
 * caller has published the row (manifest_replace): whatever ends before that leaves a file to sweep.
 *
 * Snapshots are kept for some thousand buckets at a time.  Sources do not change meanwhile: only
 * the compactor, which calls this, drops flushes and parts.
 */
#ifndef STORE_SLOT_H
#define STORE_SLOT_H

#include "store/agenda.h"
#include "store/manifest.h"
#include "store/store.h"

/* *ret's runs are owned by runs, which the caller releases.  ERR_CORRUPT: a source is damaged, or the
 * part is not what it was made from; ERR_DISK_FULL; ERR_IO; ERR_GONE: *stop was set. */
int slot_seal(struct store *s, const struct agenda_job *job, atomic_bool *stop, struct part_row *ret,
	      struct buf *runs);

#endif

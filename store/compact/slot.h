/*
 * slot.h - one slot becomes one part: the compactor's heavy step.
 *
 * Buckets of the slot, of the project's runs that are there, from finer parts, those of the tier and
 * flushes up to job->upto, go series by series into DIR/tmp; the file is synced, and read again: what it is
 * decoded to must be what went into it, to the last bit (bucket_digest.h); it is renamed into DIR/parts, and
 * both directories are synced.
 * Nothing counts until the caller has published the row: whatever ends before that leaves a file to sweep.
 *
 * Where nothing is left, as all that was there is of runs that are gone, *ret has no buckets and there is
 * no file: the rows of the slot are to be taken out.
 *
 * Snapshots are kept for some hundred thousand buckets at a time, which also bounds memory.  Sources do not
 * change meanwhile: only the compactor, which calls this, drops flushes and parts.
 */
#ifndef STORE_SLOT_H
#define STORE_SLOT_H

#include "store/base/progress.h"
#include "store/compact/agenda.h"
#include "store/store.h"

/* *ret's runs are owned by runs, which the caller releases.  ERR_CORRUPT: a source is damaged, or the
 * part is not what it was made from; ERR_DISK_FULL; ERR_IO; ERR_GONE: *stop was set. */
int slot_seal(struct store *s, const struct agenda_job *job, atomic_bool *stop, struct progress *progress,
	      struct part_row *ret, struct buf *runs);

/* As slot_seal: the part of TIER_WHOLE, of the one there is and those parts of the project, which go when
 * it is published. */
int slot_total(struct store *s, const struct part_id *taken, size_t n_taken, atomic_bool *stop,
	       struct part_row *ret, struct buf *runs);

#endif

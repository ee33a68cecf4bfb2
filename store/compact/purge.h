/*
 * purge.h - what was deleted RUN_DELETED_KEEP_NS ago goes for good.
 *
 * Row by row, in small errands of the writer: log, what is known of its producers, series; the run's own
 * row last, with the one by which it could be given back.  The first errand marks that row, so that a run
 * of which something is gone is never given back; a crash anywhere leaves a marked row, and the next look
 * goes on.
 *
 * What is left are buckets, which nobody can ask for: their series are no run's.  Those in memory are left
 * out of the next flush, those in blocks and parts when the compactor makes a part of them.  rid and sid
 * are never given again.
 */
#ifndef STORE_PURGE_H
#define STORE_PURGE_H

#include "store/store.h"

/* Adds the runs that are gone to *runs.  Returns early, with 0, once *stop is set. */
int purge_runs(struct store *s, const atomic_bool *stop, uint64_t *runs);

/* Whether one of the runs of a part's row (manifest.h) is gone for good. */
bool runs_any_gone(struct runs *rs, struct span runs);

#endif

/*
 * samples.h - samples of many series over a long range, in slices that keep views and memory small.
 *
 * They come series by series, in the order of sids[], then by time; or, by_step, by step: those without one
 * are left out, and of those with one step the newest is shown (the latest, and of these the one that was
 * accepted last), as a resume logs it again.  By step the samples of one series are in memory.
 */
#ifndef QUERY_SAMPLES_H
#define QUERY_SAMPLES_H

#include "store/read.h"

#define SAMPLES_SLICE 50000

struct sample_scan {
	struct store *store;
	uint32_t rid;
	const uint32_t *sids;
	size_t n_sids;
	int64_t from_ns, to_ns;
	bool by_step;
	sample_fn sample;        /* under a view: must not block */
	int (*pause)(void *arg); /* no view is open; NULL is fine */
	void *arg;
};

/* What sample or pause returned when that was not 0, else 0 or an error of the store.
 * *ret_partial is set, never cleared. */
int samples_scan(const struct sample_scan *s, bool *ret_partial);

#endif

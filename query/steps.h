/*
 * steps.h - x=step: which windows of a series are shown when steps were logged again.
 *
 * Windows come in the order of time.  One that starts below a step that was reached before begins
 * a resume; what follows, up to the next resume, is newer than all before it.  A window is left out
 * when all its steps lie within windows of later resumes: these show the newer values of the same
 * steps.  One of which only a part was logged again stays, whole, because windows cannot be divided:
 * its [least, greatest] then overlaps that of a later one.  Without a resume nothing is left out.
 */
#ifndef QUERY_STEPS_H
#define QUERY_STEPS_H

#include "query/scan.h"

struct step_window {
	int64_t start_ns;
	int64_t least, greatest; /* of its steps */
	bool hidden;
};

/* Sets `hidden` of the windows of one series, which come in the order of time.  ERR_NOMEM. */
int steps_hide(struct step_window *w, size_t n);

/* Windows left out, of many series: by series, then time. */
struct hidden {
	struct hidden_range {
		size_t series;
		int64_t from_ns, to_ns; /* windows that start in [from, to) */
	} * list;                       /* owned */
	size_t n, cap;
};

void hidden_release(struct hidden *h);

/* Scans once (scan's row, pause and arg are not used) for what is to be left out. */
int hidden_find(const struct scan *s, struct hidden *ret, bool *ret_partial);

bool hidden_has(const struct hidden *h, size_t series, int64_t start_ns);

#endif

/*
 * picked.h - the series of an answer: their ids, and their names as the text that will be sent.
 *
 * Names are kept as text because spans of the store live no longer than its callback.
 */
#ifndef QUERY_PICKED_H
#define QUERY_PICKED_H

#include "query/ask.h"
#include "query/out.h"
#include "store/read.h"

#define PICKED_MAX ASK_ROWS_MAX

struct picked {
	uint32_t *sids; /* owned */
	struct picked_head {
		size_t at, len; /* of the name, in text.b */
	} * heads;              /* owned */
	size_t n, cap;
	struct out text;
};

void picked_init(struct picked *p);
void picked_release(struct picked *p);

/* Adds the series of a run that `ask` wants (NULL: all of them), in the order in which they were
 * first written.  write makes the text of a name; with by= it is given the merged name, so series
 * that are to be merged have equal text.  ERR_REFUSED: more than PICKED_MAX. */
int picked_add(struct picked *p, struct view *v, uint32_t rid, const struct ask *ask,
	       void (*write)(struct out *o, const struct series_name *name), struct fault *f);

/* Moves the series from `first` on that have equal text together: groups in the order of their
 * first series, each in the order it was in.  ERR_NOMEM. */
int picked_group(struct picked *p, size_t first);

/* How many series of [nth, end) from the nth on have its text; at least 1. */
size_t picked_alike(const struct picked *p, size_t nth, size_t end);

/* The text of the nth name; borrowed. */
struct span picked_head(const struct picked *p, size_t nth);

/* {"key":"value",...} */
void out_labels(struct out *o, const struct series_name *name);

#endif

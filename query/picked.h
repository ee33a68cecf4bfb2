/*
 * picked.h - the series of an answer: their ids, and their names as the JSON that will be sent.
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
	size_t *heads;  /* owned; where each name starts in text.b */
	size_t n, cap;
	struct out text;
};

void picked_init(struct picked *p);
void picked_release(struct picked *p);

/* Adds the series of a run that `ask` wants (NULL: all of them), in the order in which they were
 * first written.  write makes the JSON of a name.  ERR_REFUSED: more than PICKED_MAX. */
int picked_add(struct picked *p, struct view *v, uint32_t rid, const struct ask *ask,
	       void (*write)(struct out *o, const struct series_name *name), struct fault *f);

/* The JSON of the nth name; borrowed. */
struct span picked_head(const struct picked *p, size_t nth);

/* "labels":{...} */
void out_labels(struct out *o, const struct series_name *name);

#endif

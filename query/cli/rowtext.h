/*
 * rowtext.h - takes a /query answer apart as it arrives, so that a long one is never held whole.
 *
 * Looks for {"series":[{..., "rows":[[...],...]},...],...}: each series' members up to its rows are
 * handed out as one JSON object, then each row as one JSON array; what is left of the answer when
 * it is complete (all but the rows) is JSON too.
 */
#ifndef QUERY_ROWTEXT_H
#define QUERY_ROWTEXT_H

#include "store/base/buf.h"

#define ROWTEXT_REST_MAX (64u * 1024 * 1024)
#define ROWTEXT_ROW_MAX  65536

struct rowtext {
	/* Non-zero stops, and is returned by rowtext_feed.  Spans are borrowed until they return. */
	int (*series)(void *arg, struct span object);
	int (*row)(void *arg, struct span array);
	void *arg;
	/* its own */
	struct buf rest, line;
	size_t series_at, string_at, string_end; /* in rest */
	int depth;
	bool in_string, escaped, in_rows;
};

void rowtext_init(struct rowtext *r);
void rowtext_release(struct rowtext *r);

/* 0, what a callback returned, or ERR_MALFORMED, ERR_FULL. */
int rowtext_feed(struct rowtext *r, struct span piece);

#endif

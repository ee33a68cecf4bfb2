/*
 * exact.h - answers that are made of samples: of which plans, and where their samples lie.
 *
 * With samples=true rows are samples.  With x=step they are, too, or with points= strides of them
 * (strides.h), as long as nobody asks how wide a window is to be (every=, or by= without points=), samples
 * are kept for all of the range, and there are not too many: no more rows than an answer may have, and for
 * points=, where what is read is more than what is answered, no more samples.
 */
#ifndef QUERY_EXACT_H
#define QUERY_EXACT_H

#include "query/plan.h"
#include "query/samples.h"

/* Sets p->exact and p->since_ns; rows are counted by who calls.  Else an error of the store. */
int exact_find(struct plan *p, struct store *store);

/* What is to be read of a run; sample, pause and arg are the caller's to fill in. */
struct sample_scan exact_scan(const struct plan *p, const struct chosen_run *r, struct store *store);

#endif

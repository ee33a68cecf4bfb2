/*
 * rawcare.h - what becomes of samples: sealed out of the journal, merged, dropped when they are old.
 *
 * The compactor's thread looks now and then; the writer calls for it when the journal has grown.
 */
#ifndef STORE_RAWCARE_H
#define STORE_RAWCARE_H

#include "store/raw/rawseal.h"

struct rawcare; /* rawcare.c */

int rawcare_new(struct store *s, struct rawcare **ret);
void rawcare_free(struct rawcare *c); /* NULL is fine */

/* Runs are gone for good: at the next call parts that hold some are made again without them. */
void rawcare_runs_went(struct rawcare *c);

/* Makes raw parts again without what is damaged in them, and sets that aside; *ret is how many.  ERR_GONE:
 * *stop was set. */
int rawcare_mend(struct rawcare *c, atomic_bool *stop, uint64_t *ret);

/* Seals what is due (all: whatever is flushed), sets aside what of that is damaged, merges and drops.  One at
 * a time; *stop ends it soon. Trouble is logged once and tried again at the next call.  ERR_GONE: stopped. */
int rawcare_run(struct rawcare *c, int64_t now_ns, bool all, atomic_bool *stop, struct raw_report *report);

#endif

/*
 * compact.h - the compactor: a thread that turns closed slots into parts, and drops what they hold.
 *
 * It looks now and then at what is flushed (agenda.h), seals what is due (slot.h), has the writer
 * publish it in one small transaction, removes the files of the parts that were taken in, and has the
 * writer drop the blocks of flushes that are folded, a thousand at a time.
 *
 * A slot whose sources are damaged is left as it is, and told once; it is served as before.
 */
#ifndef STORE_COMPACT_H
#define STORE_COMPACT_H

#include "store/store.h"

struct compactor; /* compact.c */

int compactor_new(struct store *s, struct compactor **ret);
void compactor_stop(struct compactor *c); /* ends what it does, soon; NULL is fine */
void compactor_free(struct compactor *c);
int compactor_start(struct compactor *c); /* its thread */
void compactor_call(struct compactor *c); /* it looks at once: the journal has samples to be sealed */

#endif

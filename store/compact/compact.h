/*
 * compact.h - the compactor: a thread that turns closed slots into parts, these into coarser ones, and
 * drops what others hold or what is past its time.
 *
 * It looks now and then at what is flushed, and project by project seals what is due (agenda.h, slot.h)
 * and drops what no longer serves (expiry.h), each with one small transaction of the writer; files go
 * after the rows that named them.  Blocks of flushes that are folded go a thousand at a time.
 *
 * What is damaged in a slot's sources is set aside, and told (quarantine.h), and the slot is sealed without
 * it.  A slot of which no part can be made all the same is left as it is, and told once.
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

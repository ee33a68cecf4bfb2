/*
 * batch.h - the writer's side of struct batch (write.h).
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "store/hot/journal.h"
#include "store/write.h"

/* Every series has its sid now: put them where BATCH_NEW stands, and encode the journal record. */
int batch_name_samples(struct batch *b);

int batch_encode_samples(struct batch *b);

/* What the journal keeps of the batch, and memory is to fold; borrowed from it. */
struct journal_record batch_journal(const struct batch *b);

#endif

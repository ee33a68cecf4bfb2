/*
 * rawaside.h - samples that cannot be read are set aside, so that the work goes on without them
 * (quarantine.h).
 *
 * Windows have what these samples brought: only one by one they are missing.  One thread at a time.
 */
#ifndef STORE_RAWASIDE_H
#define STORE_RAWASIDE_H

#include "store/compact/quarantine.h"
#include "store/raw/rawrow.h"
#include "store/store.h"

/* Those batches of (after, upto] that are damaged leave the journal for DIR/quarantine.  They are flushed.
 * ERR_CORRUPT: none is. */
int rawaside_batches(struct store *s, uint64_t after, uint64_t upto);

/* The file of a raw part gets a second name in DIR/quarantine, and *lost a row for each run that is there and
 * misses what a block of it held, or (part NULL) all of it.  The caller puts these in the transaction in
 * which what is left takes the part's place, and tells then. */
int rawaside_part(struct store *s, const struct rawpart_id *id, const struct rawpart *part, size_t block,
		  struct quarantine *lost);
void rawaside_tell(struct store *s, const struct quarantine *lost);

#endif

/*
 * tiercheck.h - whether the parts of all tiers agree with each other, for verify.
 *
 * Rows: parts of a tier do not overlap, none has folded a flush that is not done, one that is alone is.
 * Buckets: a coarse part that is up to date is, bit for bit, what its finer parts merge to.  That reads
 * finer parts once more for each tier above them: about what it costs to make the coarse one.
 */
#ifndef STORE_TIERCHECK_H
#define STORE_TIERCHECK_H

#include "store/store.h"

/* Parts that cannot be read whole, which others are not compared with. */
struct tiercheck_damaged {
	uint64_t *numbers;
	size_t n, cap;
};
int tiercheck_damaged_add(struct tiercheck_damaged *d, uint64_t number);

/* Each trouble is told with the name of the part's file.  The snapshot may be older than what the
 * compactor has done meanwhile.  Errors are the store's own. */
typedef void (*tiercheck_fn)(void *arg, const char *file, const char *what);
int tiercheck(struct store *s, struct kv_txn *t, const struct tiercheck_damaged *damaged, tiercheck_fn fn,
	      void *arg);

#endif

/*
 * rawseal.h - samples of flushed batches move from the journal into raw parts.
 *
 * The journal's batches behind state.sealed are read once to count what each series has, and again for
 * some series at a time; so memory is bounded by RAWSEAL_GROUP samples, or by those of the largest series.
 * A project that keeps no samples is left out, with a mark that it had some (rawrow.h).  What was made is
 * published with the new state.sealed in one transaction: a sample is in the journal or in a raw part,
 * never in both, never in neither.  Where no project keeps any, the journal is trimmed without being read.
 *
 * To decode the journal once more for each group costs some nanoseconds a sample; to seal fewer at a time
 * and merge small parts later would cost 300.
 */
#ifndef STORE_RAWSEAL_H
#define STORE_RAWSEAL_H

#include "store/raw/rawmake.h"

#define RAWSEAL_RANGE 4000000 /* samples that are sealed together, about */
#define RAWSEAL_GROUP 2000000 /* and those held in memory at a time */

/* What the projects want kept. */
struct raw_keep {
	uint32_t pid;
	int64_t keep_ns;
};
struct raw_keeps {
	struct raw_keep *list; /* owned */
	size_t n, cap;
};

int raw_keeps_read(struct kv_txn *t, struct raw_keeps *ret);
void raw_keeps_release(struct raw_keeps *k);
int64_t raw_keep_of(const struct raw_keeps *k, uint32_t pid); /* 0 for one that is not there */

/* Seals the oldest batches that are flushed and not sealed yet; where some are damaged these are set aside
 * instead, and the next call seals the rest.  What was made is added to *report.  1: there was none.
 * ERR_CORRUPT: something else is damaged, or what was made is not what it was made from; ERR_GONE: *stop was
 * set, or a run went away; ERR_DISK_FULL; ERR_IO. */
struct raw_report {
	uint64_t parts, samples, bytes; /* made of the journal */
	uint64_t merged, expired;       /* parts that were taken in; that went */
};
int rawseal_some(struct store *s, const struct raw_keeps *keeps, int64_t now_ns, atomic_bool *stop,
		 struct raw_report *report);

/* As rawseal_some, of all batches at once, where no project keeps any samples: nothing is read.  1: one does.
 */
int rawseal_skip(struct store *s, int64_t now_ns);

/* Deletes sealed batches from the journal. */
int rawseal_trim(struct store *s);

#endif

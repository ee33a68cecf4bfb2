/*
 * gather.h - buckets that are stored, in parts and in flushed blocks, as one snapshot has them.
 *
 * For the files of store/ alone: windows.c adds what memory holds, the compactor takes what a slot is
 * to be made of.
 */
#ifndef STORE_GATHER_H
#define STORE_GATHER_H

#include "store/compact/quarantine.h"
#include "store/found.h"
#include "store/part/cover.h"
#include "store/store.h"

struct gather {
	/* asked for; found is initialised */
	uint32_t pid;           /* of that project's runs */
	uint32_t rid;           /* of this run; 0: of several */
	int64_t from_ns, to_ns; /* windows that start in [from, to) */
	int64_t width_ns;       /* merged into windows of that, which from and to are multiples of;
				   TIER_RECORDED: as fine as they are kept; TIER_WHOLE: into one */
	int64_t finer_than_ns;  /* from parts of finer tiers than that, and no blocks; 0: from all */
	uint64_t upto;          /* flushes up to here; 0: all that are done */
	bool sealing;           /* for a part: what is in quarantine is left out, and that is no damage */
	unsigned fields;        /* of buckets in parts (bucket.h); 0: all */
	bool may_hold;          /* gather_tell tells what is found, nobody else looks at it; */
	bool as_sheets;         /* as sheets of these fields, where it can */
	int64_t recorded_ns;    /* width of the run's windows, for may_hold */
	struct found found;
	/* answered */
	bool partial; /* a damaged block or part had to be left out, now or before a part was made */
	/* gather.c's own */
	struct manifest parts;
	struct quarantine quarantine;
	int64_t read_from_ns, read_to_ns;
	uint64_t flush; /* being read */
	struct store *store;
	struct gather_held *held; /* instead of `found` */
	size_t n_held, held_cap;
};

void gather_release(struct gather *g); /* found too */

/* Finds all that t's snapshot has stored.  What is found already is from memory, which stands for the
 * same state, and may begin NS_PER_DAY before from and end as much after to.  ERR_GONE: a part went away
 * since t began; gather_again, with a new snapshot. */
int gather_snapshot(struct store *s, struct kv_txn *t, struct gather *g);
void gather_again(struct gather *g);

/* Tells what was found, as found_tell.  What parts alone hold, in order and in windows of the width that
 * was asked for, is read only now, and need not be kept, sorted and merged.  With as_sheets it is told to
 * `sheet` instead, and its windows may be narrower. */
int gather_tell(struct gather *g, block_fn fn, sheet_fn sheet, void *arg);

/* Finds what these parts hold, and no more. */
int gather_rows(struct store *s, struct kv_txn *t, struct gather *g, const struct part_row *rows, size_t n);

#endif

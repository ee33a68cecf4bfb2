/*
 * manifest.h - which parts count, and up to which flush each has folded its slot.
 *
 * Row (kind PART), key pid u32, tier u64, from i64: to i64, number u64, bytes u64, buckets u64, blocks u32,
 * crc u32, upto u64, arrived i64, least start i64, greatest start i64, u8 1: alone, then the runs as in a
 * flush's row (flush.h).
 *
 * Parts are a project's own; those of a tier never overlap (tier.h says what tiers and slots are).  A
 * part is up to date when its number is above those of the finer parts of the same time, and the finest
 * that covers a time says up to which flush it is folded (cover.h).  A coarse one is alone when the finer
 * parts that it was made of are gone from its slot.  The part of TIER_WHOLE holds, from 0
 * on, what has left all other tiers.  The file of a row is DIR/parts/manifest_file().
 */
#ifndef STORE_MANIFEST_H
#define STORE_MANIFEST_H

#include "store/kv.h"
#include "store/part/part.h"
#include "store/part/tier.h"

struct part_row {
	struct part_id id;
	struct part_summary summary;
	uint64_t upto;      /* flushes up to here are folded */
	int64_t arrived_ns; /* when the youngest of them was seen */
	bool alone;
	bool gone;        /* it holds a run that is gone; not stored, told by the compactor (picture_take) */
	struct span runs; /* undecoded; borrowed from the transaction */
};

/* Rows of parts, by rising (pid, tier, from).  Zeroed: none. */
struct manifest {
	struct part_row *rows;
	size_t n, cap;
};

/* A project's parts that overlap [from, to), of every tier but TIER_WHOLE. */
int manifest_read(struct kv_txn *t, uint32_t pid, int64_t from_ns, int64_t to_ns, struct manifest *ret);

/* All rows there are. */
int manifest_read_all(struct kv_txn *t, struct manifest *ret);

/* The row of a slot, whatever its number.  ERR_NOT_FOUND. */
int manifest_get(struct kv_txn *t, const struct part_id *slot, struct part_row *ret);

/* The project's part of TIER_WHOLE.  ERR_NOT_FOUND. */
int manifest_totals(struct kv_txn *t, uint32_t pid, struct part_row *ret);

/* What rows borrow from a transaction is forgotten, before it ends. */
void manifest_detach(struct manifest *m);
void manifest_release(struct manifest *m);

/* Whether that very part counts in the store as it is now, whatever a transaction of before sees. */
bool manifest_counts(struct kv *kv, const struct part_id *id);

/* Whether the part holds buckets of the run, and of which starts (to the second, outwards). */
bool manifest_run(const struct part_row *row, uint32_t rid, int64_t *ret_least, int64_t *ret_greatest);

/* Runs of a row, or of a flush's, and back; by rising rid. */
struct run_range {
	uint32_t rid;
	int64_t least, greatest; /* starts of windows; decoded: to the second, outwards */
};
typedef int (*run_range_fn)(void *arg, const struct run_range *r);
int run_ranges_read(struct span runs, run_range_fn fn, void *arg); /* ERR_CORRUPT */
int run_ranges_put(const struct run_range *r, size_t n, struct buf *out);

int manifest_row_decode(struct span key, struct span value, struct part_row *ret);

/* Puts the row, and takes out those of its tier that its slot covers. */
int manifest_replace(struct kv_txn *t, const struct part_row *row);

/* Puts the row as it is, where it is. */
int manifest_put(struct kv_txn *t, const struct part_row *row);

/* Takes out the rows of a project's tier in [from, to), which no row of it crosses. */
int manifest_remove(struct kv_txn *t, const struct part_id *slot);

/* The number of the newest part there ever was; 0: none yet. */
int manifest_newest(struct kv_txn *t, uint64_t *ret);

#define MANIFEST_FILE_MAX 128
/* "metrics-1-5m-20250706T000000Z-86400-17.part", into ret of MANIFEST_FILE_MAX bytes. */
void manifest_file(const struct part_id *id, char *ret);

#endif

/*
 * manifest.h - which parts count, and up to which flush each has folded its slot.
 *
 * Row (kind PART), key tier u64, from i64: to i64, number u64, bytes u64, buckets u64, blocks u32, crc u32,
 * upto u64, least start i64, greatest start i64, then the runs as in a flush's row (flush.h).
 *
 * Slots are hours and days of UTC; parts of a tier never overlap.  The file of a row is
 * DIR/parts/manifest_file().
 */
#ifndef STORE_MANIFEST_H
#define STORE_MANIFEST_H

#include "store/kv.h"
#include "store/part.h"

struct part_row {
	struct part_id id;
	struct part_summary summary;
	uint64_t upto;    /* flushes up to here are folded */
	struct span runs; /* undecoded; borrowed from the transaction */
};

/* Rows of a tier that overlap [from, to), by rising from.  Zeroed: none. */
struct manifest {
	struct part_row *rows;
	size_t n, cap;
};

int manifest_read(struct kv_txn *t, int64_t tier_ns, int64_t from_ns, int64_t to_ns, struct manifest *ret);
void manifest_release(struct manifest *m);

/* All rows, of every tier. */
int manifest_read_all(struct kv_txn *t, struct manifest *ret);

/* Up to which flush buckets that start then are in a part; 0: none. */
uint64_t manifest_folded(const struct manifest *m, int64_t start_ns);

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

/* The number of the newest part there ever was; 0: none yet. */
int manifest_newest(struct kv_txn *t, uint64_t *ret);

#define MANIFEST_FILE_MAX 96
/* "metrics-20250706T120000Z-3600-17.part", into ret of MANIFEST_FILE_MAX bytes. */
void manifest_file(const struct part_id *id, char *ret);

#endif

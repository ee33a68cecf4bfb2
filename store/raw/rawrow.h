/*
 * rawrow.h - which raw parts count, and how far back the samples of a run are kept.
 *
 * Row (kind RAW), key pid u32, first u64: upto u64, number u64, bytes u64, samples u64, blocks u32, crc u32,
 * least time i64, greatest time i64, arrived i64, then the runs as in a part's row (manifest.h).
 *
 * Raw parts of a project are of ranges of batches that do not meet, none after state.sealed.  The file
 * of a row is DIR/parts/raw_file().
 *
 * Row (kind RAW_GONE), key rid u32: i64; samples of the run of that time or before may be gone, or never
 * were there by themselves (buckets that were made elsewhere).  Key 0 u32, pid u32: i64; samples that the
 * project had by then, of whatever time, are gone: it kept none.  Times of day, ns.
 */
#ifndef STORE_RAWROW_H
#define STORE_RAWROW_H

#include "store/kv.h"
#include "store/raw/rawpart.h"

struct raw_row {
	struct rawpart_id id;
	struct rawpart_summary summary;
	int64_t arrived_ns; /* the youngest of its samples, at the latest */
	struct span runs;   /* undecoded; borrowed from the transaction */
};

/* Rows by rising (pid, first).  Zeroed: none. */
struct raw_rows {
	struct raw_row *rows;
	size_t n, cap;
};

int raw_rows_read(struct kv_txn *t, uint32_t pid, struct raw_rows *ret); /* pid 0: of all projects */
void raw_rows_release(struct raw_rows *r);

int raw_row_decode(struct span key, struct span value, struct raw_row *ret);
int raw_row_put(struct kv_txn *t, const struct raw_row *row);
int raw_row_del(struct kv_txn *t, uint32_t pid, uint64_t first);

/* Whether it holds samples of the run, and of which times (to the second, outwards). */
bool raw_row_run(const struct raw_row *row, uint32_t rid, int64_t *ret_least, int64_t *ret_greatest);

/* The number of the newest raw part there ever was (0: none yet), which raw_row_put keeps. */
int raw_newest(struct kv_txn *t, uint64_t *ret);

#define RAW_FILE_MAX 64
void raw_file(const struct rawpart_id *id, char *ret); /* "raw-1-17.part", into RAW_FILE_MAX bytes */

/* Marks rise, whatever is put. */
int raw_gone_put(struct kv_txn *t, uint32_t rid, int64_t upto_ns);
int raw_gone_put_all(struct kv_txn *t, uint32_t pid, int64_t now_ns);

/* The least time from which on all samples of the run that were accepted are kept; INT64_MIN: all are. */
int raw_since(struct kv_txn *t, uint32_t pid, uint32_t rid, int64_t created_ns, int64_t *ret);

#endif

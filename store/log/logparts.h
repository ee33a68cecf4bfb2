/*
 * logparts.h - which log parts count, and what runs they hold.
 *
 * Row (kind LOG_PART), key pid u32, first u64: upto u64, number u64, bytes u64, records u64, blocks u32, crc
 * u32, least time i64, greatest time i64, arrived i64; v runs; by rising rid: v rid - before, v first
 * sequence, v end of its sequences - that.
 *
 * A part made of what was in the log database is the first and last of its range itself; one made of others
 * covers theirs.  Ranges of a project do not meet, and a run's sequences rise with them: what a part holds of
 * a run comes before what later parts and the log database do (format.h, invariant 9).  The file of a row is
 * DIR/parts/logpart_file().
 */
#ifndef STORE_LOGPARTS_H
#define STORE_LOGPARTS_H

#include "store/kv.h"
#include "store/log/logpart.h"

struct logpart_row {
	struct logpart_id id;
	struct logpart_summary summary;
	struct span runs; /* undecoded; borrowed from the transaction */
};

/* Rows by rising (pid, first).  Zeroed: none. */
struct logpart_rows {
	struct logpart_row *rows;
	size_t n, cap;
};

int logpart_rows_read(struct kv_txn *t, uint32_t pid, struct logpart_rows *ret); /* pid 0: of all projects */
void logpart_rows_release(struct logpart_rows *r);

/* The same in a transaction of its own; without their runs, which do not outlive that. */
int logpart_rows_now(struct kv *kv, uint32_t pid, struct logpart_rows *ret);

int logpart_row_decode(struct span key, struct span value, struct logpart_row *ret);
int logpart_row_put(struct kv_txn *t, const struct logpart_row *row);
int logpart_row_del(struct kv_txn *t, const struct logpart_id *id); /* of that number; ERR_NOT_FOUND */

/* Whether that very part counts in the store as it is now, whatever a transaction of before sees. */
bool logpart_counts(struct kv *kv, const struct logpart_id *id);

/* What a part holds of a run: sequences [first, end).  False: nothing. */
struct logpart_run {
	uint32_t rid;
	uint64_t first_seq, end_seq;
};
bool logpart_row_run(const struct logpart_row *row, uint32_t rid, struct logpart_run *ret);
typedef int (*logpart_run_fn)(void *arg, const struct logpart_run *r);
int logpart_row_runs(const struct logpart_row *row, logpart_run_fn fn, void *arg);

/* The number of the newest log part there ever was (0: none yet), which logpart_row_put keeps. */
int logpart_newest(struct kv_txn *t, uint64_t *ret);

#define LOGPART_FILE_MAX 64
void logpart_file(const struct logpart_id *id, char *ret); /* "logs-1-17.part", into LOGPART_FILE_MAX bytes */

#endif

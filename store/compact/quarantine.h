/*
 * quarantine.h - what was found damaged and set aside, so that the work goes on without it.
 *
 * The bytes of a damaged block, or a damaged part, become a file of DIR/quarantine, for a person to look
 * at; a row in the hot store says what is missing since, and answers that might have had it are partial.
 * A block of a flush leaves the hot store in the transaction that puts the row, a batch of the journal
 * likewise (rawaside.c).  A block of a part stays in the part, which is made anew without it whenever its
 * slot is (compact_quarantine.c decides when).
 *
 * Row (kind QUARANTINE), key pid u32, number u32: rid u32, least start i64, greatest start i64, newest u64,
 * flush u64, part u64, offset u64, batch u64, s file.
 *
 * A row with a batch tells of samples one by one; windows have what it brought.  Of a raw part that is
 * damaged, or a block of it, it is the part's last batch; least and greatest are times of the run's samples,
 * and the part is made again without, in the transaction that puts the row (rawmerge.h).  Whose samples a
 * batch of the journal had cannot be told when it is damaged: its row is of no project (pid 0) and no time
 * (least above greatest), and misses samples of any time, and of any run up to rid, the newest that there
 * was.
 */
#ifndef STORE_QUARANTINE_H
#define STORE_QUARANTINE_H

#include "store/kv.h"
#include "store/part/cover.h"

#define QUARANTINE_FILE_MAX 160
#define QUARANTINE_WHOLE    UINT64_MAX /* as an offset: all of the part */

/* Windows, or samples, of one run that may be missing, in whole or in part. */
struct quarantined {
	uint32_t pid, rid;
	int64_t least_start, greatest_start;
	uint64_t newest;                /* number of the newest part then: later ones may lack them */
	uint64_t flush;                 /* whose block it was; 0: a part's */
	uint64_t part, offset;          /* number of the part, and where in it */
	uint64_t batch;                 /* samples are missing, of this one at the latest; 0: windows are */
	char file[QUARANTINE_FILE_MAX]; /* in DIR/quarantine; empty: nothing could be read */
};

struct quarantine {
	struct quarantined *rows;
	size_t n, cap;
};

/* A project's rows, or (pid 0) all.  Costs next to nothing when there are none. */
int quarantine_read(struct kv_txn *t, uint32_t pid, struct quarantine *ret);
int quarantine_add(struct quarantine *q, const struct quarantined *row);
void quarantine_release(struct quarantine *q);

/* Puts the rows, under numbers of their own. */
int quarantine_put(struct kv_txn *t, const struct quarantine *q);

int quarantine_decode(struct span key, struct span value, struct quarantined *ret);

/* Whether that block of a part is among them, or the whole part. */
bool quarantine_knows(const struct quarantine *q, uint64_t part, uint64_t offset);

/* Whether windows of a run (0: of any) that start in [from, to) may be missing from the part. */
bool quarantine_hides(const struct quarantine *q, const struct part_id *part, uint32_t rid, int64_t from_ns,
		      int64_t to_ns);

/* The same of what parts have not folded of the flushes. */
bool quarantine_hides_flushed(const struct quarantine *q, const struct manifest *parts, uint32_t rid,
			      int64_t from_ns, int64_t to_ns);

/* Sets *ret where samples of the run with times in [from, to) may be missing; leaves it else. */
int quarantine_hides_samples(struct kv_txn *t, uint32_t rid, int64_t from_ns, int64_t to_ns, bool *ret);

/* Writes bytes into a file of dir/quarantine, synced; one that is there stays. */
int quarantine_keep(const char *dir, const char *file, struct span bytes);

/* A second name, in dir/quarantine, of a file. */
int quarantine_keep_file(const char *dir, const char *file, const char *path);

#endif

/*
 * logpart.h - log parts: immutable files of log blocks of one project.
 *
 * The file is as partfile.h says, of kind PART_LOGS; from and to are the numbers of the first and the last
 * log part that went into it (logparts.h).  Its blocks are values as the log database has them, header
 * and checksum for the key (rid, first sequence) included, by rising (rid, first sequence); so each can be
 * copied without being decoded (logmake.h), and what was damaged is known to be.  The index:
 *
 *   v runs; by rising rid: v rid - before, project s, id s, v blocks, of each
 *     v first sequence - end of the block before (of the run's first: that sequence), v records, v bytes,
 *     z least time - least time before, v greatest - least, z arrival - greatest time, u8 levels
 *
 * Arrival is when the latest of its records was observed.  Levels: bit 1 << level for each there is.
 */
#ifndef STORE_LOGPART_H
#define STORE_LOGPART_H

#include "store/model.h"
#include "store/part/partfile.h"
#include "store/stored.h"

#define LOGPART_BLOCK_MAX ((size_t)32 * 1024 * 1024) /* bytes of a block, which are never so many */

struct logpart_id {
	uint32_t pid;
	uint64_t first, upto; /* numbers of parts */
	uint64_t number;      /* of the store's log parts, never given twice */
};

struct logpart_summary {
	uint64_t bytes, records;
	uint32_t blocks, crc;                      /* the footer's */
	int64_t least_ns, greatest_ns, arrived_ns; /* of all blocks */
};

/* What the index says of a block. */
struct logpart_block {
	uint32_t rid;
	uint64_t first_seq, count;
	int64_t least_ns, greatest_ns, arrived_ns;
	unsigned levels;
	uint64_t offset; /* in the file; not looked at when it is written */
	uint32_t bytes;
};

/* Key of a block of the log database. */
#define LOG_KEY_BYTES 12
struct span log_key(uint32_t rid, uint64_t seq, uint8_t *ret);

/* ---- writing: one thread; memory is the index ---- */

struct logpart_writer; /* logpart_write.c */

int logpart_create(const char *path, struct logpart_id id, struct logpart_writer **ret);

/* The run whose blocks come next; rids rise.  A run without blocks is left out. */
int logpart_run(struct logpart_writer *w, uint32_t rid, const char *project, const char *id);

/* A block of that run, as it is stored. */
int logpart_add(struct logpart_writer *w, const struct logpart_block *b, struct span value);

/* Writes the index and the footer, and syncs.  At least one block was added.  *ret_digest is of all values;
 * runs gets the run list of the row (logparts.h).  The writer is freed either way. */
int logpart_finish(struct logpart_writer *w, struct logpart_summary *ret, uint32_t *ret_digest,
		   struct buf *runs);
void logpart_abandon(struct logpart_writer *w); /* NULL is fine */

/* ---- reading: any number of threads; nothing is believed before its checksum ---- */

struct logpart; /* logpart_read.c */

int logpart_open(const char *path,
		 struct logpart **ret); /* ERR_NOT_FOUND, ERR_CORRUPT, ERR_VERSION, ERR_IO */
void logpart_close(struct logpart *p);  /* NULL is fine */

struct logpart_id logpart_id(const struct logpart *p);
struct logpart_summary logpart_summary(const struct logpart *p);

/* Its blocks are 0 .. summary.blocks - 1. */
const struct logpart_block *logpart_block(const struct logpart *p, size_t i);

/* The run's blocks are [*ret_from, *ret_to). */
void logpart_find(const struct logpart *p, uint32_t rid, size_t *ret_from, size_t *ret_to);

/* The names of a run in it; borrowed.  False: it has no such run. */
bool logpart_name(const struct logpart *p, uint32_t rid, struct span *ret_project, struct span *ret_id);

/* The value of a block, its checksum not looked at, into room, which is the caller's.  ERR_CORRUPT, ERR_IO.
 */
int logpart_read(const struct logpart *p, size_t i, struct buf *room);

/* The same, opened; ret borrows from room.  ERR_CORRUPT also where it is another than the index says. */
int logpart_open_block(const struct logpart *p, size_t i, struct buf *room, struct stored *ret);

/* Of all values as they are in the file. */
int logpart_digest(const struct logpart *p, uint32_t *ret);

#endif

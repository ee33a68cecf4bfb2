/*
 * part.h - sealed parts: immutable files of buckets, series-major.
 *
 * A part holds the buckets of a project, a tier and a slot of time [from, to) that flushes up to one
 * have brought, each window once; the manifest (manifest.h) says which parts count.  The file is as
 * partfile.h says, of kind PART_METRICS, with the tier (tier.h) and the slot in its header; its blocks are
 * partblock.h's, by rising (sid, start); its index is partindex.h's, of buckets and starts of windows.
 */
#ifndef STORE_PART_H
#define STORE_PART_H

#include "store/part/partblock.h"
#include "store/part/partindex.h"

struct part_id {
	uint32_t pid;    /* of the project whose runs it holds */
	int64_t tier_ns; /* tier.h */
	int64_t from_ns, to_ns;
	uint64_t number; /* of the store's parts, never given twice */
};

struct part_summary {
	uint64_t bytes, buckets;
	uint32_t blocks, crc; /* the footer's */
	int64_t least_start, greatest_start;
};

/* ---- writing: one thread, memory bounded by a block and the names ---- */

struct part_writer; /* part_write.c */

/* Makes the file, which must not be there.  Names are asked for once per series, at its first bucket. */
int part_create(const char *path, struct part_id id, part_name_fn names, void *arg, struct part_writer **ret);

/* Keys rise by (sid, start) and lie in the slot. */
int part_add(struct part_writer *w, struct block_key key, const struct bucket *b);

/* Writes what is left, the index and the footer, and syncs.  At least one bucket was added.  The writer
 * is freed either way; on failure the file may be there, and is worthless. */
int part_finish(struct part_writer *w, struct part_summary *ret);
void part_abandon(struct part_writer *w); /* frees it; NULL is fine */

/* ---- reading: any number of threads; nothing is believed before its checksum ---- */

struct part; /* part_read.c */

/* Reads header, index and footer.  ERR_NOT_FOUND, ERR_CORRUPT, ERR_VERSION, ERR_IO. */
int part_open(const char *path, struct part **ret);
void part_close(struct part *p); /* NULL is fine */

struct part_id part_id(const struct part *p);
struct part_summary part_summary(const struct part *p);

/* The first block from *i on that may hold buckets of these series (rising; NULL: of all) with start in
 * [from, to): *i, or false. */
bool part_find(const struct part *p, const uint32_t *sids, size_t n_sids, int64_t from_ns, int64_t to_ns,
	       size_t *i);

/* Where a block is in the file, and what the index says of it. */
struct part_block part_block(const struct part *p, size_t i);

/* A block's bytes, as they are, into room. */
int part_bytes(const struct part *p, size_t i, struct buf *room);

/* Reads a block into room, which is the caller's, and tells fn the wanted buckets (partblock_read).  Damage
 * is found before fn is called, unless a writer went wrong.  ERR_CORRUPT, ERR_IO. */
int part_read(const struct part *p, size_t i, struct partblock_reader *r, struct buf *room,
	      const struct block_want *want, block_fn fn, void *arg);

/* Reads all of its blocks, and tells fn every bucket.  Where one is ERR_CORRUPT or ERR_IO, damaged says what
 * becomes of it: 0, and the walk goes on, or its error; room is for its use. */
typedef int (*part_damage_fn)(void *arg, const struct part *p, size_t i, int err, struct buf *room);
int part_read_all(const struct part *p, block_fn fn, part_damage_fn damaged, void *arg);

/* The same as part_read, as sheets (partblock_sheets). */
int part_sheets(const struct part *p, size_t i, struct partblock_reader *r, struct buf *room,
		const struct block_want *want, sheet_fn fn, void *arg);

/* Its runs and series (partindex.h). */
int part_runs(const struct part *p, part_run_fn fn, void *arg);
int part_series(const struct part *p, part_series_fn fn, void *arg);

#endif

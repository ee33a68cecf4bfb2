/*
 * admin.h - a data directory: opening, access, health, checking.
 *
 *   DIR/VERSION        format "major.minor" and the page size; a newer major is refused
 *   DIR/LOCK           lock (F_OFD_SETLK) of the one process that writes, with its pid and URL as text
 *   DIR/owner.token    the owner's token (0600), written once
 *   DIR/BACKUP         in a backup only
 *   DIR/hot/           the LMDB environment (data.mdb, lock.mdb)
 *   DIR/parts/         sealed parts (part.h); what the manifest does not name is swept at the start
 *   DIR/tmp/           files in the making; swept at the start
 *
 * A process that only reads needs write access to hot/lock.mdb: LMDB keeps its reader table there.
 */
#ifndef STORE_ADMIN_H
#define STORE_ADMIN_H

#include "store/model.h"

struct store;

struct store_options {
	bool read_only;           /* beside a writer, or without one */
	size_t memory_max_bytes;  /* open buckets; 0: 128 MiB */
	size_t journal_max_bytes; /* journal not yet flushed; 0: 128 MiB */
	size_t queue_max_batches; /* 0: 8192 */
	int64_t grace_ns;         /* after a window's end, before it is flushed; 0: 30 s */
	int64_t flush_every_ns;   /* least time between flushes that no cap asks for; 0: 30 s */
	size_t log_block_bytes;   /* text of a sealed log block; 0: 4 MiB, which is also the most */
	size_t map_max_bytes;     /* the hot environment's bound; 0: 256 GiB */
	bool no_compactor;        /* only store_compact seals */
	int64_t compact_every_ns; /* between looks for something to seal; 0: 30 s */
	int64_t settle_ns;        /* after an hour's or a day's end, before it is sealed; 0: 10 min */
	int64_t late_ns;          /* how long little that comes late for a part waits; 0: 10 min */
};

/* Creates the directory when it is not there (unless read_only).  ERR_HELD: another process writes
 * there, and the fault says which.  ERR_VERSION, ERR_IO, ERR_NOT_FOUND, ERR_CORRUPT. */
int store_open(const char *dir, const struct store_options *o, struct store **ret, struct fault *f);

/* Takes no more batches, commits what is queued, flushes nothing (the journal has it), closes. */
void store_close(struct store *s); /* NULL is fine */

/* What the process holding the directory wrote into LOCK: its URL, "" when it has none yet.
 * ERR_NOT_FOUND: nobody holds it. */
int store_holder(const char *dir, long *ret_pid, char *ret_url, size_t url_max);

/* Writes the URL for others to find. */
int store_announce(struct store *s, const char *url);

/* ---- access ---- */

enum role { ROLE_NONE, ROLE_VIEWER, ROLE_WORKER, ROLE_EDITOR, ROLE_ADMIN, ROLE_OWNER };

struct caller {
	enum role role;
	char project[ID_MAX + 1]; /* empty: all projects */
};

/* The token of DIR/owner.token, for verbs on the same machine.  ERR_NOT_FOUND, ERR_DENIED, ERR_IO. */
int owner_token_read(const char *dir, char *ret, size_t max);

/* Who presents this token.  ERR_UNAUTHENTICATED.  Compared as hashes, in constant time. */
int store_authenticate(struct store *s, struct span token, struct caller *ret);

/* May this caller do what needs `least` in this project?  0, or ERR_NOT_FOUND for a project it
 * cannot see, or ERR_DENIED.  Every handler asks this and only this. */
int caller_may(const struct caller *c, const char *project, enum role least, struct fault *f);

/* ---- compaction ---- */

struct compact_report {
	uint64_t parts, buckets, bytes; /* made */
	uint64_t replaced;              /* parts taken into these */
	uint64_t dropped;               /* parts past their time */
	uint64_t flushes;               /* whose blocks went */
	uint64_t failed;                /* slots that could not be sealed; the log says why */
};

/* Flushes what is in memory, seals every slot of every tier that ended by until_ns, with all that came
 * late, and drops blocks that are folded and parts that are past their time now.  dry_run: only tells what
 * it would do first; coarser parts may follow.  tell (may be NULL) gets a sentence for each slot.  The store
 * was opened for writing; beside the compactor's thread or without one. */
typedef void (*compact_fn)(void *arg, const char *sentence);
int store_compact(struct store *s, int64_t until_ns, bool dry_run, compact_fn tell, void *arg,
		  struct compact_report *ret);

/* ---- health ---- */

/* Of the parts of a tier: its width, 0 for windows as recorded, INT64_MAX for totals. */
struct tier_stats {
	int64_t tier_ns;
	uint64_t parts, buckets, bytes;
};

struct store_stats {
	uint64_t runs, series, open_buckets, open_bytes;
	uint64_t batches, samples, log_records, duplicates; /* since the process started */
	uint64_t journal_bytes, journal_batches;            /* in the file; not yet flushed */
	uint64_t flushes;                                   /* ever done */
	uint64_t flushed_buckets, blocks, block_bytes;      /* in the hot store, not folded into parts yet */
	uint64_t parts, part_buckets, part_bytes;
	uint64_t log_blocks, log_block_bytes, sealed_log_records; /* sealed since the process started */
	uint64_t file_bytes, free_pages, map_bytes, disk_free_bytes;
	uint64_t commits, commit_ns_total, fold_ns_total, flush_ns_total;
	uint64_t queue_batches;
	bool disk_full, broken; /* broken: a commit failed for no want of room; restart */
};
int store_stats(struct store *s, struct store_stats *ret);

/* The tiers that a project (NULL: any) has parts of, by rising width; at most TIERS_MAX are told.
 * ERR_NOT_FOUND: no such project. */
#define TIERS_MAX 16
int store_tiers(struct store *s, const char *project, struct tier_stats ret[TIERS_MAX], size_t *ret_n);

/* A commit failed for no want of room: nothing more is accepted until a restart. */
bool store_broken(struct store *s);

/* End of the last window that is closed for good as far as live data goes: windows that end before
 * are complete unless something arrives late. */
int64_t store_complete_until(struct store *s);

/* Walks everything stored, checks form and checksums.  Each trouble is told to fn as a sentence;
 * returns the number of troubles, or a negative error.  progress (may be NULL) is told values done
 * and in all. */
typedef void (*verify_fn)(void *arg, const char *sentence);
typedef void (*progress_fn)(void *arg, uint64_t done, uint64_t all);
struct verify_counts {
	uint64_t values, runs, series, journal_entries, blocks, buckets, parts, log_blocks, log_records;
};
int store_verify(struct store *s, verify_fn fn, progress_fn progress, void *arg, struct verify_counts *ret);

/* ---- backup (backup.c) ---- */

/* Copies the newest snapshot of the store into `to`, which is new, empty, or an earlier backup that
 * is then replaced; the owner's token stays behind.  The copy is synced and verified before it takes
 * its place.  A backup is a data directory that can be read like any other, but not served.  While
 * copying, which is one read transaction, pages freed by the writer cannot be reused.
 * ERR_REFUSED, ERR_DENIED, ERR_DISK_FULL, ERR_CORRUPT, ERR_IO: `to` is then as it was. */
int store_backup(struct store *s, const char *to, struct verify_counts *ret, struct fault *f);

/* Makes the data directory `dir`, which is not there or empty, of a backup, verified first.  Tokens
 * of the owner are forgotten: the next serve writes a new owner.token. */
int store_restore(const char *from, const char *dir, struct verify_counts *ret, struct fault *f);

#endif

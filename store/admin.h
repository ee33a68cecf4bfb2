/*
 * admin.h - a data directory: opening, access, health, checking.
 *
 *   DIR/VERSION        format "major.minor" and the page size; a newer major is refused
 *   DIR/LOCK           lock (F_OFD_SETLK) of the one process that writes, with its pid and URL as text
 *   DIR/owner.token    the owner's token (0600), written once
 *   DIR/BACKUP         in a backup only, and DIR/SHA256SUMS (copy.h)
 *   DIR/hot/           the LMDB environment (data.mdb, lock.mdb)
 *   DIR/parts/         sealed parts, of buckets (part.h), of samples one by one (rawpart.h) and of logs
 *                      (logpart.h); files that no row names (manifest.h, rawrow.h, logparts.h) are swept at
 *                      the start
 *   DIR/tmp/           files in the making; swept at the start
 *   DIR/quarantine/    what was damaged, for a person to look at (quarantine.h)
 *
 * A process that only reads needs write access to hot/lock.mdb: LMDB keeps its reader table there.
 */
#ifndef STORE_ADMIN_H
#define STORE_ADMIN_H

#include "store/model.h"

struct progress; /* base/progress.h */
struct store;

struct store_options {
	bool read_only;           /* beside a writer, or without one */
	size_t memory_max_bytes;  /* open buckets; 0: 128 MiB */
	size_t journal_max_bytes; /* journal not yet flushed; 0: 128 MiB */
	size_t queue_max_batches; /* 0: 8192 */
	int64_t grace_ns;         /* after a window's end, where no policy says; 0: 30 s */
	int64_t flush_every_ns;   /* least time between flushes that no cap asks for; 0: 30 s */
	size_t log_block_bytes;   /* text of a sealed log block; 0: 4 MiB, which is also the most */
	size_t map_max_bytes;     /* the hot environment's bound; 0: 256 GiB */
	bool no_compactor;        /* only store_compact seals */
	int64_t compact_every_ns; /* between looks for something to seal; 0: 30 s */
	int64_t settle_ns;        /* after an hour's or a day's end, before it is sealed; 0: 10 min */
	int64_t late_ns;          /* how long little that comes late for a part waits; 0: 10 min */
	size_t raw_max_bytes; /* flushed batches in the journal, before their samples are sealed; 0: 64 MiB */
	int64_t raw_wait_ns;  /* how long fewer of them wait; 0: 10 min */
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

/* ---- changes, each made once ---- */

/* What came with a request for a change: with the same key within 24 h the same content gets the
 * first committed answer again, other content ERR_CONFLICT. */
struct once {
	struct span key;       /* Idempotency-Key; empty: none */
	uint64_t content_hash; /* of method, path and body */
};

/* ---- projects and their policies ---- */

/* Makes a project, which also comes into being with its first run or policy.  ERR_CONFLICT: it is
 * there; else as for every change. */
int store_project_create(struct store *s, const char *name, const struct once *once, struct project *ret,
			 bool *ret_replayed, struct fault *f);

/* Fields of `given` take the values, those of `reset` go back to their defaults (enum policy_field);
 * the others stay. */
struct policy_change {
	unsigned given, reset;
	struct policy values;
};

/* Changes the project's policy and waits until that is durable; *ret is the project then.  The project
 * comes into being with it.  ERR_REFUSED: what would hold then is no policy (policy.h), and f names the
 * field; ERR_CONFLICT and ERR_BUSY as for every change. */
int store_policy_set(struct store *s, const char *project, const struct policy_change *change,
		     const struct once *once, struct project *ret, bool *ret_replayed, struct fault *f);

/* How long after a window's end data is waited for: the policy's, or what this process was told. */
int64_t store_grace(const struct store *s, const struct policy *p);

/* ---- compaction ---- */

struct compact_report {
	uint64_t parts, buckets, bytes;    /* made */
	uint64_t replaced;                 /* parts taken into these */
	uint64_t dropped;                  /* parts past their time */
	uint64_t flushes;                  /* whose blocks went */
	uint64_t failed;                   /* slots that could not be sealed; the log says why */
	uint64_t runs, log_records;        /* deleted runs that are gone; records older than log_keep */
	uint64_t log_parts, moved_records; /* log parts made of the log database, and what they hold */
	uint64_t raw_parts, raw_samples, raw_bytes; /* of samples one by one, made of the journal */
};

/* Flushes what is in memory, seals every slot of every tier that ended by until_ns, with all that came
 * late, and drops blocks that are folded and parts that are past their time now.  dry_run: only tells what
 * it would do first, a sentence for each tier; coarser parts may follow.  tell (may be NULL) else gets one
 * for each slot; progress
 * (may be NULL) begins anew with each round, finer tiers before coarser ones.  The store
 * was opened for writing; beside the compactor's thread or without one. */
typedef void (*compact_fn)(void *arg, const char *sentence);
int store_compact(struct store *s, int64_t until_ns, bool dry_run, compact_fn tell, void *arg,
		  struct progress *progress, struct compact_report *ret);

struct shrink_report {
	uint64_t before_bytes, after_bytes; /* of the data file */
};

/* Writes the data file anew without its free pages, when these are more than half of it and no process has
 * it open (shrink.c).  ERR_BUSY: one has; ERR_HELD, ERR_DISK_FULL, ERR_CORRUPT, ERR_IO; it is then as it
 * was.  The store is closed. */
int store_shrink(const char *dir, struct shrink_report *ret, struct fault *f);

/* ---- health ---- */

struct store_stats {
	uint64_t runs, deleted_runs, series, open_buckets, open_bytes;
	uint64_t batches, samples, log_records, duplicates; /* since the process started */
	uint64_t journal_bytes, journal_batches;            /* in the file; not yet flushed */
	uint64_t flushes;                                   /* ever done */
	uint64_t flushed_buckets, blocks, block_bytes;      /* in the hot store, not folded into parts yet */
	uint64_t parts, part_buckets, part_bytes;
	uint64_t raw_parts, raw_samples, raw_bytes; /* samples one by one */
	uint64_t raw_batches;                       /* flushed, but in the journal still */
	uint64_t quarantined; /* pieces set aside: of blocks and parts one for each run; batches of samples */
	uint64_t log_blocks, log_block_bytes; /* in the data file */
	uint64_t log_parts, log_part_records, log_part_bytes;
	uint64_t sealed_log_records; /* since the process started */
	uint64_t file_bytes, free_bytes, free_pages, map_bytes, disk_free_bytes;
	uint64_t commits, commit_ns_total, fold_ns_total, flush_ns_total;
	uint64_t queue_batches;
	bool disk_full, broken; /* broken: a commit failed for no want of room; restart */
};
int store_stats(struct store *s, struct store_stats *ret);

/* What a project has stored.  Sealed parts and logs are counted exactly; what waits in the journal and in
 * flushed blocks is not told apart by project.  Reads one header of each block of logs. */
#define USAGE_WHOLE_NS  INT64_MAX
#define USAGE_TIERS_MAX 100 /* a day has 96 divisors that are whole seconds */
struct usage_row {
	int64_t every_ns; /* metrics: width of the windows; 0: as recorded; USAGE_WHOLE_NS */
	uint64_t pieces, records, bytes;
};
struct usage {
	uint64_t runs, deleted_runs, series;
	struct usage_row tiers[USAGE_TIERS_MAX]; /* of metrics, by width */
	size_t n_tiers;
	struct usage_row samples;                 /* one by one */
	struct usage_row young_logs, sealed_logs; /* blocks in the data file */
	struct usage_row part_logs;               /* blocks in log parts */
};
int store_usage(struct store *s, const char *project, struct usage *ret);

/* What the columns of a project's sealed parts take, by tier, those that take most first: reads all of
 * them.  The list is the caller's to free; names and codecs are strip.h's and partblock.h's. */
struct usage_column {
	int64_t every_ns; /* as in struct usage_row */
	const char *name, *codec;
	uint64_t items;
	double bytes;
};
int store_columns(struct store *s, const char *project, struct usage_column **ret, size_t *ret_n);

/* A commit failed for no want of room: nothing more is accepted until a restart. */
bool store_broken(struct store *s);

/* End of the last window that is closed for good as far as live data goes, in a project of this
 * policy: windows that end before are complete unless something arrives late. */
int64_t store_complete_until(const struct store *s, const struct policy *p);

/* Walks everything stored, checks form and checksums.  Each trouble is told to fn as a sentence;
 * returns the number of troubles, or a negative error.  progress (may be NULL) is told values done
 * and in all. */
typedef void (*verify_fn)(void *arg, const char *sentence);
typedef void (*progress_fn)(void *arg, uint64_t done, uint64_t all);
struct verify_counts {
	uint64_t values, runs, series, journal_entries, blocks, buckets, parts, samples, log_blocks,
	    log_records;
	uint64_t quarantined; /* as in the stats: no trouble any more, but something is missing */
	uint64_t bad_pages;   /* troubles of the data file's structure; nothing else was checked then */
};
int store_verify(struct store *s, verify_fn fn, progress_fn progress, void *arg, struct verify_counts *ret);

/* Mends what can be (repair.c): a damaged coarse part is made again where sound finer ones hold it all; what
 * else is damaged in parts, flushes and samples is set aside (quarantine.h); files that nothing names were
 * swept when the store was opened, for writing and without a compactor.  Then compacts.  tell gets a sentence
 * for each. To be called only when the structure of the data file is sound (verify_counts.bad_pages is 0). */
struct repair_report {
	uint64_t rebuilt, set_aside, swept;
};
int store_repair(struct store *s, compact_fn tell, void *arg, struct repair_report *ret);

/* ---- backup (backup.c) ---- */

struct backup_report {
	struct verify_counts counts;
	uint64_t parts, parts_kept; /* all; those that the earlier backup had already */
	uint64_t bytes;             /* written */
};

/* Copies the newest snapshot of the store into `to`: a directory, or one archive when the name ends in .tar
 * or .tar.zst.  It is new, empty, or an earlier backup of the same form, which is then replaced; parts
 * that an earlier backup directory has are linked, not copied.  The owner's token stays behind.  The copy is
 * synced and verified, and an archive read back, before it takes its place; it is made in TO.new, where
 * an archive needs room for its files too (linked where one file system holds both).
 *
 * A backup directory can be read like any other, but not served.  While copying, which is one read
 * transaction, pages freed by the writer cannot be reused.  progress (may be NULL) is drawn on.
 * ERR_REFUSED, ERR_DENIED, ERR_DISK_FULL, ERR_CORRUPT, ERR_IO: `to` is then as it was. */
int store_backup(struct store *s, const char *to, struct progress *p, struct backup_report *ret,
		 struct fault *f);

/* Makes the data directory `dir`, which is not there or empty, of a backup: a directory or an archive.  Its
 * files are compared with the SHA-256 they had, and verified, before it takes its place.  Tokens of the
 * owner are forgotten: the next serve writes a new owner.token. */
int store_restore(const char *from, const char *dir, struct progress *p, struct verify_counts *ret,
		  struct fault *f);

#endif

/*
 * read.h - the way out: one consistent view of runs, buckets and logs.
 *
 * A view pairs an LMDB snapshot with the open buckets in memory that stand for exactly that
 * snapshot; in a process beside the server the journal's tail is replayed instead, with the same
 * result.  Everything acknowledged before view_open is in it.  Keep a view shorter than a second
 * or so: while it lives, pages it can see cannot be reused.
 *
 * A view belongs to the thread that opened it.  Spans handed out live until the callback returns.
 */
#ifndef STORE_READ_H
#define STORE_READ_H

#include "store/log/loghint.h"
#include "store/model.h"
#include "store/part/sheet.h"

struct store;
struct view;

int view_open(struct store *s, struct view **ret);
void view_close(struct view *v); /* NULL is fine */

/* ERR_NOT_FOUND. */
int view_project(struct view *v, const char *name, struct project *ret);

/* All of them, by name. */
typedef int (*project_fn)(void *arg, const struct project *p);
int view_projects(struct view *v, project_fn fn, void *arg);

/* Runs.  ret is to be released. */
int view_run(struct view *v, const char *project, const char *id, struct run *ret);

/* When a run was deleted, while a reader has it by its rid; 0: it is there.  ERR_NOT_FOUND: it is gone for
 * good. */
int view_deleted(struct view *v, uint32_t rid, int64_t *ret_ns);

/* Runs of a project, newest first (by rid), those with rid < before (0: from the newest).  A
 * callback's non-zero value ends the walk and is returned. */
typedef int (*run_fn)(void *arg, const struct run *r);
int view_runs(struct view *v, const char *project, uint32_t before, run_fn fn, void *arg);

/* The same of those that are deleted and can be had back. */
int view_deleted_runs(struct view *v, const char *project, uint32_t before, run_fn fn, void *arg);

/* Series of a run, by rising sid, which is the order in which they were first written. */
typedef int (*series_fn)(void *arg, uint32_t sid, const struct series_name *name);
int view_series(struct view *v, uint32_t rid, series_fn fn, void *arg);

/* Those of these metrics alone that `wanted` takes, which is asked by name and labels, without a unit, and
 * must not block.  In the server's process this costs nothing for series of other metrics. */
typedef bool (*wanted_fn)(void *arg, const struct series_name *name);
int view_series_of(struct view *v, uint32_t rid, const struct span *metrics, size_t n_metrics,
		   wanted_fn wanted, series_fn fn, void *arg);

/* From now on view_windows of this view gives up with ERR_FULL, and has told nothing, when it would hold
 * more than max buckets at once (SIZE_MAX: never); *found, which outlives the view, is how many the last
 * call held. */
void view_bound(struct view *v, size_t max, size_t *found);

/* From now on the caller of view_windows looks only at these fields (bucket.h; 0: all). */
void view_fields(struct view *v, unsigned fields);

/* From now on view_windows of this view tells `fn`, with its arg, windows that lie in parts alone, as sheets
 * of the fields of SHEET_FIELDS that view_fields has, one at least; they come in the same order, but may be
 * narrower than was asked for: those of one wide window follow each other, and merging them is the caller's.
 * What it does not tell so, in a call, it tells as buckets. */
void view_sheets(struct view *v, sheet_fn fn);

/* Merged buckets of some series of a run whose windows start in [from_ns, to_ns): by series in
 * the order of sids[], then by time; one bucket per window, complete as far as this view knows.
 * width_ns is a multiple of the run's window and of view_width, and divides from and to; or 0: windows as
 * they were recorded, and where these are no longer kept as wide as the finest that are.  Coarser tiers are
 * read where they serve; the windows are the same to the last bit.
 * Memory is proportional to the number of buckets found: cut long ranges into slots.
 * *ret_partial (may be NULL) is set when a damaged block had to be left out.
 * ERR_BUSY: of that width they are not kept any more, as view_width would say now; nothing was told. */
typedef int (*bucket_fn)(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b);
int view_windows(struct view *v, uint32_t rid, const uint32_t *sids, size_t n_sids, int64_t from_ns,
		 int64_t to_ns, int64_t width_ns, bucket_fn fn, void *arg, bool *ret_partial);

/* The least width that all windows of the run in [from, to) make up as they are kept, where finer ones no
 * longer are: mostly that of the widest.  It divides a day.  0: all are as recorded. */
int view_width(struct view *v, uint32_t rid, int64_t from_ns, int64_t to_ns, int64_t *ret_ns);

/* One bucket for each series that has any sample: of its whole life, also of times of which no windows
 * are kept.  start_ns is 0.  Memory is proportional to the series. */
int view_totals(struct view *v, uint32_t rid, const uint32_t *sids, size_t n_sids, bucket_fn fn, void *arg,
		bool *ret_partial);

/* The samples of some series of a run with times in [from_ns, to_ns) that are still kept one by one
 * (view_samples_since): by series in the order of sids[], then by time, then step, STEP_NONE lowest; of those
 * that are alike in all this, what was accepted earlier comes first.  They are told in slices of about
 * `most`, which bounds memory: 1 when there are more, and *at says where to go on, with this or a later
 * view; 0 when that was all.  A non-zero value of fn ends it and is returned.  `series` is a place in
 * sids[].  *ret_partial (may be NULL) is set when a damaged block had to be left out. */
struct samples_at {
	size_t series; /* zeroed: the beginning */
	int64_t t_ns;
};
typedef int (*sample_fn)(void *arg, size_t series, const struct point *p);
int view_samples(struct view *v, uint32_t rid, const uint32_t *sids, size_t n_sids, int64_t from_ns,
		 int64_t to_ns, size_t most, struct samples_at *at, sample_fn fn, void *arg,
		 bool *ret_partial);

/* From which time on view_samples has every sample of the run that was accepted; INT64_MIN: all, INT64_MAX:
 * none. */
int view_samples_since(struct view *v, uint32_t rid, int64_t *ret_ns);

/* Least and greatest start of windows of the run that may hold samples; ERR_NOT_FOUND: none. */
int view_time_range(struct view *v, uint32_t rid, int64_t *ret_from_ns, int64_t *ret_to_ns);

/* What a block of log records tells without being read. */
struct log_block {
	uint64_t first_seq, count;
	int64_t t_min_ns, t_max_ns;
	unsigned levels; /* bit 1 << level for each level there is */
};
enum log_block_use { LOG_BLOCK_READ, LOG_BLOCK_PASS, LOG_BLOCK_STOP };

struct log_effort {
	uint64_t blocks, bytes;               /* in the range */
	uint64_t opened_blocks, opened_bytes; /* of these, decoded at least in part */
};

/* What is kept from one call of view_logs to the next of the same search, under whatever view: the
 * sealed block that was read last stays decoded, parts stay open (so that no record of theirs is told
 * twice or left out, whatever becomes of them meanwhile), and effort is counted once for each block.  One
 * run and one hint (or none, in between) for the life of a desk; one thread. */
struct log_desk;
int log_desk_new(struct log_desk **ret);
void log_desk_free(struct log_desk *d); /* NULL is fine */

/* Log records with from_seq <= seq < to_seq, rising or falling.  Records that cannot match (times in
 * [from_ns, to_ns], level at least `least`, the hint) may be passed over, most of them unread; what is
 * handed out may match or not, but for LOG_FITS in its flags.  `passed`, where there is one, is told
 * after each stored block how far the walk is: all before next_seq was looked at (backward: from
 * next_seq on); a non-zero value ends the walk like one of fn.  `block` (may be NULL) is
 * asked about each block before anything else: to read it, to pass it over, or to stop there, which
 * returns 1. */
struct log_range {
	uint64_t from_seq, to_seq; /* to_seq 0: no end */
	bool backward;
	int64_t from_ns, to_ns; /* INT64_MIN, INT64_MAX: no bound */
	enum level least;
	const struct log_hint *hint; /* NULL: none */
	bool textless;               /* texts are not needed, and may come empty */
	bool textless_fits;          /* those of records with LOG_FITS are not */
	int (*passed)(void *arg, uint64_t next_seq);
	struct log_effort *effort; /* added to; NULL: not asked for */
	struct log_desk *desk;     /* NULL: nothing is kept */
	enum log_block_use (*block)(void *arg, const struct log_block *b);
};
typedef int (*log_fn)(void *arg, const struct log_record *r);
int view_logs(struct view *v, uint32_t rid, const struct log_range *range, log_fn fn, void *arg,
	      bool *ret_partial);

/* Sequence of the run's newest log record; 0 when there is none. */
int view_last_seq(struct view *v, uint32_t rid, uint64_t *ret);

/* The first that is still there; log_keep may have taken those before it.  Where none is: the one that the
 * next record gets. */
int view_first_seq(struct view *v, uint32_t rid, uint64_t *ret);

/* Log news.  The number rises with every commit that added log records to any run; wait returns
 * when it is no longer `seen`, or after timeout_ms, with the present number.  In a process beside
 * the server the file is polled. */
uint64_t store_log_news(struct store *s);
uint64_t store_log_wait(struct store *s, uint64_t seen, int timeout_ms);

#endif

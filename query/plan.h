/*
 * plan.h - what /query reads: runs, series, windows, how many rows; then the rows, one by one.
 *
 * A plan is made under one view and refuses an answer that is too large before its first byte.
 * Rows are then read slot by slot, each under a view of its own (scan.h): a row is consistent, a
 * long answer is not one snapshot.  One thread.
 */
#ifndef QUERY_PLAN_H
#define QUERY_PLAN_H

#include "query/ask.h"
#include "query/handler.h"
#include "query/picked.h"

struct chosen_run {
	char id[ID_MAX + 1];
	uint32_t rid;
	int64_t window_ns, life_from_ns, life_to_ns; /* from == to: nothing asked for */
	size_t first, n;                             /* its series in plan.picked */
};

struct plan {
	struct ask ask;
	struct chosen_run *runs; /* owned */
	size_t n_runs;
	struct picked picked;
	struct policy policy; /* the project's */
	int64_t recorded_ns;  /* a width that whole windows of each run fill */
	int64_t tier_ns;      /* of the windows that are read; they fill those of the answer */
	int64_t complete_until_ns;
	struct windows windows;
	bool exact;       /* rows are made of samples (exact.h) */
	int64_t since_ns; /* of which all from then on are kept; INT64_MIN: all there were */
	bool partial;     /* a damaged block was left out of what has been read so far */
};

/* p->ask is filled in.  write as in picked_add. */
int plan_make(struct plan *p, const struct ctx *c,
	      void (*write)(struct out *o, const struct series_name *name));

/* ERR_REFUSED: more rows than an answer may have. */
int plan_check(struct plan *p, const struct ctx *c);
void plan_release(struct plan *p); /* zeroed is fine */

struct row_taker {
	/* Each series of the answer once, in order, with or without rows; then its rows by time.  Both
	 * are called under a view and must not block. */
	int (*series)(void *arg, const char *run_id, struct span name);
	int (*row)(void *arg, int64_t start_ns, const struct bucket *b);
	int (*sheet)(void *arg, const struct sheet *s); /* NULL, or several rows at once */
	int (*pause)(void *arg);                        /* no view is open: what was written may be sent */
	void *arg;
};

/* What the taker returned when that was not 0, else 0 or an error of the store. */
int plan_rows(struct plan *p, struct store *s, const struct row_taker *t);

#endif

/*
 * plan.h - what the compactor is to do next, as a pure function of what there is.
 *
 * Flushed buckets wait by the hour of their start.  A slot is an hour of UTC while its day lasts, and
 * the day once that is closed; a slot is closed when it ended settle_ns ago.  A closed slot becomes
 * a part at once; a day takes its hours' parts in.  What comes late for a part is merged on read, and
 * folded into the part's successor when it is a fourth of it or more, or has waited late_ns.
 */
#ifndef STORE_PLAN_H
#define STORE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/clock.h"

#define PLAN_HOUR_NS (3600 * NS_PER_S)
#define PLAN_DAY_NS  (24 * PLAN_HOUR_NS)

struct plan_policy {
	int64_t settle_ns, late_ns;
};

/* By rising from; they do not overlap. */
struct plan_part {
	int64_t from_ns, to_ns;
	uint64_t upto, buckets;
};

struct plan_hour {
	int64_t from_ns;
	uint64_t buckets;
};

/* By rising number.  seen_ns: when the compactor first knew of it. */
struct plan_flush {
	uint64_t number;
	int64_t seen_ns;
	const struct plan_hour *hours;
	size_t n_hours;
};

struct plan_state {
	const struct plan_part *parts;
	size_t n_parts;
	const struct plan_flush *flushes;
	size_t n_flushes;
};

/* Make a part of [from, to) from the parts in it and from flushes up to upto. */
struct plan_job {
	int64_t from_ns, to_ns;
	uint64_t upto;
	uint64_t pending, parts; /* buckets that wait (windows that meet count twice); parts taken in */
};

/* All that is due at now_ns, by rising from; the array is the caller's to free.  ERR_NOMEM. */
int plan_jobs(const struct plan_state *s, const struct plan_policy *p, int64_t now_ns, struct plan_job **ret,
	      size_t *ret_n);

/* Whether all that a flush holds is in parts, so that its blocks may go. */
bool plan_folded(const struct plan_state *s, const struct plan_flush *f);

#endif

/*
 * agenda.h - what the compactor is to do next, as a pure function of what there is.
 *
 * Flushed buckets wait by the hour of their start.  A slot is an hour of UTC while its day lasts, and
 * the day once that is closed; a slot is closed when it ended settle_ns ago.  A closed slot becomes
 * a part at once; a day takes its hours' parts in.  What comes late for a part is merged on read, and
 * folded into the part's successor when it is a fourth of it or more, or has waited late_ns.
 */
#ifndef STORE_AGENDA_H
#define STORE_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/clock.h"

#define AGENDA_HOUR_NS (3600 * NS_PER_S)
#define AGENDA_DAY_NS  (24 * AGENDA_HOUR_NS)

struct agenda_policy {
	int64_t settle_ns, late_ns;
};

/* By rising from; they do not overlap. */
struct agenda_part {
	int64_t from_ns, to_ns;
	uint64_t upto, buckets;
};

struct agenda_hour {
	int64_t from_ns;
	uint64_t buckets;
};

/* By rising number.  seen_ns: when the compactor first knew of it. */
struct agenda_flush {
	uint64_t number;
	int64_t seen_ns;
	const struct agenda_hour *hours;
	size_t n_hours;
};

struct agenda_state {
	const struct agenda_part *parts;
	size_t n_parts;
	const struct agenda_flush *flushes;
	size_t n_flushes;
};

/* Make a part of [from, to) from the parts in it and from flushes up to upto. */
struct agenda_job {
	int64_t from_ns, to_ns;
	uint64_t upto;
	uint64_t pending, parts; /* buckets that wait (windows that meet count twice); parts taken in */
};

/* All that is due at now_ns, by rising from; the array is the caller's to free.  ERR_NOMEM. */
int agenda_jobs(const struct agenda_state *s, const struct agenda_policy *p, int64_t now_ns,
		struct agenda_job **ret, size_t *ret_n);

/* Whether all that a flush holds is in parts, so that its blocks may go. */
bool agenda_folded(const struct agenda_state *s, const struct agenda_flush *f);

#endif

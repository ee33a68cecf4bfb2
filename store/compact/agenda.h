/*
 * agenda.h - what the compactor is to make of a project next, as a pure function of what there is.
 *
 * Flushed buckets wait by the hour of their start.  A slot of the first tier is an hour of UTC while its
 * day lasts, and the day once that is closed; a slot is closed when it ended settle_ns ago.  A closed
 * slot becomes a part at once; a day takes its hours' parts in.
 *
 * What comes late is merged on read, and folded into the successor of the finest part that still covers
 * its time when it is a fourth of that or more, or has waited late_ns.  A coarse part that is not alone has
 * nothing of times that no finer one covers: what comes for these becomes a part of the first tier.
 *
 * A closed slot of a coarser tier of the policy is made, and made again, whenever a finer part in it is
 * younger and nothing waits for the slot.  Where finer parts were dropped the coarse one is alone, and takes
 * what comes late.  What no longer serves is expiry.h's.
 *
 * A part that holds a run that is gone is made again without it, and with it the coarser ones of its time.
 */
#ifndef STORE_AGENDA_H
#define STORE_AGENDA_H

#include "store/part/cover.h"

#define AGENDA_HOUR_NS (3600 * NS_PER_S)
#define AGENDA_DAY_NS  NS_PER_DAY

struct agenda_rules {
	int64_t settle_ns;
	int64_t late_ns;             /* 0: whatever is late is folded, also what came after now_ns */
	const struct policy *policy; /* of the project; tiers that do not divide a day are not made */
};

struct agenda_hour {
	uint32_t pid;
	int64_t from_ns;
	uint64_t buckets;
};

/* By rising number.  seen_ns: when the compactor first knew of it.  Hours are the project's. */
struct agenda_flush {
	uint64_t number;
	int64_t seen_ns;
	const struct agenda_hour *hours;
	size_t n_hours;
};

/* A slot of which no part can be made, because something in it is damaged. */
struct agenda_slot {
	uint32_t pid;
	int64_t tier_ns, from_ns;
};

/* Of one project, but for bad slots, which may be of any. */
struct agenda_state {
	struct manifest parts;
	const struct agenda_flush *flushes;
	size_t n_flushes;
	const struct agenda_slot *bad;
	size_t n_bad;
};

/* Make a part of a tier, of [from, to), from the finer parts and those of the tier in it, and from flushes
 * up to upto. */
struct agenda_job {
	uint32_t pid;
	int64_t tier_ns, from_ns, to_ns;
	uint64_t upto;
	int64_t arrived_ns;
	bool alone;              /* finer parts are gone from the slot */
	uint64_t pending, parts; /* buckets that wait (windows that meet count twice); parts taken in */
};

/* All that is due at now_ns and can be done in any order, by rising tier, then from: a coarser part comes
 * when nothing finer is due in its slot.  The array is the caller's to free.  ERR_NOMEM. */
int agenda_jobs(const struct agenda_state *s, const struct agenda_rules *r, uint32_t pid, int64_t now_ns,
		struct agenda_job **ret, size_t *ret_n);

/* Whether all that a flush holds of the project is in parts. */
bool agenda_folded(const struct agenda_state *s, const struct agenda_flush *f);

#endif

/*
 * expiry.h - which parts of a project no longer serve, as a pure function of what there is.
 *
 * A part is old when the later of its slot's end and the arrival of what came last for it is longer ago
 * than its tier is kept.  The parts of a tier in one slot of the next coarser tier go together, when all
 * are old, nothing finer is left there, and the coarser part is up to date.  What has no coarser tier to
 * go to is added to the project's totals, when the hot store has nothing left of what it was made from.
 *
 * Had only some parts of a slot gone, what comes late could become a fine part of a day whose other data
 * is only in the coarse one, which would then be made of it alone.  And blocks that outlive the part they
 * are folded in would count again.
 *
 * A tier that the policy no longer names is kept no longer than it takes the next one to have it all.
 */
#ifndef STORE_EXPIRY_H
#define STORE_EXPIRY_H

#include "store/compact/agenda.h"

enum expiry_way { EXPIRY_DROP, EXPIRY_TOTAL };

/* The parts of a tier in [from, to) go at once, or not at all. */
struct expiry {
	enum expiry_way way;
	struct part_id slot;
};

/* All that is due at now_ns; the array is the caller's to free.  ERR_NOMEM. */
int expiry_list(const struct agenda_state *s, const struct policy *policy, int64_t now_ns,
		struct expiry **ret, size_t *ret_n);

#endif

/*
 * tier.h - the widths in which buckets are kept, and the slots of time that a part of each covers.
 *
 * A project's policy names its tiers (model.h).  The first stands for windows as they were recorded and
 * is tier 0 here, whatever their width; the others are the width of their windows, which divides a
 * day.  TIER_WHOLE is one bucket for each series, of all that is older than the last tier keeps.
 *
 * Slots begin at multiples of their length since 1970, and each is made up of slots of finer tiers.
 */
#ifndef STORE_TIER_H
#define STORE_TIER_H

#include "store/model.h"

#define TIER_RECORDED 0
#define TIER_WHOLE    INT64_MAX

static inline bool tier_divides_day(int64_t tier_ns) { return tier_ns > 0 && NS_PER_DAY % tier_ns == 0; }

/* The length of a part of that tier; parts of hours of the first one are agenda.h's. */
static inline int64_t tier_slot_ns(int64_t tier_ns)
{
	return (tier_ns < 3600 * NS_PER_S ? 1 : tier_ns < NS_PER_DAY ? 32 : 256) * NS_PER_DAY;
}

/* Whether windows of one tier make up those of another, or of windows of such a width. */
static inline bool tier_divides(int64_t tier_ns, int64_t width_ns)
{
	return tier_ns == TIER_RECORDED || width_ns == TIER_WHOLE || (width_ns && width_ns % tier_ns == 0);
}

/* The least width that windows of both make up; of TIER_RECORDED and another, the other. */
int64_t tier_join(int64_t a_ns, int64_t b_ns);

/* Where the wider window begins in which one that starts then lies. */
static inline int64_t tier_start(int64_t start_ns, int64_t width_ns)
{
	return width_ns == TIER_WHOLE ? 0 : window_start(start_ns, width_ns);
}

/* "recorded", "5m", "1h", "1d", "whole", into ret of TIER_NAME_MAX bytes. */
#define TIER_NAME_MAX 32
void tier_name(int64_t tier_ns, char *ret);

#endif

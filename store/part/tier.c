#include "store/part/tier.h"

#include "store/base/duration.h"

_Static_assert(TIER_NAME_MAX >= DURATION_TEXT_MAX, "names of widths are durations");

static int64_t divisor(int64_t a, int64_t b) { return b ? divisor(b, a % b) : a; }

int64_t tier_join(int64_t a_ns, int64_t b_ns)
{
	if (a_ns == TIER_RECORDED || b_ns == TIER_RECORDED)
		return a_ns + b_ns;
	return a_ns / divisor(a_ns, b_ns) * b_ns;
}

void tier_name(int64_t tier_ns, char *ret)
{
	if (tier_ns == TIER_RECORDED)
		strcpy(ret, "recorded");
	else if (tier_ns == TIER_WHOLE)
		strcpy(ret, "whole");
	else
		duration_print(tier_ns, ret);
}

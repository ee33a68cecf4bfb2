#include "store/tier.h"

#include "store/base/duration.h"

_Static_assert(TIER_NAME_MAX >= DURATION_TEXT_MAX, "names of widths are durations");

void tier_name(int64_t tier_ns, char *ret)
{
	if (tier_ns == TIER_RECORDED)
		strcpy(ret, "recorded");
	else if (tier_ns == TIER_WHOLE)
		strcpy(ret, "whole");
	else
		duration_print(tier_ns, ret);
}

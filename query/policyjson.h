/*
 * policyjson.h - a policy as JSON (api 3), and what is to be changed of one.  Pure.
 *
 *   {"window":"30s","grace":"30s","tiers":[{"every":"30s","keep":"14d"},...],"raw_keep":"7d",
 *    "log_keep":"30d","source":{"window":"default","tiers":"policy",...}}
 *
 * A change has the same members but `source`: those that are there are changed, null puts one back to
 * its default, the others stay.
 */
#ifndef QUERY_POLICYJSON_H
#define QUERY_POLICYJSON_H

#include "query/out.h"

void out_policy(struct out *o, const struct policy *p, int64_t grace_ns);

/* Forms only: whether what would hold is a policy is for the store to say.  ERR_MALFORMED,
 * ERR_REFUSED with the field, ERR_TOO_LARGE. */
int policy_parse(struct span body, struct policy_change *ret, struct fault *f);

#endif

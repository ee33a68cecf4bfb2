/*
 * policy.h - what a policy may say.  Pure; changes of what is stored (admin.h) stand beside it.
 *
 *   window    whole seconds from 1 s to 5 min; divides the second tier (a day where there is none)
 *   grace     0 s to 1 h
 *   tiers     1 to POLICY_TIERS_MAX: widths rise, each divides the next and all divide a day, the first
 *             has whole seconds from 1 s to 5 min; no tier is kept for less than the one before it: its
 *             windows would be gone while they are still made again of finer ones
 *   raw_keep, log_keep   any time, 0 s, or forever
 */
#ifndef STORE_POLICY_H
#define STORE_POLICY_H

#include "store/admin.h"

#define POLICY_WINDOW_MIN_NS NS_PER_S
#define POLICY_WINDOW_MAX_NS (300 * NS_PER_S)
#define POLICY_GRACE_MAX_NS  (3600 * NS_PER_S)

/* ERR_REFUSED, f names the field. */
int policy_check(const struct policy *p, struct fault *f);

/* The policy after the change, checked or not. */
struct policy policy_changed(const struct policy *p, const struct policy_change *c);

#endif

/*
 * pattern.h - one regular expression over log texts (PCRE2), with bounds on what it may cost.
 *
 * Texts are bytes: where they are not UTF-8, no character class matches there.  The line's own end
 * ("\n", "\r\n") is left out, so that '$' means what people expect.  One thread.
 */
#ifndef QUERY_PATTERN_H
#define QUERY_PATTERN_H

#include "store/base/buf.h"

#define PATTERN_BYTES_MAX       1000
#define PATTERN_MATCH_STEPS_MAX 1000000                    /* on one record */
#define PATTERN_SPENT_MAX_NS    (INT64_C(10) * 1000000000) /* on all records of one pattern */

struct pattern;

/* ERR_REFUSED: it does not compile; the sentence tells the position. */
int pattern_new(struct span text, struct pattern **ret, struct fault *f);
void pattern_free(struct pattern *p); /* NULL is fine */

/* A lower bound of steps, for a pattern that one can do without. */
void pattern_limit(struct pattern *p, uint32_t steps_max);

/* ERR_REFUSED: the expression takes more than its steps on this text, or its time is used up. */
int pattern_match(struct pattern *p, struct span text, bool *ret, struct fault *f);

#endif

/*
 * accept.h - which of some content types a request's Accept header prefers (RFC 9110, 12.5.1).  Pure.
 */
#ifndef QUERY_ACCEPT_H
#define QUERY_ACCEPT_H

#include <stddef.h>

#include "store/base/buf.h"

/* Index into offers[] ("type/subtype", NULL at the end) of the one with the greatest q, of equal ones
 * the first; -1 when none is acceptable.  Each offer has the q of the most specific range that
 * matches it; parameters of a range other than q are passed over, a q that is no number is 1.  An
 * empty header accepts all. */
int accept_choose(struct span accept, const char *const *offers);

#endif

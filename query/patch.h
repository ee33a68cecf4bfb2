/*
 * patch.h - the body of PATCH /runs/{run}, checked, and what it makes of a stored spec (api 2).
 *
 *   {"name":"x", "tags":{"k":"v", "old":null}, "params":{"lr":0.1}, "state":"finished"}
 *
 * Each member may be left out.  Objects are merged as RFC 7396 says: what is not named stays, null takes
 * out.  params are the spec's hyperparams.  Values are kept as they were written.  Pure.
 */
#ifndef QUERY_PATCH_H
#define QUERY_PATCH_H

#include "store/model.h"

struct patch {
	struct buf spec;      /* owned; what is merged into the spec, an object; empty: nothing */
	enum run_state state; /* 0: as it is */
};

/* ret is to be released whatever is returned.  ERR_MALFORMED, ERR_REFUSED, ERR_TOO_LARGE. */
int patch_parse(struct span body, struct patch *ret, struct fault *f);
void patch_release(struct patch *p);

/* The changed spec into ret, which is made here and to be released whatever is returned.  Time grows with the
 * texts and with the product of their keys.  0 with f set: refused, ERR_TOO_LARGE; else ERR_NOMEM. */
int patch_apply(const struct patch *p, struct span spec, struct buf *ret, struct fault *f);

#endif

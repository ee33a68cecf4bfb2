/*
 * cover.h - of the parts of a project, which is read at a time, and what is folded there.
 *
 * Where parts of several tiers cover a time, the finest says up to which flush it is folded, as coarser
 * ones are made of it.  A coarser one is up to date there when its number is above those of all finer
 * ones.  Pure; rows are of one project and in the manifest's order.
 */
#ifndef STORE_COVER_H
#define STORE_COVER_H

#include "store/part/manifest.h"

/* The part of a tier that covers a time; NULL: none. */
const struct part_row *cover_at(const struct manifest *m, int64_t tier_ns, int64_t t_ns);

/* The first row from *i on, of a tier finer than that, which overlaps [from, to); *i is then the one
 * after it.  NULL: no more. */
const struct part_row *cover_next(const struct manifest *m, int64_t tier_ns, int64_t from_ns, int64_t to_ns,
				  size_t *i);

/* Whether nothing finer than the part lies in its slot. */
bool cover_is_finest(const struct manifest *m, const struct part_row *row);

/* Whether the finest windows there are in [from, to) make up those of the tier. */
bool cover_fits(const struct manifest *m, int64_t tier_ns, int64_t from_ns, int64_t to_ns);

/* The finest part that covers a time; NULL: none. */
const struct part_row *cover_finest(const struct manifest *m, int64_t t_ns);

/* Up to which flush buckets that start then are in a part; 0: none. */
uint64_t cover_folded(const struct manifest *m, int64_t start_ns);

/* The part into whose successor what comes late for a time is folded.  NULL: it is for the first tier, as
 * no part covers the time, or only one that has nothing of it and is not alone. */
const struct part_row *cover_late(const struct manifest *m, int64_t t_ns);

/* Of windows that start then, none narrower is kept; 0: all are as recorded. */
int64_t cover_width(const struct manifest *m, int64_t start_ns);

/* Calls fn for consecutive pieces of [from, to), each with the part to read there for windows of width_ns
 * (TIER_RECORDED: as fine as they are): the coarsest whose windows make those up and that is up to date,
 * else the finest there is.  Where no part is, no call. */
typedef int (*piece_fn)(void *arg, const struct part_row *row, int64_t from_ns, int64_t to_ns);
int cover_pieces(const struct manifest *m, int64_t width_ns, int64_t from_ns, int64_t to_ns, piece_fn fn,
		 void *arg);

#endif

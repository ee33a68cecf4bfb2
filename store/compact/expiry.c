#include "store/compact/expiry.h"

#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/err.h"

struct list {
	struct expiry *all;
	size_t n, cap;
};

static int list_add(struct list *l, enum expiry_way way, struct part_id slot)
{
	if (array_grow(l->all, l->n, l->cap) < 0)
		return ERR_NOMEM;
	l->all[l->n++] = (struct expiry){ way, slot };
	return 0;
}

/* ---- tiers of the policy ---- */

static int64_t tier_of(const struct policy *p, size_t i) { return i ? p->tiers[i].every_ns : TIER_RECORDED; }

/* The tier into which windows of that one are merged; TIER_WHOLE: there is none. */
static int64_t next_tier(const struct policy *p, int64_t tier_ns)
{
	for (size_t i = 1; i < p->n_tiers; i++)
		if (tier_of(p, i) > tier_ns && tier_divides_day(tier_of(p, i)) &&
		    tier_divides(tier_ns, tier_of(p, i)))
			return tier_of(p, i);
	return TIER_WHOLE;
}

/* How long a tier is kept.  One of before is kept until the next has it; where none can, as the last. */
static int64_t keep_of(const struct policy *p, int64_t tier_ns)
{
	for (size_t i = 0; i < p->n_tiers; i++)
		if (tier_of(p, i) == tier_ns)
			return p->tiers[i].keep_ns;
	return next_tier(p, tier_ns) == TIER_WHOLE ? p->tiers[p->n_tiers - 1].keep_ns : 0;
}

static bool is_named(const struct policy *p, int64_t tier_ns)
{
	for (size_t i = 0; i < p->n_tiers; i++)
		if (tier_of(p, i) == tier_ns)
			return true;
	return false;
}

static bool is_old(const struct policy *p, const struct part_row *row, int64_t now_ns)
{
	int64_t since = row->arrived_ns > row->id.to_ns ? row->arrived_ns : row->id.to_ns;
	int64_t keep_ns = keep_of(p, row->id.tier_ns);

	return keep_ns != KEEP_FOREVER && since < now_ns && now_ns - since > keep_ns;
}

/* ---- what goes ---- */

/* Whether a finer part of the same time is younger. */
static bool outdated(const struct manifest *m, const struct part_row *row)
{
	const struct part_row *finer;
	size_t i = 0;

	while ((finer = cover_next(m, row->id.tier_ns, row->id.from_ns, row->id.to_ns, &i)))
		if (finer->id.number > row->id.number)
			return true;
	return false;
}

/* Whether no more than that one part covers its time. */
static bool alone(const struct manifest *m, const struct part_row *row)
{
	const struct part_row *other;
	size_t i = 0;

	while ((other = cover_next(m, TIER_WHOLE, row->id.from_ns, row->id.to_ns, &i)))
		if (other != row)
			return false;
	return true;
}

/* Whether the hot store still has blocks that the part has taken in: without it they would count again. */
static bool in_blocks(const struct agenda_state *s, const struct part_row *row)
{
	for (size_t i = 0; i < s->n_flushes && s->flushes[i].number <= row->upto; i++)
		for (size_t j = 0; j < s->flushes[i].n_hours; j++)
			if (s->flushes[i].hours[j].from_ns >= row->id.from_ns &&
			    s->flushes[i].hours[j].from_ns < row->id.to_ns)
				return true;
	return false;
}

/* The finest parts in the slot of an up-to-date one, when all of them are old. */
static int into_coarser(struct list *l, const struct manifest *m, const struct policy *p, int64_t now_ns,
			const struct part_row *row)
{
	const struct part_row *finer;
	int64_t finest = TIER_WHOLE;
	size_t i = 0;

	while ((finer = cover_next(m, row->id.tier_ns, row->id.from_ns, row->id.to_ns, &i))) {
		finest = finer->id.tier_ns < finest ? finer->id.tier_ns : finest;
		if (outdated(m, finer) || finer->id.number > row->id.number ||
		    (finer->id.tier_ns == finest && !is_old(p, finer, now_ns)))
			return 0;
	}
	if (finest == TIER_WHOLE || next_tier(p, finest) != row->id.tier_ns)
		return 0;
	return list_add(l, EXPIRY_DROP,
			(struct part_id){ row->id.pid, finest, row->id.from_ns, row->id.to_ns, 0 });
}

static bool is_made_again(const struct manifest *m, const struct policy *p, const struct part_row *row)
{
	return is_named(p, row->id.tier_ns) && cover_fits(m, row->id.tier_ns, row->id.from_ns, row->id.to_ns);
}

static int consider(struct list *l, const struct agenda_state *s, const struct policy *p, int64_t now_ns,
		    const struct part_row *row)
{
	if (outdated(&s->parts, row) && !is_made_again(&s->parts, p, row))
		return list_add(l, EXPIRY_DROP, row->id); /* nobody reads it */
	if (next_tier(p, row->id.tier_ns) == TIER_WHOLE && is_old(p, row, now_ns) && alone(&s->parts, row) &&
	    !in_blocks(s, row))
		return list_add(l, EXPIRY_TOTAL, row->id);
	return is_named(p, row->id.tier_ns) ? into_coarser(l, &s->parts, p, now_ns, row) : 0;
}

int expiry_list(const struct agenda_state *s, const struct policy *policy, int64_t now_ns,
		struct expiry **ret, size_t *ret_n)
{
	struct list l = { 0 };
	int err = 0;

	for (size_t i = 0; i < s->parts.n && err == 0; i++)
		err = consider(&l, s, policy, now_ns, &s->parts.rows[i]);
	if (err < 0) {
		free(l.all);
		return err;
	}
	*ret = l.all;
	*ret_n = l.n;
	return 0;
}

#include "store/compact/agenda.h"

#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/err.h"

/* What is known of a slot while flushes and parts are walked. */
struct slot {
	struct agenda_job job;
	uint64_t kept;   /* buckets of the parts it would take in */
	int64_t waiting; /* since when, the first of what waits to be folded into it */
	bool blocked;    /* something waits to be folded into a finer part in it */
	bool stale;      /* a finer part is younger than its own */
	bool gone;       /* a part of it holds a run that is gone */
};

struct slots {
	struct slot *all;
	size_t n, cap;
	size_t hint; /* the one asked for last */
};

struct agenda {
	const struct agenda_state *state;
	const struct agenda_rules *rules;
	uint32_t pid;
	int64_t now_ns;
	uint64_t upto; /* the newest flush */
	struct slots slots;
	struct agenda_job *jobs;
	size_t n_jobs;
};

static int64_t end_of(int64_t from_ns, int64_t length_ns)
{
	return from_ns > INT64_MAX - length_ns ? INT64_MAX : from_ns + length_ns;
}

static bool closed(const struct agenda *a, int64_t end_ns)
{
	return end_ns <= a->now_ns - a->rules->settle_ns;
}

/* The slot of the first tier that an hour belongs to now; false: it is still open. */
static bool slot_of(const struct agenda *a, int64_t hour_ns, int64_t *ret_from, int64_t *ret_to)
{
	int64_t day = window_start(hour_ns, AGENDA_DAY_NS);
	bool whole = closed(a, end_of(day, AGENDA_DAY_NS));

	*ret_from = whole ? day : hour_ns;
	*ret_to = end_of(*ret_from, whole ? AGENDA_DAY_NS : AGENDA_HOUR_NS);
	return closed(a, *ret_to);
}

static bool is_slot(const struct slots *s, size_t i, int64_t tier_ns, int64_t from_ns)
{
	return i < s->n && s->all[i].job.from_ns == from_ns && s->all[i].job.tier_ns == tier_ns;
}

/* The slot of that range, made when it is new.  Walks mostly go on where they were. */
static struct slot *slot_get(struct agenda *a, int64_t tier_ns, int64_t from_ns, int64_t to_ns)
{
	struct slots *s = &a->slots;

	for (size_t i = s->hint; i < s->hint + 2; i++)
		if (is_slot(s, i, tier_ns, from_ns))
			return &s->all[s->hint = i];
	for (size_t i = s->n; i-- > 0;)
		if (is_slot(s, i, tier_ns, from_ns))
			return &s->all[s->hint = i];
	if (array_grow(s->all, s->n, s->cap) < 0)
		return NULL;
	s->all[s->n] = (struct slot){
		.job = { .pid = a->pid,
			 .tier_ns = tier_ns,
			 .from_ns = from_ns,
			 .to_ns = to_ns,
			 .upto = a->upto,
			 .arrived_ns = INT64_MIN },
		.waiting = INT64_MAX,
	};
	return &s->all[s->hint = s->n++];
}

/* ---- what is flushed, and hours ---- */

static int note_hour(struct agenda *a, const struct agenda_flush *f, const struct agenda_hour *h)
{
	const struct part_row *part = cover_late(&a->state->parts, h->from_ns);
	int64_t from, to, tier = part ? part->id.tier_ns : TIER_RECORDED;
	bool is_closed = slot_of(a, h->from_ns, &from, &to);
	struct slot *slot;

	if (!is_closed)
		return 0;
	if (part && (tier > TIER_RECORDED || part->id.to_ns - part->id.from_ns >= to - from)) {
		from = part->id.from_ns;
		to = part->id.to_ns;
	}
	slot = slot_get(a, tier, from, to);
	if (!slot)
		return ERR_NOMEM;
	slot->job.alone = tier > TIER_RECORDED;
	slot->job.pending += h->buckets;
	slot->waiting = f->seen_ns < slot->waiting ? f->seen_ns : slot->waiting;
	slot->job.arrived_ns = f->seen_ns > slot->job.arrived_ns ? f->seen_ns : slot->job.arrived_ns;
	return 0;
}

static int note_flush(struct agenda *a, const struct agenda_flush *f)
{
	int err = 0;

	for (size_t i = 0; i < f->n_hours && err == 0; i++)
		if (cover_folded(&a->state->parts, f->hours[i].from_ns) < f->number)
			err = note_hour(a, f, &f->hours[i]);
	return err;
}

static void take_in(struct slot *slot, const struct part_row *part)
{
	slot->kept += part->summary.buckets;
	slot->job.parts++;
	slot->job.upto = part->upto > slot->job.upto ? part->upto : slot->job.upto;
	if (part->arrived_ns > slot->job.arrived_ns)
		slot->job.arrived_ns = part->arrived_ns;
}

/* The slot that a part is in, be it an hour whose day is closed now. */
static int note_part(struct agenda *a, const struct part_row *part)
{
	int64_t from = part->id.from_ns, to = part->id.to_ns, slot_from, slot_to;
	struct slot *slot;

	if (part->id.tier_ns == TIER_RECORDED && slot_of(a, from, &slot_from, &slot_to) &&
	    slot_to - slot_from > to - from) {
		from = slot_from;
		to = slot_to;
	}
	slot = slot_get(a, part->id.tier_ns, from, to);
	if (!slot)
		return ERR_NOMEM;
	take_in(slot, part);
	if (part->gone) {
		slot->gone = true;
		slot->job.alone = part->alone;
	}
	return 0;
}

/* ---- coarser tiers ---- */

static struct slot *coarse_slot(struct agenda *a, int64_t tier_ns, int64_t t_ns)
{
	int64_t from = window_start(t_ns, tier_slot_ns(tier_ns)), to = end_of(from, tier_slot_ns(tier_ns));

	return slot_get(a, tier_ns, from, to);
}

/* What waits for a part of the first tier, or of a tier before, keeps coarser ones from being made. */
static int block_hour(struct agenda *a, int64_t tier_ns, int64_t hour_ns)
{
	const struct part_row *part = cover_late(&a->state->parts, hour_ns);
	struct slot *slot;

	if (part && part->id.tier_ns >= tier_ns)
		return 0;
	slot = coarse_slot(a, tier_ns, hour_ns);
	if (!slot)
		return ERR_NOMEM;
	slot->blocked = true;
	return 0;
}

static int block_tier(struct agenda *a, int64_t tier_ns)
{
	int err = 0;

	for (size_t i = 0; i < a->state->n_flushes; i++) {
		const struct agenda_flush *f = &a->state->flushes[i];

		for (size_t j = 0; j < f->n_hours && err == 0; j++)
			if (cover_folded(&a->state->parts, f->hours[j].from_ns) < f->number)
				err = block_hour(a, tier_ns, f->hours[j].from_ns);
	}
	return err;
}

/* A part finer than the tier, in the tier's slot. */
static int note_finer(struct agenda *a, int64_t tier_ns, const struct part_row *part)
{
	const struct part_row *own = cover_at(&a->state->parts, tier_ns, part->id.from_ns);
	struct slot *slot = coarse_slot(a, tier_ns, part->id.from_ns);

	if (!slot)
		return ERR_NOMEM;
	slot->stale |= !own || own->id.number < part->id.number;
	take_in(slot, part);
	return 0;
}

static int note_tier(struct agenda *a, int64_t tier_ns)
{
	const struct manifest *m = &a->state->parts;
	int err = block_tier(a, tier_ns);

	for (size_t i = 0; i < m->n && m->rows[i].id.tier_ns < tier_ns && err == 0; i++)
		err = note_finer(a, tier_ns, &m->rows[i]);
	return err;
}

/* ---- what is due ---- */

/* Whether one part alone is all there is in the slot, and it has the slot's width. */
static bool whole(const struct agenda *a, const struct agenda_job *j)
{
	const struct part_row *part = cover_at(&a->state->parts, j->tier_ns, j->from_ns);

	return part && part->id.from_ns == j->from_ns && part->id.to_ns == j->to_ns;
}

static bool late_is_due(const struct agenda *a, const struct slot *slot)
{
	bool waited = a->rules->late_ns == 0 || slot->waiting <= a->now_ns - a->rules->late_ns;

	return slot->job.pending && (waited || !slot->job.parts || slot->job.pending >= slot->kept / 4);
}

static bool is_bad(const struct agenda *a, const struct agenda_job *j)
{
	for (size_t i = 0; i < a->state->n_bad; i++) {
		const struct agenda_slot *bad = &a->state->bad[i];

		if (bad->pid == j->pid && bad->tier_ns == j->tier_ns && bad->from_ns == j->from_ns)
			return true;
	}
	return false;
}

/* Whether a job of a finer tier is due in the slot: the coarser one then comes after it. */
static bool comes_later(const struct agenda *a, const struct agenda_job *j)
{
	for (size_t i = 0; i < a->n_jobs; i++)
		if (a->jobs[i].tier_ns < j->tier_ns && a->jobs[i].from_ns < j->to_ns &&
		    a->jobs[i].to_ns > j->from_ns)
			return true;
	return false;
}

/* Whether something in the slot waits to be folded into a finer part: a coarse one that has it already would
 * be read beside it. */
static bool waits(const struct agenda *a, const struct agenda_job *j)
{
	for (size_t i = 0; i < a->state->n_flushes; i++) {
		const struct agenda_flush *f = &a->state->flushes[i];

		for (size_t k = 0; k < f->n_hours; k++) {
			int64_t hour = f->hours[k].from_ns;
			const struct part_row *part = cover_late(&a->state->parts, hour);

			if (hour >= j->from_ns && hour < j->to_ns &&
			    cover_folded(&a->state->parts, hour) < f->number &&
			    (!part || part->id.tier_ns < j->tier_ns))
				return true;
		}
	}
	return false;
}

static bool due(const struct agenda *a, const struct slot *slot)
{
	const struct agenda_job *j = &slot->job;

	if (is_bad(a, j))
		return false;
	if (j->tier_ns == TIER_RECORDED)
		return (j->parts && !whole(a, j)) || late_is_due(a, slot) || slot->gone;
	if (slot->stale)
		return closed(a, j->to_ns) && !slot->blocked && !comes_later(a, j) &&
		       cover_fits(&a->state->parts, j->tier_ns, j->from_ns, j->to_ns);
	return late_is_due(a, slot) || (slot->gone && !comes_later(a, j) && !waits(a, j));
}

static int compare_slot(const void *a, const void *b)
{
	const struct agenda_job *x = &((const struct slot *)a)->job, *y = &((const struct slot *)b)->job;

	if (x->tier_ns != y->tier_ns)
		return x->tier_ns < y->tier_ns ? -1 : 1;
	return (x->from_ns > y->from_ns) - (x->from_ns < y->from_ns);
}

static int list_due(struct agenda *a)
{
	struct slots *s = &a->slots;

	a->jobs = malloc((s->n + 1) * sizeof(*a->jobs));
	if (!a->jobs)
		return ERR_NOMEM;
	if (s->n)
		qsort(s->all, s->n, sizeof(*s->all), compare_slot);
	for (size_t i = 0; i < s->n; i++)
		if (due(a, &s->all[i]))
			a->jobs[a->n_jobs++] = s->all[i].job;
	return 0;
}

int agenda_jobs(const struct agenda_state *s, const struct agenda_rules *r, uint32_t pid, int64_t now_ns,
		struct agenda_job **ret, size_t *ret_n)
{
	struct agenda a = { .state = s, .rules = r, .pid = pid, .now_ns = now_ns };
	int err = 0;

	a.upto = s->n_flushes ? s->flushes[s->n_flushes - 1].number : 0;
	for (size_t i = 0; i < s->n_flushes && err == 0; i++)
		err = note_flush(&a, &s->flushes[i]);
	for (size_t i = 0; i < s->parts.n && err == 0; i++)
		err = note_part(&a, &s->parts.rows[i]);
	for (size_t i = 1; i < r->policy->n_tiers && err == 0; i++)
		if (tier_divides_day(r->policy->tiers[i].every_ns))
			err = note_tier(&a, r->policy->tiers[i].every_ns);
	if (err == 0)
		err = list_due(&a);
	free(a.slots.all);
	if (err < 0)
		return err;
	*ret = a.jobs;
	*ret_n = a.n_jobs;
	return 0;
}

bool agenda_folded(const struct agenda_state *s, const struct agenda_flush *f)
{
	for (size_t i = 0; i < f->n_hours; i++)
		if (cover_folded(&s->parts, f->hours[i].from_ns) < f->number)
			return false;
	return true;
}

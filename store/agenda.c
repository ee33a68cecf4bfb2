#include "store/agenda.h"

#include <stdlib.h>

#include "store/base/err.h"

/* What is known of a slot while the flushes are walked. */
struct slot {
	struct agenda_job job;
	uint64_t kept;   /* buckets of the parts in it */
	int64_t waiting; /* since when, the first of what waits */
};

struct slots {
	struct slot *all;
	size_t n, cap;
};

static int64_t floor_to(int64_t t_ns, int64_t width)
{
	int64_t rest = t_ns % width;

	return t_ns - (rest < 0 ? rest + width : rest);
}

static bool closed(int64_t end_ns, const struct agenda_policy *p, int64_t now_ns)
{
	return end_ns <= now_ns - p->settle_ns;
}

/* The part that covers a time; NULL: none. */
static const struct agenda_part *part_at(const struct agenda_state *s, int64_t t_ns)
{
	size_t lo = 0, hi = s->n_parts;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->parts[mid].to_ns <= t_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n_parts && s->parts[lo].from_ns <= t_ns ? &s->parts[lo] : NULL;
}

/* The slot that an hour belongs to now; false: it is still open. */
static bool slot_of(const struct agenda_policy *p, int64_t now_ns, int64_t hour_ns, int64_t *ret_from,
		    int64_t *ret_to)
{
	int64_t day = floor_to(hour_ns, AGENDA_DAY_NS);
	bool whole = closed(day + AGENDA_DAY_NS, p, now_ns);

	*ret_from = whole ? day : hour_ns;
	*ret_to = *ret_from + (whole ? AGENDA_DAY_NS : AGENDA_HOUR_NS);
	return closed(*ret_to, p, now_ns);
}

/* The slot of that range, made when it is new.  Neighbours mostly follow each other. */
static struct slot *slot_get(struct slots *slots, int64_t from, int64_t to)
{
	for (size_t i = slots->n; i-- > 0;)
		if (slots->all[i].job.from_ns == from)
			return &slots->all[i];
	if (slots->n == slots->cap) {
		size_t cap = slots->cap ? slots->cap * 2 : 16;
		struct slot *p = realloc(slots->all, cap * sizeof(*p));

		if (!p)
			return NULL;
		slots->all = p;
		slots->cap = cap;
	}
	slots->all[slots->n] = (struct slot){ .job = { .from_ns = from, .to_ns = to }, .waiting = INT64_MAX };
	return &slots->all[slots->n++];
}

static int note_flush(struct slots *slots, const struct agenda_state *s, const struct agenda_policy *p,
		      int64_t now_ns, const struct agenda_flush *f)
{
	for (size_t i = 0; i < f->n_hours; i++) {
		const struct agenda_part *part = part_at(s, f->hours[i].from_ns);
		struct slot *slot;
		int64_t from, to;

		if ((part && part->upto >= f->number) || !slot_of(p, now_ns, f->hours[i].from_ns, &from, &to))
			continue;
		slot = slot_get(slots, part && part->from_ns < from ? part->from_ns : from,
				part && part->to_ns > to ? part->to_ns : to);
		if (!slot)
			return ERR_NOMEM;
		slot->job.pending += f->hours[i].buckets;
		slot->waiting = f->seen_ns < slot->waiting ? f->seen_ns : slot->waiting;
	}
	return 0;
}

/* Parts in slots that something waits for, and hours whose day is closed. */
static int note_parts(struct slots *slots, const struct agenda_state *s, const struct agenda_policy *p,
		      int64_t now_ns)
{
	for (size_t i = 0; i < s->n_parts; i++) {
		const struct agenda_part *part = &s->parts[i];
		struct slot *slot;
		int64_t from, to;

		if (!slot_of(p, now_ns, part->from_ns, &from, &to))
			continue;
		slot = slot_get(slots, from < part->from_ns ? from : part->from_ns,
				to > part->to_ns ? to : part->to_ns);
		if (!slot)
			return ERR_NOMEM;
		slot->kept += part->buckets;
		slot->job.upto = part->upto > slot->job.upto ? part->upto : slot->job.upto;
		slot->job.parts++;
	}
	return 0;
}

/* Whether one part alone is all there is in the slot, and it has the slot's width. */
static bool whole(const struct agenda_state *s, const struct agenda_job *j)
{
	const struct agenda_part *part = part_at(s, j->from_ns);

	return part && part->from_ns == j->from_ns && part->to_ns == j->to_ns;
}

static bool due(const struct agenda_state *s, const struct agenda_policy *p, int64_t now_ns,
		const struct slot *slot)
{
	if (slot->job.parts && !whole(s, &slot->job))
		return true;
	return slot->job.pending && (!slot->job.parts || slot->job.pending >= slot->kept / 4 ||
				     slot->waiting <= now_ns - p->late_ns);
}

static int compare_job(const void *a, const void *b)
{
	const struct agenda_job *x = a, *y = b;

	return (x->from_ns > y->from_ns) - (x->from_ns < y->from_ns);
}

int agenda_jobs(const struct agenda_state *s, const struct agenda_policy *p, int64_t now_ns,
		struct agenda_job **ret, size_t *ret_n)
{
	struct slots slots = { 0 };
	struct agenda_job *jobs = NULL;
	uint64_t upto = s->n_flushes ? s->flushes[s->n_flushes - 1].number : 0;
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < s->n_flushes && err == 0; i++)
		err = note_flush(&slots, s, p, now_ns, &s->flushes[i]);
	if (err == 0)
		err = note_parts(&slots, s, p, now_ns);
	if (err == 0 && slots.n)
		jobs = malloc(slots.n * sizeof(*jobs));
	if (err == 0 && slots.n && !jobs)
		err = ERR_NOMEM;
	for (size_t i = 0; i < slots.n && err == 0; i++) {
		struct agenda_job job = slots.all[i].job;

		job.upto = job.upto > upto ? job.upto : upto;
		if (due(s, p, now_ns, &slots.all[i]))
			jobs[n++] = job;
	}
	free(slots.all);
	if (err < 0)
		return err;
	if (n)
		qsort(jobs, n, sizeof(*jobs), compare_job);
	*ret = jobs;
	*ret_n = n;
	return 0;
}

bool agenda_folded(const struct agenda_state *s, const struct agenda_flush *f)
{
	for (size_t i = 0; i < f->n_hours; i++) {
		const struct agenda_part *part = part_at(s, f->hours[i].from_ns);

		if (!part || part->upto < f->number)
			return false;
	}
	return true;
}

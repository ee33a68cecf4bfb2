#include "query/samples.h"

#include <stdlib.h>

#include "store/base/limits.h"

/* Slices, and pauses between them. */
static int slices(const struct sample_scan *s, bool *ret_partial)
{
	struct samples_at at = { 0 };
	int more = 1;

	while (more == 1) {
		struct view *v;
		int err = view_open(s->store, &v);

		if (err < 0)
			return err;
		more = view_samples(v, s->rid, s->sids, s->n_sids, s->from_ns, s->to_ns, SAMPLES_SLICE, &at,
				    s->sample, s->arg, ret_partial);
		view_close(v);
		if (more >= 0 && s->pause && (err = s->pause(s->arg)))
			return err;
	}
	return more;
}

/* ---- by step ---- */

struct entry {
	struct point p;
	size_t order; /* as it came: by time */
};

struct newest {
	const struct sample_scan *s;
	size_t series; /* of the entries */
	struct entry *list;
	size_t n, cap;
	bool mixed; /* not by rising step: there was a resume */
};

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->p.step != y->p.step)
		return x->p.step < y->p.step ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/* Of the entries of one step the last. */
static int tell_newest(struct newest *w)
{
	int err = 0;

	if (w->mixed)
		qsort(w->list, w->n, sizeof *w->list, compare_entries);
	for (size_t i = 0; i < w->n && err == 0; i++)
		if (i + 1 == w->n || w->list[i + 1].p.step != w->list[i].p.step)
			err = w->s->sample(w->s->arg, w->series, &w->list[i].p);
	w->n = 0;
	w->mixed = false;
	return err;
}

static int keep_sample(void *arg, size_t series, const struct point *p)
{
	struct newest *w = arg;
	int err = series != w->series ? tell_newest(w) : 0;

	if (err || p->step == STEP_NONE)
		return err;
	if (w->n >= limits.rows)
		return ERR_TOO_LARGE;
	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 1024;
		struct entry *more = realloc(w->list, cap * sizeof *more);

		if (!more)
			return ERR_NOMEM;
		w->list = more;
		w->cap = cap;
	}
	w->series = series;
	w->mixed = w->mixed || (w->n > 0 && p->step < w->list[w->n - 1].p.step);
	w->list[w->n] = (struct entry){ *p, w->n };
	w->n++;
	return 0;
}

static int pause_scan(void *arg)
{
	struct newest *w = arg;

	return w->s->pause ? w->s->pause(w->s->arg) : 0;
}

static int by_step(const struct sample_scan *s, bool *ret_partial)
{
	struct newest w = { .s = s };
	struct sample_scan all = *s;
	int err;

	all.sample = keep_sample;
	all.pause = pause_scan;
	all.arg = &w;
	err = slices(&all, ret_partial);
	if (err == 0)
		err = tell_newest(&w);
	free(w.list);
	return err;
}

int samples_scan(const struct sample_scan *s, bool *ret_partial)
{
	int err = s->by_step ? by_step(s, ret_partial) : slices(s, ret_partial);

	return err == 0 && s->pause ? s->pause(s->arg) : err;
}

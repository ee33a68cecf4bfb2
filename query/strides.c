#include "query/strides.h"

#include <stdlib.h>

#include "store/base/limits.h"

/* Ends as soon as there are too many, which for narrow strides is soon. */
static bool fits(const struct point *p, size_t n, int64_t width, uint64_t most)
{
	uint64_t strides = 0;

	for (size_t i = 0; i < n; i++)
		if ((i == 0 || stride_of(p[i].step, width) != stride_of(p[i - 1].step, width)) &&
		    ++strides > most)
			return false;
	return true;
}

int64_t stride_width(const struct point *p, size_t n, uint64_t most)
{
	static const int64_t digits[] = { 1, 2, 5 };

	for (int64_t power = 1;; power *= 10) {
		for (size_t i = 0; i < 3; i++)
			if (fits(p, n, digits[i] * power, most))
				return digits[i] * power;
		if (power > INT64_MAX / 5 / 10)
			return STRIDE_ALL;
	}
}

/* ---- a line ---- */

struct line {
	const struct stride_plan *p;
	size_t place;       /* of the line that is read */
	struct point *list; /* owned */
	size_t n, cap;
	bool mixed; /* not by rising step: several series */
};

static int compare(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	return point_compare(x, y);
}

/* One stride's samples, n > 0. */
static int tell_stride(struct line *l, const struct point *p, size_t n)
{
	const struct stride_plan *plan = l->p;
	struct bucket b;
	int err = bucket_start(&b, p[0]);

	for (size_t i = 1; i < n && err == 0; i++)
		err = bucket_add(&b, p[i]);
	b.first = p[0];
	b.last = p[n - 1];
	if (err == 0)
		err = plan->row(plan->scan->arg, l->place, p[0].t_ns, &b);
	bucket_release(&b);
	return err;
}

static int tell(struct line *l)
{
	int64_t width;
	int err = 0;

	if (l->mixed)
		qsort(l->list, l->n, sizeof *l->list, compare);
	width = stride_width(l->list, l->n, l->p->most);
	for (size_t i = 0, end; i < l->n && err == 0; i = end) {
		int64_t stride = stride_of(l->list[i].step, width);

		for (end = i + 1; end < l->n && stride_of(l->list[end].step, width) == stride;)
			end++;
		err = tell_stride(l, l->list + i, end - i);
	}
	l->n = 0;
	l->mixed = false;
	return err;
}

static int grow(struct line *l)
{
	size_t cap = l->cap ? l->cap * 2 : 1024;
	struct point *more = realloc(l->list, cap * sizeof *more);

	if (!more)
		return ERR_NOMEM;
	l->list = more;
	l->cap = cap;
	return 0;
}

static int take_sample(void *arg, size_t series, const struct point *p)
{
	struct line *l = arg;
	size_t place = l->place;
	int err = 0;

	if (!ask_wants_step(l->p->ask, p->step))
		return 0;
	if (!l->p->ends)
		place = series;
	while (l->p->ends && series >= l->p->ends[place])
		place++;
	if (place != l->place)
		err = tell(l);
	l->place = place;
	if (err == 0 && l->n >= limits.rows)
		err = ERR_TOO_LARGE;
	if (err == 0 && l->n == l->cap)
		err = grow(l);
	if (err)
		return err;
	l->mixed = l->mixed || (l->n > 0 && p->step <= l->list[l->n - 1].step);
	l->list[l->n++] = *p;
	return 0;
}

static int pause_scan(void *arg)
{
	const struct sample_scan *s = ((const struct line *)arg)->p->scan;

	return s->pause ? s->pause(s->arg) : 0;
}

int strides_run(const struct stride_plan *p, bool *ret_partial)
{
	struct sample_scan s = *p->scan;
	struct line l = { .p = p };
	int err;

	s.sample = take_sample;
	s.pause = pause_scan;
	s.arg = &l;
	err = samples_scan(&s, ret_partial);
	if (err == 0)
		err = tell(&l);
	if (err == 0)
		err = pause_scan(&l);
	free(l.list);
	return err;
}

#include "query/cli/curve.h"

#include <math.h>
#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/err.h"

void curve_release(struct curve *c)
{
	free(c->points);
	*c = (struct curve){ 0 };
}

int curve_add(struct curve *c, struct curve_point p)
{
	if (array_grow(c->points, c->n, c->room) < 0)
		return ERR_NOMEM;
	p.shown = p.mean;
	c->points[c->n++] = p;
	return 0;
}

double curve_middle(const struct curve_point *p) { return p->from + (p->to - p->from) / 2; }

void curve_smooth(struct curve *c, double w)
{
	double s = 0, weight = 1; /* w^n */

	for (size_t i = 0; i < c->n; i++) {
		struct curve_point *p = &c->points[i];

		if (isnan(p->mean))
			continue;
		s = w * s + (1 - w) * p->mean;
		weight *= w;
		p->shown = s / (1 - weight);
	}
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int curve_gaps(struct curve *c, double least)
{
	double *apart, usual;

	if (c->n < 3)
		return 0;
	apart = malloc((c->n - 1) * sizeof *apart);
	if (!apart)
		return ERR_NOMEM;
	for (size_t i = 1; i < c->n; i++)
		apart[i - 1] = c->points[i].from - c->points[i - 1].to;
	qsort(apart, c->n - 1, sizeof *apart, by_value);
	usual = apart[(c->n - 1) / 2];
	free(apart);
	for (size_t i = 1; i < c->n; i++) {
		double d = c->points[i].from - c->points[i - 1].to;

		c->points[i].after_gap = d > CURVE_GAP * usual && d >= least;
	}
	return 0;
}

static double least_of(double a, double b) { return isnan(a) || b < a ? b : a; }

static void sum_add(struct curve_sum *s, const struct curve_point *p)
{
	const double values[] = { p->min, p->mean, p->max };
	uint64_t samples = p->count + p->nan + p->pos_inf + p->neg_inf;

	s->from = fmin(s->from, p->from);
	s->to = fmax(s->to, p->to);
	s->count += p->count;
	s->nan += p->nan;
	s->pos_inf += p->pos_inf;
	s->neg_inf += p->neg_inf;
	s->most = samples > s->most ? samples : s->most;
	s->widest = fmax(s->widest, p->to - p->from);
	s->min = fmin(s->min, p->min); /* fmin and fmax leave NaN out */
	s->max = fmax(s->max, p->max);
	s->last = p->last;
	s->not_positive += p->min <= 0;
	for (size_t i = 0; i < 3; i++)
		if (values[i] > 0)
			s->least_positive = least_of(s->least_positive, values[i]);
}

struct curve_sum curve_sum(const struct curve *c)
{
	struct curve_sum s = { NAN, NAN, NAN, NAN, NAN, NAN, 0, 0, 0, 0, 0, 0, 0 };

	for (size_t i = 0; i < c->n; i++)
		sum_add(&s, &c->points[i]);
	return s;
}

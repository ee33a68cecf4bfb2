/*
 * chart.h - curves on a page of characters: axes with round ticks, a line for the means, a band from
 * the least to the greatest sample of each window, an x for what is not finite, a legend.  Fits its
 * width; without Unicode or colour it tells the same.  Pure but for the FILE it prints on.
 */
#ifndef QUERY_CHART_H
#define QUERY_CHART_H

#include <stdio.h>

#include "query/cli/curve.h"

#define CHART_CURVES_MAX  8
#define CHART_WIDTH_LEAST 72
#define CHART_ROWS_LEAST  4

enum chart_x { CHART_TIME, CHART_REL, CHART_STEP };

struct chart {
	enum chart_x x;
	bool log_y;      /* what is not above zero is not drawn, and told */
	double smooth;   /* as was asked for, for the legend; 0: not smoothed */
	int width, rows; /* characters of all; rows of the drawing without its axis */
	bool color, unicode;
	const struct curve *curves;          /* borrowed */
	const char *names[CHART_CURVES_MAX]; /* borrowed */
	size_t n;                            /* CHART_CURVES_MAX at most */
};

/* How many points across tell curves apart: what to ask windows for. */
unsigned chart_points(int width);

/* Axes, curves and legend.  ERR_NOT_FOUND: no curve has a point that can be drawn (nothing is
 * printed); ERR_NOMEM. */
int chart_draw(const struct chart *c, FILE *out);

#endif

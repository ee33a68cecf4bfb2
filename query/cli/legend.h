/*
 * legend.h - how the curves of a chart are told apart, and what is printed below it: a piece of each
 * line, and what the curve held.  Used by chart.c alone.
 */
#ifndef QUERY_LEGEND_H
#define QUERY_LEGEND_H

#include "query/cli/canvas.h"
#include "query/cli/chart.h"

/* The pen for a layer of the ith curve. */
struct pen chart_pen(const struct chart *c, size_t i, enum canvas_layer layer);

/* What the ith of several curves is called: 'a', 'b' ... */
char chart_letter(size_t i);

/* left: columns before the drawing. */
void legend_print(const struct chart *c, int left, FILE *out);

#endif

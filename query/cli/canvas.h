/*
 * canvas.h - a page of character cells to draw on: dots, two across and four down in a cell, and text.
 *
 * Dots are Braille patterns (Unicode 15, block 2800: dots 1-8 are bits 0-7) or, in ASCII, the pen's
 * own character.  They lie in three layers, and the text above them all.  Where the line passes, the
 * fill is left out of the cell: so the line stands out without colour too, and the edges, which tell how far
 * the samples reach, are never hidden.  Dot (0, 0) is at the upper left.  Drawing outside the page
 * does nothing.  Pure; one thread.
 */
#ifndef QUERY_CANVAS_H
#define QUERY_CANVAS_H

#include "query/cli/term.h"

enum canvas_layer { CANVAS_FILL, CANVAS_EDGE, CANVAS_LINE, CANVAS_LAYERS };

#define DOTS_ACROSS 2
#define DOTS_DOWN   4

struct pen {
	enum canvas_layer layer;
	enum color color;
	char ascii;        /* what a cell with its dots shows where there is no Unicode */
	unsigned on, off;  /* so many dots drawn, so many left out; off 0: a whole line */
	unsigned run_dots; /* its own: how far into that pattern the pen is */
};

struct canvas_cell;

struct canvas {
	int columns, rows;
	struct canvas_cell *cells; /* owned */
};

/* ERR_NOMEM. */
int canvas_init(struct canvas *c, int columns, int rows);
void canvas_release(struct canvas *c);

void canvas_dot(struct canvas *c, struct pen *pen, int x, int y);

/* From one dot to another, both drawn. */
void canvas_line(struct canvas *c, struct pen *pen, int x0, int y0, int x1, int y1);

/* UTF-8, one character a cell. */
void canvas_text(struct canvas *c, int column, int row, enum color color, const char *text);

/* Whether the cell holds text. */
bool canvas_has_text(const struct canvas *c, int column, int row);

/* Appends a row without the blanks at its end, and "\n". */
int canvas_row(const struct canvas *c, int row, bool unicode, bool color, struct buf *out);

#endif

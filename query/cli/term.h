/*
 * term.h - text for people: cells of tables, numbers, ages, sparklines, and log text made safe for
 * a terminal.  Tables fit 80 columns; widths are counted in characters, not bytes.
 */
#ifndef QUERY_TERM_H
#define QUERY_TERM_H

#include <stdio.h>

#include "store/base/buf.h"

enum color {
	COLOR_NONE,
	COLOR_RED,
	COLOR_GREEN,
	COLOR_YELLOW,
	COLOR_BLUE,
	COLOR_MAGENTA,
	COLOR_CYAN,
	COLOR_DIM,
	COLOR_BOLD,
	COLOR_FAINT, /* added to one of the first seven: the same, darker */
};

/* What a cell's text is set in when `on`; "" otherwise. */
const char *color_start(bool on, enum color c);
const char *color_end(bool on, enum color c);

/* Once, before anything is printed: whether "…" and bars of Unicode may be shown (they are unless
 * this says no). */
void term_unicode(bool on);

/* Prints text in a cell of `width` characters: left-aligned, right-aligned when width < 0.  Too
 * long: its middle becomes "…".  Control characters become '?'. */
void cell(FILE *out, const char *text, int width);

/* Prints at most `width` characters of text; longer: its end becomes "…". */
void cell_start(FILE *out, const char *text, int width);

/* A name at the start of a row, never cut, so that it can be copied: a long one gets a line of its
 * own and the row goes on below it. */
void cell_name(FILE *out, const char *text, int width);

#define SHORT_TEXT_MAX 32
/* Whole numbers as they are, else up to six significant digits; fewer where they do not fit into
 * width characters (>= 8). */
void short_number(double v, int width, char ret[SHORT_TEXT_MAX]);
void short_bytes(uint64_t bytes, char ret[SHORT_TEXT_MAX]); /* "1.5 MiB" */
void short_age(int64_t ns, char ret[SHORT_TEXT_MAX]);       /* "45s", "12m", "3h", "5d", "2y" */

/* A point that is not there is NaN with `gap`; other non-finite ones are drawn as 'x'. */
struct spark_point {
	double value;
	bool gap;
};
void spark(FILE *out, const struct spark_point *p, size_t n);

/* Appends text as it should look: what '\r' overwrote is dropped, escape sequences are dropped (but
 * colours where `color`), other control characters too; '\n' and '\t' stay, CRLF becomes LF. */
int shown_text(struct span text, bool color, struct buf *out);

#endif

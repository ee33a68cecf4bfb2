/*
 * shape.h - a regular expression over shapes of texts, from one over texts.
 *
 * The shape of a text is the text with every run of digits as one '0' (of more than 18: every 18 of
 * them): what sealed logs keep once for many lines (store/log/loghint.h).  Where a text matches the
 * expression, its shape matches what is made here; the other way round need not hold.
 *
 * How: what cannot match a digit stays as it is.  What can takes a '0' for a run; right behind another
 * that can, it may be in the middle of a run and take nothing.  Pure.
 */
#ifndef QUERY_SHAPE_H
#define QUERY_SHAPE_H

#include "store/base/buf.h"

enum regex_shape {
	SHAPE_NONE,  /* none is made: look-around, references, flags other than i, m and s at the beginning,
		      * codes, quotes */
	SHAPE_LOOSE, /* some shapes match, but not their texts */
	SHAPE_EXACT, /* what takes digits at all takes any number of any: a text matches as its shape does */
};

/* Appends the expression; what was appended for SHAPE_NONE is of no use. */
enum regex_shape regex_shape(struct span regex, struct buf *out);

#endif

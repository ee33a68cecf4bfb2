/*
 * logtext_read.h - the inside of a packed form that is being read, for logtext_read.c and
 * logtext_find.c.
 */
#ifndef STORE_LOGTEXT_READ_H
#define STORE_LOGTEXT_READ_H

#include "store/logtext.h"
#include "store/logtext_layout.h"

struct frame {
	size_t raw_len;
	struct span packed;
};

struct template
{
	struct span text;
	uint32_t slots, count; /* count: of segments that have it */
	uint32_t first;        /* how many segments have templates before it */
	struct span columns;   /* undecoded */
	size_t first_run;      /* its column 0 in values and digits; column s begins s * count after it */
	bool decoded;
};

struct segment {
	uint32_t template, nth; /* the nth segment of that template */
};

struct logtext {
	size_t n_texts, raw_len, n_segments, n_templates;
	struct frame lines_frame, ids_frame, numbers_frame;
	struct buf head, lines, ids, numbers;
	struct span bytes; /* of all templates */
	struct template *templates;
	size_t templates_cap;
	struct segment *segments;
	size_t segments_cap;
	uint32_t *first_segment; /* of each text, and the end */
	size_t texts_cap;
	uint64_t *values;
	uint8_t *digits;
	size_t runs_cap;
	bool has_segments, has_numbers;
};

/* Which template each segment has.  ERR_CORRUPT, ERR_NOMEM. */
int logtext_need_segments(struct logtext *x);

/* The runs of a template; after logtext_need_segments. */
int logtext_need_columns(struct logtext *x, struct template *t);

#endif

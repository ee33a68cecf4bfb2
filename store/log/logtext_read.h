/*
 * logtext_read.h - the inside of a packed form that is being read, for logtext_read.c,
 * logtext_column.c and logtext_find.c.
 */
#ifndef STORE_LOGTEXT_READ_H
#define STORE_LOGTEXT_READ_H

#include "store/log/logtext.h"
#include "store/log/logtext_layout.h"

struct frame {
	size_t raw_len;
	struct span packed;
};

struct template
{
	struct span text;
	uint32_t slots, count; /* count: of segments that have it */
	uint32_t first;        /* how many segments have templates before it */
	uint32_t first_column; /* in columns */
	size_t first_run;      /* its column 0 in values and digits; column s begins s * count after it */
	bool decoded;          /* all its columns, and what is before them */
};

/* Of a template of few segments the first is all of them, but for as_text and before. */
struct column {
	struct span bytes; /* data is set when its frame is decompressed */
	size_t at;         /* in its frame */
	uint8_t class;
	bool decoded;
	bool as_text;    /* its values are addresses of digits in the frame, not numbers */
	uint32_t before; /* bytes of the template before the slot, behind the slot before; once decoded is */
};

/* What is known of a template's segments. */
struct verdict {
	bool holds; /* some of them may hold the bytes */
	uint8_t fit;
};

struct segment {
	uint32_t template, nth; /* the nth segment of that template */
};

struct logtext {
	size_t n_texts, raw_len, n_segments, n_templates, templates_bytes, n_columns, n_runs;
	struct span trigrams;
	struct frame head_frame, lines_frame, ids_frame, columns_frame, numbers_frames[CLASSES + 1];
	struct buf head, lines, ids, columns_buf, numbers[CLASSES + 1];
	struct span bytes; /* of all templates */
	struct template *templates;
	size_t templates_cap;
	struct column *columns; /* of all templates, slot after slot */
	size_t columns_cap;
	struct segment *segments;
	size_t segments_cap;
	uint32_t *first_segment; /* of each text, and the end */
	size_t texts_cap;
	uint64_t *values;
	uint8_t *digits;
	size_t runs_cap;
	/* of logtext_find */
	struct verdict *verdicts; /* of templates */
	size_t verdicts_cap;
	uint8_t *marks; /* of segments, those of a template together: may hold what is looked for */
	size_t marks_cap;
	struct buf shape;
	bool has_templates, has_lines, has_segments, has_columns;
	struct span numbers_of[CLASSES + 1]; /* decompressed; data NULL: not yet */
};

/* At least n entries of `size` bytes; what was in them is lost. */
int logtext_reserve(void *array, size_t *cap, size_t n, size_t size);

/* What a frame holds, `most` bytes at most; copied into b only where it is compressed. */
int logtext_open_frame(const struct frame *f, size_t most, struct buf *b, struct span *ret);

/* The templates' texts and slots.  ERR_CORRUPT, ERR_NOMEM; so do all below. */
int logtext_need_templates(struct logtext *x);

/* How many segments each text has. */
int logtext_need_lines(struct logtext *x);

/* Which template each segment has. */
int logtext_need_segments(struct logtext *x);

/* The runs of one slot of a template as numbers; after logtext_need_segments. */
int logtext_need_numbers(struct logtext *x, struct template *t, uint32_t slot);

/* The runs of all slots, as numbers or text, and what is before each; likewise. */
int logtext_need_columns(struct logtext *x, struct template *t);

/* Sets the marks of the template's segments that hold these digits anywhere in a run, of a template whose
 * slots do not lie side by side; after logtext_need_segments.  Of most columns no numbers are made for that.
 */
int logtext_mark_digits(struct logtext *x, struct template *t, const struct wanted *w, uint8_t *marks);

/* The most digits that a run of the slot may have; after logtext_need_segments. */
int logtext_most_digits(struct logtext *x, const struct template *t, uint32_t slot, unsigned *ret);

#endif

/*
 * rowform.h - the forms of a /query answer: JSON, CSV (RFC 4180), protobuf.
 *
 * A form writes into a struct out, whose errors stick; nothing here blocks while out->hold is set.
 * Which one is chosen by the request's Accept (accept.h).
 */
#ifndef QUERY_ROWFORM_H
#define QUERY_ROWFORM_H

#include "query/cell.h"
#include "query/out.h"
#include "store/read.h"

/* What an answer says of itself. */
struct answer_about {
	int64_t tier_ns, every_ns, complete_until_ns; /* tier 0: samples, every row is one */
	int64_t samples_since_ns; /* all from then on are kept; INT64_MIN: all there ever were, or not asked
				     for */
	bool partial;
};

/* "30s", or "raw" for samples, into ret of DURATION_TEXT_MAX bytes. */
void tier_print(int64_t tier_ns, char *ret);

struct row_writer {
	struct out *o;
	struct columns columns;
	size_t n_series;    /* begun so far */
	bool row;           /* the open series has a row */
	const char *run_id; /* of the open series; borrowed, as its name, until the next one begins */
	struct span name;
	void *own; /* the form's */
};

struct row_form {
	const char *content_type;
	bool about_in_head; /* the body has no place for answer_about: header lines have it */
	/* A series' name as the form wants it: the text is handed back to `series`. */
	void (*name)(struct out *o, const struct series_name *name);
	int (*begin)(struct row_writer *w);
	void (*series)(struct row_writer *w, const char *run_id, struct span name);
	void (*row)(struct row_writer *w, int64_t start_ns, const struct bucket *b);
	/* Rows that have no columns but time_ms and count to last; NULL: they are written one by one. */
	void (*sheet)(struct row_writer *w, const struct sheet *s);
	/* The end of a complete answer.  An error breaks the answer off, with its sentence in f. */
	int (*end)(struct row_writer *w, const struct answer_about *about, struct fault *f);
	void (*release)(struct row_writer *w); /* NULL: nothing to release */
};

extern const struct row_form form_json;  /* rowjson.c */
extern const struct row_form form_csv;   /* rowcsv.c */
extern const struct row_form form_proto; /* rowproto.c */

#endif

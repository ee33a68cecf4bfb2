/*
 * survey.h - the first walk over a run's files: what has to be known before a run is made of them.
 */
#ifndef INGEST_IMPORT_SURVEY_H
#define INGEST_IMPORT_SURVEY_H

#include "ingest/import/walk.h"
#include "store/write.h"

struct survey {
	bool has_time, has_relative;
	int64_t first_ns;              /* the first absolute time of the files */
	int64_t least_ns, greatest_ns; /* of the relative times */
	bool has_run;
	struct import_run run; /* what an export tells; its spans lie in spec and window */
	struct buf spec;       /* owned */
	char window[16];
	struct buf params; /* owned; members of a JSON object: "seed":1234,"submission_org":"X" */
};

/* Fills w->content too.  Notes of the format go to stderr. */
int survey_files(const struct walk *w, struct survey *ret, struct fault *f);
void survey_release(struct survey *v);

/* The producer of an import, from run, format, options and content. */
void survey_producer(const struct walk *w, const char *run, uint8_t ret[PRODUCER_ID_BYTES]);

#endif

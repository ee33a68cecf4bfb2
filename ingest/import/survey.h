/*
 * survey.h - the first walk over a file: what has to be known of it before a run is made of it.
 */
#ifndef INGEST_IMPORT_SURVEY_H
#define INGEST_IMPORT_SURVEY_H

#include "ingest/import/format.h"
#include "ingest/import/line_file.h"
#include "ingest/import/progress.h"
#include "store/write.h"

#define DIGEST_BYTES 32

struct survey {
	uint64_t lines, bytes;        /* unpacked */
	uint8_t digest[DIGEST_BYTES]; /* BLAKE2b of the unpacked bytes */
	bool has_time;
	int64_t first_ns;  /* time of the first line that has one */
	struct buf params; /* owned; members of a JSON object: "seed":1234,"submission_org":"X" */
};

/* From where the file stands, which is its start, to its end. */
int survey_file(struct line_file *s, const struct import_format *format, struct progress *p,
		struct survey *ret, struct fault *f);
void survey_release(struct survey *v);

/* The producer of an import, from run, format, options and content.  start_option: the text of
 * --start; NULL: none. */
void survey_producer(const struct survey *v, const struct import_format *format, const char *run,
		     const char *start_option, uint8_t ret[PRODUCER_ID_BYTES]);

#endif

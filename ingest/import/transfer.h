/*
 * transfer.h - the second walk over a file: its lines and samples go to the server.
 */
#ifndef INGEST_IMPORT_TRANSFER_H
#define INGEST_IMPORT_TRANSFER_H

#include "ingest/import/survey.h"
#include "ingest/import/upload.h"

struct transfer {
	const struct import_format *format;
	const struct survey *survey;
	const uint8_t *producer; /* PRODUCER_ID_BYTES */
	int64_t start_ns;        /* of lines before which none has a time */
};

struct transfer_result {
	uint64_t lines, samples, metrics;
	uint64_t refused_names; /* samples not sent because their metric may not be named so */
	uint64_t requests, duplicates;
	uint64_t rejected_samples, rejected_lines; /* by the server */
	char reject_code[64];
	int64_t first_ns, last_ns; /* least and greatest time of a line */
};

/* Sends exactly the bytes that were surveyed: what was appended to the file since is left out, and
 * ERR_CONFLICT when it changed otherwise.  The last request ends the run as finished. */
int transfer_file(struct line_file *s, const struct transfer *t, struct upload *u, struct progress *p,
		  struct transfer_result *ret, struct fault *f);

#endif

/*
 * transfer.h - the second walk over a run's files: what they say goes to the server.
 */
#ifndef INGEST_IMPORT_TRANSFER_H
#define INGEST_IMPORT_TRANSFER_H

#include "ingest/import/upload.h"
#include "ingest/import/walk.h"
#include "store/write.h"

struct transfer {
	const struct walk *walk;
	const uint8_t *producer;      /* PRODUCER_ID_BYTES */
	int64_t start_ns;             /* of records before which none has a time */
	int64_t origin_ns;            /* of relative times */
	const struct import_run *run; /* how it ended; NULL: as finished, now */
};

struct transfer_result {
	uint64_t lines, samples, series, windows;
	uint64_t refused_names;   /* samples not sent because their series may not be named so */
	uint64_t refused_samples; /* samples not sent because of their time */
	uint64_t moved_lines;     /* lines whose time is none, and which took the one before */
	uint64_t requests, duplicates;
	uint64_t rejected_samples, rejected_lines; /* by the server */
	char reject_code[64];
	int64_t first_ns, last_ns; /* least and greatest time of what was sent */
};

/* The last request ends the run. */
int transfer_files(const struct transfer *t, struct upload *u, struct transfer_result *ret, struct fault *f);

#endif

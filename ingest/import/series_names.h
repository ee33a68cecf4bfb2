/*
 * series_names.h - the series met in the files of a run, each with its number in the present request.
 *
 * Holds at most SERIES_NAMES_MAX of them.  One thread.
 */
#ifndef INGEST_IMPORT_SERIES_NAMES_H
#define INGEST_IMPORT_SERIES_NAMES_H

#include "ingest/import/sink.h"

#define SERIES_NAMES_MAX 100000

struct series_entry {
	uint64_t hash;
	char *name; /* metric, and labels if there are any; NULL: a free slot */
	size_t len;
	uint64_t request; /* the last request that defined it; 0: none yet */
	uint32_t index;   /* its number there */
};

struct series_names {
	struct series_entry *slots;
	size_t n, cap;  /* cap: a power of two */
	struct buf key; /* of the one that is looked for */
};

void series_names_init(struct series_names *m);
void series_names_release(struct series_names *m);

/* The entry of a sample's series, made when it is new; borrowed until the next call.  NULL in it
 * when it may not be named so (see ingest/names.h), or is one too many.  ERR_NOMEM. */
int series_names_get(struct series_names *m, const struct import_sample *s, struct series_entry **ret);

#endif

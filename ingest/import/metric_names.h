/*
 * metric_names.h - the names of metrics met in a file, each with its number in the present request.
 *
 * Holds at most METRIC_NAMES_MAX names.  One thread.
 */
#ifndef INGEST_IMPORT_METRIC_NAMES_H
#define INGEST_IMPORT_METRIC_NAMES_H

#include <stdint.h>

#include "store/base/buf.h"

#define METRIC_NAMES_MAX 100000

struct metric_name {
	uint64_t hash;
	char *name; /* NULL: a free slot */
	size_t len;
	uint64_t request; /* the last request that defined it; 0: none yet */
	uint32_t index;   /* its number there */
};

struct metric_names {
	struct metric_name *slots;
	size_t n, cap; /* cap: a power of two */
};

/* The entry of a name, made when it is new; borrowed until the next call.  NULL in it when the
 * name may not be one (see metric_name_ok), or is one too many.  ERR_NOMEM. */
int metric_names_get(struct metric_names *m, struct span name, struct metric_name **ret);
void metric_names_release(struct metric_names *m);

/* 1 to METRIC_NAME_MAX bytes of UTF-8 without control characters, as ingest wants them. */
bool metric_name_ok(struct span name);

#endif

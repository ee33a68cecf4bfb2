/*
 * names.h - what may name a metric, a label, a unit, a stream: UTF-8 without control characters.
 *
 * Checks return 0, or ERR_REFUSED with the field, the name's beginning and the limit in f (which
 * may be NULL).  Pure; any thread.
 */
#ifndef INGEST_NAMES_H
#define INGEST_NAMES_H

#include "store/model.h"

/* Well-formed UTF-8 (RFC 3629) without U+0000-001F, U+007F and U+0080-009F. */
bool name_is_clean(struct span s);

int name_check(struct span s, const char *field, size_t least, size_t most, struct fault *f);

/* Checks metric, unit and labels, and sorts the labels by key. */
int name_check_series(struct series_name *name, struct fault *f);

/* Checks the attributes of a log record as if they were labels: clean, 1-250 and 0-250 bytes, at
 * most LOG_ATTRS_MAX, keys differ. */
bool name_attributes_are_good(const struct label *attrs, size_t n);

/* The beginning of foreign text for a sentence; what cannot be shown becomes '?'. */
#define EXCERPT_MAX 64
const char *name_excerpt(struct span s, char ret[EXCERPT_MAX]);

#endif

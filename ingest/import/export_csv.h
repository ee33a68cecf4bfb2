/*
 * export_csv.h - the CSV of `astraml export` (query/exportline.h), told by its first line.
 */
#ifndef INGEST_IMPORT_EXPORT_CSV_H
#define INGEST_IMPORT_EXPORT_CSV_H

#include "ingest/import/format.h"

/* Whether the file is one: looks at its beginning, and passes over nothing. */
int export_csv_begins(struct input *in, bool *ret, struct fault *f);

/* Reads it, as a format does: each row becomes a line of `export`. */
int export_csv_read(struct input *in, struct import_sink *k, struct fault *f);

#endif

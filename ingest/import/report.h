/*
 * report.h - what is said about an imported run: a line on stdout, what was left out on stderr.
 */
#ifndef INGEST_IMPORT_REPORT_H
#define INGEST_IMPORT_REPORT_H

#include "ingest/import/transfer.h"

/* The name of a file as a name and tag of a run may hold it: bytes that may not be in one become
 * '?', and what is over SHOWN_NAME_MAX is cut. */
#define SHOWN_NAME_MAX 250
void shown_name(const char *name, char ret[SHOWN_NAME_MAX + 1]);

/* A sentence about a file, on stderr; control characters of foreign names and cells become '?'. */
void report_problem(const char *name, const char *text);

int add_json_text(struct buf *b, const char *s);

void report_summary(const struct import_item *item, const char *run, const struct transfer_result *r);
void report_json(const struct import_item *item, const char *run, const struct transfer_result *r);
void report_left_out(const struct import_item *item, const struct transfer_result *r);

#endif

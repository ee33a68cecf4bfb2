/*
 * mllog.h - one line of an MLPerf result log.
 */
#ifndef INGEST_IMPORT_MLLOG_H
#define INGEST_IMPORT_MLLOG_H

#include "ingest/import/line_facts.h"

/* The line comes with its end, and has at most LOG_TEXT_MAX bytes of any content; what is not
 * understood says nothing.  ERR_NOMEM. */
int mllog_parse_line(struct span line, struct line_facts *ret);

#endif

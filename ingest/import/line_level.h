/*
 * line_level.h - the level that a line of console text tells, in the words of many loggers.
 *
 * LEVEL_NONE: it tells none.  Pure; any thread.
 */
#ifndef INGEST_IMPORT_LINE_LEVEL_H
#define INGEST_IMPORT_LINE_LEVEL_H

#include "store/model.h"

/* The letters of glog and TensorFlow: I W E F. */
enum level level_of_letter(uint8_t c);

/* A level among the first words of text, which lies in a line that begins at `line`. */
enum level level_near(struct span text, const uint8_t *line);

/* <134> at the start of a line: the priority of syslog. */
enum level level_of_priority(struct span line);

/* Of a line without a time: "WARNING:root:...", "[INFO] ...", "... NCCL WARN ...". */
enum level level_of_plain(struct span line);

#endif

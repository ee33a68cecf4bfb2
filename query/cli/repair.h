/*
 * repair.h - `astraml verify --repair`: verifies, mends, verifies again.  Inside query/ only.
 */
#ifndef QUERY_REPAIR_H
#define QUERY_REPAIR_H

#include "query/cli/source.h"

/* An exit status: EXIT_OK when nothing is damaged any more.  Refuses a directory that a process holds, and
 * one whose data file has a damaged structure. */
int repair_directory(const struct target *t);

#endif

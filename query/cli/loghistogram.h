/*
 * loghistogram.h - shows how many records of each level a log has over time: the answer of
 * /runs/{run}/logs/histogram as a table with bars.
 *
 * A row for each window, one of dots where windows without records are left out.  Bars are as long as
 * the window's records beside those of the fullest one; errors, warnings and the rest differ without
 * colours too, and none that is there is too little to be seen.
 */
#ifndef QUERY_LOGHISTOGRAM_H
#define QUERY_LOGHISTOGRAM_H

#include <json-c/json.h>

#include "proto/target.h"

/* On stdout; false: there are no records. */
bool log_histogram_show(struct json_object *answer, const struct target *t);

#endif

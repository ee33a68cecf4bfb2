/*
 * time_format.h - times of a form that the user describes: --time-format.
 *
 * The directives of strptime(3), and %f for a fraction of a second (as in Python).  %s is seconds
 * since 1970.  A zone is %z or none: then it is UTC.  A form without a year takes that of the
 * year rule.  Any thread.
 */
#ifndef INGEST_IMPORT_TIME_FORMAT_H
#define INGEST_IMPORT_TIME_FORMAT_H

#include "ingest/line_time.h"

#define TIME_FORMAT_MAX 128 /* bytes of a form, and of a time of that form */

/* ERR_REFUSED with the way out: too long, not one that strptime can read, or it tells no day. */
int time_format_check(const char *format, struct fault *f);

/* The time that text begins with; whole: and nothing else but blanks. */
bool time_format_parse(const char *format, struct span text, bool whole, const struct year_rule *years,
		       int64_t *ret_ns);

#endif

/*
 * duration.h - lengths of time as people write them.  Pure; any thread.
 */
#ifndef STORE_BASE_DURATION_H
#define STORE_BASE_DURATION_H

#include "store/base/buf.h"

/* "500ms", "30s", "5m", "1h30m", "1d", "2w", "2y" (of 365 days): at least 1 ms, at most 100 years. */
bool duration_parse(struct span s, int64_t *ret_ns);

#define DURATION_TEXT_MAX 32
/* The shortest such text in one unit: "30s", "5m", "90s". */
void duration_print(int64_t ns, char ret[DURATION_TEXT_MAX]);

/* How long something is kept: as that, or "0s" (not at all), or "forever" (INT64_MAX). */
bool keep_parse(struct span s, int64_t *ret_ns);
void keep_print(int64_t ns, char ret[DURATION_TEXT_MAX]);

#endif

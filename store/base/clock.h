/*
 * clock.h - one clock type: int64_t nanoseconds since the Unix epoch, UTC (_ns).
 *
 * Text forms are RFC 3339.  Times outside 1970..2262 do not exist here.  Any thread.
 */
#ifndef STORE_BASE_CLOCK_H
#define STORE_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_S   INT64_C(1000000000)
#define NS_PER_MS  INT64_C(1000000)
#define NS_PER_DAY (86400 * NS_PER_S)

int64_t clock_now_ns(void);  /* wall clock */
int64_t clock_mono_ns(void); /* for deadlines and durations; never jumps */

/* The same in steps of some milliseconds, for a tenth of the time: sums of many short durations come out
 * right, one alone does not. */
int64_t clock_rough_ns(void);

#define CLOCK_TEXT_MAX 32

/* "2025-07-06T12:00:00Z", with as many decimals of a second (0, 3, 6, 9) as t_ns needs.
 * Writes at most CLOCK_TEXT_MAX bytes with the final NUL; returns the length. */
size_t clock_format(int64_t t_ns, char *ret);

/* RFC 3339: date, 'T', 't' or space, time, optional fraction (digits past the ninth are cut),
 * then 'Z' or an offset.  False when it is not that, or not a day that exists, or out of range. */
bool clock_parse(const char *s, size_t len, int64_t *ret_ns);

/* Days from 1970-01-01 to a civil date (proleptic Gregorian; Howard Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms"); month 1..12, day 1..31, not checked. */
int64_t clock_days_from_civil(int64_t year, int month, int day);

#endif

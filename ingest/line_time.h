/*
 * line_time.h - the time and the level that a line of console text tells, in the forms that
 * loggers write.
 *
 * A time is looked for among the first words of the line only (LINE_TIME_WORDS, within
 * LINE_TIME_REACH bytes), so that one in the message itself is not taken for it:
 *
 *   2025-03-06T12:06:29.038Z  2025-03-06 12:06:29,038  2025/03/06 12:06:29  20250306 12:06:29
 *   06/Mar/2025:12:06:29 +0000  06 Mar 2025 12:06:29  Mar  6 12:06:29  Thu Mar  6 12:06:29 2025
 *   I0306 12:06:29.038456 (glog, absl), I306 12:06:29.038 (PyTorch)
 *
 * each with or without a fraction and a zone (Z, UTC, GMT, +hh:mm, +hhmm); without one it is UTC.
 * AM and PM count behind years that come first.
 * The level is that of line_level.h, whose words are looked for near the time.
 *
 * Pure; any thread.  Sources: glog's logging.h (the line prefix), RFC 3339, RFC 5424 6.2.1 and
 * RFC 3164 4.1 (priority, timestamp), Apache's and nginx's log format documentation.
 */
#ifndef INGEST_LINE_TIME_H
#define INGEST_LINE_TIME_H

#include "store/model.h"

/* Times lie before this, the end of the year 2261. */
#define LINE_TIME_END_NS (INT64_C(9214646400) * NS_PER_S)

#define LINE_TIME_REACH 96
#define LINE_TIME_WORDS 4

/* Which year a time without one is of: the latest that leaves it no more than a day after a time
 * (a day, because the zone of the log is not known either), or the first that leaves it no more
 * than a day before one. */
struct year_rule {
	bool is_start;
	int64_t t_ns;
	int year; /* of t_ns */
};

struct year_rule year_rule_until(int64_t t_ns);
struct year_rule year_rule_from(int64_t t_ns);

/* A moment as it is written. */
struct civil_time {
	int year; /* 0: not told */
	int month, day, hour, minute, second;
	int64_t fraction_ns;
	int32_t zone_s; /* to be subtracted */
};

/* false: there is no such day or hour, or it lies outside 1700..2261.  Before 1970 it is negative. */
bool civil_time_ns(const struct civil_time *t, const struct year_rule *years, int64_t *ret_ns);

struct line_time {
	bool has_time;
	int64_t t_ns;
	enum level level;
};

void line_time_find(struct span line, const struct year_rule *years, struct line_time *ret);

/* The same times, as the whole of a cell: blanks around it are passed over. */
bool line_time_parse(struct span cell, const struct year_rule *years, int64_t *ret_ns);

/* Decimal text, sign and fraction included, in units of unit_ns (10^k) to nanoseconds, exactly;
 * digits below one are cut.  false: something else, or past 292 years. */
bool decimal_time(struct span text, int64_t unit_ns, int64_t *ret_ns);

/* A number that counts from 1970, in the unit that its size tells: seconds from 1e8 (March 1973)
 * to 1e11, then milliseconds, microseconds, nanoseconds, by steps of a thousand. */
bool epoch_time(struct span text, int64_t *ret_ns);

#endif

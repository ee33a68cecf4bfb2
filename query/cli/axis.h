/*
 * axis.h - the round values along an axis, and how they are written.  Pure.
 *
 * Values are doubles: plain numbers, training steps, seconds since 1970 UTC, or seconds since the
 * start of a run.  All ticks lie within [low, high] and are `most` at most (but never more than
 * AXIS_TICKS_MAX); their texts differ, and say exactly where they stand.  low < high, both finite.
 */
#ifndef QUERY_AXIS_H
#define QUERY_AXIS_H

#include <stdbool.h>
#include <stddef.h>

#define AXIS_TICKS_MAX 32
#define AXIS_TEXT_MAX  32

struct tick {
	double at;
	char text[AXIS_TEXT_MAX];
	char day[AXIS_TEXT_MAX]; /* of axis_time: the date, where it is another than the tick's before; "" */
};

struct ticks {
	struct tick list[AXIS_TICKS_MAX];
	size_t n;
};

/* 1, 2 or 5 times a power of ten apart. */
void axis_linear(double low, double high, unsigned most, struct ticks *ret);

/* The same, whole numbers only: "0", "500", "10k". */
void axis_steps(double low, double high, unsigned most, struct ticks *ret);

/* Powers of ten, with 2 and 5 between where there is room, or as axis_linear on less than a decade;
 * low > 0. */
void axis_log(double low, double high, unsigned most, struct ticks *ret);

/* Whole seconds, minutes, hours, days, months or years of UTC. */
void axis_time(double low, double high, unsigned most, struct ticks *ret);

/* "0", "30s", "10m", "1h30m", "2d". */
void axis_spans(double low, double high, unsigned most, struct ticks *ret);

#endif

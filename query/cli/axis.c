#include "query/cli/axis.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/base/clock.h"

#define DAY_S 86400LL

static struct tick *tick_add(struct ticks *t, double at)
{
	struct tick *k = &t->list[t->n++];

	*k = (struct tick){ .at = at };
	return k;
}

static unsigned clamp(unsigned most) { return most < AXIS_TICKS_MAX ? most : AXIS_TICKS_MAX; }

/* How many multiples of step lie in [low, high]. */
static double multiples(double low, double high, double step)
{
	return floor(high / step) - ceil(low / step) + 1;
}

/* ---- numbers ---- */

struct nice {
	double mantissa; /* 1, 2 or 5 */
	int exponent;
};

static double nice_value(struct nice s)
{
	/* 10^-n is no double, 10^n is: dividing gives the nearest double of 0.05, multiplying does not */
	return s.exponent < 0 ? s.mantissa / pow(10, -s.exponent) : s.mantissa * pow(10, s.exponent);
}

static struct nice nice_next(struct nice s)
{
	if (s.mantissa == 5)
		return (struct nice){ 1, s.exponent + 1 };
	return (struct nice){ s.mantissa == 1 ? 2 : 5, s.exponent };
}

static struct nice nice_step(double low, double high, unsigned most)
{
	struct nice s = { 1, (int)floor(log10((high - low) / most)) - 1 };

	while (multiples(low, high, nice_value(s)) > most)
		s = nice_next(s);
	return s;
}

/* "1.50e-05" as people write it: "1.50e-5". */
static void short_exponent(char *text)
{
	char *e = strchr(text, 'e'), *digits;

	if (!e)
		return;
	digits = e + 2 + strspn(e + 2, "0");
	if (*digits == 0) {
		*e = 0;
		return;
	}
	e += e[1] == '-' ? 2 : 1;
	memmove(e, digits, strlen(digits) + 1);
}

/* v, a multiple of step, with as many digits as the step has, where the greatest is `most`. */
static void number_text(double v, double most, struct nice step, char ret[AXIS_TEXT_MAX])
{
	int top = most > 0 ? (int)floor(log10(most)) : 0;
	int digits = top - step.exponent;

	if (v == 0)
		snprintf(ret, AXIS_TEXT_MAX, "0");
	else if (top >= 6 || top < -4 || step.exponent < -8) {
		digits -= top - (int)floor(log10(fabs(v)) + 1e-9);
		snprintf(ret, AXIS_TEXT_MAX, "%.*e", digits < 0 ? 0 : digits < 17 ? digits : 17, v);
		short_exponent(ret);
	} else {
		snprintf(ret, AXIS_TEXT_MAX, "%.*f", step.exponent < 0 ? -step.exponent : 0, v);
	}
}

/* A range that doubles cannot divide: its ends. */
static void axis_ends(double low, double high, struct ticks *ret)
{
	snprintf(tick_add(ret, low)->text, AXIS_TEXT_MAX, "%.17g", low);
	snprintf(tick_add(ret, high)->text, AXIS_TEXT_MAX, "%.17g", high);
}

static bool divisible(double low, double high)
{
	double most = fmax(fabs(low), fabs(high));

	return isfinite(high - low) && high - low > most * 1e-13 && high - low > 1e-290;
}

void axis_linear(double low, double high, unsigned most, struct ticks *ret)
{
	struct nice s;
	double step, first, n;

	*ret = (struct ticks){ 0 };
	most = clamp(most);
	if (!divisible(low, high)) {
		if (most >= 2)
			axis_ends(low, high, ret);
		return;
	}
	s = nice_step(low, high, most);
	step = nice_value(s);
	first = ceil(low / step);
	n = multiples(low, high, step);
	for (int i = 0; i < n; i++) {
		double k = first + i;
		double at = s.exponent < 0 ? k * s.mantissa / pow(10, -s.exponent) : k * step;

		if (at >= low && at <= high) /* not by a rounding beside it */
			number_text(at, fmax(fabs(low), fabs(high)), s, tick_add(ret, at)->text);
	}
}

/* "1500", "20k", "3M": thousands and millions where nothing is lost. */
static void step_text(double v, char ret[AXIS_TEXT_MAX])
{
	double a = fabs(v);

	if (a >= 1e6 && fmod(v, 1e5) == 0)
		snprintf(ret, AXIS_TEXT_MAX, "%.15gM", v / 1e6);
	else if (a >= 1e4 && fmod(v, 1e3) == 0)
		snprintf(ret, AXIS_TEXT_MAX, "%.15gk", v / 1e3);
	else
		snprintf(ret, AXIS_TEXT_MAX, "%.0f", v);
}

void axis_steps(double low, double high, unsigned most, struct ticks *ret)
{
	struct nice s = nice_step(low, high, clamp(most));
	double step, n;

	*ret = (struct ticks){ 0 };
	if (s.exponent < 0)
		s = (struct nice){ 1, 0 };
	while (multiples(low, high, nice_value(s)) > clamp(most))
		s = nice_next(s);
	step = nice_value(s);
	n = multiples(low, high, step);
	for (int i = 0; i < n; i++) {
		double at = (ceil(low / step) + i) * step;

		if (at >= low && at <= high)
			step_text(at + 0.0, tick_add(ret, at)->text);
	}
}

/* Every `stride`th power of ten, with the multiples of it that are given. */
static void axis_decades(double low, double high, unsigned most, int stride, const char *multiples_of,
			 struct ticks *ret)
{
	int from = (int)floor(log10(low)), to = (int)ceil(log10(high));

	*ret = (struct ticks){ 0 };
	for (int e = from; e <= to; e++) {
		for (const char *m = multiples_of; *m && e % stride == 0; m++) {
			struct nice v = { *m - '0', e };
			double at = nice_value(v);

			if (at < low || at > high)
				continue;
			if (ret->n == most) {
				ret->n = most + 1; /* too many: the caller tries a wider spacing */
				return;
			}
			number_text(at, at, v, tick_add(ret, at)->text);
		}
	}
}

void axis_log(double low, double high, unsigned most, struct ticks *ret)
{
	static const char *const sets[] = { "125", "15", "1" };

	most = clamp(most);
	if (most >= AXIS_TICKS_MAX)
		most = AXIS_TICKS_MAX - 1;
	if (high / low < 10) {
		axis_linear(low, high, most, ret);
		return;
	}
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		axis_decades(low, high, most, 1, sets[i], ret);
		if (ret->n <= most)
			return;
	}
	for (int stride = 2; ret->n > most; stride++)
		axis_decades(low, high, most, stride, "1", ret);
}

/* ---- time ---- */

static const long long span_steps[] = { 1,     2,     5,     10,    15,        30,        60,
					120,   300,   600,   900,   1800,      3600,      7200,
					10800, 21600, 43200, DAY_S, 2 * DAY_S, 7 * DAY_S, 14 * DAY_S };

/* The least step that gives at most `most` ticks; 0: none of them does. */
static long long span_step(double low, double high, unsigned most)
{
	for (size_t i = 0; i < sizeof span_steps / sizeof *span_steps; i++)
		if (multiples(low, high, (double)span_steps[i]) <= most)
			return span_steps[i];
	return 0;
}

static void span_text(long long s, char ret[AXIS_TEXT_MAX])
{
	long long a = s < 0 ? -s : s;
	const long long parts[] = { a / DAY_S, a % DAY_S / 3600, a % 3600 / 60, a % 60 };
	size_t n = 0;

	if (s == 0) {
		snprintf(ret, AXIS_TEXT_MAX, "0");
		return;
	}
	if (s < 0)
		ret[n++] = '-';
	for (size_t i = 0; i < 4; i++)
		if (parts[i])
			n += (size_t)snprintf(ret + n, AXIS_TEXT_MAX - n, "%lld%c", parts[i], "dhms"[i]);
}

void axis_spans(double low, double high, unsigned most, struct ticks *ret)
{
	long long step = span_step(low, high, clamp(most));

	*ret = (struct ticks){ 0 };
	if (step == 0) { /* days in round numbers */
		axis_steps(low / (double)DAY_S, high / (double)DAY_S, most, ret);
		for (size_t i = 0; i < ret->n; i++) {
			struct tick *k = &ret->list[i];

			snprintf(k->text, sizeof k->text, k->at == 0 ? "0" : "%.0fd", k->at);
			k->at *= (double)DAY_S;
		}
		return;
	}
	for (double at = ceil(low / (double)step) * (double)step; at <= high; at += (double)step)
		span_text((long long)at, tick_add(ret, at)->text);
}

static void date_parts(double at, struct tm *ret)
{
	time_t t = (time_t)at;

	gmtime_r(&t, ret);
}

/* Months and years, which are not all as long. */
static void axis_months(double low, double high, unsigned most, struct ticks *ret)
{
	static const int steps[] = { 1, 2, 3, 6, 12, 24, 60, 120, 600, 1200 };
	struct tm tm;

	date_parts(low, &tm);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		int first = (tm.tm_year + 1900) * 12 + tm.tm_mon;

		*ret = (struct ticks){ 0 };
		for (int m = first / steps[i] * steps[i]; ret->n <= most; m += steps[i]) {
			double at = (double)(clock_days_from_civil(m / 12, m % 12 + 1, 1) * DAY_S);
			struct tick *k;

			if (at > high)
				return;
			if (at < low)
				continue;
			if (ret->n == most)
				break;
			k = tick_add(ret, at);
			snprintf(k->text, sizeof k->text, "%d-%02d", m / 12, m % 12 + 1);
			if (steps[i] % 12 == 0)
				snprintf(k->text, sizeof k->text, "%d", m / 12);
		}
	}
}

void axis_time(double low, double high, unsigned most, struct ticks *ret)
{
	long long step = span_step(low, high, clamp(most));
	char day[AXIS_TEXT_MAX] = "";

	if (step == 0 || step > 14 * DAY_S) {
		axis_months(low, high, clamp(most), ret);
		return;
	}
	*ret = (struct ticks){ 0 };
	for (double at = ceil(low / (double)step) * (double)step; at <= high; at += (double)step) {
		struct tick *k = tick_add(ret, at);
		char date[AXIS_TEXT_MAX];
		struct tm tm;

		date_parts(at, &tm);
		if (step >= DAY_S) {
			strftime(k->text, sizeof k->text, "%b %d", &tm);
			strftime(date, sizeof date, "%Y", &tm);
		} else {
			strftime(k->text, sizeof k->text, step % 60 ? "%H:%M:%S" : "%H:%M", &tm);
			strftime(date, sizeof date, "%Y-%m-%d", &tm);
		}
		if (strcmp(date, day) != 0)
			memcpy(k->day, date, sizeof date);
		memcpy(day, date, sizeof day);
	}
}

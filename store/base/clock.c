#include "store/base/clock.h"

#include <time.h>

#include "store/base/bytes.h"
#include "store/base/digits.h"

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_now_ns(void) { return read_clock(CLOCK_REALTIME); }

int64_t clock_mono_ns(void) { return read_clock(CLOCK_MONOTONIC); }

int64_t clock_rough_ns(void) { return read_clock(CLOCK_MONOTONIC_COARSE); }

int64_t clock_days_from_civil(int64_t y, int m, int d)
{
	int64_t era, yoe, doy, doe;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + doe - 719468;
}

static void civil_from_days(int64_t z, int64_t *ret_y, int *ret_m, int *ret_d)
{
	int64_t era, doe, yoe, doy, mp;

	z += 719468;
	era = (z >= 0 ? z : z - 146096) / 146097;
	doe = z - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	*ret_d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*ret_m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*ret_y = yoe + era * 400 + (*ret_m <= 2);
}

/* The last n of eight digits; writes all eight bytes of room. */
static char *put_digits(char *p, uint32_t v, int n)
{
	put_le64((uint8_t *)p, eight_digits(v) >> (64 - 8 * n));
	return p + n;
}

static char *put_fraction(char *p, uint32_t frac)
{
	if (frac == 0)
		return p;
	*p++ = '.';
	if (frac % (uint32_t)NS_PER_MS == 0)
		return put_digits(p, frac / (uint32_t)NS_PER_MS, 3);
	if (frac % 1000 == 0)
		return put_digits(p, frac / 1000, 6);
	*p++ = (char)('0' + frac / 100000000);
	return put_digits(p, frac % 100000000, 8);
}

size_t clock_format(int64_t t_ns, char *ret)
{
	int64_t s = t_ns / NS_PER_S, frac = t_ns % NS_PER_S, y;
	char *p = ret;
	int m, d, tod;

	if (frac < 0) {
		frac += NS_PER_S;
		s--;
	}
	tod = (int)(((s % 86400) + 86400) % 86400);
	civil_from_days((s - tod) / 86400, &y, &m, &d);
	p = put_digits(p, (uint32_t)y, 4); /* 64 bits of nanoseconds reach from 1677 to 2262 */
	*p++ = '-';
	p = put_digits(p, (uint32_t)m, 2);
	*p++ = '-';
	p = put_digits(p, (uint32_t)d, 2);
	*p++ = 'T';
	p = put_digits(p, (uint32_t)(tod / 3600), 2);
	*p++ = ':';
	p = put_digits(p, (uint32_t)(tod / 60 % 60), 2);
	*p++ = ':';
	p = put_digits(p, (uint32_t)(tod % 60), 2);
	p = put_fraction(p, (uint32_t)frac);
	*p++ = 'Z';
	*p = 0;
	return (size_t)(p - ret);
}

struct scan {
	const char *p, *end;
};

/* Exactly n digits. */
static bool scan_int(struct scan *s, int n, int *ret)
{
	int v = 0;

	if (s->end - s->p < n)
		return false;
	for (; n > 0; n--, s->p++) {
		if (*s->p < '0' || *s->p > '9')
			return false;
		v = v * 10 + (*s->p - '0');
	}
	*ret = v;
	return true;
}

static bool scan_char(struct scan *s, const char *any)
{
	for (; *any; any++)
		if (s->p < s->end && *s->p == *any) {
			s->p++;
			return true;
		}
	return false;
}

static bool scan_fraction(struct scan *s, int64_t *ret_ns)
{
	int64_t unit = NS_PER_S / 10, ns = 0;
	const char *start;

	*ret_ns = 0;
	if (!scan_char(s, ".,"))
		return true;
	for (start = s->p; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++, unit /= 10)
		ns += (*s->p - '0') * unit;
	*ret_ns = ns;
	return s->p > start;
}

static bool scan_zone(struct scan *s, int *ret_offset_s)
{
	int h, m;
	bool minus = s->p < s->end && *s->p == '-';

	if (scan_char(s, "Zz")) {
		*ret_offset_s = 0;
		return true;
	}
	if (!scan_char(s, "+-") || !scan_int(s, 2, &h))
		return false;
	scan_char(s, ":");
	if (!scan_int(s, 2, &m) || h > 23 || m > 59)
		return false;
	*ret_offset_s = (h * 3600 + m * 60) * (minus ? -1 : 1);
	return true;
}

static int days_in_month(int y, int m)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return days[m - 1] + (m == 2 && leap);
}

bool clock_parse(const char *text, size_t len, int64_t *ret_ns)
{
	struct scan s = { text, text + len };
	int y, mo, d, h, mi, se, offset;
	int64_t frac, secs;

	if (!scan_int(&s, 4, &y) || !scan_char(&s, "-") || !scan_int(&s, 2, &mo) || !scan_char(&s, "-") ||
	    !scan_int(&s, 2, &d) || !scan_char(&s, "Tt ") || !scan_int(&s, 2, &h) || !scan_char(&s, ":") ||
	    !scan_int(&s, 2, &mi) || !scan_char(&s, ":") || !scan_int(&s, 2, &se) ||
	    !scan_fraction(&s, &frac) || !scan_zone(&s, &offset) || s.p != s.end)
		return false;
	if (mo < 1 || mo > 12 || d < 1 || d > days_in_month(y, mo) || h > 23 || mi > 59 || se > 60 ||
	    y > 2261)
		return false;
	secs = clock_days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + se - offset;
	if (secs < 0)
		return false;
	*ret_ns = secs * NS_PER_S + frac;
	return true;
}

#include "store/base/number.h"

#include <charconv>
#include <cmath>
#include <limits>

size_t number_print(double v, char *ret)
{
	return (size_t)(std::to_chars(ret, ret + NUMBER_TEXT_MAX, v).ptr - ret);
}

/*
 * from_chars leaves the value alone when it is out of range, and does not say on which side.  The
 * place of the first digit that counts, moved by the exponent, does.
 */
static double out_of_range(const char *s, const char *end)
{
	const char *p = s + (*s == '-');
	bool minus = *s == '-', point = false, digit = false, down;
	long place = 0, exponent = 0;

	for (; p < end && *p != 'e' && *p != 'E'; p++) {
		point = point || *p == '.';
		digit = digit || (*p >= '1' && *p <= '9');
		place += *p == '.' ? 0 : digit && !point ? 1 : !digit && point ? -1 : 0;
	}
	down = p + 1 < end && p[1] == '-';
	for (; p < end; p++)
		if (*p >= '0' && *p <= '9' && exponent < 1000000000)
			exponent = exponent * 10 + (*p - '0');
	place += down ? -exponent : exponent;
	return (minus ? -1 : 1) * (place > 0 ? std::numeric_limits<double>::infinity() : 0.0);
}

bool number_parse(const char *s, size_t len, double *ret)
{
	const char *end = s + len;
	double v = 0;

	if (len > 1 && *s == '+' && s[1] != '-')
		s++;
	if (s == end)
		return false;
	auto r = std::from_chars(s, end, v);
	if (r.ptr != end)
		return false;
	if (r.ec == std::errc::result_out_of_range)
		v = out_of_range(s, end);
	else if (r.ec != std::errc())
		return false;
	*ret = v;
	return true;
}

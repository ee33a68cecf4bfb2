#include "store/base/number.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

static const char two_digits[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
				 "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
				 "8081828384858687888990919293949596979899";

/* v without leading zeros, ending before `end`; returns where it begins. */
static char *put_digits(char *end, uint64_t v)
{
	for (; v >= 100; v /= 100) {
		const char *two = &two_digits[v % 100 * 2];

		*--end = two[1];
		*--end = two[0];
	}
	if (v >= 10)
		*--end = two_digits[v * 2 + 1];
	*--end = v >= 10 ? two_digits[v * 2] : static_cast<char>('0' + v);
	return end;
}

/*
 * Numbers of at most four decimals below 10^9, which measured and rounded ones mostly are.  What is
 * found has at most 13 digits, and no two decimals of at most 15 digits are the same double: if one
 * reads back to v it is the only one, so the shortest.  `divided` is correctly rounded, so it is how
 * the decimal reads back.  0 when v is not so, or to_chars would choose the exponent (1e+05, 1e-04).
 */
static size_t print_decimal(double v, char *ret)
{
	double a = std::fabs(v), scaled = a * 10000;
	char text[24], *end = text + sizeof text, *from;
	uint64_t n = scaled < 1e13 ? static_cast<uint64_t>(scaled) : 0, whole = n / 10000, rest = n % 10000;
	size_t len;

	if (n == 0 || static_cast<double>(n) != scaled || scaled / 10000 != a || (whole >= 100000 && whole % 10 == 0) ||
	    (whole == 0 && rest < 10))
		return 0;
	if (rest) {
		*--end = two_digits[rest % 100 * 2 + 1];
		*--end = two_digits[rest % 100 * 2];
		*--end = two_digits[rest / 100 * 2 + 1];
		*--end = two_digits[rest / 100 * 2];
		from = end;
		end = text + sizeof text;
		while (end[-1] == '0')
			end--;
		*--from = '.';
		from = put_digits(from, whole);
	} else {
		from = put_digits(end, whole);
	}
	if (std::signbit(v))
		*--from = '-';
	len = static_cast<size_t>(end - from);
	std::copy(from, end, ret);
	return len;
}

size_t number_print(double v, char *ret)
{
	size_t n = print_decimal(v, ret);

	return n ? n : static_cast<size_t>(std::to_chars(ret, ret + NUMBER_TEXT_MAX, v).ptr - ret);
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

#include "store/base/number.h"
#include "store/base/digits.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
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

static const uint64_t fives[] = {
	UINT64_C(1), UINT64_C(5), UINT64_C(25), UINT64_C(125), UINT64_C(625), UINT64_C(3125),
	UINT64_C(15625), UINT64_C(78125), UINT64_C(390625), UINT64_C(1953125), UINT64_C(9765625),
	UINT64_C(48828125), UINT64_C(244140625), UINT64_C(1220703125), UINT64_C(6103515625),
	UINT64_C(30517578125), UINT64_C(152587890625), UINT64_C(762939453125), UINT64_C(3814697265625),
	UINT64_C(19073486328125), UINT64_C(95367431640625), UINT64_C(476837158203125),
	UINT64_C(2384185791015625), UINT64_C(11920928955078125), UINT64_C(59604644775390625),
	UINT64_C(298023223876953125), UINT64_C(1490116119384765625), UINT64_C(7450580596923828125),
};

/*
 * The integer d and *ret_k of the shortest decimal d / 10^k that reads back to c * 2^q, and of the shortest
 * ones the nearest (after R. Giulietti, "The Schubfach way to render doubles"); c has 53 bits, and is not the
 * least such.  10^-k is the greatest power of ten that is not above 2^q, the distance of doubles there: so
 * between the two halfways to the next doubles lie one to ten integers, at most one of which ends in a zero
 * and is shorter.  (The halfways have 1 - q decimals, more than k, so they are none.)  For -89 <= q < 0 all is
 * exact in 128 bits, in units of 2^-unit.
 */
static uint64_t shortest(uint64_t c, int q, int *ret_k)
{
	typedef unsigned __int128 wide;
	int k = (-q * 315653 >> 20) + 1; /* log10(2) * 2^20 */
	int unit = 1 - (q + k);
	wide v = static_cast<wide>(2 * c) * fives[k];
	wide least = v - fives[k], most = v + fives[k];
	uint64_t d = static_cast<uint64_t>(v >> unit), tens = d / 10 * 10;
	bool below = static_cast<wide>(tens) << unit >= least, above = static_cast<wide>(tens + 10) << unit <= most;
	wide half, rest;

	*ret_k = k;
	if (below || above)
		return below ? tens : tens + 10;
	half = static_cast<wide>(1) << (unit - 1);
	rest = v - (static_cast<wide>(d) << unit);
	return d + (rest > half || (rest == half && (d & 1)));
}

/* The digits of d, 10^15 < d < 10^17, without the zeros at its end. */
struct digits {
	uint8_t text[24]; /* room for whole words */
	const uint8_t *first;
	int n, exponent; /* of 0.d..d it is, digits before the point */
};

static int zeros_at_end(const uint8_t *eight)
{
	uint64_t word;

	std::memcpy(&word, eight, 8);
	word ^= UINT64_C(0x3030303030303030);
	return word ? __builtin_clzll(word) / 8 : 8;
}

static void digits_of(uint64_t d, int k, struct digits *ret)
{
	uint64_t top = d / 100000000, lead = top / 100000000;
	int zeros;

	ret->text[0] = static_cast<uint8_t>('0' + lead);
	put_eight(ret->text + 1, static_cast<uint32_t>(top % 100000000));
	put_eight(ret->text + 9, static_cast<uint32_t>(d % 100000000));
	ret->first = ret->text + (lead == 0);
	ret->n = 16 + (lead != 0);
	ret->exponent = ret->n - k;
	zeros = zeros_at_end(ret->text + 9);
	ret->n -= zeros < 8 ? zeros : 8 + zeros_at_end(ret->text + 1);
}

static size_t put_scientific(const struct digits *g, char *ret)
{
	char *p = ret;
	int e = 1 - g->exponent;

	*p++ = static_cast<char>(*g->first);
	if (g->n > 1) {
		*p++ = '.';
		std::memcpy(p, g->first + 1, 16);
		p += g->n - 1;
	}
	*p++ = 'e';
	*p++ = '-';
	*p++ = two_digits[e * 2];
	*p++ = two_digits[e * 2 + 1];
	return static_cast<size_t>(p - ret);
}

static size_t put_fixed(const struct digits *g, char *ret)
{
	if (g->exponent > 0) {
		std::memcpy(ret, g->first, 16);
		ret[g->exponent] = '.';
		std::memcpy(ret + g->exponent + 1, g->first + g->exponent, static_cast<size_t>(g->n - g->exponent));
		return static_cast<size_t>(g->n + 1);
	}
	std::memcpy(ret, "0.000", 5);
	std::memcpy(ret + 2 - g->exponent, g->first, 17);
	return static_cast<size_t>(2 - g->exponent + g->n);
}

/* Numbers with a fraction, from 10^-11 up, that have many digits.  0 when v is none, or a power of two, which
 * has its neighbours at different distances. */
static size_t print_shortest(double v, char *ret)
{
	uint64_t bits, c;
	struct digits g;
	int q, k;
	size_t minus = std::signbit(v);

	std::memcpy(&bits, &v, 8);
	q = static_cast<int>(bits >> 52 & 0x7ff) - 1075;
	c = bits << 12 >> 12;
	if (q < -89 || q >= 0 || c == 0)
		return 0;
	c = shortest(c | UINT64_C(1) << 52, q, &k);
	digits_of(c, k, &g);
	if (g.n <= g.exponent)
		return 0;
	*ret = '-';
	ret += minus;
	return minus + (g.exponent < -3 || (g.exponent == -3 && g.n == 1) ? put_scientific(&g, ret) : put_fixed(&g, ret));
}

size_t number_print(double v, char *ret)
{
	size_t n = print_decimal(v, ret);

	if (n == 0)
		n = print_shortest(v, ret);
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

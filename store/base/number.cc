#include "store/base/number.h"
#include "store/base/digits.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

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

/* d / 10^k as digits, with the zeros at both ends left out of `first` and n, but not of the text. */
struct digits {
	uint8_t text[40]; /* 17 digits; room to copy whole words */
	const uint8_t *first;
	int n, exponent; /* digits before the point; negative: zeros behind it */
};

static void put_word(void *p, uint64_t word) { std::memcpy(p, &word, 8); }

/* 0 < d < 10^17. */
static void digits_of(uint64_t d, int k, struct digits *ret)
{
	uint64_t top = d / 100000000, lead = top / 100000000;
	uint64_t high = eight_digits(static_cast<uint32_t>(top % 100000000));
	uint64_t low = eight_digits(static_cast<uint32_t>(d % 100000000));
	int before = lead ? 0 : 1 + zeros_before(high), behind = zeros_behind(low);

	ret->text[0] = static_cast<uint8_t>('0' + lead);
	put_word(ret->text + 1, high);
	put_word(ret->text + 9, low);
	if (before == 9)
		before += zeros_before(low);
	if (behind == 8)
		behind += zeros_behind(high);
	ret->first = ret->text + before;
	ret->exponent = 17 - before - k;
	ret->n = 17 - before - behind;
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
	*p++ = static_cast<char>('0' + e / 10);
	*p++ = static_cast<char>('0' + e % 10);
	return static_cast<size_t>(p - ret);
}

/* The shorter way, as to_chars chooses it; 0 where that is an integer with an exponent. */
static size_t put_number(const struct digits *g, char *ret)
{
	int e = g->exponent;

	if (e < -3 || (e == -3 && g->n == 1))
		return put_scientific(g, ret);
	if (e <= 0) {
		std::memcpy(ret, "0.000", 5);
		std::memcpy(ret + 2 - e, g->first, 17);
		return static_cast<size_t>(2 - e + g->n);
	}
	std::memcpy(ret, g->first, 17);
	if (g->n <= e)
		return e - g->n <= 4 + (g->n > 1) ? static_cast<size_t>(e) : 0;
	ret[e] = '.';
	std::memcpy(ret + e + 1, g->first + e, 16);
	return static_cast<size_t>(g->n + 1);
}

/*
 * v * 10^4 of numbers of at most four decimals below 10^9, which measured and rounded ones mostly are; else 0.  What
 * is found has at most 13 digits, and no two decimals of at most 15 digits are the same double: if one
 * reads back to v it is the only one, so the shortest.  The quotient is correctly rounded, so
 * it is how the decimal reads back.
 */
static uint64_t with_four_decimals(double v)
{
	double scaled = v * 10000;
	uint64_t n = scaled < 1e13 ? static_cast<uint64_t>(scaled) : 0;

	return static_cast<double>(n) == scaled && scaled / 10000 == v ? n : 0;
}

/* n / 10^4 in words, for 0 < n < 10^8; 0 where an exponent is shorter. */
static size_t put_few(uint32_t n, char *ret)
{
	uint64_t text = eight_digits(n);
	int before = zeros_before(text), behind = zeros_behind(text), whole = 4 - before;

	if (before == 7)
		return 0;
	if (whole <= 0) {
		std::memcpy(ret, "0.", 2);
		put_word(ret + 2, text >> 32);
		return static_cast<size_t>(6 - behind);
	}
	text >>= 8 * before;
	put_word(ret, text);
	if (behind >= 4)
		return static_cast<size_t>(whole);
	ret[whole] = '.';
	put_word(ret + whole + 1, text >> 8 * whole);
	return static_cast<size_t>(9 - before - behind);
}

/* The digits of numbers from 10^-11 up to where there are no fractions; but not of powers of two, which have their
 * neighbours at different distances. */
static bool many_digits(double v, struct digits *ret)
{
	uint64_t bits, c;
	int q, k;

	std::memcpy(&bits, &v, 8);
	q = static_cast<int>(bits >> 52) - 1075;
	c = bits << 12 >> 12;
	if (q < -89 || q >= 0 || c == 0)
		return false;
	c = shortest(c | UINT64_C(1) << 52, q, &k);
	digits_of(c, k, ret);
	return true;
}

size_t number_print(double v, char *ret)
{
	double size = std::fabs(v);
	uint64_t few = with_four_decimals(size);
	size_t minus = std::signbit(v), n = 0;
	struct digits g;

	*ret = '-';
	if (size == 0) {
		ret[minus] = '0';
		return minus + 1;
	}
	if (few && few < 100000000) {
		n = put_few(static_cast<uint32_t>(few), ret + minus);
	} else if (few || many_digits(size, &g)) {
		if (few)
			digits_of(few, 4, &g);
		n = put_number(&g, ret + minus);
	}
	return n ? minus + n : static_cast<size_t>(std::to_chars(ret, ret + NUMBER_TEXT_MAX, v).ptr - ret);
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

/*
 * logtext_layout.h - what logtext.c and logtext_read.c share of the packed form.
 */
#ifndef STORE_LOGTEXT_LAYOUT_H
#define STORE_LOGTEXT_LAYOUT_H

#include "store/base/bytes.h"
#include "store/log/digits.h"

#define SLOT '0' /* stands in a template for a run of digits */

#define FEW_SEGMENTS 8 /* a template with less has its columns in FEW, all together */
#define CLASSES      8 /* of columns, by their longest run */
#define CLASS_BITS   3
#define CLASS_FEW    CLASSES /* FEW as one of the frames of numbers */

/* The most digits of each class. */
static const unsigned class_digits[CLASSES] = { 2, 4, 6, 8, 10, 13, 16, RUN_DIGITS_MAX };

enum column_kind { COLUMN_SAME = 1, COLUMN_PLAIN, COLUMN_DELTA, COLUMN_DIGITS };

static inline bool is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

#define EIGHT_ZEROS UINT64_C(0x3030303030303030) /* '0' */

/* Of eight bytes those that are digits: their highest bits. */
static inline uint64_t digit_bytes(uint64_t x)
{
	x ^= EIGHT_ZEROS;
	return ~(((x & 0x7f7f7f7f7f7f7f7f) + 0x7676767676767676) | x) & 0x8080808080808080;
}

/* The number of eight digits, 0 to 9, the first one lowest in x. */
static inline uint64_t join_digits(uint64_t x)
{
	x = (x * 10 + (x >> 8)) & 0x00ff00ff00ff00ff;
	x = (x * 100 + (x >> 16)) & 0x0000ffff0000ffff;
	return (x * 10000 + (x >> 32)) & 0xffffffff;
}

static const uint64_t powers_of_ten[RUN_DIGITS_MAX + 1] = {
	1,
	10,
	100,
	1000,
	10000,
	100000,
	1000000,
	10000000,
	100000000,
	1000000000,
	10000000000,
	100000000000,
	1000000000000,
	10000000000000,
	100000000000000,
	1000000000000000,
	10000000000000000,
	100000000000000000,
	1000000000000000000,
};

/* At least 1; more than RUN_DIGITS_MAX for what no run has. */
static inline unsigned digits_of(uint64_t v)
{
	/* 1233 / 4096 is log10(2) from below, near enough for 64 bits */
	unsigned n = (64 - (unsigned)__builtin_clzll(v | 1)) * 1233 >> 12;

	return n > RUN_DIGITS_MAX ? n + 1 : n + (v >= powers_of_ten[n]) + (v == 0);
}

/* The last `digits` digits of v, with zeros in front. */
static inline void print_run(uint8_t *out, uint64_t v, unsigned digits)
{
	static const char two_digits[] =
	    "0001020304050607080910111213141516171819202122232425262728293031323334353637"
	    "3839404142434445464748495051525354555657585960616263646566676869707172737475"
	    "767778798081828384858687888990919293949596979899";

	for (; digits >= 2; v /= 100) {
		digits -= 2;
		memcpy(out + digits, &two_digits[v % 100 * 2], 2);
	}
	if (digits)
		*out = (uint8_t)('0' + v % 10);
}

#endif

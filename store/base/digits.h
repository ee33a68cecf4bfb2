/*
 * digits.h - decimal digits of integers, eight at a time.  For C and C++; any thread.
 */
#ifndef STORE_BASE_DIGITS_H
#define STORE_BASE_DIGITS_H

#include <stdint.h>
#include <string.h>

#define EIGHT_ZEROS UINT64_C(0x3030303030303030)

/* Eight digits of v < 10^8, leading zeros and all, as text in a word, the first in its lowest byte.  They are
 * made side by side: fields of four digits, of two, of one. */
static inline uint64_t eight_digits(uint32_t v)
{
	uint64_t four = v / 10000 | (uint64_t)(v % 10000) << 32;
	uint64_t high = (four * 10486 >> 20) & UINT64_C(0x0000007f0000007f); /* / 100 */
	uint64_t two = high + ((four - 100 * high) << 16);
	uint64_t tens = (two * 103 >> 10) & UINT64_C(0x000f000f000f000f); /* / 10 */

	return EIGHT_ZEROS + tens + ((two - 10 * tens) << 8);
}

static inline void put_eight(uint8_t *p, uint32_t v)
{
	uint64_t text = eight_digits(v);

	memcpy(p, &text, 8);
}

/* How many zeros such a word begins, and ends, with. */
static inline int zeros_before(uint64_t eight)
{
	return eight == EIGHT_ZEROS ? 8 : __builtin_ctzll(eight ^ EIGHT_ZEROS) / 8;
}
static inline int zeros_behind(uint64_t eight)
{
	return eight == EIGHT_ZEROS ? 8 : __builtin_clzll(eight ^ EIGHT_ZEROS) / 8;
}

/* At least 1. */
static inline unsigned count_digits(uint32_t v)
{
	static const uint32_t powers[] = { 1,      10,      100,      1000,      10000,
					   100000, 1000000, 10000000, 100000000, 1000000000 };
	unsigned n = (32 - (unsigned)__builtin_clz(v | 1)) * 1233 >> 12; /* log10(2) * 4096 */

	return v ? n + (v >= powers[n]) : 1;
}

#endif

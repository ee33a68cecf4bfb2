/*
 * digits.h - decimal digits of integers, eight at a time.  For C and C++; any thread.
 */
#ifndef STORE_BASE_DIGITS_H
#define STORE_BASE_DIGITS_H

#include <stdint.h>
#include <string.h>

/* Eight digits of v < 10^8, leading zeros and all, side by side in a word: fields of four digits, of two, of
 * one. */
static inline void put_eight(uint8_t *p, uint32_t v)
{
	uint64_t four = v / 10000 | (uint64_t)(v % 10000) << 32;
	uint64_t high = (four * 10486 >> 20) & UINT64_C(0x0000007f0000007f); /* / 100 */
	uint64_t two = high + ((four - 100 * high) << 16);
	uint64_t tens = (two * 103 >> 10) & UINT64_C(0x000f000f000f000f); /* / 10 */
	uint64_t text = UINT64_C(0x3030303030303030) + tens + ((two - 10 * tens) << 8);

	memcpy(p, &text, 8);
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

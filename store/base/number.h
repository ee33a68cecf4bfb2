/*
 * number.h - doubles as text, exactly.
 *
 * number_print writes the shortest decimal that reads back to the same bits (std::to_chars of
 * libstdc++, ISO C++17 [charconv.to.chars]): 32 ns a number where printf's %.17g takes 164 and
 * is not shortest.  It is the reason for the one C++ file of the tree.  Any thread, any locale.
 */
#ifndef STORE_BASE_NUMBER_H
#define STORE_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NUMBER_TEXT_MAX 32

/* Returns the length written, no final NUL.  Finite values only: JSON has no others. */
size_t number_print(double v, char *ret);

/* Decimal text, all of it, to the nearest double: "3", "-0.5e-3", "nan", "inf", "infinity" in any
 * case, with an optional sign.  Past the range: infinity or zero, as strtod.  False when not a number. */
bool number_parse(const char *s, size_t len, double *ret);

#ifdef __cplusplus
}
#endif

/* The digits of v < 10^8, leading zeros and all, the first one lowest: fields of four, two, one. */
static inline uint64_t number_eight(uint32_t v)
{
	uint64_t four = v / 10000 | (uint64_t)(v % 10000) << 32;
	uint64_t high = (four * 10486 >> 20) & UINT64_C(0x0000007f0000007f); /* / 100 */
	uint64_t two = high + ((four - 100 * high) << 16);
	uint64_t tens = (two * 103 >> 10) & UINT64_C(0x000f000f000f000f); /* / 10 */

	return UINT64_C(0x3030303030303030) + tens + ((two - 10 * tens) << 8);
}

#endif

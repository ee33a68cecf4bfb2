/*
 * values.h - seeded random doubles of the kinds that real and hostile series are made of.
 */
#ifndef TESTS_VALUES_H
#define TESTS_VALUES_H

#include <float.h>
#include <math.h>

#include "store/base/bytes.h"

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t random_bits(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint64_t random_below(uint64_t *state, uint64_t n) { return random_bits(state) % n; }

enum value_kind {
	VALUE_LOSS,     /* float32 between 0 and 16 */
	VALUE_TIMER,    /* a double around 1 with all its bits */
	VALUE_GRADIENT, /* float32 of either sign over many magnitudes */
	VALUE_COUNTER,  /* small integers, zero among them */
	VALUE_WIDE,     /* doubles over 200 binary orders of magnitude */
	VALUE_SUBNORMAL,
	VALUE_ZEROS,       /* both */
	VALUE_LARGEST,     /* the largest doubles, of either sign */
	VALUE_FINITE_BITS, /* any finite bit pattern */
	VALUE_KINDS_FINITE,
	VALUE_BITS = VALUE_KINDS_FINITE, /* any bit pattern */
	VALUE_SPECIAL,                   /* infinities, NaNs with payloads, zeros */
	VALUE_KINDS,
};

static inline double random_value(uint64_t *state, enum value_kind kind)
{
	uint64_t bits = random_bits(state), sign = bits & (UINT64_C(1) << 63);
	double unit = (double)(bits >> 11) * 0x1p-53;
	double v;

	switch (kind) {
	case VALUE_LOSS:
		return (float)(unit * 16);
	case VALUE_TIMER:
		return 0.5 + unit;
	case VALUE_GRADIENT:
		return (float)ldexp(unit - 0.5, -(int)(bits % 40));
	case VALUE_COUNTER:
		return (double)(bits % 5);
	case VALUE_WIDE:
		return ldexp(unit - 0.5, (int)(bits % 200) - 100);
	case VALUE_SUBNORMAL:
		return bits_double(sign | (bits >> 12));
	case VALUE_ZEROS:
		return bits_double(sign);
	case VALUE_LARGEST:
		return bits_double(sign | (UINT64_C(0x7fefffffffffffff) - bits % 3));
	case VALUE_FINITE_BITS:
		v = bits_double(bits);
		return isfinite(v) ? v : 1;
	case VALUE_SPECIAL:
		if (bits & 1)
			return bits_double(sign | UINT64_C(0x7ff0000000000000) | (bits >> 13 & 3));
		return bits_double(sign | (bits >> 1 & 1) << 62);
	default:
		return bits_double(bits);
	}
}

#endif

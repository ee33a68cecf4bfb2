#include "store/base/checksum.h"

#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

static uint32_t table_step(uint32_t crc, uint8_t byte)
{
	static const uint32_t nibble[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	crc ^= byte;
	crc = (crc >> 4) ^ nibble[crc & 15];
	return (crc >> 4) ^ nibble[crc & 15];
}

static uint32_t crc_table(uint32_t crc, const uint8_t *p, size_t len)
{
	while (len--)
		crc = table_step(crc, *p++);
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t c = crc, word;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		c = __builtin_ia32_crc32di(c, word);
	}
	while (len--)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
	return (uint32_t)c;
}

/*
 * The instruction can begin every cycle and takes three, so three lanes side by side take a third
 * of the time.  A lane's checksum c then stands for c * x^n, n being the bits that follow it: a
 * carry-less product with x^(n - 33), which the instruction reduces (it multiplies by x^32, and
 * bit-reflected operands by x once more).
 */
#define LANE_BYTES 256
#define LANE_POWER 0xb9e02b86 /* x^(8 * LANE_BYTES - 33) mod P, bit-reflected */
#define TWO_POWER  0xdd7e3b0c /* x^(8 * 2 * LANE_BYTES - 33) mod P */

__attribute__((target("sse4.2,pclmul"))) static uint64_t lane_move(uint64_t c, uint32_t power)
{
	__m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)c), _mm_cvtsi64_si128(power), 0);

	return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc_lanes(uint32_t crc, const uint8_t *p, size_t len)
{
	for (; len >= 3 * LANE_BYTES; p += 3 * LANE_BYTES, len -= 3 * LANE_BYTES) {
		uint64_t a = crc, b = 0, c = 0, word[3];

		for (size_t i = 0; i < LANE_BYTES; i += 8) {
			memcpy(&word[0], p + i, 8);
			memcpy(&word[1], p + LANE_BYTES + i, 8);
			memcpy(&word[2], p + 2 * LANE_BYTES + i, 8);
			a = _mm_crc32_u64(a, word[0]);
			b = _mm_crc32_u64(b, word[1]);
			c = _mm_crc32_u64(c, word[2]);
		}
		crc = (uint32_t)(lane_move(a, TWO_POWER) ^ lane_move(b, LANE_POWER) ^ c);
	}
	return crc_sse42(crc, p, len);
}
#endif

uint32_t crc32c_extend(uint32_t crc, const void *data, size_t len)
{
	crc = ~crc;
#ifdef __x86_64__
	if (len >= 3 * LANE_BYTES && __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
		return ~crc_lanes(crc, data, len);
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc_sse42(crc, data, len);
#endif
	return ~crc_table(crc, data, len);
}

uint32_t crc32c(const void *data, size_t len) { return crc32c_extend(0, data, len); }

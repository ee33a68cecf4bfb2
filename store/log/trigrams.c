#include "store/log/trigrams.h"

static uint32_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? c + 32u : c; }

static size_t bit_of(uint32_t trigram, size_t n_bytes)
{
	return (size_t)((uint64_t)(trigram * 0x9e3779b1u) * (8 * (uint64_t)n_bytes) >> 32);
}

void trigrams_add(uint8_t *set, size_t n_bytes, struct span text)
{
	uint32_t trigram = 0;

	for (size_t i = 0; i < text.len; i++) {
		trigram = trigram >> 8 | lower(text.data[i]) << 16;
		if (i >= 2) {
			size_t bit = bit_of(trigram, n_bytes);

			set[bit / 8] |= (uint8_t)(1 << bit % 8);
		}
	}
}

bool trigrams_may_hold(struct span set, struct span bytes)
{
	uint32_t trigram = 0;

	for (size_t i = 0; i < bytes.len && set.len; i++) {
		trigram = trigram >> 8 | lower(bytes.data[i]) << 16;
		if (i >= 2) {
			size_t bit = bit_of(trigram, set.len);

			if (!(set.data[bit / 8] >> bit % 8 & 1))
				return false;
		}
	}
	return true;
}

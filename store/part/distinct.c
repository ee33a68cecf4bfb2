#include "store/part/distinct.h"

#include <string.h>

#define SLOTS_BITS 13 /* twice as many as numbers, or more */
#define SLOTS      (1 << SLOTS_BITS)
#define TRIED      512 /* numbers that are looked at first */

/* Numbers in the order in which they came first.  A slot has the place of one among them, and 1. */
struct seen {
	size_t n, max;
	uint16_t slots[SLOTS];
	int64_t numbers[DISTINCT_MAX];
};

static void seen_init(struct seen *s, size_t max)
{
	s->n = 0;
	s->max = max;
	memset(s->slots, 0, sizeof(s->slots));
}

/* The place of v; s->max: it is new, and there is no room for more. */
static size_t seen_place(struct seen *s, int64_t v)
{
	size_t at = (size_t)((uint64_t)v * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SLOTS_BITS));

	for (; s->slots[at]; at = (at + 1) % SLOTS)
		if (s->numbers[s->slots[at] - 1] == v)
			return s->slots[at] - 1u;
	if (s->n == s->max)
		return s->max;
	s->numbers[s->n++] = v;
	s->slots[at] = (uint16_t)s->n;
	return s->n - 1;
}

bool distinct_may_be_few(const int64_t *v, size_t n)
{
	size_t tried = n < TRIED ? n : TRIED;
	struct seen s;

	seen_init(&s, tried - tried / 5);
	for (size_t i = 0; i < tried; i++)
		if (seen_place(&s, v[i * n / tried]) == s.max)
			return false;
	return true;
}

struct ranked {
	uint64_t order; /* of the number, as unsigned numbers are ordered */
	uint16_t place;
};

/* By the bytes in which they differ, lowest first. */
static void sort_ranked(struct ranked *r, size_t n)
{
	struct ranked room[DISTINCT_MAX];
	uint64_t differ = 0;

	for (size_t i = 1; i < n; i++)
		differ |= r[i].order ^ r[0].order;
	for (unsigned shift = 0; shift < 64; shift += 8) {
		uint16_t ends[257] = { 0 };

		if (!(differ >> shift & 255))
			continue;
		for (size_t i = 0; i < n; i++)
			ends[(r[i].order >> shift & 255) + 1]++;
		for (size_t i = 0; i < 256; i++)
			ends[i + 1] = (uint16_t)(ends[i + 1] + ends[i]);
		for (size_t i = 0; i < n; i++)
			room[ends[r[i].order >> shift & 255]++] = r[i];
		memcpy(r, room, n * sizeof(*r));
	}
}

bool distinct_find(const int64_t *v, size_t n, struct distinct *ret)
{
	struct ranked ranked[DISTINCT_MAX];
	uint16_t ranks[DISTINCT_MAX];
	struct seen s;

	seen_init(&s, n / 2);
	for (size_t i = 0; i < n; i++) {
		size_t place = seen_place(&s, v[i]);

		if (place == s.max)
			return false;
		ret->places[i] = (int64_t)place;
	}
	for (size_t i = 0; i < s.n; i++)
		ranked[i] = (struct ranked){ (uint64_t)s.numbers[i] ^ UINT64_C(1) << 63, (uint16_t)i };
	sort_ranked(ranked, s.n);
	for (size_t i = 0; i < s.n; i++) {
		ret->numbers[i] = s.numbers[ranked[i].place];
		ranks[ranked[i].place] = (uint16_t)i;
	}
	for (size_t i = 0; i < n; i++)
		ret->places[i] = ranks[ret->places[i]];
	ret->n = s.n;
	return true;
}

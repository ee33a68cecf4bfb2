#include "store/distinct.h"

#include <stdlib.h>
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
	int64_t number;
	uint16_t place;
};

static int compare_ranked(const void *a, const void *b)
{
	int64_t x = ((const struct ranked *)a)->number, y = ((const struct ranked *)b)->number;

	return (x > y) - (x < y);
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
		ranked[i] = (struct ranked){ s.numbers[i], (uint16_t)i };
	if (s.n)
		qsort(ranked, s.n, sizeof(*ranked), compare_ranked);
	for (size_t i = 0; i < s.n; i++) {
		ret->numbers[i] = ranked[i].number;
		ranks[ranked[i].place] = (uint16_t)i;
	}
	for (size_t i = 0; i < n; i++)
		ret->places[i] = ranks[ret->places[i]];
	ret->n = s.n;
	return true;
}

#include "store/part/column_guess.h"

/* Below that the planes of a column cost more to describe than they save. */
#define PLANES_LEAST 32

/* A plane that an entropy coder makes smaller by less than this part of it is not worth its time. */
#define LOOSE_GAIN 32

/* Planes are tried for a guess whose bits are no more than that part above the fewest. */
#define PLANES_NEAR 8

/* Longer columns are judged by so many of their numbers, in runs from all over. */
#define LOOKED   512
#define LOOK_ALL 1024

static size_t varint_len(uint64_t v) { return (size_t)(70 - __builtin_clzll(v | 1)) / 7; }

static bool divides(int64_t v, unsigned unit)
{
	switch (unit) { /* by constants: no division is needed */
	case 3:
		return v % INT64_C(1000000000) == 0;
	case 2:
		return v % 1000000 == 0;
	default:
		return v % 1000 == 0;
	}
}

/* The coarsest unit that divides all. */
static unsigned unit_of(const int64_t *v, size_t n)
{
	unsigned unit = UNITS - 1;

	for (size_t i = 0; i < n && unit; i++)
		while (unit && !divides(v[i], unit))
			unit--;
	return unit;
}

/* ---- what it costs ---- */

static size_t cost_run(struct limits_of l, size_t n)
{
	return varint_len(zigzag(l.least)) + 1 + (n * bits_of((uint64_t)minus(l.greatest, l.least)) + 7) / 8;
}

/* As PACK_BITS; and the limits of all. */
static size_t cost_bits(const int64_t *v, size_t n, struct limits_of *ret)
{
	size_t cost = 0;

	*ret = (struct limits_of){ v[0], v[0] };
	for (size_t i = 0; i < n; i += COLUMN_RUN) {
		size_t m = n - i < COLUMN_RUN ? n - i : COLUMN_RUN;
		struct limits_of l = limits_of(v + i, m);

		ret->least = l.least < ret->least ? l.least : ret->least;
		ret->greatest = l.greatest > ret->greatest ? l.greatest : ret->greatest;
		cost += cost_run(l, m);
	}
	return cost;
}

/* The bits in which numbers differ. */
static uint64_t differing(const uint64_t *u, size_t n)
{
	uint64_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= u[i] ^ u[0];
	return any;
}

/* log2 * 256, to a part in a hundred: the exponent and the first bits of a float are one, nearly.  Without
 * branches, so that many are made at a time. */
static inline uint32_t log2_256(float v)
{
	uint32_t bits, log, f;

	memcpy(&bits, &v, sizeof(bits));
	log = (bits >> 15) - (127 << 8);
	f = log & 255;
	return log + (f * (256 - f) * 88 >> 16);
}

/* 0 for 0; c <= COLUMN_MAX. */
static inline uint32_t weighted_log2(uint32_t c) { return c * log2_256((float)c); }

/* Noise, told by how often two numbers have the same byte: if all bytes were as common as that says, an
 * entropy coder would save nothing; and where they are not, there are more of them, and longer codes. */
static bool is_noise(const uint16_t count[256], size_t n)
{
	uint32_t pairs = 0;
	float common;

	for (int i = 0; i < 256; i++)
		pairs += (uint32_t)(count[i] * count[i]);
	common = (float)(n * n) / (float)pairs;
	return (float)(n * log2_256(common)) / 2048 + common / 2 > (float)(n - n / LOOSE_GAIN);
}

/* What an entropy coder makes of a plane, in bytes, and how it is to be kept. */
static size_t cost_plane(const uint16_t count[256], size_t n, enum plane *ret)
{
	uint32_t bits = weighted_log2((uint32_t)n), less = 0, distinct = 0;
	size_t loose;

	*ret = PLANE_DENSE;
	if (is_noise(count, n))
		return n;
	for (int i = 0; i < 256; i++) {
		distinct += count[i] != 0;
		less += weighted_log2(count[i]);
	}
	bits -= less < bits ? less : bits;
	loose = (bits >> 11) + distinct / 2 + 1;
	if (loose > n - n / LOOSE_GAIN)
		return n;
	*ret = PLANE_LOOSE;
	return loose;
}

static size_t cost_planes(const uint64_t *u, size_t n, uint8_t forms[8])
{
	unsigned planes = planes_of(u, n);
	uint64_t differ = differing(u, n);
	size_t cost = 2 + planes / 4;

	for (unsigned p = 0; p < planes; p++) {
		uint16_t count[256] = { 0 };
		enum plane form = PLANE_SAME;

		if (differ >> 8 * p & 255) {
			for (size_t i = 0; i < n; i++)
				count[u[i] >> 8 * p & 255]++;
			cost += cost_plane(count, n, &form);
		} else {
			cost++;
		}
		forms[p] = (uint8_t)form;
	}
	return cost;
}

/* The cheapest packing without planes. */
static void guess_packing(const int64_t *v, size_t n, struct guess *g)
{
	struct limits_of l;
	size_t bits = cost_bits(v, n, &l);

	g->packing = l.least == l.greatest ? PACK_SAME : PACK_BITS;
	g->cost += g->packing == PACK_SAME ? varint_len(zigzag(l.least)) : bits;
}

static void guess_plane_packing(const int64_t *v, size_t n, enum packing packing, size_t begin_cost,
				struct guess *g)
{
	int64_t least = packing == PACK_LEAST ? limits_of(v, n).least : 0;
	uint64_t u[COLUMN_MAX];
	uint8_t forms[8] = { 0 };
	size_t cost = begin_cost + (packing == PACK_LEAST ? varint_len(zigzag(least)) : 0);

	plain_all(v, n, least, packing == PACK_ZIGZAG, u);
	cost += cost_planes(u, n, forms);
	if (cost >= g->cost)
		return;
	g->cost = cost;
	g->packing = packing;
	memcpy(g->forms, forms, sizeof(forms));
}

/* Zigzag is for numbers about 0. */
static void guess_planes(const int64_t *v, size_t n, size_t begin_cost, struct guess *g)
{
	struct limits_of l = limits_of(v, n);

	guess_plane_packing(v, n, PACK_LEAST, begin_cost, g);
	if (l.least < 0 && l.greatest > 0)
		guess_plane_packing(v, n, PACK_ZIGZAG, begin_cost, g);
}

static size_t begin_cost(const int64_t *v, unsigned order)
{
	size_t cost = 1;

	for (unsigned i = 0; i < order; i++)
		cost += varint_len(zigzag(v[i]));
	return cost;
}

/* Numbers that a column is judged by: all of it, or runs from all over. */
struct look {
	size_t runs, every, len; /* how many, how far apart they begin, how long they are */
	size_t skipped;          /* the first of each, which only foretell; 0: as the order wants */
};

static struct look look_at_all(size_t n) { return (struct look){ .runs = 1, .len = n }; }

static struct look look_at_some(size_t n)
{
	struct look l = { .runs = LOOKED / COLUMN_RUN,
			  .len = COLUMN_RUN + ORDERS - 1,
			  .skipped = ORDERS - 1 };

	l.every = (n - l.len) / (l.runs - 1);
	return l;
}

/* The runs, one behind another. */
static void take_look(const struct look *l, const int64_t *from, const int64_t *ref, int64_t *ret)
{
	for (size_t i = 0; i < l->runs; i++)
		take_reference(from + i * l->every, l->len, ref ? ref + i * l->every : NULL,
			       ret + i * l->len);
}

/* From what one order less leaves of them to what this one does. */
static void differ_again(const struct look *l, int64_t *v, unsigned order)
{
	for (size_t i = 0; i < l->runs; i++)
		differ(v + i * l->len + order - 1, l->len - order + 1);
}

/* What is to be packed of that, side by side in room when it is not so already; returns how many. */
static size_t left_of(const struct look *l, const int64_t *v, unsigned order, int64_t *room,
		      const int64_t **ret)
{
	size_t n = l->len - l->skipped;

	*ret = room;
	if (!l->skipped) {
		*ret = v + order;
		return l->len - order;
	}
	for (size_t i = 0; i < l->runs; i++)
		memcpy(room + i * n, v + i * l->len + l->skipped, n * sizeof(*v));
	return l->runs * n;
}

/* The guesses of one reference, by rising order, up to one that leaves nothing to pack; returns how many. */
static size_t guess_orders(const struct look *l, int64_t *v, unsigned ref, struct guess *ret)
{
	unsigned unit = unit_of(v, l->runs * l->len), order = 0;
	int64_t room[LOOKED];
	const int64_t *left;
	size_t n;

	divide(v, l->runs * l->len, unit);
	for (; order < ORDERS && order < l->len; order++) {
		struct guess *g = &ret[order];

		if (order > 0)
			differ_again(l, v, order);
		n = left_of(l, v, order, room, &left);
		*g = (struct guess){ .order = order, .ref = ref, .unit = unit, .cost = begin_cost(v, order) };
		guess_packing(left, n, g);
		if (g->packing == PACK_SAME)
			return order + 1;
	}
	return order;
}

static void try_planes(const struct look *l, const int64_t *from, const int64_t *const *refs, struct guess *g)
{
	int64_t v[COLUMN_MAX], room[LOOKED];
	const int64_t *left;
	size_t n;

	take_look(l, from, g->ref ? refs[g->ref - 1] : NULL, v);
	divide(v, l->runs * l->len, g->unit);
	for (unsigned order = 1; order <= g->order; order++)
		differ_again(l, v, order);
	n = left_of(l, v, g->order, room, &left);
	guess_planes(left, n, begin_cost(v, g->order), g);
}

/* The places of the two that cost least; one alone is both. */
static void two_cheapest(const struct guess *g, size_t n, size_t ret[2])
{
	ret[0] = 0;
	for (size_t i = 1; i < n; i++)
		if (g[i].cost < g[ret[0]].cost)
			ret[0] = i;
	ret[1] = ret[0] == 0 && n > 1 ? 1 : 0;
	for (size_t i = 0; i < n; i++)
		if (i != ret[0] && g[i].cost < g[ret[1]].cost)
			ret[1] = i;
}

/* The best of all.  Planes take long: they are tried for the two guesses whose bits are fewest. */
static struct guess choose_by(const struct look *l, const int64_t *from, const int64_t *const *refs,
			      size_t n_refs)
{
	struct guess guesses[ORDERS * (COLUMN_REFS_MAX + 1)];
	size_t found = 0, best[2], most;
	int64_t v[COLUMN_MAX];

	for (unsigned ref = 0; ref <= n_refs; ref++) {
		take_look(l, from, ref ? refs[ref - 1] : NULL, v);
		found += guess_orders(l, v, ref, guesses + found);
		if (guesses[found - 1].packing == PACK_SAME)
			return guesses[found - 1];
	}
	two_cheapest(guesses, found, best);
	most = guesses[best[0]].cost + guesses[best[0]].cost / PLANES_NEAR;
	for (int i = 0; i < 2 && l->len >= PLANES_LEAST; i++)
		if (guesses[best[i]].cost <= most)
			try_planes(l, from, refs, &guesses[best[i]]);
	return guesses[best[1]].cost < guesses[best[0]].cost ? guesses[best[1]] : guesses[best[0]];
}

/* All of the column as a guess says that came from a part of it; its planes are made right.  False: it does
 * not fit. */
static bool fit(const int64_t *from, size_t n, const int64_t *const *refs, struct guess *g)
{
	int64_t v[COLUMN_MAX];
	struct limits_of limits;
	enum packing packing = g->packing;
	size_t begin, bits;

	take_reference(from, n, g->ref ? refs[g->ref - 1] : NULL, v);
	if (unit_of(v, n) != g->unit)
		return false;
	reduce(g, v, n);
	begin = begin_cost(v, g->order);
	bits = cost_bits(v + g->order, n - g->order, &limits);
	g->packing = limits.least == limits.greatest ? PACK_SAME : PACK_BITS;
	g->cost = begin + (g->packing == PACK_SAME ? varint_len(zigzag(limits.least)) : bits);
	if (g->packing == PACK_BITS && (packing == PACK_LEAST || packing == PACK_ZIGZAG))
		guess_plane_packing(v + g->order, n - g->order, packing, begin, g);
	return g->packing == packing;
}

struct guess column_guess(const int64_t *v, size_t n, const int64_t *const *refs, size_t n_refs)
{
	struct look all = look_at_all(n), some;
	struct guess g;

	if (n > LOOK_ALL) {
		some = look_at_some(n);
		g = choose_by(&some, v, refs, n_refs);
		if (fit(v, n, refs, &g))
			return g;
	}
	return choose_by(&all, v, refs, n_refs);
}

size_t column_cost(const int64_t *v, size_t n) { return n ? column_guess(v, n, NULL, 0).cost : 0; }

#include "store/column.h"

#include <assert.h>

#include "store/distinct.h"

_Static_assert(COLUMN_MAX == DISTINCT_OF_MAX, "a table is of a column");

enum packing { PACK_SAME, PACK_BITS, PACK_LEAST, PACK_ZIGZAG };
enum plane { PLANE_DENSE, PLANE_LOOSE, PLANE_SAME, PLANE_FORMS };

#define ORDERS 3
#define TABLE  3 /* in place of an order */
#define UNITS  4

/* Below that the planes of a column cost more to describe than they save. */
#define PLANES_LEAST 32

/* As many bits can be had of eight bytes wherever they begin. */
#define WORD_WIDTH 57

/* A plane that an entropy coder makes smaller by less than this part of it is not worth its time. */
#define LOOSE_GAIN 32

/* Longer columns are judged by so many of their numbers, in runs from all over. */
#define LOOKED   512
#define LOOK_ALL 1024

/* A table is not looked for among fewer numbers, nor where they take fewer bits each; and has to save that
 * part. */
#define TABLE_LEAST 256
#define TABLE_BITS  3
#define TABLE_GAIN  32

static const int64_t units[UNITS] = { 1, 1000, 1000000, 1000000000 };

/* Modulo 2^64, without the overflow that C does not define. */
static inline int64_t minus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static inline int64_t plus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

static size_t varint_len(uint64_t v) { return (size_t)(70 - __builtin_clzll(v | 1)) / 7; }

static unsigned bits_of(uint64_t v) { return v ? 64 - (unsigned)__builtin_clzll(v) : 0; }

/* ---- what is left over ---- */

/* How a column is foretold, and what that leaves. */
struct guess {
	enum packing packing;
	unsigned order, ref, unit;
	uint8_t forms[8]; /* of the planes */
	size_t cost;      /* about, in bytes */
};

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

static void take_reference(const int64_t *v, size_t n, const int64_t *ref, int64_t *ret)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = ref ? minus(v[i], ref[i]) : v[i];
}

/* Differences in place. */
static void differ(int64_t *v, size_t n)
{
	for (size_t i = n; i-- > 1;)
		v[i] = minus(v[i], v[i - 1]);
}

struct limits_of {
	int64_t least, greatest;
};

static struct limits_of limits_of(const int64_t *v, size_t n)
{
	struct limits_of l = { v[0], v[0] };

	for (size_t i = 1; i < n; i++) {
		l.least = v[i] < l.least ? v[i] : l.least;
		l.greatest = v[i] > l.greatest ? v[i] : l.greatest;
	}
	return l;
}

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

/* ---- planes ---- */

static void plain_all(const int64_t *v, size_t n, int64_t least, bool zigzagged, uint64_t *ret)
{
	for (size_t i = 0; i < n && zigzagged; i++)
		ret[i] = zigzag(v[i]);
	for (size_t i = 0; i < n && !zigzagged; i++)
		ret[i] = (uint64_t)minus(v[i], least);
}

static unsigned planes_of(const uint64_t *u, size_t n)
{
	uint64_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= u[i];
	return (bits_of(any) + 7) / 8;
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

static int put_u8(struct buf *b, unsigned v) { return buf_addch(b, (char)v); }

static int put_plane(struct column_out *o, const uint64_t *u, size_t n, unsigned shift, enum plane form)
{
	struct buf *b = form == PLANE_DENSE ? &o->dense : &o->loose;
	size_t len = form == PLANE_SAME ? 1 : n;
	int err = buf_reserve(b, len);
	uint8_t *at;

	if (err < 0)
		return err;
	at = b->data + b->len;
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(u[i] >> shift);
	b->len += len;
	return 0;
}

static int put_planes(struct column_out *o, const uint64_t *u, size_t n, const uint8_t forms[8])
{
	unsigned planes = planes_of(u, n);
	int err = put_u8(&o->loose, planes);

	for (unsigned p = 0; p < planes && err == 0; p += 4) {
		unsigned four = 0;

		for (unsigned i = p; i < planes && i < p + 4; i++)
			four |= (unsigned)forms[i] << 2 * (i - p);
		err = put_u8(&o->loose, four);
	}
	for (unsigned p = 0; p < planes && err == 0; p++)
		err = put_plane(o, u, n, 8 * p, (enum plane)forms[p]);
	return err;
}

static void get_plane(struct column_in *in, unsigned form, unsigned shift, uint64_t *u, size_t n)
{
	struct span s = read_bytes(form == PLANE_DENSE ? &in->dense : &in->loose, form == PLANE_SAME ? 1 : n);

	if (form == PLANE_SAME && s.len) {
		uint64_t same = (uint64_t)s.data[0] << shift;

		for (size_t i = 0; i < n && same; i++)
			u[i] |= same;
	} else if (shift) {
		for (size_t i = 0; i < s.len; i++)
			u[i] |= (uint64_t)s.data[i] << shift;
	} else {
		for (size_t i = 0; i < s.len; i++)
			u[i] = s.data[i];
	}
}

static int get_planes(struct column_in *in, int64_t *ret, size_t n, int64_t least, bool zigzagged)
{
	unsigned planes = read_u8(&in->loose);
	uint64_t u[COLUMN_MAX];
	uint8_t forms[2] = { 0 };

	if (planes > 8)
		return ERR_CORRUPT;
	for (unsigned p = 0; p < planes; p += 4)
		forms[p / 4] = read_u8(&in->loose);
	if (planes == 0 || (forms[0] & 3) == PLANE_SAME)
		memset(u, 0, n * sizeof(*u));
	for (unsigned p = 0; p < planes; p++) {
		unsigned form = forms[p / 4] >> 2 * (p % 4) & 3;

		if (form == PLANE_FORMS)
			return ERR_CORRUPT;
		get_plane(in, form, 8 * p, u, n);
	}
	for (size_t i = 0; i < n && zigzagged; i++)
		ret[i] = unzigzag(u[i]);
	for (size_t i = 0; i < n && !zigzagged; i++)
		ret[i] = plus((int64_t)u[i], least);
	return 0;
}

/* ---- bits ---- */

static int put_zigzag(struct buf *b, int64_t v) { return buf_add_varint(b, zigzag(v)); }

static int put_run(struct column_out *o, const int64_t *v, size_t n)
{
	struct limits_of l = limits_of(v, n);
	unsigned width = bits_of((uint64_t)minus(l.greatest, l.least)), filled = 0;
	int err = put_zigzag(&o->loose, l.least);
	unsigned __int128 waiting = 0;

	if (err == 0)
		err = put_u8(&o->loose, width);
	if (err == 0)
		err = buf_reserve(&o->dense, n * 8 + 8);
	if (err < 0)
		return err;
	for (size_t i = 0; i < n; i++) {
		waiting |= (unsigned __int128)(uint64_t)minus(v[i], l.least) << filled;
		for (filled += width; filled >= 8; filled -= 8, waiting >>= 8)
			o->dense.data[o->dense.len++] = (uint8_t)waiting;
	}
	if (filled)
		o->dense.data[o->dense.len++] = (uint8_t)waiting;
	return 0;
}

static int get_run(struct column_in *in, int64_t *ret, size_t n)
{
	int64_t least = read_zigzag(&in->loose);
	unsigned width = read_u8(&in->loose), filled = 0;
	struct span s = read_bytes(&in->dense, width > 64 ? 0 : (n * width + 7) / 8);
	uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << (width & 63)) - 1;
	unsigned __int128 waiting = 0;
	size_t i = 0, at;

	if (width > 64 || in->dense.bad)
		return ERR_CORRUPT;
	for (size_t bit = 0; width <= WORD_WIDTH && i < n && bit / 8 + 8 <= s.len; i++, bit += width)
		ret[i] = plus((int64_t)(get_le64(s.data + bit / 8) >> bit % 8 & mask), least);
	at = i * width / 8;
	if (i < n && i * width % 8) {
		waiting = s.data[at++] >> i * width % 8;
		filled = 8 - i * width % 8;
	}
	for (; i < n; i++) {
		for (; filled < width; filled += 8)
			waiting |= (unsigned __int128)s.data[at++] << filled;
		ret[i] = plus((int64_t)((uint64_t)waiting & mask), least);
		waiting >>= width;
		filled -= width;
	}
	return 0;
}

/* ---- columns ---- */

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

/* What is left over from the reference becomes what unit and order leave; what begins the column stays in
 * front. */
static void reduce(const struct guess *g, int64_t *v, size_t n)
{
	for (size_t i = 0; i < n && g->unit; i++)
		v[i] /= units[g->unit];
	if (g->order > 0)
		differ(v, n);
	if (g->order > 1)
		differ(v + 1, n - 1);
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

	reduce(&(struct guess){ .unit = unit }, v, l->runs * l->len);
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
	reduce(&(struct guess){ .unit = g->unit }, v, l->runs * l->len);
	for (unsigned order = 1; order <= g->order; order++)
		differ_again(l, v, order);
	n = left_of(l, v, g->order, room, &left);
	guess_planes(left, n, begin_cost(v, g->order), g);
}

/* The best of all.  Planes are tried for the two guesses whose bits are fewest: they take long. */
static struct guess choose_by(const struct look *l, const int64_t *from, const int64_t *const *refs,
			      size_t n_refs)
{
	struct guess guesses[ORDERS * (COLUMN_REFS_MAX + 1)];
	int64_t v[COLUMN_MAX];
	size_t found = 0, best[2] = { 0, 0 };

	for (unsigned ref = 0; ref <= n_refs; ref++) {
		take_look(l, from, ref ? refs[ref - 1] : NULL, v);
		found += guess_orders(l, v, ref, guesses + found);
		if (guesses[found - 1].packing == PACK_SAME)
			return guesses[found - 1];
	}
	for (size_t i = 1; i < found; i++)
		if (guesses[i].cost < guesses[best[0]].cost)
			best[0] = i;
	best[1] = best[0] == 0 && found > 1 ? 1 : 0;
	for (size_t i = 0; i < found; i++)
		if (i != best[0] && guesses[i].cost < guesses[best[1]].cost)
			best[1] = i;
	for (int i = 0; i < 2 && l->len >= PLANES_LEAST && guesses[best[i]].packing != PACK_SAME; i++)
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

static struct guess choose(const int64_t *v, size_t n, const int64_t *const *refs, size_t n_refs)
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

/* ---- columns, written ---- */

size_t column_cost(const int64_t *v, size_t n) { return n ? choose(v, n, NULL, 0).cost : 0; }

static int put_packed(struct column_out *o, const int64_t *v, size_t n, const struct guess *g)
{
	int64_t least = g->packing == PACK_LEAST ? limits_of(v, n).least : 0;
	uint64_t u[COLUMN_MAX];
	int err = 0;

	switch (g->packing) {
	case PACK_SAME:
		return put_zigzag(&o->loose, v[0]);
	case PACK_BITS:
		for (size_t i = 0; i < n && err == 0; i += COLUMN_RUN)
			err = put_run(o, v + i, n - i < COLUMN_RUN ? n - i : COLUMN_RUN);
		return err;
	default:
		if (g->packing == PACK_LEAST)
			err = put_zigzag(&o->loose, least);
		plain_all(v, n, least, g->packing == PACK_ZIGZAG, u);
		return err < 0 ? err : put_planes(o, u, n, g->forms);
	}
}

static int put_guessed(struct column_out *o, const int64_t *v, size_t n, const int64_t *const *refs,
		       const struct guess *g)
{
	int64_t left[COLUMN_MAX];
	int err = put_u8(&o->loose, g->packing | g->order << 2 | g->ref << 4 | g->unit << 6);

	take_reference(v, n, g->ref ? refs[g->ref - 1] : NULL, left);
	reduce(g, left, n);
	for (unsigned i = 0; i < g->order && err == 0; i++)
		err = put_zigzag(&o->loose, left[i]);
	return err < 0 ? err : put_packed(o, left + g->order, n - g->order, g);
}

/* The different numbers, and which of them each is. */
struct table {
	struct distinct of;
	struct guess numbers, places;
};

/* Whether a table takes less than that. */
static bool choose_table(const int64_t *v, size_t n, size_t cost, struct table *ret)
{
	if (n < TABLE_LEAST || 8 * cost < TABLE_BITS * n || !distinct_may_be_few(v, n) ||
	    !distinct_find(v, n, &ret->of))
		return false;
	ret->numbers = choose(ret->of.numbers, ret->of.n, NULL, 0);
	ret->places = choose(ret->of.places, n, NULL, 0);
	return ret->numbers.cost + ret->places.cost + 3 < cost - cost / TABLE_GAIN;
}

static int put_table(struct column_out *o, const struct table *t, size_t n)
{
	int err = put_u8(&o->loose, TABLE << 2);

	if (err == 0)
		err = buf_add_varint(&o->loose, t->of.n);
	if (err == 0)
		err = put_guessed(o, t->of.numbers, t->of.n, NULL, &t->numbers);
	return err < 0 ? err : put_guessed(o, t->of.places, n, NULL, &t->places);
}

int column_put(struct column_out *o, const int64_t *v, size_t n, const int64_t *const *refs, size_t n_refs)
{
	struct table table;
	struct guess g;

	assert(n <= COLUMN_MAX && n_refs <= COLUMN_REFS_MAX);
	if (n == 0)
		return 0;
	g = choose(v, n, refs, n_refs);
	if (choose_table(v, n, g.cost, &table))
		return put_table(o, &table, n);
	return put_guessed(o, v, n, refs, &g);
}

static int get_packed(struct column_in *in, int64_t *ret, size_t n, enum packing packing)
{
	int64_t least;
	int err = 0;

	switch (packing) {
	case PACK_SAME:
		least = read_zigzag(&in->loose);
		for (size_t i = 0; i < n; i++)
			ret[i] = least;
		return 0;
	case PACK_BITS:
		for (size_t i = 0; i < n && err == 0; i += COLUMN_RUN)
			err = get_run(in, ret + i, n - i < COLUMN_RUN ? n - i : COLUMN_RUN);
		return err;
	default:
		least = packing == PACK_LEAST ? read_zigzag(&in->loose) : 0;
		return get_planes(in, ret, n, least, packing == PACK_ZIGZAG);
	}
}

static void skip_planes(struct column_in *in, size_t n)
{
	unsigned planes = read_u8(&in->loose);
	uint8_t forms[2] = { 0 };

	if (planes > 8) {
		in->loose.bad = true;
		return;
	}
	for (unsigned p = 0; p < planes; p += 4)
		forms[p / 4] = read_u8(&in->loose);
	for (unsigned p = 0; p < planes; p++) {
		unsigned form = forms[p / 4] >> 2 * (p % 4) & 3;

		read_bytes(form == PLANE_DENSE ? &in->dense : &in->loose, form == PLANE_SAME ? 1 : n);
	}
}

static void skip_packed(struct column_in *in, size_t n, enum packing packing)
{
	if (packing == PACK_ZIGZAG) {
		skip_planes(in, n);
		return;
	}
	if (packing == PACK_LEAST || packing == PACK_SAME)
		read_varint(&in->loose);
	if (packing == PACK_LEAST)
		skip_planes(in, n);
	for (size_t i = 0; i < n && packing == PACK_BITS; i += COLUMN_RUN) {
		size_t m = n - i < COLUMN_RUN ? n - i : COLUMN_RUN;

		read_varint(&in->loose);
		read_bytes(&in->dense, (m * read_u8(&in->loose) + 7) / 8);
	}
}

static int skip_plain(struct column_in *in, size_t n, unsigned head)
{
	unsigned order = head >> 2 & 3;

	if (order >= ORDERS || order >= n)
		return ERR_CORRUPT;
	for (unsigned i = 0; i < order; i++)
		read_varint(&in->loose);
	skip_packed(in, n - order, (enum packing)(head & 3));
	return in->loose.bad || in->dense.bad ? ERR_CORRUPT : 0;
}

/* How many different numbers a table has, of which there are n; 0: it is none that was made. */
static size_t read_table_len(struct column_in *in, unsigned head, size_t n)
{
	uint64_t len = head == TABLE << 2 ? read_varint(&in->loose) : 0;

	return len <= n / 2 ? (size_t)len : 0;
}

int column_skip(struct column_in *in, size_t n)
{
	unsigned head;
	size_t len;
	int err;

	if (n == 0)
		return 0;
	head = read_u8(&in->loose);
	if ((head >> 2 & 3) != TABLE)
		return skip_plain(in, n, head);
	len = read_table_len(in, head, n);
	err = len ? skip_plain(in, len, read_u8(&in->loose)) : ERR_CORRUPT;
	return err < 0 ? err : skip_plain(in, n, read_u8(&in->loose));
}

const char *column_form(uint8_t head)
{
	static const char *const forms[] = { "same", "bits", "least", "zigzag" };

	return (head >> 2 & 3) == TABLE ? "table" : forms[head & 3];
}

static void add_up(int64_t *v, size_t n)
{
	int64_t sum = v[0];

	for (size_t i = 1; i < n; i++)
		v[i] = sum = plus(v[i], sum);
}

static int get_plain(struct column_in *in, unsigned head, int64_t *ret, size_t n, const int64_t *const *refs,
		     size_t n_refs)
{
	unsigned order = head >> 2 & 3, ref = head >> 4 & 3, unit = head >> 6;
	int err;

	if (order >= ORDERS || order >= n || ref > n_refs)
		return ERR_CORRUPT;
	for (unsigned i = 0; i < order; i++)
		ret[i] = read_zigzag(&in->loose);
	err = get_packed(in, ret + order, n - order, (enum packing)(head & 3));
	if (err < 0 || in->loose.bad || in->dense.bad)
		return ERR_CORRUPT;
	if (order > 1)
		add_up(ret + 1, n - 1);
	if (order > 0)
		add_up(ret, n);
	for (size_t i = 0; i < n && unit; i++)
		ret[i] = (int64_t)((uint64_t)ret[i] * (uint64_t)units[unit]);
	for (size_t i = 0; i < n && ref; i++)
		ret[i] = plus(ret[i], refs[ref - 1][i]);
	return 0;
}

static int get_table(struct column_in *in, unsigned head, int64_t *ret, size_t n)
{
	int64_t numbers[DISTINCT_MAX];
	size_t len = read_table_len(in, head, n);
	uint64_t highest = 0;
	int err = len ? get_plain(in, read_u8(&in->loose), numbers, len, NULL, 0) : ERR_CORRUPT;

	if (err == 0)
		err = get_plain(in, read_u8(&in->loose), ret, n, NULL, 0);
	if (err < 0)
		return err;
	for (size_t i = 0; i < n; i++)
		highest = (uint64_t)ret[i] > highest ? (uint64_t)ret[i] : highest;
	if (highest >= len)
		return ERR_CORRUPT;
	for (size_t i = 0; i < n; i++)
		ret[i] = numbers[ret[i]];
	return 0;
}

int column_get(struct column_in *in, int64_t *ret, size_t n, const int64_t *const *refs, size_t n_refs)
{
	unsigned head;

	assert(n <= COLUMN_MAX && n_refs <= COLUMN_REFS_MAX);
	if (n == 0)
		return 0;
	head = read_u8(&in->loose);
	return (head >> 2 & 3) == TABLE ? get_table(in, head, ret, n)
					: get_plain(in, head, ret, n, refs, n_refs);
}

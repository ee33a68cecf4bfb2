#include <assert.h>

#include "store/part/column_guess.h"
#include "store/part/distinct.h"

_Static_assert(COLUMN_MAX == DISTINCT_OF_MAX, "a table is of a column");

#define TABLE 3 /* in place of an order */

/* As many bits can be had of eight bytes wherever they begin. */
#define WORD_WIDTH 57

/* A table is not looked for among fewer numbers, nor where they take fewer bits each; and has to save that
 * part. */
#define TABLE_LEAST 256
#define TABLE_BITS  3
#define TABLE_GAIN  32

/* ---- planes ---- */

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

/* ---- columns, written ---- */

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

/* ref: the one of the guess, or NULL. */
static int put_guessed(struct column_out *o, const int64_t *v, size_t n, const int64_t *ref,
		       const struct guess *g)
{
	int64_t left[COLUMN_MAX];
	int err = put_u8(&o->loose, g->packing | g->order << 2 | g->ref << 4 | g->unit << 6);

	take_reference(v, n, ref, left);
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
	ret->numbers = column_guess(ret->of.numbers, ret->of.n, NULL, 0);
	ret->places = column_guess(ret->of.places, n, NULL, 0);
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
	g = column_guess(v, n, refs, n_refs);
	if (choose_table(v, n, g.cost, &table))
		return put_table(o, &table, n);
	return put_guessed(o, v, n, g.ref ? refs[g.ref - 1] : NULL, &g);
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

unsigned column_reference(struct column_in in) { return read_u8(&in.loose) >> 4 & 3; }

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

static const int64_t units[UNITS] = { 1, 1000, 1000000, 1000000000 };

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

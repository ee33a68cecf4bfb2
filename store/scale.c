#include "store/scale.h"

#include <math.h>

#define DECIMALS_MAX   14
#define TRIED          32   /* numbers that say which exponent may do */
#define WEIGHED        1024 /* numbers that say which scale is smallest */
#define INTEGER_MAX    INT64_C(0x20000000000000)
#define EXPONENT_LEAST (-1074)
#define EXPONENT_MOST  971

static const double powers[DECIMALS_MAX + 1] = { 1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6, 1e7,
						 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14 };

/* ---- one number ---- */

static int64_t order_of(uint64_t bits, unsigned width)
{
	int64_t v = (int64_t)(bits << (64 - width)) >> (64 - width);

	return v < 0 ? v ^ (int64_t)((UINT64_C(1) << (width - 1)) - 1) : v;
}

static int64_t to_integer(double v)
{
	return v > -(double)INTEGER_MAX && v < (double)INTEGER_MAX ? llrint(v) : 0;
}

int64_t scale_near(struct scale s, double v)
{
	uint32_t bits;
	float f;

	switch (s.kind) {
	case SCALE_DECIMAL:
		return to_integer(v * powers[s.exponent]);
	case SCALE_BINARY:
		return isfinite(v) ? to_integer(ldexp(v, -s.exponent)) : 0;
	case SCALE_FLOAT:
		f = (float)v;
		memcpy(&bits, &f, 4);
		return order_of(bits, 32);
	default:
		return order_of(double_bits(v), 64);
	}
}

static double number_of(struct scale s, int64_t m)
{
	uint32_t bits;
	float f;

	switch (s.kind) {
	case SCALE_DECIMAL:
		return (double)m / powers[s.exponent];
	case SCALE_BINARY:
		return ldexp((double)m, s.exponent);
	case SCALE_FLOAT:
		bits = (uint32_t)order_of((uint64_t)m, 32);
		memcpy(&f, &bits, 4);
		return f;
	default:
		return bits_double((uint64_t)order_of((uint64_t)m, 64));
	}
}

static bool fits(struct scale s, double v)
{
	return double_bits(number_of(s, scale_near(s, v))) == double_bits(v);
}

/* ---- choosing ---- */

static size_t count_fits(struct scale s, const double *v, size_t n, size_t every)
{
	size_t fit = 0;

	for (size_t i = 0; i < n; i += every)
		fit += fits(s, v[i]);
	return fit;
}

/* Enough are kept without an exception. */
static bool serves(struct scale s, const double *v, size_t n, size_t every)
{
	size_t all = (n + every - 1) / every;

	return count_fits(s, v, n, every) >= all - all / 8;
}

static bool find_decimal(const double *v, size_t n, struct scale *ret)
{
	size_t every = n > TRIED ? n / TRIED : 1;

	for (int e = 0; e <= DECIMALS_MAX; e++) {
		struct scale s = { SCALE_DECIMAL, e };

		if (serves(s, v, n, every) && serves(s, v, n, 1)) {
			*ret = s;
			return true;
		}
	}
	return false;
}

/* Of the lowest bit that is set in a finite v that is not zero. */
static int lowest_exponent(double v)
{
	uint64_t bits = double_bits(v), fraction = bits << 12 >> 12;
	int exponent = (int)(bits >> 52 & 0x7ff);

	if (exponent)
		fraction |= UINT64_C(1) << 52;
	return (exponent ? exponent : 1) - 1075 + __builtin_ctzll(fraction);
}

static bool find_binary(const double *v, size_t n, struct scale *ret)
{
	int exponent = EXPONENT_MOST;

	for (size_t i = 0; i < n; i++)
		if (isfinite(v[i]) && v[i] != 0 && lowest_exponent(v[i]) < exponent)
			exponent = lowest_exponent(v[i]);
	*ret = (struct scale){ SCALE_BINARY, exponent };
	return serves(*ret, v, n, 1);
}

static size_t weigh(struct scale s, const double *v, size_t n)
{
	int64_t m[WEIGHED];
	size_t exceptions = 0;

	if (n > WEIGHED)
		n = WEIGHED;
	for (size_t i = 0; i < n; i++) {
		bool fit = fits(s, v[i]);

		m[i] = fit ? scale_near(s, v[i]) : i ? m[i - 1] : 0;
		exceptions += !fit;
	}
	return column_cost(m, n) + 10 * exceptions;
}

struct scale scale_choose(const double *v, size_t n)
{
	struct scale candidates[4] = { { SCALE_DOUBLE, 0 } }, *best = candidates;
	size_t found = 1, least;

	if (n == 0)
		return candidates[0];
	if (count_fits((struct scale){ SCALE_FLOAT, 0 }, v, n, 1) == n)
		candidates[0] = (struct scale){ SCALE_FLOAT, 0 };
	found += find_binary(v, n, &candidates[found]);
	found += find_decimal(v, n, &candidates[found]);
	least = weigh(*best, v, n);
	for (size_t i = 1; i < found; i++) {
		size_t cost = weigh(candidates[i], v, n);

		if (cost < least) {
			least = cost;
			best = &candidates[i];
		}
	}
	return *best;
}

/* ---- bytes ---- */

int scale_put(struct column_out *o, struct scale s)
{
	unsigned decimals = s.kind == SCALE_DECIMAL ? (unsigned)s.exponent << 2 : 0;
	int err = buf_addch(&o->loose, (char)(s.kind | decimals));

	return err == 0 && s.kind == SCALE_BINARY ? buf_add_varint(&o->loose, zigzag(s.exponent)) : err;
}

int scale_get(struct column_in *in, struct scale *ret)
{
	unsigned head = read_u8(&in->loose);
	int64_t exponent = head >> 2;

	if ((head & 3) == SCALE_BINARY && exponent == 0) {
		exponent = read_zigzag(&in->loose);
		if (exponent < EXPONENT_LEAST || exponent > EXPONENT_MOST)
			return ERR_CORRUPT;
	} else if (exponent > ((head & 3) == SCALE_DECIMAL ? DECIMALS_MAX : 0)) {
		return ERR_CORRUPT;
	}
	*ret = (struct scale){ (enum scale_kind)(head & 3), (int)exponent };
	return in->loose.bad ? ERR_CORRUPT : 0;
}

static int put_exception(struct column_out *o, size_t skipped, double v)
{
	uint8_t bits[8];
	int err = buf_add_varint(&o->loose, skipped);

	put_le64(bits, double_bits(v));
	return err < 0 ? err : buf_add(&o->dense, bits, sizeof(bits));
}

int numbers_put(struct column_out *o, struct scale s, const double *v, size_t n, const int64_t *const *refs,
		size_t n_refs, int64_t *ret_m)
{
	size_t fit = count_fits(s, v, n, 1), next = 0;
	int err = n ? buf_add_varint(&o->loose, n - fit) : 0;

	for (size_t i = 0; i < n && err == 0; i++) {
		if (fits(s, v[i])) {
			ret_m[i] = scale_near(s, v[i]);
			continue;
		}
		ret_m[i] = i ? ret_m[i - 1] : 0;
		err = put_exception(o, i - next, v[i]);
		next = i + 1;
	}
	return err < 0 ? err : column_put(o, ret_m, n, refs, n_refs);
}

int numbers_get(struct column_in *in, struct scale s, double *ret, size_t n, const int64_t *const *refs,
		size_t n_refs, int64_t *ret_m)
{
	uint64_t exceptions = n ? read_varint(&in->loose) : 0, at = 0, skipped;
	uint16_t places[COLUMN_MAX];
	struct span odd;
	int err;

	if (exceptions > n)
		return ERR_CORRUPT;
	for (uint64_t i = 0; i < exceptions; i++) {
		skipped = read_varint(&in->loose);
		if (skipped >= n - at)
			return ERR_CORRUPT;
		at += skipped;
		places[i] = (uint16_t)at++;
		if (at == n && i + 1 < exceptions)
			return ERR_CORRUPT;
	}
	odd = read_bytes(&in->dense, exceptions * 8);
	err = column_get(in, ret_m, n, refs, n_refs);
	if (err < 0 || in->dense.bad)
		return ERR_CORRUPT;
	for (size_t i = 0; i < n; i++)
		ret[i] = number_of(s, ret_m[i]);
	for (uint64_t i = 0; i < exceptions; i++)
		ret[places[i]] = bits_double(get_le64(odd.data + 8 * i));
	return 0;
}

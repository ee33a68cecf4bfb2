#include "store/part/scale.h"

#include <float.h>
#include <limits.h>
#include <math.h>

#define DECIMALS_MAX    14
#define DECIMALS_PLAIN  6    /* with no more, fractions are not looked for */
#define TRIED           32   /* numbers that say which exponent may do */
#define WEIGHED_RUN     128  /* numbers in a row, */
#define WEIGHED         1024 /* and in all, that say which scale is smallest */
#define SOME            16   /* numbers that are looked at together */
#define HOPELESS        6    /* bits that a scale may need more than another, to be weighed */
#define ASIDE           12   /* bits a number that a column of how far they are off has to save */
#define HABIT_LASTS     16   /* choices by habit, before all is weighed again */
#define NEAR            64   /* how far off a number may be that is no exception */
#define INTEGER_MAX     INT64_C(0x20000000000000)
#define DENOMINATOR_MAX 86400
#define DIGITS_LEAST    1e14 /* 15 digits, as an integer, */
#define DIGITS_MOST     1e15 /* are less than that */
#define EXPONENT_LEAST  (-1074)
#define EXPONENT_MOST   971

/* Integers, all of them; those after DECIMALS_MAX are for `printed`. */
static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
				 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19 };

/* ---- one number ---- */

/* Bits in total order, and back. */
static inline int64_t order_of(uint64_t bits, unsigned width)
{
	int64_t v = (int64_t)(bits << (64 - width)) >> (64 - width);

	return v < 0 ? v ^ (int64_t)((UINT64_C(1) << (width - 1)) - 1) : v;
}

static int64_t to_integer(double v)
{
	return v > -(double)INTEGER_MAX && v < (double)INTEGER_MAX ? llrint(v) : 0;
}

static double divisor_of(struct scale s) { return s.kind == SCALE_DECIMAL ? powers[s.of] : s.of; }

static bool is_ratio(struct scale s) { return s.kind == SCALE_FRACTION || s.kind == SCALE_PRINTED; }

int64_t scale_near(struct scale s, double v)
{
	uint32_t bits;
	float f;

	switch (s.kind) {
	case SCALE_DECIMAL:
	case SCALE_FRACTION:
	case SCALE_PRINTED:
		return to_integer(v * divisor_of(s));
	case SCALE_BINARY:
		return isfinite(v) ? to_integer(ldexp(v, -s.of)) : 0;
	case SCALE_FLOAT:
		f = (float)v;
		memcpy(&bits, &f, 4);
		return order_of(bits, 32);
	default:
		return order_of(double_bits(v), 64);
	}
}

/* Of many: what a scale says of each is said once. */
static void near_all(struct scale s, const double *v, size_t n, int64_t *ret)
{
	/* a power of two that is a double loses nothing */
	bool binary = s.kind == SCALE_BINARY && -s.of < DBL_MAX_EXP;
	double unit;

	if (binary || s.kind == SCALE_DECIMAL || is_ratio(s)) {
		unit = binary ? ldexp(1, -s.of) : divisor_of(s);
		for (size_t i = 0; i < n; i++)
			ret[i] = to_integer(v[i] * unit);
	} else if (s.kind == SCALE_DOUBLE) {
		for (size_t i = 0; i < n; i++)
			ret[i] = order_of(double_bits(v[i]), 64);
	} else {
		for (size_t i = 0; i < n; i++)
			ret[i] = scale_near(s, v[i]);
	}
}

static double float_of(int64_t m)
{
	uint32_t bits = (uint32_t)order_of((uint64_t)m, 32);
	float f;

	memcpy(&f, &bits, 4);
	return f;
}

/* m / d, of which x is the double, in 15 digits: an integer over 10^k, both doubles, so that one division
 * gives the double that these digits mean.  *k is where the search begins, and ends. */
static double printed(int64_t m, uint64_t d, double x, unsigned *k)
{
	uint64_t size = m < 0 ? -(uint64_t)m : (uint64_t)m, digits;
	int64_t rest;

	if (m == 0 || fabs(x) >= DIGITS_MOST)
		return x;
	while (*k > 0 && fabs(x) * powers[*k - 1] >= DIGITS_LEAST)
		--*k;
	while (fabs(x) * powers[*k] < DIGITS_LEAST) /* 1 / DENOMINATOR_MAX needs 10^19 */
		++*k;
	/* near the quotient; what is left is small, so it is right modulo 2^64 */
	digits = (uint64_t)(fabs(x) * powers[*k]);
	rest = (int64_t)(size * (uint64_t)powers[*k] + d / 2 - digits * d);
	for (; rest < 0; rest += (int64_t)d)
		digits--;
	for (; rest >= (int64_t)d; rest -= (int64_t)d)
		digits++;
	return copysign((double)digits / powers[*k], x);
}

/* The numbers that the integers stand for. */
static void numbers_of(struct scale s, const int64_t *m, size_t n, double *ret)
{
	double unit;
	unsigned k = 0;

	switch (s.kind) {
	case SCALE_PRINTED:
		for (size_t i = 0; i < n; i++)
			ret[i] = printed(m[i], (uint64_t)s.of, (double)m[i] / s.of, &k);
		break;
	case SCALE_DECIMAL:
	case SCALE_FRACTION:
		unit = divisor_of(s);
		for (size_t i = 0; i < n; i++)
			ret[i] = (double)m[i] / unit;
		break;
	case SCALE_BINARY:
		unit = ldexp(1, s.of);
		for (size_t i = 0; i < n; i++)
			ret[i] = (double)m[i] * unit;
		break;
	case SCALE_FLOAT:
		for (size_t i = 0; i < n; i++)
			ret[i] = float_of(m[i]);
		break;
	default:
		for (size_t i = 0; i < n; i++)
			ret[i] = bits_double((uint64_t)order_of((uint64_t)m[i], 64));
	}
}

/* How far v lies from the number that m stands for: doubles in between, in total order, modulo 2^64. */
static int64_t distance(double v, double of_m)
{
	return (int64_t)((uint64_t)order_of(double_bits(v), 64) - (uint64_t)order_of(double_bits(of_m), 64));
}

static double moved_by(double of_m, int64_t distance)
{
	uint64_t order = (uint64_t)order_of(double_bits(of_m), 64) + (uint64_t)distance;

	return bits_double((uint64_t)order_of(order, 64));
}

static bool is_near(int64_t distance, int64_t most) { return distance >= -most && distance <= most; }

/* ---- choosing ---- */

/* Whether no more numbers than that are further off; an answer of no comes early. */
static bool are_near(struct scale s, const double *v, size_t n, int64_t most, size_t misses)
{
	size_t missed = 0;

	for (size_t i = 0; i < n; i += SOME) {
		size_t m = n - i < SOME ? n - i : SOME;
		int64_t near[SOME];
		double of_near[SOME];

		near_all(s, v + i, m, near);
		numbers_of(s, near, m, of_near);
		for (size_t j = 0; j < m; j++)
			missed += !is_near(distance(v[i + j], of_near[j]), most);
		if (missed > misses)
			return false;
	}
	return true;
}

/* Enough are kept without an exception, no further off than that. */
static bool serves(struct scale s, const double *v, size_t n, int64_t most)
{
	return are_near(s, v, n, most, n / 8);
}

/* Numbers from all over, to be tried first; returns how many. */
static size_t choose_tried(const double *v, size_t n, double ret[2 * TRIED])
{
	size_t every = n > TRIED ? n / TRIED : 1, tried = 0;

	for (size_t i = 0; i < n; i += every)
		ret[tried++] = v[i];
	return tried;
}

/* What is asked of the numbers, and the few that are asked first. */
struct asked {
	const double *v, *tried;
	size_t n, n_tried;
};

static bool find_decimal(const struct asked *a, int64_t most, struct scale *ret)
{
	for (int e = 0; e <= DECIMALS_MAX; e++) {
		struct scale s = { SCALE_DECIMAL, e };

		if (serves(s, a->tried, a->n_tried, most) && serves(s, a->v, a->n, most)) {
			*ret = s;
			return true;
		}
	}
	return false;
}

/* The denominator of the simplest fraction near v, by its continued fraction; 0: none is simple. */
static uint64_t denominator_of(double v)
{
	double x = fabs(v), rest = x - floor(x);
	uint64_t k = 1, before = 0, next;

	if (!(x < (double)INTEGER_MAX))
		return 0;
	while (fabs(rint(x * (double)k) / (double)k - x) > x * 0x1p-47) {
		if (rest <= 0)
			return 0;
		rest = 1 / rest;
		if (rest > DENOMINATOR_MAX)
			return 0;
		next = (uint64_t)rest * k + before;
		before = k;
		k = next;
		rest -= floor(rest);
		if (k > DENOMINATOR_MAX)
			return 0;
	}
	return k;
}

static uint64_t common_multiple(uint64_t a, uint64_t b)
{
	uint64_t x = a, y = b;

	while (y) {
		uint64_t rest = x % y;

		x = y;
		y = rest;
	}
	return a / x * b;
}

/* As a division leaves them, and as they are printed. */
static size_t find_fractions(const struct asked *a, struct scale ret[2])
{
	size_t none = 0;
	uint64_t all = 1;

	for (size_t i = 0; i < a->n_tried && none <= a->n_tried / 4; i++) {
		uint64_t one = denominator_of(a->tried[i]), both = one ? common_multiple(all, one) : all;

		none += one == 0;
		all = both <= DENOMINATOR_MAX ? both : all;
	}
	ret[0] = (struct scale){ SCALE_FRACTION, (int)all };
	ret[1] = (struct scale){ SCALE_PRINTED, (int)all };
	return all > 1 && serves(ret[0], a->v, a->n, NEAR) ? 2 : 0;
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
	return serves(*ret, v, n, 0);
}

/* Numbers in a scale: integers, how far off they are, and which of them are exceptions. */
struct scaled {
	int64_t *m; /* room of the caller */
	int64_t off[COLUMN_MAX];
	bool any_off;
	size_t n_odd;
	uint16_t odd[COLUMN_MAX];
};

static void scale_all(struct scale s, const double *v, size_t n, struct scaled *ret)
{
	double of_m[COLUMN_MAX];

	ret->any_off = false;
	ret->n_odd = 0;
	near_all(s, v, n, ret->m);
	numbers_of(s, ret->m, n, of_m);
	for (size_t i = 0; i < n; i++) {
		ret->off[i] = distance(v[i], of_m[i]);
		if (!is_near(ret->off[i], NEAR)) {
			ret->odd[ret->n_odd++] = (uint16_t)i;
			ret->off[i] = 0;
			ret->m[i] = i ? ret->m[i - 1] : 0;
		}
		ret->any_off |= ret->off[i] != 0;
	}
}

/* Runs of numbers from all over, to weigh scales by; returns how many numbers. */
static size_t choose_weighed(const double *v, size_t n, double *ret)
{
	size_t runs = WEIGHED / WEIGHED_RUN;

	if (n <= WEIGHED) {
		memcpy(ret, v, n * sizeof(*v));
		return n;
	}
	for (size_t i = 0; i < runs; i++)
		memcpy(ret + i * WEIGHED_RUN, v + i * (n - WEIGHED_RUN) / (runs - 1),
		       WEIGHED_RUN * sizeof(*v));
	return WEIGHED;
}

static size_t weigh(struct scale s, const double *v, size_t n)
{
	int64_t m[WEIGHED];
	struct scaled scaled; /* large: it costs much to clear */

	scaled.m = m;
	scale_all(s, v, n, &scaled);
	return column_cost(m, n) + (scaled.any_off ? column_cost(scaled.off, n) : 0) + 10 * scaled.n_odd;
}

/* Those that may do, CANDIDATES at most; returns how many. */
static size_t find_scales(const struct asked *a, struct scale *ret)
{
	size_t found = 0;

	ret[found++] = (struct scale){ SCALE_DOUBLE, 0 };
	if (are_near((struct scale){ SCALE_FLOAT, 0 }, a->v, a->n, 0, 0))
		ret[0].kind = SCALE_FLOAT;
	found += find_binary(a->v, a->n, &ret[found]);
	if (find_decimal(a, 0, &ret[found])) {
		if (ret[found++].of <= DECIMALS_PLAIN)
			return found;
	} else {
		found += find_decimal(a, NEAR, &ret[found]);
	}
	return found + find_fractions(a, &ret[found]);
}

/* The place of the one that takes the fewest bytes. */
static size_t weigh_all(const struct scale *scales, size_t n_scales, const double *v, size_t n)
{
	double weighed[WEIGHED];
	size_t some = choose_weighed(v, n, weighed), best = 0, least = weigh(scales[0], weighed, some);

	for (size_t i = 1; i < n_scales; i++) {
		size_t cost = weigh(scales[i], weighed, some);

		if (cost < least) {
			least = cost;
			best = i;
		}
	}
	return best;
}

/* Bits between the least and the greatest. */
static unsigned width_of(const int64_t *m, size_t n)
{
	int64_t least = m[0], greatest = m[0];

	for (size_t i = 1; i < n; i++) {
		least = m[i] < least ? m[i] : least;
		greatest = m[i] > greatest ? m[i] : greatest;
	}
	return 64 - (unsigned)__builtin_clzll(((uint64_t)greatest - (uint64_t)least) | 1);
}

/* Bits that a number needs in a scale, about; those that are a little off are a column more. */
static unsigned bits_in(struct scale s, const struct asked *a)
{
	int64_t m[2 * TRIED];
	struct scaled scaled;

	scaled.m = m;
	scale_all(s, a->tried, a->n_tried, &scaled);
	return width_of(m, a->n_tried) + (scaled.any_off ? width_of(scaled.off, a->n_tried) + ASIDE : 0);
}

/* Leaves out what needs many bits more than another. */
static size_t look_at(const struct asked *a, struct scale *scales, size_t n, struct scale_look *ret)
{
	unsigned bits[SCALE_CANDIDATES], least = UINT_MAX;

	for (size_t i = 0; i < n; i++) {
		bits[i] = bits_in(scales[i], a);
		least = bits[i] < least ? bits[i] : least;
	}
	*ret = (struct scale_look){ .n = 0 };
	for (size_t i = 0; i < n; i++) {
		if (bits[i] > least + HOPELESS)
			continue;
		ret->kinds[ret->n] = scales[i].kind;
		ret->more[ret->n] = bits[i] - least;
		scales[ret->n++] = scales[i];
	}
	return ret->n;
}

static bool are_like(const struct scale_look *a, const struct scale_look *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->kinds[i] != b->kinds[i] || a->more[i] > b->more[i] + 1 || b->more[i] > a->more[i] + 1)
			return false;
	return true;
}

static size_t weigh_by_habit(struct scale_habit *h, const struct asked *a, struct scale *scales, size_t n)
{
	struct scale_look look;

	n = look_at(a, scales, n, &look);
	if (n == 1)
		return 0;
	if (h->left && are_like(&look, &h->look)) {
		h->left--;
		return h->best;
	}
	*h = (struct scale_habit){ look, weigh_all(scales, n, a->v, a->n), HABIT_LASTS };
	return h->best;
}

struct scale scale_choose_alike(const double *v, size_t n, struct scale_habit *habit)
{
	struct scale scales[SCALE_CANDIDATES];
	double tried[2 * TRIED];
	struct asked asked = { v, tried, n, choose_tried(v, n, tried) };
	size_t found;

	if (n == 0)
		return (struct scale){ SCALE_DOUBLE, 0 };
	found = find_scales(&asked, scales);
	if (found == 1)
		return scales[0];
	return scales[weigh_by_habit(habit, &asked, scales, found)];
}

struct scale scale_choose(const double *v, size_t n)
{
	struct scale_habit none = { .left = 0 };

	return scale_choose_alike(v, n, &none);
}

/* ---- bytes ---- */

int scale_put(struct column_out *o, struct scale s)
{
	unsigned decimals = s.kind == SCALE_DECIMAL ? (unsigned)s.of << 3 : 0;
	int err = buf_addch(&o->loose, (char)(s.kind | decimals));

	if (err == 0 && s.kind == SCALE_BINARY)
		return buf_add_varint(&o->loose, zigzag(s.of));
	return err == 0 && is_ratio(s) ? buf_add_varint(&o->loose, (uint64_t)s.of) : err;
}

int scale_get(struct column_in *in, struct scale *ret)
{
	unsigned head = read_u8(&in->loose), kind = head & 7;
	int64_t of = head >> 3, least = 0, most = kind == SCALE_DECIMAL ? DECIMALS_MAX : 0;

	if (kind >= SCALE_KINDS || of > most)
		return ERR_CORRUPT;
	*ret = (struct scale){ (enum scale_kind)kind, 0 };
	if (kind == SCALE_BINARY) {
		of = read_zigzag(&in->loose);
		least = EXPONENT_LEAST;
		most = EXPONENT_MOST;
	} else if (is_ratio(*ret)) {
		of = (int64_t)read_varint(&in->loose);
		least = 2;
		most = DENOMINATOR_MAX;
	}
	if (of < least || of > most)
		return ERR_CORRUPT;
	ret->of = (int)of;
	return in->loose.bad ? ERR_CORRUPT : 0;
}

static int put_exceptions(struct column_out *o, const struct scaled *scaled, const double *v)
{
	int err = buf_add_varint(&o->loose, scaled->n_odd << 1 | scaled->any_off);
	size_t next = 0;

	for (size_t i = 0; i < scaled->n_odd && err == 0; i++) {
		uint8_t bits[8];

		put_le64(bits, double_bits(v[scaled->odd[i]]));
		err = buf_add_varint(&o->loose, scaled->odd[i] - next);
		if (err == 0)
			err = buf_add(&o->dense, bits, sizeof(bits));
		next = scaled->odd[i] + 1;
	}
	return err;
}

int numbers_put(struct column_out *o, struct scale s, const double *v, size_t n, const int64_t *const *refs,
		size_t n_refs, int64_t *ret_m)
{
	struct scaled scaled;
	int err;

	if (n == 0)
		return 0;
	scaled.m = ret_m;
	scale_all(s, v, n, &scaled);
	err = put_exceptions(o, &scaled, v);
	if (err == 0)
		err = column_put(o, ret_m, n, refs, n_refs);
	return err == 0 && scaled.any_off ? column_put(o, scaled.off, n, NULL, 0) : err;
}

/* Where the exceptions are; their bits are in *ret_bits. */
static int get_exceptions(struct column_in *in, size_t n, uint64_t count, uint16_t *places,
			  struct span *ret_bits)
{
	uint64_t at = 0;

	if (count > n)
		return ERR_CORRUPT;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t skipped = read_varint(&in->loose);

		if (at >= n || skipped >= n - at)
			return ERR_CORRUPT;
		at += skipped;
		places[i] = (uint16_t)at++;
	}
	*ret_bits = read_bytes(&in->dense, count * 8);
	return in->dense.bad ? ERR_CORRUPT : 0;
}

unsigned numbers_reference(struct column_in in)
{
	uint64_t exceptions = read_varint(&in.loose) >> 1;

	for (uint64_t i = 0; i < exceptions && !in.loose.bad; i++)
		read_varint(&in.loose);
	return column_reference(in);
}

int numbers_skip(struct column_in *in, size_t n)
{
	uint64_t head = n ? read_varint(&in->loose) : 0;
	int err;

	if (head >> 1 > n)
		return ERR_CORRUPT;
	for (uint64_t i = 0; i < head >> 1; i++)
		read_varint(&in->loose);
	read_bytes(&in->dense, 8 * (head >> 1));
	err = column_skip(in, n);
	return err == 0 && head & 1 ? column_skip(in, n) : err;
}

static int move_all(struct column_in *in, double *v, size_t n)
{
	int64_t off[COLUMN_MAX];
	int err = column_get(in, off, n, NULL, 0);

	for (size_t i = 0; i < n && err == 0; i++)
		v[i] = moved_by(v[i], off[i]);
	return err;
}

int numbers_get(struct column_in *in, struct scale s, double *ret, size_t n, const int64_t *const *refs,
		size_t n_refs, int64_t *ret_m)
{
	uint16_t places[COLUMN_MAX];
	struct span odd;
	uint64_t head;
	int err;

	if (n == 0)
		return 0;
	head = read_varint(&in->loose);
	err = get_exceptions(in, n, head >> 1, places, &odd);
	if (err == 0)
		err = column_get(in, ret_m, n, refs, n_refs);
	if (err < 0)
		return err;
	numbers_of(s, ret_m, n, ret);
	if (head & 1)
		err = move_all(in, ret, n);
	for (uint64_t i = 0; i < head >> 1; i++)
		ret[places[i]] = bits_double(get_le64(odd.data + 8 * i));
	return err;
}

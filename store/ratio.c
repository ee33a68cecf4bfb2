#include "store/ratio.h"

#include <math.h>

#define TRIED       32 /* numbers that say whether a d will do */
#define ULPS_MAX    64 /* that most of them may leave over */
#define INTEGER_MAX 0x1p53

/* Part of the format: places are stored. */
static const struct divisor {
	int64_t d;
	bool digits; /* 15 of them */
} list[] = {
	{ 1, false },
	{ 10, false },
	{ 100, false },
	{ 1000, false },
	{ 10000, false },
	{ 100000, false },
	{ 1000000, false },
	{ 10000000, false },
	{ 100000000, false },
	{ 1000000000, false },
	{ 10000000000, false },
	{ 100000000000, false },
	{ 1000000000000, false },
	{ 3, false },
	{ 7, false },
	{ 60, false },
	{ 600, false },
	{ 3600, false },
	{ 6000, false },
	{ 86400, false },
	{ 3, true },
	{ 7, true },
	{ 60, true },
	{ 600, true },
	{ 3600, true },
	{ 6000, true },
	{ 86400, true },
};
#define DIVISORS (sizeof(list) / sizeof(*list))

/* Those that are doubles. */
#define POWERS 23
static const double powers[POWERS] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
				       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

/* ---- one number ---- */

static int64_t order_of(uint64_t bits)
{
	int64_t v = (int64_t)bits;

	return v < 0 ? v ^ INT64_MAX : v;
}

static int64_t near(const struct divisor *r, double v)
{
	double m = v * (double)r->d;

	return m > -INTEGER_MAX && m < INTEGER_MAX ? llrint(m) : 0;
}

/* x rounded to 15 digits: an integer over a power of ten, both doubles, so that one division gives the
 * double that these digits mean.  Out of range: x. */
static double fifteen_digits(int64_t m, int64_t d, double x)
{
	unsigned __int128 n = (unsigned __int128)(m < 0 ? -m : m);
	double size = fabs(x);
	int k = 0;

	if (size == 0 || size >= 1e15)
		return x;
	while (k < POWERS && size * powers[k] < 1e14)
		k++;
	if (k == POWERS)
		return x;
	for (int i = 0; i < k; i++)
		n *= 10; /* m < 2^53, k <= 22: it fits */
	n = (n + (uint64_t)d / 2) / (uint64_t)d;
	return copysign((double)(uint64_t)n / powers[k], x);
}

static double ratio_of(const struct divisor *r, int64_t m)
{
	double x = (double)m / (double)r->d;

	return r->digits && m > -(int64_t)INTEGER_MAX && m < (int64_t)INTEGER_MAX ? fifteen_digits(m, r->d, x)
										  : x;
}

static int64_t left_over(const struct divisor *r, double v, int64_t m)
{
	return (int64_t)((uint64_t)order_of(double_bits(v)) -
			 (uint64_t)order_of(double_bits(ratio_of(r, m))));
}

/* ---- choosing ---- */

/* Whether most of some numbers leave little over, and how much. */
static bool serves(const struct divisor *r, const double *v, size_t n, uint64_t *ret_over)
{
	size_t every = n > TRIED ? n / TRIED : 1, misses = 0;

	*ret_over = 0;
	for (size_t i = 0; i < n && misses <= TRIED / 8; i += every) {
		int64_t u = left_over(r, v[i], near(r, v[i]));
		bool miss = u < -ULPS_MAX || u > ULPS_MAX;

		misses += miss;
		*ret_over += miss ? ULPS_MAX : (uint64_t)(u < 0 ? -u : u);
	}
	return misses <= TRIED / 8;
}

bool ratio_find(const double *v, size_t n, struct ratio *ret)
{
	uint64_t least = UINT64_MAX, over;
	bool found = false;

	for (unsigned i = 0; i < DIVISORS; i++) {
		if ((found && list[i].d > list[ret->place].d) || !serves(&list[i], v, n, &over))
			continue;
		if (!found || list[i].d < list[ret->place].d || over < least) {
			ret->place = i;
			least = over;
			found = true;
		}
	}
	return found;
}

void ratio_split(struct ratio r, const double *v, size_t n, int64_t *ret_m, int64_t *ret_u)
{
	for (size_t i = 0; i < n; i++) {
		ret_m[i] = near(&list[r.place], v[i]);
		ret_u[i] = left_over(&list[r.place], v[i], ret_m[i]);
	}
}

/* ---- bytes ---- */

int ratio_put(struct column_out *o, struct ratio r, const int64_t *m, const int64_t *u, size_t n)
{
	int err = buf_addch(&o->loose, (char)r.place);

	if (err == 0)
		err = column_put(o, m, n, NULL, 0);
	return err < 0 ? err : column_put(o, u, n, NULL, 0);
}

int ratio_get(struct column_in *in, double *ret, size_t n, int64_t *m, int64_t *u)
{
	unsigned place = read_u8(&in->loose);
	int err = in->loose.bad || place >= DIVISORS ? ERR_CORRUPT : column_get(in, m, n, NULL, 0);

	if (err == 0)
		err = column_get(in, u, n, NULL, 0);
	for (size_t i = 0; err == 0 && i < n; i++) {
		int64_t at = order_of(double_bits(ratio_of(&list[place], m[i])));

		ret[i] = bits_double((uint64_t)order_of((uint64_t)at + (uint64_t)u[i]));
	}
	return err;
}

#include "store/ratio.h"

#include <math.h>

#define TRIED       32 /* numbers that say whether a d will do */
#define ULPS_MAX    64 /* that most of them may leave over */
#define INTEGER_MAX 0x1p53

/* Part of the format: places are stored. */
static const double list[] = { 1,    10,   1e2,  1e3, 1e4, 1e5, 1e6,  1e7,  1e8,  1e9,
			       1e10, 1e11, 1e12, 7,   60,  600, 3600, 6000, 86400 };
#define DIVISORS (sizeof(list) / sizeof(*list))

static int64_t order_of(uint64_t bits)
{
	int64_t v = (int64_t)bits;

	return v < 0 ? v ^ INT64_MAX : v;
}

static int64_t near(double d, double v)
{
	double m = v * d;

	return m > -INTEGER_MAX && m < INTEGER_MAX ? llrint(m) : 0;
}

static double quotient(int64_t m, double d) { return (double)m / d; }

static int64_t left_over(double d, double v, int64_t m)
{
	return (int64_t)((uint64_t)order_of(double_bits(v)) -
			 (uint64_t)order_of(double_bits(quotient(m, d))));
}

static bool serves(double d, const double *v, size_t n)
{
	size_t every = n > TRIED ? n / TRIED : 1, misses = 0;

	for (size_t i = 0; i < n && misses <= TRIED / 8; i += every) {
		int64_t u = left_over(d, v[i], near(d, v[i]));

		misses += u < -ULPS_MAX || u > ULPS_MAX;
	}
	return misses <= TRIED / 8;
}

bool ratio_find(const double *v, size_t n, struct ratio *ret)
{
	bool found = false;

	for (unsigned i = 0; i < DIVISORS; i++)
		if ((!found || list[i] < list[ret->d]) && serves(list[i], v, n)) {
			ret->d = i;
			found = true;
		}
	return found;
}

void ratio_split(struct ratio r, const double *v, size_t n, int64_t *ret_m, int64_t *ret_u)
{
	for (size_t i = 0; i < n; i++) {
		ret_m[i] = near(list[r.d], v[i]);
		ret_u[i] = left_over(list[r.d], v[i], ret_m[i]);
	}
}

int ratio_put(struct column_out *o, struct ratio r, const int64_t *m, const int64_t *u, size_t n)
{
	int err = buf_addch(&o->loose, (char)r.d);

	if (err == 0)
		err = column_put(o, m, n, NULL, 0);
	return err < 0 ? err : column_put(o, u, n, NULL, 0);
}

int ratio_get(struct column_in *in, double *ret, size_t n, int64_t *m, int64_t *u)
{
	unsigned d = read_u8(&in->loose);
	int err = in->loose.bad || d >= DIVISORS ? ERR_CORRUPT : column_get(in, m, n, NULL, 0);

	if (err == 0)
		err = column_get(in, u, n, NULL, 0);
	for (size_t i = 0; err == 0 && i < n; i++) {
		int64_t at = order_of(double_bits(quotient(m[i], list[d])));

		ret[i] = bits_double((uint64_t)order_of((uint64_t)at + (uint64_t)u[i]));
	}
	return err;
}

/*
 * strip_sheet.c - columns of a strip as a sheet: what strip_bucket.c makes buckets of, without these.
 *
 * The same is refused.
 */
#include "store/bucket/block_layout.h"
#include "store/part/strip_layout.h"

static bool all_finite(const double *v, size_t n)
{
	uint64_t any = 0;

	for (size_t i = 0; i < n; i++) /* an exponent of all ones carries into the sign */
		any |= (double_bits(v[i]) & INT64_MAX) + (UINT64_C(1) << 52);
	return !(any >> 63);
}

static bool is_finite(double v) { return all_finite(&v, 1); }

static bool rising(const int64_t *v, size_t n)
{
	bool any = false;

	for (size_t i = 1; i < n; i++)
		any |= v[i] <= v[i - 1];
	return !any;
}

/* -0.0 is less than 0.0. */
static bool in_order(const double *min, const double *max, size_t n)
{
	uint64_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= (uint64_t)(min[i] > max[i]) << 63 |
		       (min[i] == max[i] ? double_bits(max[i]) & ~double_bits(min[i]) : 0);
	return !(any >> 63);
}

/* Some buckets have samples that are not finite; the others are asked for their first and last value, and all
 * that have finite ones for their least and greatest. */
static bool rare_values_good(const struct strip *s, const struct sheet *got)
{
	size_t full = 0;

	for (size_t i = 0; i < s->n; i++) {
		bool is_rare = s->flags[i] & FLAG_RARE;
		size_t at = full;

		full += is_full(s, i);
		if (!is_rare && !is_finite(s->last[i]))
			return false;
		if (!is_full(s, i))
			continue;
		if ((got->first && !is_rare && !is_finite(got->first[at])) ||
		    (got->min && s->count[i] && !is_finite(got->min[at])) ||
		    (got->max && s->count[i] && !is_finite(got->max[at])) ||
		    (got->min && got->max && s->count[i] && !in_order(&got->min[at], &got->max[at], 1)))
			return false;
	}
	return true;
}

/* Of those columns of full buckets that have been got. */
static bool values_good(const struct strip *s, const struct sheet *got)
{
	size_t n = s->n_full;

	if (s->n_rare)
		return rare_values_good(s, got);
	return all_finite(s->last, s->n) && (!got->first || all_finite(got->first, n)) &&
	       (!got->min || all_finite(got->min, n)) && (!got->max || all_finite(got->max, n)) &&
	       (!got->min || !got->max || in_order(got->min, got->max, n));
}

void strip_release_sums(struct strip *s)
{
	for (size_t i = 0; i < s->n_sums && s->wide_sums; i++)
		sum_release(&s->sums[i]);
	s->n_sums = 0;
	s->wide_sums = false;
}

/* Of all buckets; from columns of full ones. */
static int get_sums(struct strip *s, struct reader *wide)
{
	size_t full = 0;
	int err = 0;

	for (size_t i = 0; i < s->n && err == 0; i++) {
		struct sum *sum = &s->sums[s->n_sums++];
		struct bucket b;

		*sum = (struct sum){ .hi = s->last[i] == 0 ? 0 : s->last[i] };
		if (!is_full(s, i))
			continue;
		b = (struct bucket){ .count = (uint64_t)s->count[i],
				     .first = { .value = s->first[full] },
				     .last = { .value = s->last[i] },
				     .min = s->min[full],
				     .max = s->max[full] };
		if (s->count[i])
			err = strip_sum(s, full, s->flags[i] & FLAG_RARE, wide, &b);
		*sum = b.sum;
		s->wide_sums |= b.sum.wide != NULL;
		full++;
	}
	return err;
}

/* A column of full buckets becomes one of all: what it does not have is in the last point. */
static const double *spread(const struct strip *s, double *v)
{
	size_t full = s->n_full;

	if (full == 0)
		return s->last;
	for (size_t i = s->n; full < s->n && i-- > 0;)
		v[i] = is_full(s, i) ? v[--full] : s->last[i];
	return v;
}

/* Sums that take more than two doubles lie one after another in what is left of the dense stream; those of a
 * strip that are not wanted are passed over. */
static int pass_wide_sums(const struct strip *s, struct reader *wide)
{
	int err = 0;

	for (size_t i = 0; i < s->n_full && err == 0; i++) {
		struct sum sum = { 0 };

		if (s->sum_at[i] != STRIP_ANY)
			continue;
		err = sum_decode(wide, &sum);
		if (err == 0 && !sum.wide)
			err = ERR_CORRUPT;
		sum_release(&sum);
	}
	return err;
}

int strip_sheet(struct strip *s, struct column_in *in, int64_t window_ns, size_t n, unsigned fields,
		struct sheet *ret)
{
	int err = strip_begin(s, window_ns, n);
	struct sheet got;

	/* a sum is foretold by the values */
	fields |= fields & WANT_SUM ? WANT_VALUES : 0;
	got = (struct sheet){ .n = n,
			      .window_ns = window_ns,
			      .start_ns = s->start,
			      .count = s->count,
			      .last = fields & WANT_VALUES ? s->last : NULL,
			      .first = fields & WANT_FIRST ? s->first : NULL,
			      .min = fields & WANT_MIN ? s->min : NULL,
			      .max = fields & WANT_MAX ? s->max : NULL,
			      .sum = fields & WANT_SUM ? s->sums : NULL };
	strip_release_sums(s);
	if (err == 0)
		err = strip_columns_get(s, in, fields);
	if (err == 0 && (!rising(s->start, n) || (got.last && !values_good(s, &got))))
		err = ERR_CORRUPT;
	if (err == 0)
		err = got.sum ? get_sums(s, &in->dense) : pass_wide_sums(s, &in->dense);
	if (err < 0)
		return err;
	got.first = got.first ? spread(s, s->first) : NULL;
	got.min = got.min ? spread(s, s->min) : NULL;
	got.max = got.max ? spread(s, s->max) : NULL;
	*ret = got;
	return 0;
}

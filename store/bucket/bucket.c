#include "store/bucket/bucket.h"

#include <stdlib.h>

/* Doubles in total order as integers in the usual order. */
static inline int64_t total_order(double v)
{
	uint64_t bits = double_bits(v), all_if_negative = 0 - (bits >> 63);

	return (int64_t)(bits ^ all_if_negative >> 1);
}

/* Steps in an order that puts STEP_NONE above all others, for the minimum. */
static inline uint64_t none_highest(int64_t step) { return (uint64_t)step - (uint64_t)STEP_NONE - 1; }

static inline bool is_finite(double v) { return (~double_bits(v) & UINT64_C(0x7ff0000000000000)) != 0; }

int double_total_compare(double a, double b)
{
	int64_t x = total_order(a), y = total_order(b);

	return (x > y) - (x < y);
}

int point_compare(const struct point *a, const struct point *b)
{
	if (a->t_ns != b->t_ns)
		return a->t_ns < b->t_ns ? -1 : 1;
	if (a->step != b->step)
		return a->step < b->step ? -1 : 1;
	return double_total_compare(a->value, b->value);
}

void bucket_release(struct bucket *b)
{
	sum_release(&b->sum);
	free(b->rare);
	bucket_init(b);
}

int bucket_copy_owned(struct bucket *dst, const struct bucket *src)
{
	struct bucket_rare *rare = NULL;
	struct sum sum = { 0 };

	if (sum_copy(&sum, &src->sum) < 0)
		return ERR_NOMEM;
	if (src->rare) {
		rare = malloc(sizeof(*rare));
		if (!rare) {
			sum_release(&sum);
			return ERR_NOMEM;
		}
		*rare = *src->rare;
	}
	*dst = *src;
	dst->sum = sum;
	dst->rare = rare;
	return 0;
}

static bool same_point(const struct point *a, const struct point *b)
{
	return a->t_ns == b->t_ns && a->step == b->step && double_bits(a->value) == double_bits(b->value);
}

static bool same_rare(const struct bucket_rare *a, const struct bucket_rare *b)
{
	if (!a || !b)
		return a == b;
	return a->nan == b->nan && a->pos_inf == b->pos_inf && a->neg_inf == b->neg_inf &&
	       a->bad_t_ns == b->bad_t_ns && a->bad_step == b->bad_step;
}

static bool same_sum(const struct sum *a, const struct sum *b)
{
	uint8_t room[2][SUM_BYTES_MAX];
	struct buf x = { room[0], 0, SUM_BYTES_MAX, SUM_BYTES_MAX };
	struct buf y = { room[1], 0, SUM_BYTES_MAX, SUM_BYTES_MAX };

	return sum_encode(a, &x) == 0 && sum_encode(b, &y) == 0 && span_equal(buf_span(&x), buf_span(&y));
}

int bucket_differs(const struct bucket *a, const struct bucket *b)
{
	bool same = a->count == b->count && double_bits(a->min) == double_bits(b->min) &&
		    double_bits(a->max) == double_bits(b->max) && same_point(&a->first, &b->first) &&
		    same_point(&a->last, &b->last) && a->step_min == b->step_min &&
		    a->step_max == b->step_max && same_rare(a->rare, b->rare) && same_sum(&a->sum, &b->sum);

	return same ? 0 : ERR_CORRUPT;
}

uint64_t bucket_samples(const struct bucket *b)
{
	return b->count + (b->rare ? b->rare->nan + b->rare->pos_inf + b->rare->neg_inf : 0);
}

/*
 * Values are not to be foretold, so compares and selects, no branches.  Two zeros are equal, and
 * each select then hands back its second operand: both ways round, the union of the bits is -0.0
 * if either is, the intersection +0.0 if either is.  Other pairs give the same both ways.
 */
static inline void widen_values(struct bucket *b, double min, double max)
{
	double min_1 = min < b->min ? min : b->min, min_2 = b->min < min ? b->min : min;
	double max_1 = max > b->max ? max : b->max, max_2 = b->max > max ? b->max : max;

	b->min = bits_double(double_bits(min_1) | double_bits(min_2));
	b->max = bits_double(double_bits(max_1) & double_bits(max_2));
}

static inline void widen_points(struct bucket *b, const struct point *first, const struct point *last)
{
	if (first->t_ns < b->first.t_ns)
		b->first = *first;
	else if (first->t_ns == b->first.t_ns && point_compare(first, &b->first) < 0)
		b->first = *first;
	if (last->t_ns > b->last.t_ns)
		b->last = *last;
	else if (last->t_ns == b->last.t_ns && point_compare(last, &b->last) > 0)
		b->last = *last;
}

static inline void widen_steps(struct bucket *b, int64_t min, int64_t max)
{
	b->step_min = none_highest(min) < none_highest(b->step_min) ? min : b->step_min;
	b->step_max = max > b->step_max ? max : b->step_max;
}

static struct bucket_rare *rare_of(struct bucket *b)
{
	if (!b->rare) {
		b->rare = calloc(1, sizeof(*b->rare));
		if (b->rare)
			b->rare->bad_t_ns = b->rare->bad_step = INT64_MAX;
	}
	return b->rare;
}

static void rare_widen(struct bucket_rare *r, int64_t t_ns, int64_t step)
{
	if (t_ns < r->bad_t_ns || (t_ns == r->bad_t_ns && step < r->bad_step)) {
		r->bad_t_ns = t_ns;
		r->bad_step = step;
	}
}

static int add_rare(struct bucket *b, const struct point *p)
{
	struct bucket_rare *r = rare_of(b);

	if (!r)
		return ERR_NOMEM;
	if (double_bits(p->value) << 12)
		r->nan++;
	else if (double_bits(p->value) >> 63)
		r->neg_inf++;
	else
		r->pos_inf++;
	rare_widen(r, p->t_ns, p->step);
	return 0;
}

static inline int add_finite(struct bucket *b, double v)
{
	int err = sum_add(&b->sum, v);

	if (err < 0)
		return err;
	b->count++;
	widen_values(b, v, v);
	return 0;
}

int bucket_add(struct bucket *b, struct point p)
{
	int err = __builtin_expect(is_finite(p.value), 1) ? add_finite(b, p.value) : add_rare(b, &p);

	if (err < 0)
		return err;
	widen_points(b, &p, &p);
	widen_steps(b, p.step, p.step);
	return 0;
}

int bucket_start(struct bucket *b, struct point p)
{
	if (__builtin_expect(!is_finite(p.value), 0)) {
		bucket_init(b);
		return bucket_add(b, p);
	}
	*b = (struct bucket){
		.count = 1,
		.min = p.value,
		.max = p.value,
		.sum.hi = p.value + 0.0, /* the sum of -0.0 is +0.0 */
		.first = p,
		.last = p,
		.step_min = p.step,
		.step_max = p.step,
	};
	return 0;
}

int bucket_merge_fields(struct bucket *dst, const struct bucket *src, unsigned fields)
{
	struct bucket_rare *r = NULL;
	bool had_rare = dst->rare;
	int err;

	if (src->rare) {
		r = rare_of(dst);
		if (!r)
			return ERR_NOMEM;
	}
	err = fields & WANT_SUM ? sum_merge(&dst->sum, &src->sum) : 0;
	if (err < 0) {
		if (!had_rare) {
			free(dst->rare);
			dst->rare = NULL;
		}
		return err;
	}
	dst->count += src->count;
	if (r) {
		r->nan += src->rare->nan;
		r->pos_inf += src->rare->pos_inf;
		r->neg_inf += src->rare->neg_inf;
		rare_widen(r, src->rare->bad_t_ns, src->rare->bad_step);
	}
	if (fields & WANT_VALUES)
		widen_values(dst, src->min, src->max);
	if (fields & WANT_TIMES)
		widen_points(dst, &src->first, &src->last);
	if (fields & WANT_STEPS)
		widen_steps(dst, src->step_min, src->step_max);
	return 0;
}

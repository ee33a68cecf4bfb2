#include "store/hot/bucket_record.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "store/base/clock.h"

#define ENCODED_MIN 30 /* bytes of the shortest record */

void bucket_records_release(struct bucket_record *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bucket_release(&r[i].bucket);
}

/* ---- checking ---- */

static int check_counts(const struct bucket *b, struct fault *f)
{
	const struct bucket_rare none = { 0 }, *r = b->rare ? b->rare : &none;
	const struct {
		const char *field;
		uint64_t n;
	} counts[] = { { "bucket.count", b->count },
		       { "bucket.nan", r->nan },
		       { "bucket.pos_inf", r->pos_inf },
		       { "bucket.neg_inf", r->neg_inf } };

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		if (counts[i].n > BUCKET_COUNT_MAX)
			return fault_set(f, ERR_REFUSED, counts[i].field,
					 "%s is %" PRIu64 "; it is at most %" PRIu64, counts[i].field,
					 counts[i].n, BUCKET_COUNT_MAX);
	if (bucket_samples(b) == 0)
		return fault_set(
		    f, ERR_REFUSED, "bucket.count",
		    "bucket.count, nan, pos_inf and neg_inf are all 0; leave out windows without "
		    "samples");
	if (b->rare && r->nan + r->pos_inf + r->neg_inf == 0)
		return fault_set(
		    f, ERR_REFUSED, "bucket.bad",
		    "bucket.bad is the first non-finite sample, and nan, pos_inf and neg_inf are 0");
	return 0;
}

/* S between (n - 1) min + max and (n - 1) max + min, in exact arithmetic: the sign of each distance. */
static int sum_lies_between(const struct bucket *b, bool *ret)
{
	struct sum above = { 0 }, below = { 0 };
	int err;

	if ((err = sum_copy(&above, &b->sum)) < 0 || (err = sum_copy(&below, &b->sum)) < 0 ||
	    (err = sum_add_times(&above, -b->min, b->count - 1)) < 0 ||
	    (err = sum_add(&above, -b->max)) < 0 ||
	    (err = sum_add_times(&below, -b->max, b->count - 1)) < 0 || (err = sum_add(&below, -b->min)) < 0)
		goto done;
	*ret = sum_round(&above) >= 0 && sum_round(&below) <= 0;
done:
	sum_release(&above);
	sum_release(&below);
	return err;
}

static int check_values(const struct bucket *b, struct fault *f)
{
	bool fits = false;
	int err;

	if (b->count == 0) {
		if (b->min == HUGE_VAL && b->max == -HUGE_VAL && sum_round(&b->sum) == 0)
			return 0;
		return fault_set(
		    f, ERR_REFUSED, "bucket.count",
		    "bucket.count is 0 and there is a sum, min or max, which are of finite samples");
	}
	if (!isfinite(b->min) || !isfinite(b->max))
		return fault_set(f, ERR_REFUSED, isfinite(b->min) ? "bucket.max" : "bucket.min",
				 "bucket.%s is %g; min and max are of finite samples",
				 isfinite(b->min) ? "max" : "min", isfinite(b->min) ? b->max : b->min);
	if (double_total_compare(b->min, b->max) > 0)
		return fault_set(f, ERR_REFUSED, "bucket.min", "bucket.min %.17g is above bucket.max %.17g",
				 b->min, b->max);
	err = sum_lies_between(b, &fits);
	if (err < 0 || fits)
		return err;
	return fault_set(f, ERR_REFUSED, "bucket.sum",
			 "bucket.sum is %.17g, which is no sum of %" PRIu64
			 " samples that lie between %.17g and %.17g and reach both",
			 sum_round(&b->sum), b->count, b->min, b->max);
}

static int check_steps(const struct bucket *b, struct fault *f)
{
	const struct {
		const char *field;
		int64_t step;
	} steps[] = { { "bucket.first.step", b->first.step },
		      { "bucket.last.step", b->last.step },
		      { "bucket.bad.step", b->rare ? b->rare->bad_step : STEP_NONE } };

	if ((b->step_min == STEP_NONE) != (b->step_max == STEP_NONE) || b->step_min > b->step_max)
		return fault_set(f, ERR_REFUSED, "bucket.step_min",
				 "bucket.step_min is above bucket.step_max, or one of them is not there");
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		if (steps[i].step != STEP_NONE &&
		    (steps[i].step < b->step_min || steps[i].step > b->step_max))
			return fault_set(f, ERR_REFUSED, steps[i].field,
					 "%s is %" PRId64
					 ", which does not lie between bucket.step_min and step_max",
					 steps[i].field, steps[i].step);
	return 0;
}

/* A finite value lies between the extremes; one that is not finite was counted. */
static int check_point(const struct bucket *b, const char *field, double v, struct fault *f)
{
	const struct bucket_rare none = { 0 }, *r = b->rare ? b->rare : &none;
	bool good;

	if (isfinite(v))
		good =
		    b->count && double_total_compare(v, b->min) >= 0 && double_total_compare(v, b->max) <= 0;
	else
		good = isnan(v) ? r->nan : v > 0 ? r->pos_inf : r->neg_inf;
	return good ? 0
		    : fault_set(f, ERR_REFUSED, field,
				"%s is %.17g, which is outside of bucket.min and max, or of a kind that "
				"bucket.count, nan, pos_inf or neg_inf says there is none of",
				field, v);
}

static int check_places(const struct bucket_record *rec, int64_t window_ns, struct fault *f)
{
	const struct bucket *b = &rec->bucket;
	int64_t start = rec->start_ns;
	char text[CLOCK_TEXT_MAX];

	if (start < 0 || start % window_ns != 0 || start > INT64_MAX - window_ns) {
		clock_format(start < 0 ? 0 : start, text);
		return fault_set(f, ERR_REFUSED, "bucket.start",
				 "bucket.start is %s, where no window of %" PRId64
				 " s begins: they are aligned to 1970",
				 start < 0 ? "before 1970" : text, window_ns / NS_PER_S);
	}
	if (b->first.t_ns < start || b->first.t_ns >= start + window_ns)
		return fault_set(f, ERR_REFUSED, "bucket.first.time",
				 "bucket.first.time does not lie in the window");
	if (b->last.t_ns < start || b->last.t_ns >= start + window_ns)
		return fault_set(f, ERR_REFUSED, "bucket.last.time",
				 "bucket.last.time does not lie in the window");
	if (point_compare(&b->first, &b->last) > 0)
		return fault_set(
		    f, ERR_REFUSED, "bucket.last",
		    "bucket.last comes before bucket.first; points are in the order of time, step "
		    "and value");
	return 0;
}

/* The first non-finite sample: neither before the first nor after the last, and the one it says. */
static int check_bad(const struct bucket *b, struct fault *f)
{
	const struct bucket_rare *r = b->rare;
	struct point bad = { r ? r->bad_t_ns : 0, r ? r->bad_step : 0, 0 };
	struct point first = { b->first.t_ns, b->first.step, 0 }, last = { b->last.t_ns, b->last.step, 0 };
	bool good;

	if (!r)
		return 0;
	good = point_compare(&first, &bad) <= 0 && point_compare(&bad, &last) <= 0;
	if (!isfinite(b->first.value))
		good = point_compare(&first, &bad) == 0;
	return good ? 0
		    : fault_set(f, ERR_REFUSED, "bucket.bad",
				"bucket.bad does not lie between bucket.first and last, or is not the first "
				"sample that is not finite");
}

static bool same_bits(double a, double b) { return double_bits(a) == double_bits(b); }

static bool same_point(const struct point *a, const struct point *b)
{
	return a->t_ns == b->t_ns && a->step == b->step && same_bits(a->value, b->value);
}

static bool same_rare(const struct bucket_rare *a, const struct bucket_rare *b)
{
	if (!a || !b)
		return a == b;
	return a->nan == b->nan && a->pos_inf == b->pos_inf && a->neg_inf == b->neg_inf &&
	       a->bad_t_ns == b->bad_t_ns && a->bad_step == b->bad_step;
}

/* Neither sum is wide. */
static bool same_bucket(const struct bucket *a, const struct bucket *b)
{
	double x[SUM_TERMS_MAX] = { 0 }, y[SUM_TERMS_MAX] = { 0 };

	return a->count == b->count && same_bits(a->min, b->min) && same_bits(a->max, b->max) &&
	       sum_terms(&a->sum, x) == sum_terms(&b->sum, y) && memcmp(x, y, sizeof(x)) == 0 &&
	       same_point(&a->first, &b->first) && same_point(&a->last, &b->last) &&
	       a->step_min == b->step_min && a->step_max == b->step_max && same_rare(a->rare, b->rare);
}

/* One or two samples are the first and the last, and these say all. */
static int check_few(const struct bucket *b, struct fault *f)
{
	uint64_t n = bucket_samples(b);
	struct bucket made;
	bool good = false;
	int err;

	if (n > 2)
		return 0;
	bucket_init(&made);
	err = bucket_add(&made, b->first);
	if (err == 0 && n == 2)
		err = bucket_add(&made, b->last);
	if (err == 0)
		good = same_point(&made.last, &b->last) && same_bucket(&made, b);
	bucket_release(&made);
	if (err < 0 || good)
		return err;
	return fault_set(
	    f, ERR_REFUSED, "bucket.count",
	    "the bucket has %" PRIu64
	    " samples, so that first and last say all of it, and the other fields differ from that",
	    n);
}

int bucket_record_check(const struct bucket_record *r, int64_t window_ns, struct fault *f)
{
	const struct bucket *b = &r->bucket;
	int err;

	if ((err = check_counts(b, f)) < 0 || (err = check_places(r, window_ns, f)) < 0 ||
	    (err = check_values(b, f)) < 0 || (err = check_steps(b, f)) < 0 ||
	    (err = check_point(b, "bucket.first.value", b->first.value, f)) < 0 ||
	    (err = check_point(b, "bucket.last.value", b->last.value, f)) < 0 || (err = check_bad(b, f)) < 0)
		return err;
	return check_few(b, f);
}

/* ---- bytes of the journal ---- */

static int add_le64(struct buf *out, uint64_t v)
{
	uint8_t raw[8];

	put_le64(raw, v);
	return buf_add(out, raw, sizeof(raw));
}

static int encode_point(const struct point *p, int64_t start_ns, struct buf *out)
{
	int err;

	if ((err = buf_add_varint(out, (uint64_t)(p->t_ns - start_ns))) < 0 ||
	    (err = buf_add_varint(out, zigzag(p->step))) < 0)
		return err;
	return add_le64(out, double_bits(p->value));
}

static int encode_rare(const struct bucket_rare *r, int64_t start_ns, struct buf *out)
{
	const struct bucket_rare none = { 0 }, *rare = r ? r : &none;
	int err;

	if ((err = buf_add_varint(out, rare->nan)) < 0 || (err = buf_add_varint(out, rare->pos_inf)) < 0 ||
	    (err = buf_add_varint(out, rare->neg_inf)) < 0 || !r)
		return err;
	err = buf_add_varint(out, (uint64_t)(r->bad_t_ns - start_ns));
	return err < 0 ? err : buf_add_varint(out, zigzag(r->bad_step));
}

static int encode_one(const struct bucket_record *r, int64_t window_ns, struct buf *out)
{
	const struct bucket *b = &r->bucket;
	int err;

	if ((err = buf_add_varint(out, r->sid)) < 0 ||
	    (err = buf_add_varint(out, zigzag(r->start_ns / window_ns))) < 0 ||
	    (err = buf_add_varint(out, b->count)) < 0)
		return err;
	if (b->count &&
	    ((err = sum_encode(&b->sum, out)) < 0 || (err = add_le64(out, double_bits(b->min))) < 0 ||
	     (err = add_le64(out, double_bits(b->max))) < 0))
		return err;
	if ((err = encode_point(&b->first, r->start_ns, out)) < 0 ||
	    (err = encode_point(&b->last, r->start_ns, out)) < 0 ||
	    (err = buf_add_varint(out, zigzag(b->step_min))) < 0 ||
	    (err = buf_add_varint(out, zigzag(b->step_max))) < 0)
		return err;
	return encode_rare(b->rare, r->start_ns, out);
}

int bucket_records_encode(const struct bucket_record *r, size_t n, int64_t window_ns, struct buf *out)
{
	int err = buf_add_varint(out, n);

	for (size_t i = 0; i < n && err == 0; i++)
		err = encode_one(&r[i], window_ns, out);
	return err;
}

static struct point decode_point(struct reader *in, int64_t start_ns)
{
	struct point p = { .t_ns = (int64_t)((uint64_t)start_ns + read_varint(in)) };

	p.step = read_zigzag(in);
	p.value = bits_double(read_le64(in));
	return p;
}

static int decode_rare(struct reader *in, int64_t start_ns, struct bucket *b)
{
	struct bucket_rare r = { .nan = read_varint(in) };

	r.pos_inf = read_varint(in);
	r.neg_inf = read_varint(in);
	if (in->bad || !(r.nan | r.pos_inf | r.neg_inf))
		return 0;
	r.bad_t_ns = (int64_t)((uint64_t)start_ns + read_varint(in));
	r.bad_step = read_zigzag(in);
	b->rare = malloc(sizeof(*b->rare));
	if (!b->rare)
		return ERR_NOMEM;
	*b->rare = r;
	return 0;
}

static int decode_one(struct reader *in, int64_t window_ns, struct bucket_record *r)
{
	struct bucket *b = &r->bucket;
	uint64_t sid = read_varint(in);
	int64_t nth = read_zigzag(in);
	int err = 0;

	bucket_init(b);
	if (in->bad || sid == 0 || sid > UINT32_MAX || __builtin_mul_overflow(nth, window_ns, &r->start_ns))
		return ERR_CORRUPT;
	r->sid = (uint32_t)sid;
	b->count = read_varint(in);
	if (b->count) {
		err = sum_decode(in, &b->sum);
		b->min = bits_double(read_le64(in));
		b->max = bits_double(read_le64(in));
	}
	b->first = decode_point(in, r->start_ns);
	b->last = decode_point(in, r->start_ns);
	b->step_min = read_zigzag(in);
	b->step_max = read_zigzag(in);
	if (err == 0)
		err = decode_rare(in, r->start_ns, b);
	return err < 0 ? err : in->bad ? ERR_CORRUPT : 0;
}

int bucket_records_decode(struct reader *in, int64_t window_ns, struct bucket_record **ret, size_t *ret_n)
{
	uint64_t n = read_varint(in);
	struct bucket_record *r;
	int err = 0;

	if (in->bad || n == 0 || n > reader_left(in) / ENCODED_MIN)
		return ERR_CORRUPT;
	r = calloc(n, sizeof(*r));
	if (!r)
		return ERR_NOMEM;
	for (size_t i = 0; i < n && err == 0; i++)
		err = decode_one(in, window_ns, &r[i]);
	if (err < 0) {
		bucket_records_release(r, n);
		free(r);
		return err;
	}
	*ret = r;
	*ret_n = n;
	return 0;
}

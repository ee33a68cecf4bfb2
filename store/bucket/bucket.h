/*
 * bucket.h - all that is kept of the samples of one series in one window.
 *
 * Merging is commutative and associative to the last bit: any order, split and lateness of the
 * same samples gives the same canonical bytes (block.h).  It is not idempotent; repeats are kept
 * out at the door (producer.h).
 *
 *   count, sum, min, max      of finite samples; min and max by total order (-0.0 < +0.0), and
 *                             +infinity and -infinity while there are none
 *   first, last               of all samples, ordered by (time, step with none lowest, value in
 *                             IEEE 754 totalOrder by bits), so NaN and infinities take part
 *   step_min, step_max        of samples that have a step; STEP_NONE when none has
 *   nan, pos_inf, neg_inf     counts of non-finite samples
 *   bad_t_ns, bad_step        of the first non-finite sample, by (time, step)
 *
 * Times are nanoseconds since 1970 UTC.  Values keep every bit, NaN payloads included.
 * A bucket owns memory only through `rare` and the sum; bucket_init makes an empty one.
 */
#ifndef STORE_BUCKET_H
#define STORE_BUCKET_H

#include "store/bucket/sum.h"

#define STEP_NONE INT64_MIN /* a sample without a step; no sample may have this as its step */

struct point {
	int64_t t_ns, step;
	double value;
};

/* What most buckets do not have. */
struct bucket_rare {
	uint64_t nan, pos_inf, neg_inf;
	int64_t bad_t_ns, bad_step;
};

struct bucket {
	uint64_t count;
	double min, max;
	struct sum sum;
	struct point first, last;
	int64_t step_min, step_max;
	struct bucket_rare *rare; /* owned; NULL while every sample is finite */
};

/* What a reader wants of buckets, beside their counts; 0 stands for all of it.  Of those that are merged the
 * others mean nothing; first and last are wanted with their times and steps, by which they are ordered. */
enum {
	WANT_TIMES = 1, /* of first and last */
	WANT_STEPS = 2, /* of first and last; least and greatest */
	WANT_LAST =
	    4, /* the values of first and last, min, max: a bucket has all of them where one is wanted, */
	WANT_FIRST = 64, /* a sheet (sheet.h) may have that alone */
	WANT_MIN = 128,
	WANT_MAX = 256,
	WANT_VALUES = WANT_LAST | WANT_FIRST | WANT_MIN | WANT_MAX,
	WANT_SUM = 8,
	WANT_RARE = 16,
	WANT_COUNT = 32, /* nothing but that */
	WANT_ALL = WANT_TIMES | WANT_STEPS | WANT_VALUES | WANT_SUM | WANT_RARE,
};

/* An empty bucket holds the ends of every order (first is the greatest point there is, min is
 * +infinity, ...), so that adding to it and merging with it need no case of their own. */
static inline void bucket_init(struct bucket *b)
{
	*b = (struct bucket){
		.min = bits_double(UINT64_C(0x7ff0000000000000)),
		.max = bits_double(UINT64_C(0xfff0000000000000)),
		.first = { INT64_MAX, INT64_MAX, bits_double(INT64_MAX) },
		.last = { INT64_MIN, STEP_NONE, bits_double(UINT64_MAX) },
		.step_min = STEP_NONE,
		.step_max = STEP_NONE,
	};
}

void bucket_release(struct bucket *b); /* empty again */

/* Whether there is anything to release. */
static inline bool bucket_owns(const struct bucket *b) { return b->rare || b->sum.wide; }

/* Deep; dst uninitialised; ERR_NOMEM. */
int bucket_copy_owned(struct bucket *dst, const struct bucket *src);
static inline int bucket_copy(struct bucket *dst, const struct bucket *src)
{
	if (__builtin_expect(bucket_owns(src), 0))
		return bucket_copy_owned(dst, src);
	*dst = *src;
	return 0;
}

/* Number of samples, non-finite ones included. */
uint64_t bucket_samples(const struct bucket *b);

/* bucket_init and bucket_add of the first sample in one, at half the cost.  On ERR_NOMEM b is empty. */
int bucket_start(struct bucket *b, struct point p);

/* ERR_NOMEM leaves the bucket as it was. */
int bucket_add(struct bucket *b, struct point p);
int bucket_merge_fields(struct bucket *dst, const struct bucket *src, unsigned fields); /* WANT_... */
static inline int bucket_merge(struct bucket *dst, const struct bucket *src)
{
	return bucket_merge_fields(dst, src, WANT_ALL);
}

/* 0 when the two are the same to the last bit, the canonical sum included; else ERR_CORRUPT, for who
 * compares what was read back with what was written. */
int bucket_differs(const struct bucket *a, const struct bucket *b);

/* (time, step, value) as above: negative, 0, positive. */
int point_compare(const struct point *a, const struct point *b);

/* IEEE 754 totalOrder of two doubles, by bits: -NaN < -Inf < ... < -0 < +0 < ... < +Inf < +NaN. */
int double_total_compare(double a, double b);

/* Start of the window that holds t_ns; window_ns > 0; windows are aligned to 1970 UTC. */
static inline int64_t window_start(int64_t t_ns, int64_t window_ns)
{
	int64_t rest = t_ns % window_ns;
	return t_ns - (rest < 0 ? rest + window_ns : rest);
}

#endif

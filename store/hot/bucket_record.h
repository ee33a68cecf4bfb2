/*
 * bucket_record.h - buckets that were made elsewhere, on their way into this store: what an export
 * holds of a window whose samples are gone.  Once checked they merge like any other bucket.
 *
 * A record owns what its bucket owns.  Pure; any thread.
 */
#ifndef STORE_BUCKET_RECORD_H
#define STORE_BUCKET_RECORD_H

#include "store/bucket/bucket.h"

struct bucket_record {
	uint32_t sid;
	int64_t start_ns; /* of the window */
	struct bucket bucket;
};

#define BUCKET_COUNT_MAX (UINT64_C(1) << 48) /* of each of the four counts: sums of these never overflow */

void bucket_records_release(struct bucket_record *r, size_t n); /* their buckets, not the array */

/* Whether samples of that window can have made this bucket: counts against sum, extremes and points,
 * and everything exactly where there are at most two samples.  ERR_REFUSED with the field ("bucket.min")
 * and the reason; ERR_NOMEM. */
int bucket_record_check(const struct bucket_record *r, int64_t window_ns, struct fault *f);

/*
 * For the journal: v records, then of each
 *   v sid, z start / window, v count; when that is not 0: the sum (sum.h), min and max le64;
 *   first and last: v time - start, z step, value le64;  z step_min, z step_max
 *   v nan, v pos_inf, v neg_inf; when one of them is not 0: v bad time - start, z bad step
 */
int bucket_records_encode(const struct bucket_record *r, size_t n, int64_t window_ns, struct buf *out);

/* The array is the caller's to release and free.  ERR_CORRUPT: these bytes were not made above. */
int bucket_records_decode(struct reader *in, int64_t window_ns, struct bucket_record **ret, size_t *ret_n);

#endif

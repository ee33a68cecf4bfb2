/*
 * bucket_line.h - the member "bucket" of a JSON line: one window of a series whose samples are gone.
 *
 *   {"start":"2025-07-06T12:00:00Z","every":"30s","count":3,"sum":[0.30000000000000004,-2.7e-17],
 *    "min":0.1,"max":0.1,"first":{"time":"...","step":1,"value":0.1},"last":{...},
 *    "step_min":1,"step_max":3,"nan":1,"pos_inf":0,"neg_inf":0,"bad":{"time":"...","step":2}}
 *
 * sum: the exact sum as canonical doubles, the first of them the sum rounded (store/bucket/sum.h); where
 * these cannot say it, S * 2^1074 in hexadecimal: "0x1f00p-1074".  first, last: of all samples, by
 * time, step and value; every bit of a value is kept ("NaN:7ff8000000000001").  bad: time and step of
 * the first sample that is not finite.  What does not apply is null or left out: sum, min and max when
 * count is 0, bad when all samples are finite, steps where there are none, nan, pos_inf and neg_inf
 * that are 0.  Times are RFC 3339 or integer milliseconds.
 */
#ifndef INGEST_BUCKET_LINE_H
#define INGEST_BUCKET_LINE_H

#include "store/write.h"

/* Reads the shape; what it says is for intake_bucket to judge.  The record is the caller's to release
 * on success.  ERR_REFUSED with the field; ERR_NOMEM. */
int bucket_line_read(struct span object, struct bucket_record *ret, int64_t *ret_every_ns, struct fault *f);

#endif

/*
 * tfevents.h - the events of TensorBoard: which scalars one record of an event file holds.
 *
 * By hand, after tensorflow/core/util/event.proto, framework/summary.proto and framework/tensor.proto:
 *
 *   Event          1 wall_time double, 2 step int64, 3 file_version, 5 Summary, 7 SessionLog
 *   Summary        1 repeated Value
 *   Value          1 tag, 2 simple_value float, 3-6 others, 8 TensorProto, 9 SummaryMetadata
 *   TensorProto    1 dtype, 2 shape, 4 tensor_content, 5 float_val, 6 double_val, 7 int_val,
 *                  10 int64_val, 13 half_val, 16 uint32_val, 17 uint64_val
 *
 * A scalar is a simple_value, or a tensor of rank 0 of floats, doubles, halves, bfloat16 or integers
 * whose plugin is "scalars" or not said: that is what both generations of writers make.  Everything
 * else (pictures, histograms, texts, hyperparameters) is counted and passed over.  Unknown fields are
 * passed over, too; bytes that are no such message are malformed.  The nesting is fixed.  Pure; any
 * thread.
 */
#ifndef INGEST_IMPORT_TFEVENTS_H
#define INGEST_IMPORT_TFEVENTS_H

#include "store/base/bytes.h"

struct event_scalar {
	struct span tag; /* borrowed from the record; any bytes */
	double value;
	bool is_float32; /* it was a float, half or bfloat16, so float32 holds it exactly */
};

struct event {
	bool has_time; /* wall_time lies in 1970 .. 2261 */
	int64_t t_ns;
	int64_t step;                 /* 0 where none is written, as protobuf has it */
	uint64_t others;              /* values met that are no scalars */
	struct reader fields, values; /* where event_next stands */
};

/* Checks the outer message.  ERR_MALFORMED: these are not the bytes of an Event.  The record is
 * borrowed as long as *ret is used. */
int event_parse(struct span record, struct event *ret);

/* The next scalar.  1: no more.  ERR_MALFORMED. */
int event_next(struct event *e, struct event_scalar *ret);

/* Seconds since 1970 to nanoseconds: the exact value of the double, rounded to the nearest (a half
 * to even).  False when it is negative, NaN or past the year 2261. */
bool event_time_ns(double seconds, int64_t *ret_ns);

#endif

/*
 * message.h - IngestRequest by hand: a pre-check, bounded iterators (samples.h has those of the
 * columns), and a writer.
 *
 * proto/astraml/v2/ingest.proto is the description; these read and write the same bytes as
 * protobuf-c would (Protocol Buffers encoding, proto3), at a fraction of its cost and without its
 * recursion: the nesting is fixed (request > batch > record > attribute or point), so no input can make it
 * deep; unknown fields are passed over.  As everywhere in protobuf the last of a repeated scalar
 * wins, a packed column may come in several chunks or entry by entry, and 32-bit fields take the
 * low half of their varint.
 *
 * Deliberately stricter than protobuf-c, which takes all or most of these: field number 0, and over
 * 2^29 - 1; a varint of ten bytes whose value does not fit 64 bits; a bool of another wire type; a
 * second producer or run update, a second first, last or bad point of a bucket (it would merge them);
 * values and values_f32 in one Samples; columns whose lengths disagree; anything over a limit.
 *
 * message_check must have accepted the bytes before anything else here walks them: it counts, so
 * that a decoder allocates once, and what comes after relies on it.  Pure; any thread.
 */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include "store/base/bytes.h"

/* Field numbers, as in the .proto. */
enum {
	REQUEST_PRODUCER = 1,
	REQUEST_SERIES,
	REQUEST_SAMPLES,
	REQUEST_LOGS,
	REQUEST_RUN,
	REQUEST_IMPORTED,
	REQUEST_BUCKETS,
};
enum { PRODUCER_ID = 1, PRODUCER_SEQUENCE };
enum { SERIES_METRIC = 1, SERIES_UNIT, SERIES_LABELS };
enum { LABEL_KEY = 1, LABEL_VALUE };
enum {
	SAMPLES_SERIES = 1,
	SAMPLES_SERIES_ARE_IDS,
	SAMPLES_START_NS,
	SAMPLES_TIME_UNIT_NS,
	SAMPLES_TIMES,
	SAMPLES_STEPS,
	SAMPLES_VALUES,
	SAMPLES_VALUES_F32,
};
enum { BUCKETS_SERIES = 1, BUCKETS_BUCKETS };
enum {
	BUCKET_START_NS = 1,
	BUCKET_EVERY_NS,
	BUCKET_COUNT,
	BUCKET_SUM,
	BUCKET_SUM_HEX,
	BUCKET_MIN,
	BUCKET_MAX,
	BUCKET_FIRST,
	BUCKET_LAST,
	BUCKET_STEP_MIN,
	BUCKET_STEP_MAX,
	BUCKET_NAN,
	BUCKET_POS_INF,
	BUCKET_NEG_INF,
	BUCKET_BAD,
};
enum { POINT_TIME_NS = 1, POINT_STEP, POINT_VALUE };
enum { LOGS_STREAM = 1, LOGS_RANK, LOGS_RECORDS };
enum { RECORD_TEXT = 1, RECORD_TIME_NS, RECORD_LEVEL, RECORD_ATTRIBUTES };
enum { RUN_UPDATE_STATE = 1, RUN_UPDATE_EXIT_CODE, RUN_UPDATE_ENDED_NS };
enum {
	RESPONSE_DUPLICATE = 1,
	RESPONSE_FIRST_SEQ,
	RESPONSE_LAST_SEQ,
	RESPONSE_SERIES_IDS,
	RESPONSE_REJECTED,
	RESPONSE_SHOULD_STOP,
};
enum { REJECTED_KIND = 1, REJECTED_INDEX, REJECTED_CODE };

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct message_field {
	uint32_t number;
	enum wire_type type;
	uint64_t value;    /* varint, fixed64, fixed32 */
	struct span bytes; /* WIRE_BYTES; borrowed from what is walked */
};

/* The next field of a message: 0, 1 at the end, ERR_MALFORMED.  Safe on any bytes. */
int message_next(struct reader *r, struct message_field *ret);

/* ---- pre-check ---- */

/* Greatest numbers of each in one request; fields: of all kinds, at all levels. */
struct message_limits {
	size_t samples, series, labels, records, attributes, buckets, fields;
};

struct message_counts {
	size_t samples, series, labels, records, attributes, buckets, fields;
	bool has_steps; /* at least one sample has */
};

/* 0.  ERR_MALFORMED: these are not the bytes of an IngestRequest, or its columns disagree.
 * ERR_TOO_LARGE: over a limit. */
int message_check(struct span body, const struct message_limits *limits, struct message_counts *ret,
		  struct fault *f);

/* ---- writing: appends to a struct buf, whose errors these return ---- */

int message_put_varint(struct buf *out, uint32_t field, uint64_t v);
int message_put_fixed64(struct buf *out, uint32_t field, uint64_t v);
int message_put_bytes(struct buf *out, uint32_t field, struct span s);

/* A packed column: v[0], and the difference of each to the one before it. */
int message_put_differences(struct buf *out, uint32_t field, const int64_t *v, size_t n);

/* A message within a message, or another packed column: begun, filled, ended; marks nest.  On failure
 * out holds a part of it. */
int message_begin(struct buf *out, uint32_t field, size_t *ret_mark);
int message_end(struct buf *out, size_t mark);

#endif

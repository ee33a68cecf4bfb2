/*
 * message_random.h - random bytes of IngestRequests, for tests/unit/proto/test_message.c.
 *
 * random_request packs a random structure with protobuf-c.  rewrite says the same again in other
 * words, as the encoding allows: columns in chunks or entry by entry, varints of more bytes than
 * they need, unknown fields between, scalars twice with the last one counting.  mutate breaks it.
 */
#ifndef TESTS_MESSAGE_RANDOM_H
#define TESTS_MESSAGE_RANDOM_H

#include <stdlib.h>

#include "astraml/v2/ingest.pb-c.h"
#include "proto/message.h"
#include "store/base/arena.h"

static uint64_t random_state = 1;

static inline uint64_t rnd(void)
{
	uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline size_t below(size_t n) { return (size_t)(rnd() % n); }

/* Mostly small, of every size now and then. */
static inline int64_t random_int(void)
{
	static const unsigned shifts[] = { 62, 60, 57, 57, 50, 40, 30, 1, 0 };

	return (int64_t)rnd() >> shifts[below(sizeof(shifts) / sizeof(*shifts))];
}

static inline void *room(struct arena *a, size_t n)
{
	void *p = arena_alloc(a, n + 1);

	if (!p)
		abort();
	memset(p, 0, n + 1);
	return p;
}

static inline char *random_text(struct arena *a)
{
	size_t n = below(below(4) ? 6 : 200);
	char *s = room(a, n);

	for (size_t i = 0; i < n; i++)
		s[i] = (char)(1 + below(255));
	return s;
}

static inline ProtobufCBinaryData random_bytes(struct arena *a, size_t n)
{
	ProtobufCBinaryData d = { n, room(a, n) };

	for (size_t i = 0; i < n; i++)
		d.data[i] = (uint8_t)rnd();
	return d;
}

/* ---- structures ---- */

static inline Astraml__V2__Label **random_labels(struct arena *a, size_t n)
{
	Astraml__V2__Label **list = room(a, n * sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		list[i] = room(a, sizeof(*list[i]));
		astraml__v2__label__init(list[i]);
		list[i]->key = random_text(a);
		list[i]->value = random_text(a);
	}
	return list;
}

static inline Astraml__V2__Series *random_series(struct arena *a)
{
	Astraml__V2__Series *s = room(a, sizeof(*s));

	astraml__v2__series__init(s);
	s->metric = random_text(a);
	if (below(2))
		s->unit = random_text(a);
	s->n_labels = below(4);
	s->labels = random_labels(a, s->n_labels);
	return s;
}

static inline size_t random_length(size_t n, bool may_be_none)
{
	if (n == 0)
		return 0;
	if (below(3) == 0)
		return 1;
	return may_be_none && below(3) == 0 ? 0 : n;
}

static inline void random_column(struct arena *a, size_t n, int64_t **ret)
{
	bool regular = below(2);

	*ret = room(a, n * sizeof(**ret));
	for (size_t i = 0; i < n; i++)
		(*ret)[i] = regular ? (int64_t)below(100) - 50 : random_int();
}

static inline void random_values(struct arena *a, size_t n, Astraml__V2__Samples *s)
{
	bool narrow = below(2);

	s->values = room(a, n * sizeof(*s->values));
	s->values_f32 = room(a, n * sizeof(*s->values_f32));
	for (size_t i = 0; i < n; i++) {
		/* every fourth with the exponent of NaN or infinity */
		uint64_t bits = rnd() | (below(4) ? 0 : UINT64_C(0x7ff000007f800000));

		memcpy(&s->values[i], &bits, sizeof(*s->values));
		memcpy(&s->values_f32[i], &bits, sizeof(*s->values_f32));
	}
	s->n_values = narrow ? 0 : n;
	s->n_values_f32 = narrow ? n : 0;
}

static inline Astraml__V2__Samples *random_samples(struct arena *a)
{
	static const size_t lengths[] = { 0, 1, 2, 3, 7, 8, 9, 16, 40, 300 };
	Astraml__V2__Samples *s = room(a, sizeof(*s));
	size_t n = lengths[below(sizeof(lengths) / sizeof(*lengths))];
	int64_t *wide;

	astraml__v2__samples__init(s);
	s->n_series = random_length(n, false);
	random_column(a, s->n_series, &wide);
	s->series = room(a, s->n_series * sizeof(*s->series));
	for (size_t i = 0; i < s->n_series; i++)
		s->series[i] = (int32_t)wide[i];
	s->series_are_ids = below(2);
	s->start_ns = random_int();
	s->time_unit_ns = (uint64_t)random_int();
	s->n_times = random_length(n, true);
	random_column(a, s->n_times, &s->times);
	s->n_steps = random_length(n, true);
	random_column(a, s->n_steps, &s->steps);
	random_values(a, n, s);
	return s;
}

static inline Astraml__V2__LogRecord *random_record(struct arena *a)
{
	Astraml__V2__LogRecord *r = room(a, sizeof(*r));

	astraml__v2__log_record__init(r);
	r->text = random_bytes(a, below(below(4) ? 10 : 300));
	r->time_ns = random_int();
	r->level = (Astraml__V2__Level)below(9);
	r->n_attributes = below(4) ? 0 : below(4);
	r->attributes = random_labels(a, r->n_attributes);
	return r;
}

static inline Astraml__V2__LogBatch *random_logs(struct arena *a)
{
	Astraml__V2__LogBatch *b = room(a, sizeof(*b));

	astraml__v2__log_batch__init(b);
	b->stream = random_text(a);
	if (below(2)) {
		b->rank_or_none_case = ASTRAML__V2__LOG_BATCH__RANK_OR_NONE_RANK;
		b->rank = (uint32_t)random_int();
	}
	b->n_records = below(4);
	b->records = room(a, b->n_records * sizeof(*b->records));
	for (size_t i = 0; i < b->n_records; i++)
		b->records[i] = random_record(a);
	return b;
}

static inline Astraml__V2__Point *random_point(struct arena *a)
{
	Astraml__V2__Point *p = room(a, sizeof(*p));
	uint64_t bits = rnd();

	astraml__v2__point__init(p);
	p->time_ns = random_int();
	if (below(2)) {
		p->step_or_none_case = ASTRAML__V2__POINT__STEP_OR_NONE_STEP;
		p->step = random_int();
	}
	if (below(4)) {
		p->value_or_zero_case = ASTRAML__V2__POINT__VALUE_OR_ZERO_VALUE;
		memcpy(&p->value, &bits, sizeof(p->value));
	}
	return p;
}

static inline Astraml__V2__Bucket *random_bucket(struct arena *a)
{
	Astraml__V2__Bucket *b = room(a, sizeof(*b));

	astraml__v2__bucket__init(b);
	b->start_ns = random_int();
	b->every_ns = (uint64_t)random_int();
	b->count = (uint64_t)random_int();
	b->n_sum = below(8);
	b->sum = room(a, b->n_sum * sizeof(*b->sum));
	for (size_t i = 0; i < b->n_sum; i++)
		b->sum[i] = (double)random_int();
	b->sum_hex = random_text(a);
	if (below(2)) {
		b->min_or_none_case = ASTRAML__V2__BUCKET__MIN_OR_NONE_MIN;
		b->min = -0.0;
	}
	if (below(2)) {
		b->max_or_none_case = ASTRAML__V2__BUCKET__MAX_OR_NONE_MAX;
		b->max = (double)random_int();
	}
	if (below(2)) {
		b->step_min_or_none_case = ASTRAML__V2__BUCKET__STEP_MIN_OR_NONE_STEP_MIN;
		b->step_min = random_int();
	}
	b->nan = below(3);
	b->first = below(4) ? random_point(a) : NULL;
	b->last = below(4) ? random_point(a) : NULL;
	b->bad = below(2) ? random_point(a) : NULL;
	return b;
}

static inline Astraml__V2__Buckets *random_buckets(struct arena *a)
{
	Astraml__V2__Buckets *b = room(a, sizeof(*b));

	astraml__v2__buckets__init(b);
	b->series = (uint32_t)random_int();
	b->n_buckets = below(4);
	b->buckets = room(a, b->n_buckets * sizeof(*b->buckets));
	for (size_t i = 0; i < b->n_buckets; i++)
		b->buckets[i] = random_bucket(a);
	return b;
}

static inline void random_parts(struct arena *a, Astraml__V2__IngestRequest *m)
{
	m->n_series = below(4);
	m->series = room(a, m->n_series * sizeof(*m->series));
	for (size_t i = 0; i < m->n_series; i++)
		m->series[i] = random_series(a);
	m->n_samples = below(4);
	m->samples = room(a, m->n_samples * sizeof(*m->samples));
	for (size_t i = 0; i < m->n_samples; i++)
		m->samples[i] = random_samples(a);
	m->n_logs = below(3);
	m->logs = room(a, m->n_logs * sizeof(*m->logs));
	for (size_t i = 0; i < m->n_logs; i++)
		m->logs[i] = random_logs(a);
	m->n_buckets = below(3);
	m->buckets = room(a, m->n_buckets * sizeof(*m->buckets));
	for (size_t i = 0; i < m->n_buckets; i++)
		m->buckets[i] = random_buckets(a);
}

/* Bytes live as long as the arena. */
static inline struct span random_request(struct arena *a)
{
	Astraml__V2__IngestRequest m = ASTRAML__V2__INGEST_REQUEST__INIT;
	Astraml__V2__Producer producer = ASTRAML__V2__PRODUCER__INIT;
	Astraml__V2__RunUpdate run = ASTRAML__V2__RUN_UPDATE__INIT;
	uint8_t *bytes;
	size_t len;

	random_parts(a, &m);
	producer.id = random_bytes(a, below(3) ? 16 : below(20));
	producer.sequence = (uint64_t)random_int();
	run.state = (Astraml__V2__State)below(8);
	run.ended_ns = below(2) ? random_int() : 0;
	if (below(2)) {
		run.exit_code_or_none_case = ASTRAML__V2__RUN_UPDATE__EXIT_CODE_OR_NONE_EXIT_CODE;
		run.exit_code = (int32_t)random_int();
	}
	m.producer = below(2) ? &producer : NULL;
	m.run = below(3) ? NULL : &run;
	m.imported = below(2);
	len = astraml__v2__ingest_request__get_packed_size(&m);
	bytes = room(a, len);
	astraml__v2__ingest_request__pack(&m, bytes);
	return span_of(bytes, len);
}

/* ---- the same in other words ---- */

enum shape {
	SHAPE_REQUEST,
	SHAPE_SERIES,
	SHAPE_SAMPLES,
	SHAPE_LOGS,
	SHAPE_RECORD,
	SHAPE_BUCKETS,
	SHAPE_BUCKET,
	SHAPE_PAIR, /* scalars */
};

static inline int shape_within(enum shape s, uint32_t field)
{
	if (s == SHAPE_REQUEST)
		return field == REQUEST_SERIES     ? SHAPE_SERIES
		       : field == REQUEST_SAMPLES  ? SHAPE_SAMPLES
		       : field == REQUEST_LOGS     ? SHAPE_LOGS
		       : field == REQUEST_BUCKETS  ? SHAPE_BUCKETS
		       : field == REQUEST_IMPORTED ? -1
						   : SHAPE_PAIR;
	if (s == SHAPE_SERIES && field == SERIES_LABELS)
		return SHAPE_PAIR;
	if (s == SHAPE_LOGS && field == LOGS_RECORDS)
		return SHAPE_RECORD;
	if (s == SHAPE_BUCKETS && field == BUCKETS_BUCKETS)
		return SHAPE_BUCKET;
	if (s == SHAPE_BUCKET && (field == BUCKET_FIRST || field == BUCKET_LAST || field == BUCKET_BAD))
		return SHAPE_PAIR;
	return s == SHAPE_RECORD && field == RECORD_ATTRIBUTES ? SHAPE_PAIR : -1;
}

/* At most max bytes, some of which may be of no use. */
static inline void put_loose_varint(struct buf *out, uint64_t v, size_t max)
{
	uint8_t raw[VARINT_MAX];
	size_t n = (size_t)(put_varint(raw, v) - raw), want = n;

	if (below(4) == 0 && n < max)
		want = n + below(max - n + 1);
	for (; n < want; n++) {
		raw[n - 1] |= 0x80;
		raw[n] = 0;
	}
	if (buf_add(out, raw, n) < 0)
		abort();
}

static inline void put_loose_tag(struct buf *out, uint32_t field, enum wire_type type)
{
	put_loose_varint(out, (uint64_t)field << 3 | type, 5);
}

static inline void put_unknown(struct buf *out)
{
	static const enum wire_type types[] = { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_FIXED32 };
	enum wire_type type = types[below(4)];
	uint8_t raw[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	size_t n = below(9);

	put_loose_tag(out, (uint32_t)(16 + below(below(2) ? 20 : 0x1ffffff0)), type);
	if (type == WIRE_VARINT)
		put_loose_varint(out, rnd(), VARINT_MAX);
	if (type == WIRE_BYTES)
		put_loose_varint(out, n, 5);
	if (type != WIRE_VARINT && buf_add(out, raw,
					   type == WIRE_FIXED64   ? 8
					   : type == WIRE_FIXED32 ? 4
								  : n) < 0)
		abort();
}

/* An entry of a column, as it is without a tag. */
static inline void put_entry(struct reader *r, uint32_t field, struct buf *out)
{
	size_t width = field == SAMPLES_VALUES ? 8 : 4;

	if (field == SAMPLES_VALUES || field == SAMPLES_VALUES_F32) {
		if (buf_add(out, read_bytes(r, width).data, width) < 0)
			abort();
	} else {
		put_loose_varint(out, read_varint(r), VARINT_MAX);
	}
}

static inline void rewrite_column(struct span s, uint32_t field, struct buf *out)
{
	enum wire_type one = field == SAMPLES_VALUES       ? WIRE_FIXED64
			     : field == SAMPLES_VALUES_F32 ? WIRE_FIXED32
							   : WIRE_VARINT;
	struct reader r = reader_of(s);
	struct buf chunk;

	buf_init(&chunk, 1 << 20);
	do {
		if (below(3) == 0 && reader_left(&r)) {
			put_loose_tag(out, field, one);
			put_entry(&r, field, out);
		}
		buf_clear(&chunk);
		for (size_t n = below(below(2) ? 5 : 400); n > 0 && reader_left(&r); n--)
			put_entry(&r, field, &chunk);
		put_loose_tag(out, field, WIRE_BYTES);
		put_loose_varint(out, chunk.len, 5);
		if (buf_add(out, chunk.data, chunk.len) < 0)
			abort();
		if (below(4) == 0)
			put_unknown(out);
	} while (reader_left(&r));
	buf_release(&chunk);
}

static inline void rewrite(struct span s, enum shape shape, struct buf *out);

static inline void rewrite_field(const struct message_field *f, enum shape shape, struct buf *out)
{
	int within = shape_within(shape, f->number);
	struct buf inner;

	if (shape == SHAPE_SAMPLES && f->type == WIRE_BYTES) {
		rewrite_column(f->bytes, f->number, out);
		return;
	}
	put_loose_tag(out, f->number, f->type);
	if (f->type == WIRE_VARINT) {
		put_loose_varint(out, f->value, VARINT_MAX);
	} else if (f->type == WIRE_FIXED64) {
		uint8_t raw[8];

		put_le64(raw, f->value);
		if (buf_add(out, raw, 8) < 0)
			abort();
	} else {
		buf_init(&inner, 1 << 22);
		if (within >= 0)
			rewrite(f->bytes, (enum shape)within, &inner);
		else if (buf_add(&inner, f->bytes.data, f->bytes.len) < 0)
			abort();
		put_loose_varint(out, inner.len, 5);
		if (buf_add(out, inner.data, inner.len) < 0)
			abort();
		buf_release(&inner);
	}
}

/* The bytes are valid, of protobuf-c. */
static inline void rewrite(struct span s, enum shape shape, struct buf *out)
{
	struct reader r = reader_of(s);
	struct message_field f;

	while (message_next(&r, &f) == 0) {
		if (below(8) == 0)
			put_unknown(out);
		/* a scalar that is said again: what was said first does not count */
		if (shape_within(shape, f.number) < 0 && shape != SHAPE_SAMPLES &&
		    !(shape == SHAPE_BUCKET && f.number == BUCKET_SUM) && below(6) == 0) {
			struct message_field old = f;

			old.value ^= below(100);
			old.bytes.len = below(old.bytes.len + 1);
			rewrite_field(&old, shape, out);
		}
		rewrite_field(&f, shape, out);
	}
	if (below(8) == 0)
		put_unknown(out);
}

/* Flips bits, sets bytes, cuts out, doubles a piece; at least one change. */
static inline void mutate(struct buf *b)
{
	static const uint8_t special[] = { 0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x1a, 0x22, 0x08 };

	for (size_t n = 1 + below(4); n > 0 && b->len > 0; n--) {
		size_t at = below(b->len), len = 1 + below(b->len - at);

		len = len > 12 && below(3) ? 12 : len;
		switch (below(5)) {
		case 0:
			b->data[at] ^= (uint8_t)(1u << below(8));
			break;
		case 1:
			b->data[at] = special[below(sizeof(special))];
			break;
		case 2:
			memmove(b->data + at, b->data + at + len, b->len - at - len);
			b->len -= len;
			break;
		case 3:
			b->len = at;
			break;
		default:
			if (buf_reserve(b, len) < 0)
				return;
			memmove(b->data + at + len, b->data + at, b->len - at);
			b->len += len;
		}
	}
}

#endif

/*
 * message_same.h - what protobuf-c makes of the bytes of an IngestRequest against what the iterators
 * of message.h and samples.h make of them; and why ours may refuse what protobuf-c takes.
 *
 * To be included after cmocka.h and message_random.h.
 */
#ifndef TESTS_MESSAGE_SAME_H
#define TESTS_MESSAGE_SAME_H

#include "proto/samples.h"

/* ---- protobuf-c with a bound ---- */

static bool arena_full;

static inline void *capped_alloc(void *arena, size_t n)
{
	void *p = arena_alloc(arena, n);

	arena_full |= !p;
	return p;
}

static inline void capped_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

static inline Astraml__V2__IngestRequest *oracle(struct arena *a, struct span s)
{
	ProtobufCAllocator capped = { capped_alloc, capped_free, a };

	arena_full = false;
	return astraml__v2__ingest_request__unpack(&capped, s.len, s.data);
}

/* ---- why ours may refuse what protobuf-c takes; see message.h ---- */

struct strictness {
	bool number, varint, boolean, twice, columns;
};

static inline uint64_t varint_at(struct span s, size_t *at, bool *over)
{
	unsigned __int128 v = 0;

	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte = s.data[(*at)++];

		v |= (unsigned __int128)(byte & 0x7f) << shift;
		if (byte < 0x80)
			break;
	}
	*over |= v >> 64 != 0;
	return (uint64_t)v;
}

/* Of bytes that protobuf-c has taken, so that nothing is cut off. */
static inline void look_for_strictness(struct span s, enum shape shape, struct strictness *ret)
{
	size_t seen[2 + BUCKET_BAD + 1] = { 0 };

	for (size_t at = 0; at < s.len;) {
		bool no = false;
		uint64_t tag = varint_at(s, &at, &no), len = 8;
		uint32_t field = (uint32_t)(tag >> 3);

		ret->number |= tag >> 3 == 0 || tag >> 3 > 0x1fffffff;
		ret->boolean |=
		    (tag & 7) != WIRE_VARINT && ((shape == SHAPE_REQUEST && field == REQUEST_IMPORTED) ||
						 (shape == SHAPE_SAMPLES && field == SAMPLES_SERIES_ARE_IDS));
		seen[0] += shape == SHAPE_REQUEST && field == REQUEST_PRODUCER;
		seen[1] += shape == SHAPE_REQUEST && field == REQUEST_RUN;
		if (shape == SHAPE_BUCKET && shape_within(shape, field) >= 0)
			seen[2 + field]++;
		switch (tag & 7) {
		case WIRE_VARINT:
			varint_at(s, &at, &ret->varint);
			len = 0;
			break;
		case WIRE_FIXED32:
			len = 4;
			break;
		case WIRE_BYTES:
			len = varint_at(s, &at, &ret->varint);
			break;
		}
		if ((tag & 7) == WIRE_BYTES && shape == SHAPE_SAMPLES &&
		    (field == SAMPLES_SERIES || field == SAMPLES_TIMES || field == SAMPLES_STEPS))
			for (size_t i = at; i < at + len;)
				varint_at(s, &i, &ret->varint);
		else if ((tag & 7) == WIRE_BYTES && shape_within(shape, field) >= 0 &&
			 (shape != SHAPE_REQUEST || (field > 0 && field <= REQUEST_BUCKETS)))
			look_for_strictness(span_of(s.data + at, len), (enum shape)shape_within(shape, field),
					    ret);
		at += len;
	}
	for (size_t i = 0; i < sizeof(seen) / sizeof(*seen); i++)
		ret->twice |= seen[i] > 1;
}

static inline bool good_length(size_t entries, size_t n, size_t least)
{
	return entries == n || (entries == 1 && n > 1) || (entries == 0 && least == 0);
}

static inline bool may_refuse(const Astraml__V2__IngestRequest *m, struct span s)
{
	struct strictness why = { 0 };

	look_for_strictness(s, SHAPE_REQUEST, &why);
	for (size_t i = 0; i < m->n_samples; i++) {
		const Astraml__V2__Samples *c = m->samples[i];
		size_t n = c->n_values + c->n_values_f32;

		why.columns |= (c->n_values && c->n_values_f32) || !good_length(c->n_series, n, 1) ||
			       !good_length(c->n_times, n, 0) || !good_length(c->n_steps, n, 0);
	}
	return why.number || why.varint || why.boolean || why.twice || why.columns;
}

/* ---- the same values ---- */

static inline void same_text(struct span got, const char *want)
{
	size_t n = strlen(want);

	/* protobuf-c's strings end at the first NUL */
	assert_true(got.len >= n && (n == 0 || memcmp(got.data, want, n) == 0));
	assert_true(got.len == n || got.data[n] == 0);
}

static inline void same_bytes(struct span got, ProtobufCBinaryData want)
{
	assert_int_equal(got.len, want.len);
	assert_true(got.len == 0 || memcmp(got.data, want.data, got.len) == 0);
}

static inline void same_label(struct span s, const Astraml__V2__Label *want)
{
	struct span parts[3] = { { 0 } };
	struct reader r = reader_of(s);
	struct message_field f;

	while (message_next(&r, &f) == 0)
		if (f.number <= LABEL_VALUE)
			parts[f.number] = f.bytes;
	same_text(parts[LABEL_KEY], want->key);
	same_text(parts[LABEL_VALUE], want->value);
}

static inline void same_series(struct span s, const Astraml__V2__Series *want)
{
	struct span metric = { 0 }, unit = { 0 };
	struct reader r = reader_of(s);
	struct message_field f;
	size_t labels = 0;

	while (message_next(&r, &f) == 0) {
		if (f.number == SERIES_METRIC)
			metric = f.bytes;
		else if (f.number == SERIES_UNIT)
			unit = f.bytes;
		else if (f.number == SERIES_LABELS)
			same_label(f.bytes, want->labels[labels++]);
	}
	same_text(metric, want->metric);
	same_text(unit, want->unit);
	assert_int_equal(labels, want->n_labels);
}

/* Exactly n places, so that a sanitizer sees one too many. */
static inline void same_sums(struct span s, uint32_t field, size_t n, const int64_t *wide_entries,
			     const int32_t *narrow_entries)
{
	int64_t *got = malloc(n * sizeof(*got));
	bool fits = true;
	__int128 sum = 0;
	bool ok = samples_sums(s, field, got);

	for (size_t i = 0; i < n && fits; i++) {
		sum += wide_entries ? wide_entries[i] : narrow_entries[i];
		fits = sum >= INT64_MIN && sum <= INT64_MAX;
		assert_true(!ok || !fits || got[i] == (int64_t)sum);
	}
	assert_int_equal(ok, fits);
	free(got);
}

static inline uint64_t widened(float v)
{
	uint32_t bits;
	uint64_t mantissa;

	memcpy(&bits, &v, 4);
	mantissa = (uint64_t)(bits & 0x7fffff) << 29;
	if ((bits >> 23 & 0xff) == 0xff)
		return (uint64_t)(bits >> 31) << 63 | UINT64_C(0x7ff) << 52 | mantissa;
	return double_bits((double)v);
}

static inline void same_samples(struct span s, const Astraml__V2__Samples *want)
{
	size_t n = want->n_values + want->n_values_f32;
	double *values = malloc(n * sizeof(*values));
	struct samples_shape shape;

	assert_int_equal(samples_shape(s, &shape), 0);
	assert_int_equal(shape.n, n);
	assert_int_equal(shape.n_series, want->n_series);
	assert_int_equal(shape.n_times, want->n_times);
	assert_int_equal(shape.n_steps, want->n_steps);
	assert_int_equal(shape.has_f64, want->n_values > 0);
	assert_int_equal(shape.has_f32, want->n_values_f32 > 0);
	assert_int_equal(shape.series_are_ids, want->series_are_ids != 0);
	assert_true(shape.start_ns == want->start_ns);
	assert_true(shape.time_unit_ns == (want->time_unit_ns ? want->time_unit_ns : 1));
	same_sums(s, SAMPLES_SERIES, want->n_series, NULL, want->series);
	same_sums(s, SAMPLES_TIMES, want->n_times, want->times, NULL);
	same_sums(s, SAMPLES_STEPS, want->n_steps, want->steps, NULL);
	samples_values(s, values);
	for (size_t i = 0; i < n; i++) {
		uint64_t bits;

		memcpy(&bits, &values[i], 8);
		if (want->n_values)
			assert_memory_equal(&values[i], &want->values[i], 8);
		else
			assert_true(bits == widened(want->values_f32[i]));
	}
	free(values);
}

static inline void same_record(struct span s, const Astraml__V2__LogRecord *want)
{
	uint64_t values[4] = { 0 };
	struct reader r = reader_of(s);
	struct span text = { 0 };
	struct message_field f;
	size_t attributes = 0;

	while (message_next(&r, &f) == 0) {
		if (f.number == RECORD_TEXT)
			text = f.bytes;
		else if (f.number <= RECORD_LEVEL)
			values[f.number] = f.value;
		else if (f.number == RECORD_ATTRIBUTES)
			same_label(f.bytes, want->attributes[attributes++]);
	}
	same_bytes(text, want->text);
	assert_true((int64_t)values[RECORD_TIME_NS] == want->time_ns);
	assert_int_equal((uint32_t)values[RECORD_LEVEL], (uint32_t)want->level);
	assert_int_equal(attributes, want->n_attributes);
}

static inline void same_logs(struct span s, const Astraml__V2__LogBatch *want)
{
	struct reader r = reader_of(s);
	struct span stream = { 0 };
	struct message_field f;
	size_t records = 0;
	bool ranked = false;
	uint32_t rank = 0;

	while (message_next(&r, &f) == 0) {
		if (f.number == LOGS_STREAM)
			stream = f.bytes;
		else if (f.number == LOGS_RECORDS)
			same_record(f.bytes, want->records[records++]);
		else if (f.number == LOGS_RANK) {
			ranked = true;
			rank = (uint32_t)f.value;
		}
	}
	same_text(stream, want->stream);
	assert_int_equal(records, want->n_records);
	assert_int_equal(ranked, want->rank_or_none_case == ASTRAML__V2__LOG_BATCH__RANK_OR_NONE_RANK);
	assert_true(!ranked || rank == want->rank);
}

static inline void same_point(struct span s, const Astraml__V2__Point *want)
{
	struct reader r = reader_of(s);
	struct message_field f;
	bool stepped = false;
	uint64_t time = 0, value = 0;
	int64_t step = 0;

	while (message_next(&r, &f) == 0) {
		if (f.number == POINT_TIME_NS)
			time = f.value;
		else if (f.number == POINT_VALUE)
			value = f.value;
		else if (f.number == POINT_STEP) {
			stepped = true;
			step = unzigzag(f.value);
		}
	}
	assert_true((int64_t)time == want->time_ns);
	assert_int_equal(stepped, want->step_or_none_case == ASTRAML__V2__POINT__STEP_OR_NONE_STEP);
	assert_true(!stepped || step == want->step);
	if (want->value_or_zero_case == ASTRAML__V2__POINT__VALUE_OR_ZERO_VALUE)
		assert_memory_equal(&value, &want->value, 8);
	else
		assert_true(value == 0);
}

static inline void same_bucket(struct span s, const Astraml__V2__Bucket *want)
{
	uint64_t values[BUCKET_BAD + 1] = { 0 };
	size_t there[BUCKET_BAD + 1] = { 0 }, n_sum = 0;
	struct reader r = reader_of(s);
	struct span hex = { 0 };
	struct message_field f;

	while (message_next(&r, &f) == 0) {
		if (f.number > BUCKET_BAD)
			continue;
		there[f.number]++;
		values[f.number] = f.value;
		if (f.number == BUCKET_SUM && f.type == WIRE_FIXED64)
			assert_memory_equal(&f.value, &want->sum[n_sum++], 8);
		for (size_t i = 0; f.number == BUCKET_SUM && i < f.bytes.len; i += 8)
			assert_memory_equal(f.bytes.data + i, &want->sum[n_sum++], 8);
		if (f.number == BUCKET_SUM_HEX)
			hex = f.bytes;
		else if (f.number == BUCKET_FIRST)
			same_point(f.bytes, want->first);
		else if (f.number == BUCKET_LAST)
			same_point(f.bytes, want->last);
		else if (f.number == BUCKET_BAD)
			same_point(f.bytes, want->bad);
	}
	same_text(hex, want->sum_hex);
	assert_int_equal(n_sum, want->n_sum);
	assert_true((int64_t)values[BUCKET_START_NS] == want->start_ns);
	assert_true(values[BUCKET_EVERY_NS] == want->every_ns && values[BUCKET_COUNT] == want->count);
	assert_true(values[BUCKET_NAN] == want->nan && values[BUCKET_POS_INF] == want->pos_inf);
	assert_true(values[BUCKET_NEG_INF] == want->neg_inf);
	assert_int_equal(there[BUCKET_MIN] > 0,
			 want->min_or_none_case == ASTRAML__V2__BUCKET__MIN_OR_NONE_MIN);
	assert_true(!there[BUCKET_MIN] || memcmp(&values[BUCKET_MIN], &want->min, 8) == 0);
	assert_int_equal(there[BUCKET_MAX] > 0,
			 want->max_or_none_case == ASTRAML__V2__BUCKET__MAX_OR_NONE_MAX);
	assert_true(!there[BUCKET_MAX] || memcmp(&values[BUCKET_MAX], &want->max, 8) == 0);
	assert_int_equal(there[BUCKET_STEP_MIN] > 0,
			 want->step_min_or_none_case == ASTRAML__V2__BUCKET__STEP_MIN_OR_NONE_STEP_MIN);
	assert_true(!there[BUCKET_STEP_MIN] || unzigzag(values[BUCKET_STEP_MIN]) == want->step_min);
	assert_true(!want->first == !there[BUCKET_FIRST] && !want->last == !there[BUCKET_LAST]);
}

static inline void same_buckets(struct span s, const Astraml__V2__Buckets *want)
{
	struct reader r = reader_of(s);
	struct message_field f;
	uint32_t series = 0;
	size_t n = 0;

	while (message_next(&r, &f) == 0) {
		if (f.number == BUCKETS_SERIES)
			series = (uint32_t)f.value;
		else if (f.number == BUCKETS_BUCKETS)
			same_bucket(f.bytes, want->buckets[n++]);
	}
	assert_int_equal(series, want->series);
	assert_int_equal(n, want->n_buckets);
}

static inline void same_producer(struct span s, const Astraml__V2__Producer *want)
{
	struct reader r = reader_of(s);
	struct span id = { 0 };
	struct message_field f;
	uint64_t sequence = 0;

	while (message_next(&r, &f) == 0) {
		if (f.number == PRODUCER_ID)
			id = f.bytes;
		else if (f.number == PRODUCER_SEQUENCE)
			sequence = f.value;
	}
	same_bytes(id, want->id);
	assert_true(sequence == want->sequence);
}

static inline void same_run(struct span s, const Astraml__V2__RunUpdate *want)
{
	struct reader r = reader_of(s);
	struct message_field f;
	bool ended = false;
	uint64_t state = 0;
	int64_t code = 0, when = 0;

	while (message_next(&r, &f) == 0) {
		if (f.number == RUN_UPDATE_STATE)
			state = f.value;
		if (f.number == RUN_UPDATE_ENDED_NS)
			when = (int64_t)f.value;
		if (f.number == RUN_UPDATE_EXIT_CODE) {
			ended = true;
			code = unzigzag((uint32_t)f.value);
		}
	}
	assert_int_equal((uint32_t)state, (uint32_t)want->state);
	assert_true(when == want->ended_ns);
	assert_int_equal(ended, want->exit_code_or_none_case ==
				    ASTRAML__V2__RUN_UPDATE__EXIT_CODE_OR_NONE_EXIT_CODE);
	assert_true(!ended || code == want->exit_code);
}

/* Of all levels; within samples there are none. */
static inline size_t count_fields(struct span s, enum shape shape)
{
	struct reader r = reader_of(s);
	struct message_field f;
	size_t n = 0;

	for (; message_next(&r, &f) == 0; n++)
		if ((shape != SHAPE_REQUEST || f.number <= REQUEST_BUCKETS) &&
		    shape_within(shape, f.number) >= 0)
			n += count_fields(f.bytes, (enum shape)shape_within(shape, f.number));
	return n;
}

static inline void same_counts(const struct message_counts *got, const Astraml__V2__IngestRequest *want)
{
	struct message_counts n = { .series = want->n_series };

	for (size_t i = 0; i < want->n_series; i++)
		n.labels += want->series[i]->n_labels;
	for (size_t i = 0; i < want->n_samples; i++) {
		n.samples += want->samples[i]->n_values + want->samples[i]->n_values_f32;
		n.has_steps |= want->samples[i]->n_steps > 0;
	}
	for (size_t i = 0; i < want->n_logs; i++)
		for (size_t j = 0; j < want->logs[i]->n_records; j++, n.records++)
			n.attributes += want->logs[i]->records[j]->n_attributes;
	for (size_t i = 0; i < want->n_buckets; i++)
		n.buckets += want->buckets[i]->n_buckets;
	assert_int_equal(got->buckets, n.buckets);
	assert_int_equal(got->series, n.series);
	assert_int_equal(got->labels, n.labels);
	assert_int_equal(got->samples, n.samples);
	assert_int_equal(got->has_steps, n.has_steps);
	assert_int_equal(got->records, n.records);
	assert_int_equal(got->attributes, n.attributes);
}

static inline void same_request(struct span s, const Astraml__V2__IngestRequest *want)
{
	size_t series = 0, samples = 0, logs = 0, buckets = 0;
	struct reader r = reader_of(s);
	struct message_field f;
	bool imported = false;

	while (message_next(&r, &f) == 0) {
		if (f.number == REQUEST_PRODUCER)
			same_producer(f.bytes, want->producer);
		else if (f.number == REQUEST_SERIES)
			same_series(f.bytes, want->series[series++]);
		else if (f.number == REQUEST_SAMPLES)
			same_samples(f.bytes, want->samples[samples++]);
		else if (f.number == REQUEST_LOGS)
			same_logs(f.bytes, want->logs[logs++]);
		else if (f.number == REQUEST_BUCKETS)
			same_buckets(f.bytes, want->buckets[buckets++]);
		else if (f.number == REQUEST_RUN)
			same_run(f.bytes, want->run);
		else if (f.number == REQUEST_IMPORTED)
			imported = f.value != 0;
	}
	assert_int_equal(series, want->n_series);
	assert_int_equal(samples, want->n_samples);
	assert_int_equal(logs, want->n_logs);
	assert_int_equal(buckets, want->n_buckets);
	assert_int_equal(imported, want->imported != 0);
}

#endif

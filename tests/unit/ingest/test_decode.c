/* Ingest messages, packed by protobuf-c, become batches against a store; or they are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingest/decode.h"
#include "store/base/bytes.h"
#include "tests/unit/ingest/intake_fixture.h"
#include "tests/unit/ingest/request_build.h"

/* One sample of one new series, to be spoilt. */
static Astraml__V2__Samples *one_sample(void)
{
	static int32_t series[] = { 0 };
	static double values[] = { 1 };
	Astraml__V2__Samples *s;

	begin();
	add_series("m");
	s = add_samples();
	SET(s, series, series);
	SET(s, values, values);
	return s;
}

/* ---- samples ---- */

static void columns(void **state)
{
	int32_t series[] = { 1, -1, 1, 0 };
	int64_t times[] = { 0, 500, -1500, 1 }, steps[] = { 7, 1, -3, 0 };
	double values[] = { 0.5, -0.0, bits_double(UINT64_C(0x7ff4000000000123)), 5e-324 };
	struct batch *b;
	Astraml__V2__Samples *s;

	(void)state;
	begin();
	add_series("columns/a");
	add_series("columns/b");
	s = add_samples();
	s->time_unit_ns = 1000000;
	SET(s, series, series);
	SET(s, times, times);
	SET(s, steps, steps);
	SET(s, values, values);
	b = decoded(decode_request, packed());
	assert_int_equal(b->n_series, 2);
	assert_true(span_is(b->series[0].name.metric, "columns/a") && b->series[0].sid == 0);
	assert_int_equal(b->n_samples, 4);
	for (size_t i = 0, at = 0, step = 0; i < 4; i++) {
		int64_t ms = (int64_t[]){ 0, 500, -1000, -999 }[i];

		at += (size_t)series[i];
		step += (size_t)steps[i];
		assert_int_equal(b->sid[i], BATCH_NEW | at);
		assert_int_equal(b->t_ns[i], NOW + ms * NS_PER_MS);
		assert_int_equal(b->step[i], step);
		assert_memory_equal(&b->value[i], &values[i], 8);
	}
	assert_int_equal(b->n_rejected, 0);
	assert_false(b->has_producer || b->imported || b->update.state || b->update.has_exit_code);
	batch_done_with(b);
}

/* One entry stands for all; Samples with steps and without; floats; the time of receipt. */
static void lone_entries(void **state)
{
	int32_t one[] = { 1 };
	int64_t time[] = { 42 }, step[] = { -9 };
	float narrow[] = { 0.1f, -0.0f, 3e38f };
	double wide[] = { 4, 5 };
	Astraml__V2__Samples *s;
	struct batch *b;

	(void)state;
	begin();
	add_series("lone/a");
	add_series("lone/b");
	s = add_samples();
	SET(s, series, one);
	SET(s, values_f32, narrow);
	add_samples(); /* of nothing */
	s = add_samples();
	SET(s, series, one);
	SET(s, times, time);
	SET(s, steps, step);
	SET(s, values, wide);
	b = decoded(decode_request, packed());
	assert_int_equal(b->n_samples, 5);
	for (size_t i = 0; i < 5; i++) {
		double want = i < 3 ? (double)narrow[i] : wide[i - 3];

		assert_int_equal(b->sid[i], BATCH_NEW | 1);
		assert_int_equal(b->t_ns[i], i < 3 ? NOW : NOW + 42);
		assert_true(b->step[i] == (i < 3 ? STEP_NONE : -9));
		assert_memory_equal(&b->value[i], &want, 8);
	}
	batch_done_with(b);
	rq.samples[2].n_steps = 0;
	b = decoded(decode_request, packed());
	assert_null(b->step);
	batch_done_with(b);
}

/* Ids that an answer gave, the same names again, and one name twice in a request. */
static void ids(void **state)
{
	int32_t series[] = { 0, 1, 1, 0 }, by_id[2];
	double values[] = { 1, 2, 3, 4 };
	Astraml__V2__Samples *s;
	struct batch *b;
	uint32_t a, c;

	(void)state;
	begin();
	add_series("ids/a");
	add_series("ids/c");
	add_series("ids/a");
	s = add_samples();
	SET(s, series, series);
	SET(s, values, values);
	b = decoded(decode_request, packed());
	assert_int_equal(b->sid[0], BATCH_NEW | 0);
	assert_int_equal(b->sid[1], BATCH_NEW | 1);
	assert_int_equal(b->sid[2], BATCH_NEW | 0);
	commit(b);
	a = b->series[0].sid;
	c = b->series[1].sid;
	assert_int_equal(b->series[2].sid, a);
	assert_true(a > 0 && c > 0 && a != c);
	batch_done_with(b);

	b = decoded(decode_request, packed());
	assert_int_equal(b->sid[0], a);
	assert_int_equal(b->sid[1], c);
	assert_int_equal(b->sid[2], a);
	batch_done_with(b);

	by_id[0] = (int32_t)c;
	by_id[1] = (int32_t)a - (int32_t)c;
	rq.m.n_series = 0;
	s->series_are_ids = true;
	SET(s, series, by_id);
	s->n_values = 2;
	b = decoded(decode_request, packed());
	assert_int_equal(b->sid[0], c);
	assert_int_equal(b->sid[1], a);
	batch_done_with(b);

	for (int i = 0; i < 4; i++) {
		by_id[1] = (int32_t[]){ -(int32_t)c, -(int32_t)c - 5, 1000000, INT32_MAX }[i];
		refused(decode_request, packed(), ERR_REFUSED, "samples.series", "define the series");
	}
	by_id[1] = 0;
	assert_int_equal(decode_into(decode_request, &fixture_other_run, packed(), &b, &(struct fault){ 0 }),
			 ERR_REFUSED);
	batch_done_with(b);
}

static void references(void **state)
{
	Astraml__V2__Samples *s = one_sample();
	int32_t series[] = { 0 };

	(void)state;
	SET(s, series, series);
	for (size_t i = 0; i < 4; i++) {
		series[0] = (int32_t[]){ 1, -1, INT32_MAX, INT32_MIN }[i];
		refused(decode_request, packed(), ERR_REFUSED, "samples.series",
			"count its definitions from 0");
	}
	rq.m.n_series = 0;
	series[0] = 0;
	refused(decode_request, packed(), ERR_REFUSED, "samples.series", "defines 0");
}

static void malformed(void **state)
{
	static int64_t edge[] = { INT64_MAX, 1 }, far[] = { INT64_MAX / 2 }, two[] = { 1, 1, 1 };
	static int32_t one[] = { 0 };
	static double values[] = { 1, 2 };
	Astraml__V2__Samples *s = one_sample();

	(void)state;
	SET(s, series, one);
	SET(s, values, values);
	SET(s, times, edge);
	refused(decode_request, packed(), ERR_MALFORMED, "samples.times", "64 bits");
	SET(s, times, far); /* start_ns + far leaves 64 bits only when scaled */
	s->start_ns = 0;
	s->time_unit_ns = 3;
	refused(decode_request, packed(), ERR_MALFORMED, "samples.times", "64 bits");
	s->time_unit_ns = UINT64_MAX;
	refused(decode_request, packed(), ERR_MALFORMED, "samples.times", "64 bits");
	s->time_unit_ns = 1;
	s->start_ns = INT64_MAX;
	refused(decode_request, packed(), ERR_MALFORMED, "samples.times", "64 bits");
	s->n_times = 0;
	SET(s, steps, edge);
	refused(decode_request, packed(), ERR_MALFORMED, "samples.steps", "64 bits");
	SET(s, steps, two);
	refused(decode_request, packed(), ERR_MALFORMED, "samples.steps", "3 entries for 2 values");
	s->n_steps = 0;
	s->n_series = 0;
	refused(decode_request, packed(), ERR_MALFORMED, "samples.series", "0 entries for 2 values");
	refused(decode_request, span_str("\x1a"), ERR_MALFORMED, "request", NULL);
}

/* The good ones stay, in order; indices count all samples of the request. */
static void bad_samples(void **state)
{
	int32_t one[] = { 0 };
	int64_t good_bad[] = { LATEST, 1, -LATEST - 2, 1 };
	int64_t steps[] = { INT64_MIN, INT64_MAX, 2 };
	double first[] = { 1, 2, 3, 4 }, second[] = { 5, 6, 7 };
	Astraml__V2__Samples *s;
	struct batch *b;

	(void)state;
	begin();
	add_series("bad");
	s = add_samples();
	s->start_ns = 0;
	SET(s, series, one);
	SET(s, times, good_bad);
	SET(s, values, first);
	s = add_samples();
	SET(s, series, one);
	SET(s, steps, steps);
	SET(s, values, second);
	b = decoded(decode_request, packed());
	assert_int_equal(b->n_samples, 4);
	assert_true(b->value[0] == 1 && b->value[1] == 4 && b->value[2] == 6 && b->value[3] == 7);
	assert_int_equal(b->t_ns[0], LATEST);
	assert_int_equal(b->t_ns[1], 0);
	assert_true(b->step[0] == STEP_NONE && b->step[2] == -1 && b->step[3] == 1);
	assert_int_equal(b->n_rejected, 3);
	has_rejected(b, 0, 's', 1, REJECT_TIME_IN_FUTURE);
	has_rejected(b, 1, 's', 2, REJECT_TIME_BEFORE_1970);
	has_rejected(b, 2, 's', 4, REJECT_STEP_RANGE);
	batch_done_with(b);
}

/* A million samples are taken, one more is not; nor is a request nearly all of which is bad. */
static void as_many_as_may(void **state)
{
	int64_t time[] = { 0 };
	float *values = calloc(1000001, sizeof(*values));
	Astraml__V2__Samples *s = one_sample();
	struct batch *b;

	(void)state;
	s->n_values = 0;
	s->values_f32 = values;
	s->n_values_f32 = 1000000;
	b = decoded(decode_request, packed());
	assert_int_equal(b->n_samples, 1000000);
	assert_int_equal(batch_seal(fixture_store, b), 0);
	batch_done_with(b);
	s->n_values_f32++;
	refused(decode_request, packed(), ERR_TOO_LARGE, "samples", "1000000");
	s->start_ns = -1;
	SET(s, times, time);
	s->n_values_f32 = REJECTED_MAX;
	b = decoded(decode_request, packed());
	assert_int_equal(b->n_samples, 0);
	assert_int_equal(b->n_rejected, REJECTED_MAX);
	batch_done_with(b);
	s->n_values_f32++;
	refused(decode_request, packed(), ERR_REFUSED, "samples", "time_before_1970");
	free(values);
}

/* 10,000 series in one request: named, then by id. */
static void ten_thousand_series(void **state)
{
	enum { N = 10000 };
	Astraml__V2__Series *series = calloc(N, sizeof(*series)),
			    **list = calloc(N, sizeof(Astraml__V2__Series *));
	char(*names)[32] = calloc(N, sizeof(*names));
	int32_t *numbers = calloc(N, sizeof(*numbers));
	double *values = calloc(N, sizeof(*values));
	Astraml__V2__Samples *s;
	struct batch *b;
	uint32_t first;

	(void)state;
	begin();
	for (int i = 0; i < N; i++) {
		astraml__v2__series__init(&series[i]);
		snprintf(names[i], sizeof(names[i]), "layer/%d/grad", i);
		series[i].metric = names[i];
		list[i] = &series[i];
		numbers[i] = i > 0;
		values[i] = i;
	}
	rq.m.series = list;
	rq.m.n_series = N;
	s = add_samples();
	s->series = numbers;
	s->values = values;
	s->n_series = s->n_values = N;
	b = decoded(decode_request, packed());
	assert_int_equal(b->sid[N - 1], BATCH_NEW | (N - 1));
	commit(b);
	first = b->series[0].sid;
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(b->series[i].sid, first + i);
	batch_done_with(b);
	rq.m.n_series = 0;
	numbers[0] = (int32_t)first;
	s->series_are_ids = true;
	b = decoded(decode_request, packed());
	for (uint32_t i = 0; i < N; i++)
		assert_true(b->sid[i] == first + i && b->value[i] == i);
	batch_done_with(b);
	free(series);
	free(list);
	free(names);
	free(numbers);
	free(values);
}

static void labels(void **state)
{
	Astraml__V2__Label label[LABELS_MAX + 1], *list[LABELS_MAX + 1];
	char keys[LABELS_MAX + 1][8];
	struct batch *b;

	(void)state;
	one_sample();
	for (size_t i = 0; i <= LABELS_MAX; i++) {
		astraml__v2__label__init(&label[i]);
		snprintf(keys[i], sizeof(keys[i]), "k%02zu", LABELS_MAX - i);
		label[i].key = label[i].value = keys[i];
		list[i] = &label[i];
	}
	rq.series[0].labels = list;
	rq.series[0].n_labels = LABELS_MAX;
	rq.series[0].unit = repeat("u", UNIT_MAX);
	b = decoded(decode_request, packed());
	assert_int_equal(b->series[0].name.n_labels, LABELS_MAX);
	for (size_t i = 0; i < LABELS_MAX; i++)
		assert_true(span_is(b->series[0].name.labels[i].key, keys[LABELS_MAX - 1 - i]));
	batch_done_with(b);
	rq.series[0].n_labels++;
	refused(decode_request, packed(), ERR_REFUSED, "series.labels", "17 labels and may have 16");
	rq.series[0].n_labels = 5;
	label[4].key = keys[1];
	refused(decode_request, packed(), ERR_REFUSED, "series.labels", "twice");
	rq.series[0].n_labels = 0;
	rq.series[0].unit = repeat("u", UNIT_MAX + 1);
	refused(decode_request, packed(), ERR_REFUSED, "series.unit", "65 bytes and may have 64");
}

/* ---- the rest ---- */

static void producer_and_run(void **state)
{
	uint8_t id[17] = "0123456789abcdef";
	struct batch *b;

	(void)state;
	one_sample();
	rq.m.producer = &rq.producer;
	rq.producer.id = (ProtobufCBinaryData){ 16, id };
	refused(decode_request, packed(), ERR_REFUSED, "producer.sequence", "from 1");
	rq.producer.sequence = UINT64_MAX;
	for (size_t n = 0; n <= 17; n += n == 0 ? 15 : 2) {
		rq.producer.id.len = n;
		refused(decode_request, packed(), ERR_REFUSED, "producer.id", "16");
	}
	rq.producer.id.len = 16;
	rq.m.imported = true;
	rq.m.run = &rq.run;
	rq.run.state = ASTRAML__V2__STATE__KILLED;
	b = decoded(decode_request, packed());
	assert_true(b->has_producer && b->sequence == UINT64_MAX && memcmp(b->producer, id, 16) == 0);
	assert_true(b->imported && b->update.state == RUN_KILLED && !b->update.has_exit_code);
	batch_done_with(b);
	rq.run.exit_code_or_none_case = ASTRAML__V2__RUN_UPDATE__EXIT_CODE_OR_NONE_EXIT_CODE;
	rq.run.exit_code = -11;
	rq.run.state = ASTRAML__V2__STATE__STATE_UNSET;
	b = decoded(decode_request, packed());
	assert_true(b->update.state == 0 && b->update.has_exit_code && b->update.exit_code == -11);
	batch_done_with(b);
	rq.run.state = (Astraml__V2__State)7;
	refused(decode_request, packed(), ERR_REFUSED, "run.state", "7");
	rq.run.state = (Astraml__V2__State)-1;
	refused(decode_request, packed(), ERR_REFUSED, "run.state", NULL);
}

/* Fields may come in any order: here the series last.  And nothing at all is a request. */
static void any_order(void **state)
{
	static const uint8_t bytes[] = "\x1a\x0f\x0a\x01\x00\x3a\x08\x00\x00\x00\x00\x00\x00\xf0\x3f\x20\x01"
				       "\x12\x03\x0a\x01m";
	struct batch *b = decoded(decode_request, span_of(bytes, sizeof(bytes) - 1));

	(void)state;
	assert_true(b->n_samples == 1 && b->value[0] == 1 && b->sid[0] == (BATCH_NEW | 0));
	assert_true(span_is(b->series[0].name.metric, "m"));
	batch_done_with(b);
	b = decoded(decode_request, span_of(NULL, 0));
	assert_true(b->n_samples == 0 && b->n_series == 0 && b->n_logs == 0);
	assert_int_equal(batch_seal(fixture_store, b), 0);
	batch_done_with(b);
}

/* The content decides what is a repetition: every byte of it counts. */
static void content_hash(void **state)
{
	struct batch *a, *b;
	uint64_t hash;

	(void)state;
	one_sample();
	a = decoded(decode_request, packed());
	b = decoded(decode_request, packed());
	hash = a->content_hash;
	assert_true(hash == b->content_hash);
	batch_done_with(a);
	batch_done_with(b);
	rq.m.imported = true;
	b = decoded(decode_request, packed());
	assert_true(hash != b->content_hash);
	batch_done_with(b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns),
		cmocka_unit_test(lone_entries),
		cmocka_unit_test(ids),
		cmocka_unit_test(references),
		cmocka_unit_test(malformed),
		cmocka_unit_test(bad_samples),
		cmocka_unit_test(as_many_as_may),
		cmocka_unit_test(ten_thousand_series),
		cmocka_unit_test(labels),
		cmocka_unit_test(producer_and_run),
		cmocka_unit_test(any_order),
		cmocka_unit_test(content_hash),
	};

	return cmocka_run_group_tests_name("decode", tests, setup, teardown);
}

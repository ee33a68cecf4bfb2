/* Requests of an import against protobuf-c, which reads the same bytes by other means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "astraml/v2/ingest.pb-c.h"
#include "ingest/import/request.h"
#include "ingest/import/series_names.h"
#include "ingest/names.h"
#include "store/base/bytes.h"
#include "store/model.h"

#define named(text)    ((struct import_sample){ .metric = span_str(text) })
#define line_of(text_) ((struct import_log){ .text = text_, .rank = RANK_NONE })

static const uint8_t producer[PRODUCER_ID_BYTES] = "sixteen bytes...";

static Astraml__V2__IngestRequest *encode(struct request *q, uint64_t sequence, bool finished)
{
	Astraml__V2__IngestRequest *m;
	struct buf out;

	buf_init(&out, 64 << 20);
	assert_int_equal(request_encode(q, producer, sequence, finished, &out), 0);
	m = astraml__v2__ingest_request__unpack(NULL, out.len, out.data);
	assert_non_null(m);
	buf_release(&out);
	return m;
}

static void test_empty(void **state)
{
	struct request *q;
	Astraml__V2__IngestRequest *m;

	(void)state;
	assert_int_equal(request_new(&q), 0);
	m = encode(q, 300, true);
	assert_int_equal(m->producer->id.len, PRODUCER_ID_BYTES);
	assert_memory_equal(m->producer->id.data, producer, PRODUCER_ID_BYTES);
	assert_int_equal(m->producer->sequence, 300);
	assert_int_equal(m->n_series + m->n_samples + m->n_logs, 0);
	assert_int_equal(m->run->state, ASTRAML__V2__STATE__FINISHED);
	assert_int_equal(m->run->exit_code_or_none_case, 0);
	assert_true(m->imported);
	astraml__v2__ingest_request__free_unpacked(m, NULL);
	request_free(q);
}

static const struct {
	uint32_t series;
	struct point p;
} samples[] = {
	{ 0, { 1541710891402463675, STEP_NONE, 0.5 } },
	{ 1, { 1541710891402463675, 7, -0.0 } },
	{ 1, { 5, -3, 1e308 } },
	{ 0, { 0, STEP_NONE, 5e-324 } },
	{ 0, { INT64_MAX, INT64_MAX, 1 } },
	{ 1, { 0, INT64_MIN + 1, 2 } },
};

/* The samples of one message, from its differences: those above whose step is in that range.  No
 * sum may leave 64 bits: the server refuses that. */
static void check_samples(const Astraml__V2__Samples *s, int64_t least_step, int64_t most_step)
{
	size_t at = 0;
	int64_t t = s->start_ns, step = 0, series = 0;

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		if (samples[i].p.step < least_step || samples[i].p.step > most_step)
			continue;
		assert_true(at < s->n_values && at < s->n_series && at < s->n_times);
		series += s->series[at];
		assert_false(__builtin_add_overflow(t, s->times[at], &t));
		assert_int_equal(series, samples[i].series);
		assert_int_equal(t, samples[i].p.t_ns);
		assert_int_equal(double_bits(s->values[at]), double_bits(samples[i].p.value));
		if (most_step != STEP_NONE) {
			assert_false(__builtin_add_overflow(step, s->steps[at], &step));
			assert_int_equal(step, samples[i].p.step);
		}
		at++;
	}
	assert_int_equal(at, s->n_values);
	assert_int_equal(s->n_steps, most_step == STEP_NONE ? 0 : at);
}

static void test_lines_and_samples(void **state)
{
	struct request *q;
	Astraml__V2__IngestRequest *m;
	uint32_t index;

	(void)state;
	assert_int_equal(request_new(&q), 0);
	for (int round = 0; round < 2; round++) { /* the second one after a clear */
		assert_int_equal(request_add_series(q, &named("loss"), &index), 0);
		assert_int_equal(index, 0);
		assert_int_equal(request_add_series(q, &named("lr"), &index), 0);
		assert_int_equal(index, 1);
		for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
			assert_int_equal(request_add_sample(q, samples[i].series, samples[i].p, false), 0);
		assert_int_equal(request_add_log(q, &line_of(span_of("a\0\xff\r\n", 5)), 17), 0);
		assert_int_equal(request_add_log(q, &line_of(span_str("")), 0), 0);
		m = encode(q, 1, false);
		assert_int_equal(m->n_series, 2);
		assert_string_equal(m->series[1]->metric, "lr");
		assert_int_equal(m->n_samples, 3);
		check_samples(m->samples[0], STEP_NONE, STEP_NONE);
		check_samples(m->samples[1], STEP_NONE + 1, -1);
		check_samples(m->samples[2], 0, INT64_MAX);
		assert_int_equal(m->n_logs, 1);
		assert_string_equal(m->logs[0]->stream, "console");
		assert_int_equal(m->logs[0]->n_records, 2);
		assert_int_equal(m->logs[0]->records[0]->text.len, 5);
		assert_memory_equal(m->logs[0]->records[0]->text.data, "a\0\xff\r\n", 5);
		assert_int_equal(m->logs[0]->records[0]->time_ns, 17);
		assert_int_equal(m->logs[0]->records[1]->time_ns, 1);
		assert_null(m->run);
		astraml__v2__ingest_request__free_unpacked(m, NULL);
		request_clear(q);
	}
	request_free(q);
}

static void test_full(void **state)
{
	struct request *q;
	char *line = calloc(1, LOG_TEXT_MAX);

	(void)state;
	assert_non_null(line);
	assert_int_equal(request_new(&q), 0);
	assert_false(request_is_full(q));
	assert_int_equal(request_add_log(q, &line_of(span_of(line, LOG_TEXT_MAX)), 1), 0);
	assert_false(request_is_full(q));
	assert_int_equal(request_add_log(q, &line_of(span_of(line, LOG_TEXT_MAX)), 1), 0);
	assert_true(request_is_full(q));
	request_clear(q);
	for (int i = 0; i < REQUEST_FULL_SAMPLES; i++) {
		assert_false(request_is_full(q));
		assert_int_equal(request_add_sample(q, 0, (struct point){ i, i, i }, false), 0);
	}
	assert_true(request_is_full(q));
	request_free(q);
	free(line);
}

/* Streams and ranks are batches of their own, in order; attributes, units, labels and
 * floats arrive as what they are. */
static void test_all_that_a_format_may_say(void **state)
{
	static const struct label labels[] = { { { (const uint8_t *)"rank", 4 },
						 { (const uint8_t *)"3", 1 } } };
	const struct import_log logs[] = {
		{ .text = span_str("a"), .rank = RANK_NONE },
		{ .text = span_str("b"), .rank = RANK_NONE, .attrs = labels, .n_attrs = 1 },
		{ .text = span_str("c"), .rank = 2 },
		{ .text = span_str("d"), .rank = 2, .stream = span_str("stderr") },
		{ .text = span_str("e"), .rank = RANK_NONE },
	};
	const struct import_sample sample = {
		.metric = span_str("m"), .unit = span_str("s"), .labels = labels, .n_labels = 1
	};
	Astraml__V2__IngestRequest *m;
	struct request *q;
	uint32_t index;

	(void)state;
	assert_int_equal(request_new(&q), 0);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(request_add_log(q, &logs[i], 9), 0);
	assert_int_equal(request_add_series(q, &sample, &index), 0);
	assert_int_equal(request_add_sample(q, index, (struct point){ 5, 6, 0.1f }, true), 0);
	assert_int_equal(request_add_sample(q, index, (struct point){ 5, 6, 0.1 }, false), 0);
	m = encode(q, 1, false);
	assert_int_equal(m->n_logs, 4);
	assert_int_equal(m->logs[0]->n_records, 2);
	assert_string_equal(m->logs[0]->stream, "console");
	assert_int_equal(m->logs[0]->rank_or_none_case, 0);
	assert_string_equal(m->logs[0]->records[1]->attributes[0]->value, "3");
	assert_int_equal(m->logs[1]->rank, 2);
	assert_string_equal(m->logs[2]->stream, "stderr");
	assert_int_equal(m->logs[2]->rank, 2);
	assert_string_equal(m->logs[3]->stream, "console");
	assert_int_equal(m->logs[3]->records[0]->text.data[0], 'e');
	assert_string_equal(m->series[0]->unit, "s");
	assert_string_equal(m->series[0]->labels[0]->key, "rank");
	assert_int_equal(m->n_samples, 2);
	assert_int_equal(double_bits(m->samples[0]->values[0]), double_bits(0.1));
	assert_int_equal(m->samples[1]->n_values, 0);
	assert_true(m->samples[1]->values_f32[0] == 0.1f);
	astraml__v2__ingest_request__free_unpacked(m, NULL);
	request_free(q);
}

static struct series_entry *entry_of(struct series_names *m, struct span metric, const char *label)
{
	struct label l = { span_str("host"), label ? span_str(label) : span_str("") };
	struct import_sample s = { .metric = metric, .labels = &l, .n_labels = label ? 1 : 0 };
	struct series_entry *e;

	assert_int_equal(series_names_get(m, &s, &e), 0);
	return e;
}

static void test_series_names(void **state)
{
	struct series_names m;
	char name[METRIC_NAME_MAX + 2];

	(void)state;
	series_names_init(&m);
	for (int i = 0; i < 1000; i++) {
		size_t len = (size_t)snprintf(name, sizeof(name), "m%d", i);
		struct series_entry *e = entry_of(&m, span_of(name, len), i % 2 ? "h1" : NULL);

		assert_non_null(e);
		e->index = (uint32_t)i;
	}
	assert_int_equal(entry_of(&m, span_str("m76"), NULL)->index, 76);
	assert_int_equal(entry_of(&m, span_str("m77"), "h1")->index, 77);
	assert_int_equal(m.n, 1000);
	assert_int_equal(entry_of(&m, span_str("m77"), "h2")->index, 0);
	assert_int_equal(m.n, 1001);
	memset(name, 'x', sizeof(name));
	assert_non_null(entry_of(&m, span_of(name, METRIC_NAME_MAX), NULL));
	assert_null(entry_of(&m, span_of(name, METRIC_NAME_MAX + 1), NULL));
	assert_null(entry_of(&m, span_of(name, 0), NULL));
	assert_null(entry_of(&m, span_str("a"), "b\n"));
	assert_null(entry_of(&m, span_str("\xff"), NULL));
	assert_int_equal(m.n, 1002);
	series_names_release(&m);
}

static void test_clean_names(void **state)
{
	(void)state;
	assert_true(name_is_clean(span_str("h\xc3\xb6he/\xf0\x9f\x98\x80")));
	assert_false(name_is_clean(span_str("a\nb")) || name_is_clean(span_str("a\x7f")) ||
		     name_is_clean(span_str("\xc2\x85")) || name_is_clean(span_of("\0", 1)));
	assert_false(name_is_clean(span_str("\xff")) || name_is_clean(span_str("\xc3")) ||
		     name_is_clean(span_str("\xed\xa0\x80")) || name_is_clean(span_str("\xc0\x80")) ||
		     name_is_clean(span_str("\xf4\x90\x80\x80")) || name_is_clean(span_str("\xe0\x80\x80")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),        cmocka_unit_test(test_lines_and_samples),
		cmocka_unit_test(test_full),         cmocka_unit_test(test_all_that_a_format_may_say),
		cmocka_unit_test(test_series_names), cmocka_unit_test(test_clean_names),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}

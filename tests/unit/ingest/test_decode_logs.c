/* Log records of ingest messages: what they say, what is wrong with some, long and many ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingest/decode.h"
#include "proto/message.h"
#include "tests/unit/ingest/intake_fixture.h"
#include "tests/unit/ingest/request_build.h"

static void records(void **state)
{
	Astraml__V2__Label label = ASTRAML__V2__LABEL__INIT, *list[] = { &label };
	Astraml__V2__LogRecord *r;
	struct batch *b;

	(void)state;
	begin();
	rq.logs.stream = (char *)(uintptr_t) "stderr";
	rq.logs.rank_or_none_case = ASTRAML__V2__LOG_BATCH__RANK_OR_NONE_RANK;
	rq.logs.rank = INT32_MAX;
	label.key = (char *)(uintptr_t) "host";
	label.value = (char *)(uintptr_t) "a1";
	r = add_record("\xff\x01 any bytes\r\n");
	r->level = ASTRAML__V2__LEVEL__WARN;
	r->time_ns = 5;
	SET(r, attributes, list);
	add_record("");
	b = decoded(decode_request, packed());
	assert_int_equal(b->n_logs, 2);
	assert_true(span_is(b->logs[0].text, "\xff\x01 any bytes\r\n") && b->logs[1].text.len == 0);
	assert_true(span_is(b->logs[0].stream, "stderr") && span_is(b->logs[1].stream, "stderr"));
	assert_true(b->logs[0].t_ns == 5 && b->logs[1].t_ns == NOW);
	assert_true(b->logs[0].observed_ns == NOW && b->logs[1].observed_ns == NOW);
	assert_true(b->logs[0].rank == INT32_MAX && b->logs[1].rank == INT32_MAX);
	assert_true(b->logs[0].level == LEVEL_WARN && b->logs[1].level == LEVEL_NONE);
	assert_true(b->logs[0].n_attrs == 1 && b->logs[1].n_attrs == 0);
	assert_true(span_is(b->logs[0].attrs[0].key, "host") && span_is(b->logs[0].attrs[0].value, "a1"));
	batch_done_with(b);
	rq.logs.rank_or_none_case = ASTRAML__V2__LOG_BATCH__RANK_OR_NONE__NOT_SET;
	b = decoded(decode_request, packed());
	assert_int_equal(b->logs[0].rank, RANK_NONE);
	batch_done_with(b);
}

/* Where none was sent: of the text; a long text is one line, however it is split. */
static void levels_of_texts(void **state)
{
	size_t n = 2 * LOG_TEXT_MAX + 9;
	char *longest = malloc(n + 1);
	struct batch *b;

	(void)state;
	assert_non_null(longest);
	memset(longest, 'x', n);
	memcpy(longest, "WARNING: ", 9);
	memcpy(longest + LOG_TEXT_MAX, "FATAL: ", 7);
	longest[n] = 0;
	begin();
	add_record("I0706 12:00:00.123456 140 file.py:81] x");
	add_record("E0706 12:00:00.123456 140 file.py:81] x")->level = ASTRAML__V2__LEVEL__TRACE;
	add_record(longest);
	add_record("host:1:2 [0] NCCL WARN x");
	b = decoded(decode_request, packed());
	assert_int_equal(b->n_logs, 6);
	assert_true(b->logs[0].level == LEVEL_INFO && b->logs[0].t_ns == NOW);
	assert_int_equal(b->logs[1].level, LEVEL_TRACE);
	for (size_t i = 2; i < 6; i++)
		assert_int_equal(b->logs[i].level, LEVEL_WARN);
	batch_done_with(b);
	free(longest);
}

static void bad_records(void **state)
{
	Astraml__V2__Label label[LOG_ATTRS_MAX + 1], *list[LOG_ATTRS_MAX + 1];
	char keys[LOG_ATTRS_MAX + 1][8];
	struct batch *b;

	(void)state;
	for (size_t i = 0; i <= LOG_ATTRS_MAX; i++) {
		astraml__v2__label__init(&label[i]);
		snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
		label[i].key = keys[i];
		list[i] = &label[i];
	}
	begin();
	for (int i = 0; i < 8; i++)
		add_record("text");
	rq.records[1].level = (Astraml__V2__Level)7;
	rq.records[2].time_ns = -1;
	rq.records[3].time_ns = LATEST + 1;
	rq.records[4].attributes = rq.records[5].attributes = list;
	rq.records[4].n_attributes = LOG_ATTRS_MAX + 1;
	rq.records[5].n_attributes = LOG_ATTRS_MAX;
	rq.records[6].attributes = list + 1;
	rq.records[6].n_attributes = 2;
	label[2].key = keys[1];
	b = decoded(decode_request, packed());
	assert_int_equal(b->n_logs, 2);
	assert_int_equal(b->n_rejected, 6);
	has_rejected(b, 0, 'l', 1, REJECT_LOG_LEVEL);
	has_rejected(b, 1, 'l', 2, REJECT_TIME_BEFORE_1970);
	has_rejected(b, 2, 'l', 3, REJECT_TIME_IN_FUTURE);
	has_rejected(b, 3, 'l', 4, REJECT_LOG_ATTRIBUTES);
	has_rejected(b, 4, 'l', 5, REJECT_LOG_ATTRIBUTES);
	has_rejected(b, 5, 'l', 6, REJECT_LOG_ATTRIBUTES);
	batch_done_with(b);
	label[2].key = keys[2];
	b = decoded(decode_request, packed());
	assert_int_equal(b->n_rejected, 4); /* 32 of them, and two, are fine */
	assert_int_equal(b->logs[1].n_attrs, LOG_ATTRS_MAX);
	batch_done_with(b);

	begin();
	add_record("text");
	rq.logs.rank_or_none_case = ASTRAML__V2__LOG_BATCH__RANK_OR_NONE_RANK;
	rq.logs.rank = (uint32_t)INT32_MAX + 1;
	b = decoded(decode_request, packed());
	has_rejected(b, 0, 'l', 0, REJECT_LOG_RANK);
	batch_done_with(b);
	rq.logs.rank = 0;
	for (size_t i = 0; i < 2; i++) {
		rq.logs.stream = i ? repeat("s", STREAM_NAME_MAX + 1) : repeat("\n", 1);
		b = decoded(decode_request, packed());
		assert_int_equal(b->n_logs, 0);
		has_rejected(b, 0, 'l', 0, REJECT_LOG_STREAM);
		batch_done_with(b);
	}
	rq.logs.stream = repeat("s", STREAM_NAME_MAX);
	b = decoded(decode_request, packed());
	assert_int_equal(b->n_logs, 1);
	batch_done_with(b);
}

/* Pieces of at most 1 MiB that make up the text; all but the last are marked. */
static void long_texts(void **state)
{
	static const size_t lengths[] = { LOG_TEXT_MAX - 1, LOG_TEXT_MAX, LOG_TEXT_MAX + 1, 3 * LOG_TEXT_MAX,
					  62 * LOG_TEXT_MAX + 5 };
	uint8_t *text = malloc(lengths[COUNT(lengths) - 1]);

	(void)state;
	for (size_t i = 0; i < lengths[COUNT(lengths) - 1]; i++)
		text[i] = (uint8_t)(i * 2654435761u >> 24);
	for (size_t i = 0; i < COUNT(lengths); i++) {
		size_t pieces = (lengths[i] + LOG_TEXT_MAX - 1) / LOG_TEXT_MAX, at = 0;
		struct batch *b;

		begin();
		add_record("before");
		rq.logs.stream = (char *)(uintptr_t) "out";
		add_record("")->text = (ProtobufCBinaryData){ lengths[i], text };
		add_record("after");
		b = decoded(decode_request, packed());
		assert_int_equal(b->n_logs, pieces + 2);
		for (size_t p = 1; p <= pieces; p++) {
			const struct log_record *r = &b->logs[p];

			assert_true(r->text.len <= LOG_TEXT_MAX && at + r->text.len <= lengths[i]);
			assert_true(memcmp(r->text.data, text + at, r->text.len) == 0);
			assert_int_equal(r->flags, p < pieces ? LOG_CONTINUES : 0);
			assert_true(span_is(r->stream, "out"));
			at += r->text.len;
		}
		assert_int_equal(at, lengths[i]);
		assert_true(b->logs[0].flags == 0 && span_is(b->logs[pieces + 1].text, "after"));
		assert_int_equal(batch_seal(fixture_store, b), 0);
		batch_done_with(b);
	}
	free(text);
}

/* The most that 64 MiB may say: no legal request runs into the bounds of memory. */
static void large_bodies(void **state)
{
	static const uint8_t attribute[] = { 0x22, 3, 0x0a, 1, 'k' }; /* label key "k" */
	struct batch *b;
	struct buf out;
	size_t logs, record;

	(void)state;
	buf_init(&out, 64 << 20);
	assert_int_equal(message_begin(&out, REQUEST_LOGS, &logs), 0);
	for (int i = 0; i < 250000; i++) {
		assert_int_equal(message_begin(&out, LOGS_RECORDS, &record), 0);
		for (int k = 0; k < REQUEST_ATTRIBUTES_MAX / 250000; k++) {
			uint8_t one[sizeof(attribute)];

			memcpy(one, attribute, sizeof(one));
			one[4] = (uint8_t)('a' + k);
			assert_int_equal(buf_add(&out, one, sizeof(one)), 0);
		}
		assert_int_equal(message_end(&out, record), 0);
	}
	assert_int_equal(message_end(&out, logs), 0);
	b = decoded(decode_request, buf_span(&out));
	assert_int_equal(b->n_logs, 250000);
	assert_int_equal(b->logs[250000 - 1].n_attrs, 4);
	assert_int_equal(batch_seal(fixture_store, b), 0);
	batch_done_with(b);
	/* one record more */
	assert_int_equal(buf_add(&out, "\x22\x02\x1a", 4), 0);
	refused(decode_request, buf_span(&out), ERR_TOO_LARGE, "logs.records", "250000");
	buf_release(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),      cmocka_unit_test(levels_of_texts),
		cmocka_unit_test(bad_records),  cmocka_unit_test(long_texts),
		cmocka_unit_test(large_bodies),
	};

	return cmocka_run_group_tests_name("decode_logs", tests, setup, teardown);
}

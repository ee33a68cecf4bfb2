/* Answers to ingest requests, read back by protobuf-c and by the JSON library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "ingest/answer.h"
#include "proto/control.h"

static struct rejection rejections[] = {
	{ 's', 5, REJECT_TIME_IN_FUTURE },
	{ 's', UINT32_MAX + UINT64_C(7), REJECT_TIME_BEFORE_1970 },
	{ 's', 6, REJECT_STEP_RANGE },
	{ 'l', 0, REJECT_LOG_STREAM },
	{ 'l', 300, REJECT_LOG_LEVEL },
	{ 'l', 301, REJECT_LOG_ATTRIBUTES },
	{ 'l', UINT64_MAX >> 1, REJECT_LOG_RANK },
};
#define REJECTIONS (sizeof(rejections) / sizeof(*rejections))

static const char *const codes[REJECTIONS] = {
	"time_in_future", "time_before_1970", "step_out_of_range", "log_stream",
	"log_level",      "log_attributes",   "log_rank",
};

static const uint32_t ids[] = { 1, 127, 128, 7, 0x7fffffff, 7 };
#define IDS (sizeof(ids) / sizeof(*ids))

/* Series with these ids; to be freed. */
static struct batch_series *series_of(size_t n)
{
	struct batch_series *s = calloc(n, sizeof(*s));

	assert_non_null(s);
	for (size_t i = 0; i < n; i++)
		s[i].sid = ids[i % IDS];
	return s;
}

static void check_protobuf(const struct batch *b, bool duplicate)
{
	Astraml__V2__IngestResponse *m;
	struct arena a;
	struct buf out;

	arena_init(&a, 64u << 20);
	buf_init(&out, 64u << 20);
	assert_int_equal(answer_protobuf(b, &out), 0);
	assert_int_equal(control_read_response(buf_span(&out), &a, &m), 0);
	assert_int_equal(m->duplicate, duplicate);
	assert_true(m->first_seq == b->first_seq && m->last_seq == b->last_seq);
	assert_false(m->should_stop);
	assert_int_equal(m->n_series_ids, b->n_series);
	for (size_t i = 0; i < b->n_series; i++)
		assert_int_equal(m->series_ids[i], b->series[i].sid);
	assert_int_equal(m->n_rejected, b->n_rejected);
	for (size_t i = 0; i < b->n_rejected; i++) {
		assert_int_equal(m->rejected[i]->kind, rejections[i].kind == 's' ? 0 : 1);
		assert_true(m->rejected[i]->index == rejections[i].index);
		assert_string_equal(m->rejected[i]->code, codes[i]);
	}
	arena_release(&a);
	buf_release(&out);
}

static struct json_object *member(struct json_object *o, const char *name)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, name, &v))
		fail_msg("no \"%s\" in %s", name, json_object_to_json_string(o));
	return v;
}

static void check_json(const struct batch *b, bool duplicate)
{
	struct json_object *o, *list;
	struct buf out;

	buf_init(&out, 64u << 20);
	assert_int_equal(answer_json(b, &out), 0);
	o = json_tokener_parse(buf_cstr(&out));
	assert_non_null(o);
	assert_int_equal(out.data[out.len - 1], '\n');
	assert_int_equal(json_object_object_length(o), 6);
	assert_int_equal(json_object_get_boolean(member(o, "duplicate")), duplicate);
	assert_true(json_object_is_type(member(o, "should_stop"), json_type_boolean));
	assert_false(json_object_get_boolean(member(o, "should_stop")));
	assert_true(json_object_get_uint64(member(o, "first_seq")) == b->first_seq);
	assert_true(json_object_get_uint64(member(o, "last_seq")) == b->last_seq);
	list = member(o, "series_ids");
	assert_int_equal(json_object_array_length(list), b->n_series);
	for (size_t i = 0; i < b->n_series; i++)
		assert_int_equal(json_object_get_int64(json_object_array_get_idx(list, i)), b->series[i].sid);
	list = member(o, "rejected");
	assert_int_equal(json_object_array_length(list), b->n_rejected);
	for (size_t i = 0; i < b->n_rejected; i++) {
		struct json_object *r = json_object_array_get_idx(list, i);

		assert_string_equal(json_object_get_string(member(r, "kind")),
				    rejections[i].kind == 's' ? "sample" : "log_record");
		assert_true(json_object_get_uint64(member(r, "index")) == rejections[i].index);
		assert_string_equal(json_object_get_string(member(r, "code")), codes[i]);
	}
	json_object_put(o);
	buf_release(&out);
}

static void check(const struct batch *b, bool duplicate)
{
	check_protobuf(b, duplicate);
	check_json(b, duplicate);
}

static void nothing(void **state)
{
	struct batch b = { 0 };
	struct buf out;

	(void)state;
	check(&b, false);
	buf_init(&out, 16);
	assert_int_equal(answer_protobuf(&b, &out), 0);
	assert_int_equal(out.len, 0); /* all defaults */
	buf_release(&out);
}

static void everything(void **state)
{
	struct batch b = { .has_producer = true,
			   .first_seq = UINT64_C(1) << 40,
			   .last_seq = (UINT64_C(1) << 40) + 5,
			   .n_series = IDS,
			   .rejected = rejections,
			   .n_rejected = REJECTIONS };

	(void)state;
	b.series = series_of(IDS);
	check(&b, false);
	b.n_rejected = 1;
	check(&b, false);
	free(b.series);
}

/* The answer of then, to the byte; only a producer's repetition is called one. */
static void repeated(void **state)
{
	struct batch b = { .duplicate = true, .has_producer = true, .first_seq = 3, .last_seq = 4 };
	struct buf first, again;

	(void)state;
	check(&b, true);
	b.has_producer = false;
	check(&b, false);
	buf_init(&first, 1000);
	buf_init(&again, 1000);
	assert_int_equal(answer_protobuf(&b, &again), 0);
	assert_int_equal(answer_json(&b, &again), 0);
	b.duplicate = false;
	assert_int_equal(answer_protobuf(&b, &first), 0);
	assert_int_equal(answer_json(&b, &first), 0);
	assert_int_equal(first.len, again.len);
	assert_memory_equal(first.data, again.data, first.len);
	buf_release(&first);
	buf_release(&again);
}

static void many_series(void **state)
{
	struct batch b = { .n_series = 100000 };

	(void)state;
	b.series = series_of(b.n_series);
	check(&b, false);
	free(b.series);
}

/* Every length that is too small gives ERR_FULL, and no byte past it. */
static void bounded(void **state)
{
	struct batch b = { .first_seq = 1,
			   .last_seq = 2,
			   .n_series = IDS,
			   .rejected = rejections,
			   .n_rejected = REJECTIONS };
	int (*const forms[])(const struct batch *, struct buf *) = { answer_protobuf, answer_json };

	(void)state;
	b.series = series_of(IDS);
	for (size_t form = 0; form < 2; form++) {
		struct buf out;

		buf_init(&out, 4096);
		assert_int_equal(forms[form](&b, &out), 0);
		for (size_t max = 1; max < out.len; max++) {
			struct buf small;

			buf_init(&small, max);
			assert_int_equal(forms[form](&b, &small), ERR_FULL);
			assert_true(small.len <= max && small.cap <= max);
			buf_release(&small);
		}
		buf_release(&out);
	}
	free(b.series);
}

/* What a server sends may be anything; what it makes of memory is bounded. */
static void foreign_answers(void **state)
{
	struct batch b = { .rejected = rejections, .n_rejected = REJECTIONS };
	Astraml__V2__IngestResponse *m = NULL;
	struct arena a;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(answer_protobuf(&b, &out), 0);
	arena_init(&a, 512);
	assert_int_equal(control_read_response(buf_span(&out), &a, &m), ERR_FULL);
	arena_release(&a);
	arena_init(&a, 1u << 20);
	assert_int_equal(control_read_response(span_of(out.data, out.len - 1), &a, &m), ERR_MALFORMED);
	assert_int_equal(control_read_response(span_str("{\"duplicate\":false}"), &a, &m), ERR_MALFORMED);
	assert_null(m);
	arena_release(&a);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),  cmocka_unit_test(everything),
		cmocka_unit_test(repeated), cmocka_unit_test(many_series),
		cmocka_unit_test(bounded),  cmocka_unit_test(foreign_answers),
	};

	return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}

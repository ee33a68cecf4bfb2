/* Lines of MLPerf logs: what they say, and that broken ones say nothing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ingest/import/json_span.h"
#include "ingest/import/mllog.h"
#include "store/base/bytes.h"

static struct line_facts facts;

static int setup(void **state)
{
	(void)state;
	line_facts_init(&facts);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	line_facts_release(&facts);
	return 0;
}

/* From a heap block of exactly that size, so that a sanitizer sees a step past the end. */
static void parse_bytes(const char *line, size_t len)
{
	static char *copy;

	free(copy);
	copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, line, len);
	assert_int_equal(mllog_parse_line(span_of(copy, len), &facts), 0);
}

static void parse(const char *line) { parse_bytes(line, strlen(line)); }

static void expect_sample(size_t i, const char *key, int64_t t_ns, int64_t step, double value)
{
	const struct line_record *r;

	assert_true(i < facts.n);
	r = &facts.records[i];
	assert_true(span_is(r->key, key));
	assert_true(r->has_time);
	assert_int_equal(r->t_ns, t_ns);
	assert_int_equal(r->step, step);
	assert_true(r->is_number);
	assert_int_equal(double_bits(r->number), double_bits(value));
}

static void test_mllog_line(void **state)
{
	(void)state;
	parse(
	    ":::MLLOG {\"namespace\": \"\", \"time_ms\": 1652241837512, \"event_type\": \"POINT_IN_TIME\", "
	    "\"key\": \"eval_accuracy\", \"value\": 0.00037, \"metadata\": {\"lineno\": 764, \"epoch_num\": "
	    "3}}\r\n");
	assert_int_equal(facts.n, 1);
	expect_sample(0, "eval_accuracy", 1652241837512000000, 3, 0.00037);
	assert_true(facts.has_time);
	assert_int_equal(facts.t_ns, 1652241837512000000);
}

static void test_step_num_comes_first(void **state)
{
	(void)state;
	parse(":::MLLOG "
	      "{\"time_ms\":1,\"key\":\"a\",\"value\":1,\"metadata\":{\"epoch_num\":3,\"step_num\":40}}");
	expect_sample(0, "a", 1000000, 40, 1);
	parse(":::MLLOG "
	      "{\"time_ms\":1,\"key\":\"a\",\"value\":1,\"metadata\":{\"epoch_num\":3,\"step_num\":1.5}}");
	expect_sample(0, "a", 1000000, 3, 1);
	parse(":::MLLOG {\"time_ms\":1,\"key\":\"a\",\"value\":1,\"metadata\":{\"epoch_num\":1.0499947}}");
	expect_sample(0, "a", 1000000, STEP_NONE, 1);
	parse(":::MLLOG {\"time_ms\":1,\"key\":\"a\",\"value\":1,\"metadata\":{\"step_num\":true}}");
	expect_sample(0, "a", 1000000, STEP_NONE, 1);
	parse(":::MLLOG "
	      "{\"time_ms\":1,\"key\":\"a\",\"value\":1,\"metadata\":{\"step_num\":9223372036854775808}}");
	expect_sample(0, "a", 1000000, STEP_NONE, 1);
}

static void test_numbers_as_written(void **state)
{
	static const struct {
		const char *text;
		double value;
	} cases[] = {
		{ "0.1", 0.1 },
		{ "-0", -0.0 },
		{ "-0.0", -0.0 },
		{ "1e400", INFINITY },
		{ "5e-324", 5e-324 },
		{ "18446744073709551617", 18446744073709551616.0 },
		{ "9007199254740993", 9007199254740992.0 },
		{ "0.3000000000000000166533453694", 0.30000000000000004 }, /* just past the middle */
		{ "Infinity", INFINITY },
		{ "-Infinity", -INFINITY },
	};
	char line[200];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), ":::MLLOG {\"time_ms\":7,\"key\":\"k\",\"value\":%s}",
			 cases[i].text);
		parse(line);
		expect_sample(0, "k", 7000000, STEP_NONE, cases[i].value);
	}
	parse(":::MLLOG {\"time_ms\":7,\"key\":\"k\",\"value\":NaN}");
	assert_true(facts.records[0].is_number && isnan(facts.records[0].number));
}

static void test_what_is_no_number(void **state)
{
	static const char *const values[] = { "null", "true", "false", "\"0.5\"", "[1]", "{\"value\":1}" };
	char line[200];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		snprintf(line, sizeof(line), ":::MLLOG {\"time_ms\":7,\"key\":\"k\",\"value\":%s}",
			 values[i]);
		parse(line);
		assert_int_equal(facts.n, 1);
		assert_false(facts.records[0].is_number);
		assert_true(facts.has_time);
	}
	parse(":::MLLOG {\"time_ms\":7,\"key\":\"k\",\"value\":\"text\"}");
	assert_true(span_is(facts.records[0].value, "\"text\""));
	parse(":::MLLOG {\"time_ms\":7,\"key\":\"k\",\"value\":null}");
	assert_int_equal(facts.records[0].value.len, 0);
}

static void test_mll_line(void **state)
{
	(void)state;
	parse(":::MLL 1558640136.479 opt_lr: {\"value\": 0.5, \"metadata\": {\"lineno\": 36, \"epoch_num\": "
	      "2}}\n");
	assert_int_equal(facts.n, 1);
	expect_sample(0, "opt_lr", 1558640136479000000, 2, 0.5);
	parse(":::MLL 1558640136.479 opt_lr: {broken\n");
	assert_int_equal(facts.n, 1);
	assert_false(facts.records[0].is_number);
	assert_true(facts.has_time);
}

static void test_mlp_line(void **state)
{
	(void)state;
	parse(":::MLPv0.5.0 ssd 1541710891.402463675 (train.py:349) opt_learning_rate : 0.25\r\n");
	expect_sample(0, "opt_learning_rate", 1541710891402463675, STEP_NONE, 0.25);
	parse(":::MLPv0.5.0 resnet 1540939905 (net.cpp:163) model_hp_relu\n");
	assert_int_equal(facts.n, 1);
	assert_true(facts.has_time);
	assert_false(facts.records[0].is_number);
	parse(":::MLPv0.5.0 resnet 1543789859.75 (a.py:1) eval_accuracy: {\"epoch\": 33, \"value\": 0.72}\n");
	assert_false(facts.records[0].is_number);
	parse(":::MLPv0.5.0 resnet 1543789859.75 (a.py:1) k: 5 apples\n");
	assert_false(facts.records[0].is_number);
	parse(":::MLPv0.5.0 resnet 1543789859.75 (a.py:1) k: 5\r 50% [####\n");
	expect_sample(0, "k", 1543789859750000000, STEP_NONE, 5);
}

static void test_times_are_exact(void **state)
{
	(void)state;
	/* a double would give ...416; the tenth digit is cut */
	parse(":::MLPv0.5.0 r 1541710891.4024636759 (a:1) k: 1");
	expect_sample(0, "k", 1541710891402463675, STEP_NONE, 1);
	parse(":::MLPv0.5.0 r 1541710891.000000001 (a:1) k: 1");
	expect_sample(0, "k", 1541710891000000001, STEP_NONE, 1);
	parse(":::MLPv0.5.0 r 99999999999999999999 (a:1) k: 1");
	assert_int_equal(facts.n, 0);
	parse(":::MLLOG {\"time_ms\":-5,\"key\":\"k\",\"value\":1}");
	assert_false(facts.has_time);
	assert_true(facts.records[0].is_number);
	parse(":::MLLOG {\"time_ms\":1e3,\"key\":\"k\",\"value\":1}");
	assert_false(facts.has_time);
	parse(":::MLLOG {\"key\":\"k\",\"value\":1}");
	assert_int_equal(facts.n, 1);
	assert_false(facts.has_time);
}

static void test_several_tags_in_a_line(void **state)
{
	(void)state;
	parse(" 99% 1/2\r:::MLLOG {\"time_ms\":5,\"key\":\"a\",\"value\":1}7: :::MLLOG "
	      "{\"time_ms\":4,\"key\":\"b\","
	      "\"value\":2}:::MLPv0.5.0 m 3 (x:1) c: 3:::MLPv0.5.0 m 2 (x:1) d: 4 :::MLL 1.5 e: "
	      "{\"value\":5}\n");
	assert_int_equal(facts.n, 5);
	expect_sample(0, "a", 5000000, STEP_NONE, 1);
	expect_sample(1, "b", 4000000, STEP_NONE, 2);
	expect_sample(2, "c", 3000000000, STEP_NONE, 3);
	expect_sample(3, "d", 2000000000, STEP_NONE, 4);
	expect_sample(4, "e", 1500000000, STEP_NONE, 5);
	assert_int_equal(facts.t_ns, 5000000);
}

static void test_ranks_that_ran_into_each_other(void **state)
{
	(void)state;
	parse(":::MLLOG {\"time_ms\": 12:::MLLOG {\"time_ms\":5,\"key\":\"a\",\"value\":1}\n");
	assert_int_equal(facts.n, 1);
	expect_sample(0, "a", 5000000, STEP_NONE, 1);
	parse(":::MLLOG {\"time_ms\": 1:::MLPv0.5.0 m 3 (x:1) c: 3\n");
	assert_int_equal(facts.n, 1);
}

static void test_broken_lines_say_nothing(void **state)
{
	static const char *const lines[] = {
		"",
		"\n",
		":::ML",
		":::MLLOG",
		":::MLLOG ",
		":::MLLOG {",
		":::MLLOG {\"key\":\"a\",\"value\":1",
		":::MLLOG {'key':'a','value':1}",
		":::MLLOG {\"key\":\"a\",\"value\":1,}",
		":::MLLOG {\"key\":\"a\",\"value\":01}",
		":::MLLOG {\"key\":\"a\",\"value\":+1}",
		":::MLLOG {\"key\":\"a\",\"value\":.5}",
		":::MLLOG {\"key\":\"a\" \"value\":1}",
		":::MLLOG {\"key\":\"a\t\",\"value\":1}",
		":::MLLOG {\"key\":\"a\\x\",\"value\":1}",
		":::MLLOG {\"key\":\"\\u12\",\"value\":1}",
		":::MLLOG [1]",
		":::MLL 12",
		":::MLL 12 key",
		":::MLL x key: {}",
		":::MLPv0.5.0 ",
		":::MLPv0.5.0 m",
		":::MLPv0.5.0 m 1",
		":::MLPv0.5.0 m 1 key: 5",
		":::MLPv0.5.0 m 1 (x:1 key",
		":::MLPv0.6.0 m 1 (x:1) k: 5",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		parse(lines[i]);
		if (facts.n != 0)
			fail_msg("\"%s\" gave %zu records", lines[i], facts.n);
	}
}

static void test_any_bytes_are_kept_in_names(void **state)
{
	(void)state;
	parse(":::MLLOG {\"time_ms\":1,\"key\":\"a\\n\\u00e9\\ud83d\\ude00\\/\\\"\",\"value\":1}");
	expect_sample(0, "a\n\xc3\xa9\xf0\x9f\x98\x80/\"", 1000000, STEP_NONE, 1);
	parse(":::MLLOG {\"time_ms\":1,\"key\":\"\xff\",\"value\":1}");
	expect_sample(0, "\xff", 1000000, STEP_NONE, 1);
	parse_bytes(":::MLLOG {\"time_ms\":1,\"key\":\"\0\",\"value\":1}", 40);
	assert_int_equal(facts.n, 0);
}

static void test_last_of_equal_members_counts(void **state)
{
	(void)state;
	parse(":::MLLOG {\"time_ms\":1,\"key\":\"a\",\"key\":\"b\",\"value\":1,\"value\":2}");
	expect_sample(0, "b", 1000000, STEP_NONE, 2);
}

static void test_depth_is_bounded(void **state)
{
	char text[2 * (JSON_DEPTH_MAX + 1) + 1] = { 0 };
	struct json_value v;

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_int_equal(json_scan(span_of(text, sizeof(text) - 1), &v), ERR_MALFORMED);
	assert_int_equal(json_scan(span_of(text + 1, sizeof(text) - 3), &v), 0);
	assert_int_equal(v.kind, JSON_ARRAY);
	assert_int_equal(v.text.len, 2 * JSON_DEPTH_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mllog_line),
		cmocka_unit_test(test_step_num_comes_first),
		cmocka_unit_test(test_numbers_as_written),
		cmocka_unit_test(test_what_is_no_number),
		cmocka_unit_test(test_mll_line),
		cmocka_unit_test(test_mlp_line),
		cmocka_unit_test(test_times_are_exact),
		cmocka_unit_test(test_several_tags_in_a_line),
		cmocka_unit_test(test_ranks_that_ran_into_each_other),
		cmocka_unit_test(test_broken_lines_say_nothing),
		cmocka_unit_test(test_any_bytes_are_kept_in_names),
		cmocka_unit_test(test_last_of_equal_members_counts),
		cmocka_unit_test(test_depth_is_bounded),
	};

	return cmocka_run_group_tests_name("mllog", tests, setup, teardown);
}

/* Times and levels of console lines in the forms of many loggers; what is none is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ingest/import/time_format.h"
#include "ingest/line_time.h"

/* 2025-03-07T00:00:00Z */
#define REFERENCE INT64_C(1741305600000000000)

static int64_t ns_of(const char *rfc3339)
{
	int64_t t;

	assert_true(clock_parse(rfc3339, strlen(rfc3339), &t));
	return t;
}

/* From a heap block of that size, so that a sanitizer sees a step past the end. */
static struct line_time find(const char *line, const struct year_rule *years)
{
	size_t len = strlen(line);
	uint8_t *copy = malloc(len ? len : 1);
	struct line_time ret;

	assert_non_null(copy);
	memcpy(copy, line, len);
	line_time_find(span_of(copy, len), years, &ret);
	free(copy);
	return ret;
}

static const struct {
	const char *line, *time; /* NULL: none */
	enum level level;
} lines[] = {
	/* absl, glog */
	{ "I0306 12:06:29.038456 140 file.py:81] loss=1", "2025-03-06T12:06:29.038456Z", LEVEL_INFO },
	{ "W0316 15:09:25.214000 9 torch/run.py:793] x", "2024-03-16T15:09:25.214Z", LEVEL_WARN },
	{ "[rank7]:E1231 23:59:59.5 9 x.cpp:1] y", "2024-12-31T23:59:59.500Z", LEVEL_ERROR },
	{ "F0307 23:59:59 1 main.cc:1] Check failed", "2025-03-07T23:59:59Z", LEVEL_FATAL },
	/* TensorFlow */
	{ "2025-03-16 15:09:26.301106: E external/x.cc:477] no", "2025-03-16T15:09:26.301106Z", LEVEL_ERROR },
	/* Python */
	{ "2023-01-02 03:04:05,678 - root - WARNING - slow", "2023-01-02T03:04:05.678Z", LEVEL_WARN },
	{ "2023-01-02 03:04:05,678 INFO loaded ERROR.txt", "2023-01-02T03:04:05.678Z", LEVEL_INFO },
	{ "INFO:2023-01-02 03:04:05,678:root", "2023-01-02T03:04:05.678Z", LEVEL_INFO },
	{ "[2022-05-01 01:02:03] step 1", "2022-05-01T01:02:03Z", LEVEL_NONE },
	{ "2024-01-01 00:00:00.000 | CRITICAL | app:main:3", "2024-01-01T00:00:00Z", LEVEL_FATAL },
	{ "\x1b[32m2024-01-01 00:00:00\x1b[0m DEBUG x", "2024-01-01T00:00:00Z", LEVEL_DEBUG },
	{ "WARNING:root:no time here", NULL, LEVEL_WARN },
	{ "[INFO] no time here", NULL, LEVEL_INFO },
	/* ISO 8601, RFC 3339 */
	{ "2025-03-06T12:06:29.123456789123Z x", "2025-03-06T12:06:29.123456789Z", LEVEL_NONE },
	{ "2025-03-06T12:06:29+01:00 x", "2025-03-06T11:06:29Z", LEVEL_NONE },
	{ "2025-03-06T12:06:29-0730 x", "2025-03-06T19:36:29Z", LEVEL_NONE },
	{ "2025-03-06T12:06:29 UTC x", "2025-03-06T12:06:29Z", LEVEL_NONE },
	{ "2025-03-06 12:06:29 -1 is left", "2025-03-06T12:06:29Z", LEVEL_NONE },
	{ "2025-03-06 12:06:29 -12345 too", "2025-03-06T12:06:29Z", LEVEL_NONE },
	{ "2025-03-06T23:59:60Z leap", "2025-03-07T00:00:00Z", LEVEL_NONE },
	{ "STARTING TIMING RUN AT 2022-05-14 11:38:26 PM", "2022-05-14T23:38:26Z", LEVEL_NONE },
	{ "2022-05-14 12:38:26 AM x", "2022-05-14T00:38:26Z", LEVEL_NONE },
	{ "2022-05-14 12:38:26 PM UTC", "2022-05-14T12:38:26Z", LEVEL_NONE },
	{ "2022-05-14 13:38:26 PM", "2022-05-14T13:38:26Z", LEVEL_NONE },
	{ "2022-05-14 11:38:26 PMs", "2022-05-14T11:38:26Z", LEVEL_NONE },
	{ "20250306 12:06:29 x", "2025-03-06T12:06:29Z", LEVEL_NONE },
	/* log4j, slurm, docker */
	{ "2025-03-06 12:06:29,038 [main] ERROR com.x - y", "2025-03-06T12:06:29.038Z", LEVEL_ERROR },
	{ "[ERROR] 2025-03-06 12:06:29,038 x", "2025-03-06T12:06:29.038Z", LEVEL_ERROR },
	{ "TRACE 2025-03-06 12:06:29 x", "2025-03-06T12:06:29Z", LEVEL_TRACE },
	{ "[2025-03-06T12:06:29.1] error: slurmstepd", "2025-03-06T12:06:29.100Z", LEVEL_NONE },
	/* syslog */
	{ "Mar  6 12:06:29 host sshd[1]: x", "2025-03-06T12:06:29Z", LEVEL_NONE },
	{ "<11>Dec 31 12:06:29 host app: x", "2024-12-31T12:06:29Z", LEVEL_ERROR },
	{ "<15>1 2025-03-06T12:06:29Z host app - - x", "2025-03-06T12:06:29Z", LEVEL_DEBUG },
	{ "Feb 29 00:00:00 host x", "2024-02-29T00:00:00Z", LEVEL_NONE },
	/* nginx, Apache */
	{ "10.0.0.1 - - [06/Mar/2025:12:06:29 +0100] \"GET /\"", "2025-03-06T11:06:29Z", LEVEL_NONE },
	{ "2025/03/06 12:06:29 [error] 7#7: x", "2025-03-06T12:06:29Z", LEVEL_ERROR },
	{ "2025/03/06 12:06:29 [crit] 7#7: x", "2025-03-06T12:06:29Z", LEVEL_FATAL },
	{ "[Thu Mar 06 12:06:29.123456 2025] [core:warn] x", "2025-03-06T12:06:29.123456Z", LEVEL_NONE },
	/* ctime, date */
	{ "Thu Mar  6 12:06:29 2025", "2025-03-06T12:06:29Z", LEVEL_NONE },
	{ "Thu, 06 Mar 2025 12:06:29 GMT", "2025-03-06T12:06:29Z", LEVEL_NONE },
	/* NCCL */
	{ "node1:17:93 [3] NCCL WARN timeout", NULL, LEVEL_WARN },
	{ "[2025-03-06 12:06:29] node1:17:93 [3] NCCL INFO x", "2025-03-06T12:06:29Z", LEVEL_INFO },
	{ "[2025-03-06 12:06:29] node1:17:93 [0] net.cc:12 NCCL WARN x", "2025-03-06T12:06:29Z", LEVEL_WARN },
	{ "[1652432.1] [node1:17:0] parser.c:1911 UCX  WARN  unused", NULL, LEVEL_WARN },
	{ "export NCCL INFORMATION", NULL, LEVEL_NONE },
	/* lines of tests/data */
	{ "2022-05-13 00:54:12,210 maskrcnn_benchmark.utils.c2_model_loading INFO: C2 name: res2_0_branch1_w",
	  "2022-05-13T00:54:12.210Z", LEVEL_INFO },
	{ "ip-0A0D000A:27:27 [0] NCCL INFO Bootstrap : Using eth0:10.13.0.10<0>", NULL, LEVEL_INFO },
	{ "[W init.cpp:651] Warning: Use _jit_set_fusion_strategy", NULL, LEVEL_WARN },
	{ "[rank0]:[W318 06:17:45.103505064 ProcessGroupNCCL.cpp:4115] [PG ID 0 PG GUID 0 Rank 0]  using GPU "
	  "0",
	  "2024-03-18T06:17:45.103505064Z", LEVEL_WARN },
	{ "W0318 06:15:01.123000 9 site-packages/torch/distributed/run.py:793] ****",
	  "2024-03-18T06:15:01.123Z", LEVEL_WARN },
	{ "/opt/conda/lib/python3.8/site-packages/torch/nn/modules/module.py:1402: UserWarning: positional",
	  NULL, LEVEL_WARN },
	{ ":::MLLOG {\"namespace\": \"\", \"time_ms\": 1652402988170, \"event_type\": \"POINT_IN_TIME\"}",
	  NULL, LEVEL_NONE },
	{ "  warnings.warn(warning.format(ret))", NULL, LEVEL_NONE },
	{ "ValueError: Encountered nan values", NULL, LEVEL_NONE },
	/* what launchers put before lines, colours */
	{ "3: [rank3]: WARNING:root:x", NULL, LEVEL_WARN },
	{ "0: /a/b.py:12: FutureWarning: x", NULL, LEVEL_WARN },
	{ " 8: /workspace/bert/modeling.py:206: UserWarning: x", NULL, LEVEL_WARN },
	{ "/opt/conda/lib/python3.8/site-packages/dali/base_iterator.py:164: Warning: Please set", NULL,
	  LEVEL_WARN },
	{ "/algorithmic-efficiency/algoperf/workloads/librispeech_conformer/librispeech_pytorch/"
	  "preprocessor.py:488: "
	  "UserWarning: Specified kernel cache directory",
	  NULL, LEVEL_WARN },
	{ " Warning: x", NULL, LEVEL_NONE },
	{ "srun: warning: can't run 1 processes on 8 nodes", NULL, LEVEL_WARN },
	{ "slurmstepd: error: *** STEP 12.0 ON node3 CANCELLED", NULL, LEVEL_ERROR },
	{ "srun: job 12 queued", NULL, LEVEL_NONE },
	{ "error: none of Slurm's", NULL, LEVEL_NONE },
	{ "[rank7]:[E1231 23:59:59.5 x.cpp:1] y", "2024-12-31T23:59:59.500Z", LEVEL_ERROR },
	{ "\x1b[1;33mWARNING\x1b[0m: x", NULL, LEVEL_WARN },
	{ "[HCTR][08:14:28.123][WARNING][RK0]: x", NULL, LEVEL_WARN },
	{ "12: ", NULL, LEVEL_NONE },
	/* words that are no level where they stand */
	{ "ERROR rate is 0.3", NULL, LEVEL_NONE },
	{ "INFO     padded as in a column", NULL, LEVEL_INFO },
	{ "ERROR [main] x", NULL, LEVEL_ERROR },
	{ "ERROR-prone", NULL, LEVEL_NONE },
	{ "2025-03-06 12:06:29 an epoch ERROR of 0.3", "2025-03-06T12:06:29Z", LEVEL_NONE },
	{ "2025-03-06 12:06:29 a b non-FATAL thing", "2025-03-06T12:06:29Z", LEVEL_NONE },
	{ "2025-03-06 12:06:29 name WARNING text", "2025-03-06T12:06:29Z", LEVEL_WARN },
	{ "2025-03-06 12:06:29 - a.b - WARNING - text", "2025-03-06T12:06:29Z", LEVEL_WARN },
	{ "2025-03-06 12:06:29 | WARNING  | a:b:3 - text", "2025-03-06T12:06:29Z", LEVEL_WARN },
	{ "x.py:12: a Warning: of ours", NULL, LEVEL_NONE },
	{ "2025-03-06 12:06:29 to a (DEBUG", "2025-03-06T12:06:29Z", LEVEL_NONE },
	{ "I306 12:06:29.0 x", "2025-03-06T12:06:29Z", LEVEL_INFO },
	/* PyTorch, optuna, hydra, DeepSpeed */
	{ "[W socket.cpp:601] [c10d] The client socket", NULL, LEVEL_WARN },
	{ "[I am no level]", NULL, LEVEL_NONE },
	{ "[W 2025-03-06 12:06:29,038] Trial 3 failed", "2025-03-06T12:06:29.038Z", LEVEL_WARN },
	{ "[2025-03-06 12:06:29,038][root][INFO] - x", "2025-03-06T12:06:29.038Z", LEVEL_INFO },
	{ "[2025-03-06 12:06:29,038] [WARNING] [runner.py:1:main] x", "2025-03-06T12:06:29.038Z",
	  LEVEL_WARN },
	/* not times */
	{ "", NULL, LEVEL_NONE },
	{ "\n", NULL, LEVEL_NONE },
	{ "saved to /runs/2025-03-06T12:06:29/x", NULL, LEVEL_NONE },
	{ "one two three four five 2025-03-06 12:06:29", NULL, LEVEL_NONE },
	{ "2025-13-06 12:06:29 x", NULL, LEVEL_NONE },
	{ "2025-02-29 12:06:29 x", NULL, LEVEL_NONE },
	{ "2025-03-06 24:06:29 x", NULL, LEVEL_NONE },
	{ "2025-03-06 12:06:2", NULL, LEVEL_NONE },
	{ "1699-12-31 23:59:59 x", NULL, LEVEL_NONE },
	{ "2262-01-01 00:00:00 x", NULL, LEVEL_NONE },
	{ "X0306 12:06:29.038456 x", NULL, LEVEL_NONE },
	{ "I0306 12:06:290 x", NULL, LEVEL_NONE },
	{ "ERRORS are not a level", NULL, LEVEL_NONE },
	{ "all ERROR words are not a level", NULL, LEVEL_NONE },
	{ "<999>x", NULL, LEVEL_NONE },
};

static void test_lines(void **state)
{
	struct year_rule years = year_rule_until(REFERENCE);

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct line_time got = find(lines[i].line, &years);

		if (got.has_time != (lines[i].time != NULL) || got.level != lines[i].level ||
		    (got.has_time && got.t_ns != ns_of(lines[i].time)))
			fail_msg("%s: time %d %lld, level %s", lines[i].line, got.has_time,
				 (long long)got.t_ns, level_name(got.level));
	}
}

static void test_before_1970(void **state)
{
	struct year_rule years = year_rule_until(REFERENCE);

	(void)state;
	assert_int_equal(find("1969-12-31 23:59:58.25 x", &years).t_ns, -1750000000);
}

static void expect_year(struct year_rule years, const char *line, const char *time)
{
	assert_int_equal(find(line, &years).t_ns, ns_of(time));
}

static void test_years(void **state)
{
	struct year_rule until = year_rule_until(REFERENCE), from = year_rule_from(REFERENCE);

	(void)state;
	expect_year(until, "Mar  7 23:59:59 x", "2025-03-07T23:59:59Z"); /* within a day after */
	expect_year(until, "Mar  8 00:00:01 x", "2024-03-08T00:00:01Z");
	expect_year(until, "Jan  1 00:00:00 x", "2025-01-01T00:00:00Z");
	expect_year(from, "Mar  6 00:00:00 x", "2025-03-06T00:00:00Z"); /* within a day before */
	expect_year(from, "Mar  5 23:59:59 x", "2026-03-05T23:59:59Z");
	expect_year(from, "Dec 31 00:00:00 x", "2025-12-31T00:00:00Z");
	expect_year(from, "Feb 29 00:00:00 x", "2028-02-29T00:00:00Z");
}

static void expect_cell(const char *cell, const char *time)
{
	struct year_rule years = year_rule_until(REFERENCE);
	int64_t t = 0;
	bool good = line_time_parse(span_str(cell), &years, &t) || epoch_time(span_str(cell), &t);

	if (good != (time != NULL) || (good && t != ns_of(time)))
		fail_msg("%s: %d %lld", cell, good, (long long)t);
}

static void test_cells(void **state)
{
	(void)state;
	expect_cell("2014-02-14 14:30:00", "2014-02-14T14:30:00Z");
	expect_cell(" 2026/04/25 16:06:06.780 ", "2026-04-25T16:06:06.780Z");
	expect_cell("2014-02-14", "2014-02-14T00:00:00Z");
	expect_cell("2014-02-14T14:30Z", "2014-02-14T14:30:00Z");
	expect_cell("1741305600", "2025-03-07T00:00:00Z");
	expect_cell("1741305600.25", "2025-03-07T00:00:00.250Z");
	expect_cell("1741305600250", "2025-03-07T00:00:00.250Z");
	expect_cell("1741305600250001", "2025-03-07T00:00:00.250001Z");
	expect_cell("1741305600250001002", "2025-03-07T00:00:00.250001002Z");
	expect_cell("2014-02-14 14:30:00 x", NULL);
	expect_cell("x 2014-02-14 14:30:00", NULL);
	expect_cell("12345678", NULL);
	expect_cell("1e9", NULL);
	expect_cell("-1741305600", NULL);
	expect_cell("99999999999999999999", NULL);
	expect_cell("", NULL);
}

static void test_decimals(void **state)
{
	int64_t t;

	(void)state;
	assert_true(decimal_time(span_str("-0.5"), NS_PER_S, &t));
	assert_int_equal(t, -NS_PER_S / 2);
	assert_true(decimal_time(span_str("0.0000000019"), NS_PER_S, &t));
	assert_int_equal(t, 1);
	assert_true(decimal_time(span_str("9214646399.999999999"), NS_PER_S, &t));
	assert_false(decimal_time(span_str("9214646400"), NS_PER_S, &t));
	assert_false(decimal_time(span_str("99999999999999999999999"), NS_PER_S, &t));
	assert_false(
	    decimal_time(span_str("-"), NS_PER_S, &t) || decimal_time(span_str("."), NS_PER_S, &t) ||
	    decimal_time(span_str(""), NS_PER_S, &t) || decimal_time(span_str("1.2.3"), NS_PER_S, &t) ||
	    decimal_time(span_str(".5"), NS_PER_S, &t) || decimal_time(span_str("1 "), NS_PER_S, &t));
}

static void expect_format(const char *format, const char *text, const char *time)
{
	struct year_rule years = year_rule_until(REFERENCE);
	struct fault f = { 0 };
	int64_t t = 0;
	bool good;

	assert_int_equal(time_format_check(format, &f), 0);
	good = time_format_parse(format, span_str(text), false, &years, &t);
	if (good != (time != NULL) || (good && t != ns_of(time)))
		fail_msg("%s of %s: %d %lld", text, format, good, (long long)t);
}

static void test_formats(void **state)
{
	struct year_rule years = year_rule_until(REFERENCE);
	char longest[TIME_FORMAT_MAX + 2];
	struct fault f = { 0 };
	int64_t t;

	(void)state;
	expect_format("%d.%m.%Y %H:%M:%S", "06.03.2025 12:06:29 rest", "2025-03-06T12:06:29Z");
	expect_format("[%d.%m.%Y %H:%M:%S.%f]", "[06.03.2025 12:06:29.0385] x", "2025-03-06T12:06:29.0385Z");
	expect_format("%m/%d %I:%M %p", "12/31 01:30 PM x", "2024-12-31T13:30:00Z");
	expect_format("%Y%m%d%H%M%S%z", "20250306120629+0100", "2025-03-06T11:06:29Z");
	expect_format("%s", "1741305600 x", "2025-03-07T00:00:00Z");
	expect_format("%s.%f", "1741305600.5 x", "2025-03-07T00:00:00.500Z");
	expect_format("%d.%m.%Y %H:%M:%S", "31.02.2025 12:06:29", NULL);
	expect_format("%d.%m.%Y %H:%M:%S", "no time", NULL);
	expect_format("%d.%m.%Y", "06.03.1699", NULL);
	expect_format("%d.%m.%Y", "06.03.2262", NULL);
	assert_false(time_format_parse("%d.%m.%Y", span_str("06.03.2025 x"), true, &years, &t));
	assert_true(time_format_parse("%d.%m.%Y", span_str(" 06.03.2025 "), true, &years, &t));
	assert_int_equal(time_format_check("%H:%M", &f), ERR_REFUSED);
	assert_non_null(strstr(f.text, "%H:%M"));
	assert_int_equal(time_format_check("now", &f), ERR_REFUSED);
	assert_int_equal(time_format_check("", &f), ERR_REFUSED);
	memset(longest, '%', sizeof(longest));
	longest[TIME_FORMAT_MAX + 1] = 0;
	assert_int_equal(time_format_check(longest, &f), ERR_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),    cmocka_unit_test(test_before_1970),
		cmocka_unit_test(test_years),    cmocka_unit_test(test_cells),
		cmocka_unit_test(test_decimals), cmocka_unit_test(test_formats),
	};

	return cmocka_run_group_tests_name("line_time", tests, NULL, NULL);
}

/* JSON lines become batches against a store; a line that cannot be is named by its number. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingest/ndjson.h"
#include "store/base/bytes.h"
#include "tests/unit/ingest/intake_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct batch *lines(const char *text) { return decoded(ndjson_request, span_str(text)); }

/* ---- samples ---- */

static void samples(void **state)
{
	struct batch *b =
	    lines("{\"metric\":\"nd/loss\",\"value\":0.5,\"step\":3,\"time\":\"2023-11-14T22:13:20Z\","
		  "\"labels\":{\"rank\":\"1\",\"host\":\"a\"},\"unit\":\"s\"}\n"
		  "{\"value\": -1e3 ,\"metric\" : \"nd/loss\"}\n"
		  " {\"time\":1700000000123,\"labels\":{\"host\":\"a\",\"rank\":\"1\"},\"value\":7,"
		  "\"metric\":\"nd/loss\"} \n");

	(void)state;
	assert_int_equal(b->n_samples, 3);
	assert_int_equal(b->n_series, 2); /* labels in another order are the same series */
	assert_true(b->sid[0] == (BATCH_NEW | 0) && b->sid[1] == (BATCH_NEW | 1) &&
		    b->sid[2] == (BATCH_NEW | 0));
	assert_true(b->value[0] == 0.5 && b->value[1] == -1000 && b->value[2] == 7);
	assert_true(b->step[0] == 3 && b->step[1] == STEP_NONE && b->step[2] == STEP_NONE);
	assert_true(b->t_ns[0] == NOW && b->t_ns[1] == NOW && b->t_ns[2] == NOW + 123 * NS_PER_MS);
	assert_true(span_is(b->series[0].name.metric, "nd/loss") && span_is(b->series[0].name.unit, "s"));
	assert_true(b->series[0].name.n_labels == 2 && b->series[1].name.n_labels == 0);
	assert_true(span_is(b->series[0].name.labels[0].key, "host"));
	assert_true(span_is(b->series[0].name.labels[1].value, "1"));
	assert_int_equal(b->n_rejected, 0);
	commit(b);
	batch_done_with(b);
	b = lines("{\"metric\":\"nd/loss\",\"value\":1}");
	assert_true(b->series[0].sid > 0 && b->sid[0] == b->series[0].sid);
	assert_null(b->step);
	batch_done_with(b);
}

/* The nearest double, to the bit; strtod is the oracle where one is needed. */
static void numbers(void **state)
{
	static const char *const text[] = {
		"0",
		"-0",
		"-0.0",
		"0e5",
		"1",
		"-1",
		"0.1",
		"1e22",
		"1e23",
		"5e-324",
		"2.5e-324",
		"2.4e-324",
		"1e-400",
		"1.7976931348623157e308",
		"1.7976931348623158e308",
		"123456789012345678901234567890",
		"9007199254740993",
		"9223372036854775807",
		"9223372036854775808",
		"18446744073709551616",
		"-9223372036854775809",
		"0.1000000000000000055511151231257827021181583404541015625",
		"2.2250738585072011e-308",
		"1E+2",
		"1e-2",
		"4.35",
		"0.000001",
		"1e0000000000000000000001",
	};
	static const char *const words[] = { "\"NaN\"",  "NaN",           "\"Infinity\"",
					     "Infinity", "\"-Infinity\"", "-Infinity" };
	static const double special[] = { (double)NAN,      (double)NAN,       (double)INFINITY,
					  (double)INFINITY, -(double)INFINITY, -(double)INFINITY };
	char line[300];

	(void)state;
	for (size_t i = 0; i < COUNT(text) + COUNT(words); i++) {
		const char *word = i < COUNT(text) ? text[i] : words[i - COUNT(text)];
		double want = i < COUNT(text) ? strtod(word, NULL) : special[i - COUNT(text)];
		struct batch *b;

		snprintf(line, sizeof(line), "{\"metric\":\"m\",\"value\":%s}", word);
		b = lines(line);
		assert_int_equal(b->n_samples, 1);
		if (double_bits(b->value[0]) != double_bits(want) && !(isnan(b->value[0]) && isnan(want)))
			fail_msg("%s became %a", word, b->value[0]);
		batch_done_with(b);
	}
}

static void no_numbers(void **state)
{
	static const char *const text[] = { "1e400",   "-1e400", "1e99999999999", "\"1\"", "\"nan\"",
					    "\"inf\"", "\"\"",   "\"\\u004eaN\"", "true",  "null",
					    "[1]",     "{}",     "\"+Infinity\"" };
	static const char *const no_json[] = { "+1",  ".5",  "1.",  "01",    "0x10",  "1e", "nan",
					       "inf", "--1", "1 2", "\"NaN", "'NaN'", "" };
	char line[300];

	(void)state;
	for (size_t i = 0; i < COUNT(text); i++) {
		snprintf(line, sizeof(line), "{\"metric\":\"m\",\"value\":%s}", text[i]);
		refused(ndjson_request, span_str(line), ERR_REFUSED, "value", "line 1: ");
	}
	for (size_t i = 0; i < COUNT(no_json); i++) {
		snprintf(line, sizeof(line), "\n{\"metric\":\"m\",\"value\":%s}", no_json[i]);
		refused(ndjson_request, span_str(line), ERR_MALFORMED, "", "line 2: ");
	}
	refused(ndjson_request, span_str("{\"metric\":\"m\"}"), ERR_REFUSED, "value", "line 1: ");
}

static void times(void **state)
{
	static const struct {
		const char *text;
		int64_t t_ns; /* INT64_MIN: refused whole */
		enum reject code;
	} table[] = {
		{ "null", NOW, 0 },
		{ "0", 0, 0 },
		{ "1", NS_PER_MS, 0 },
		{ "-1", 0, REJECT_TIME_BEFORE_1970 },
		{ "1700000600000", LATEST, 0 },
		{ "1700000600001", 0, REJECT_TIME_IN_FUTURE },
		{ "9223372036854775807", 0, REJECT_TIME_IN_FUTURE },
		{ "-9223372036854775808", 0, REJECT_TIME_BEFORE_1970 },
		{ "\"1970-01-01T00:00:00Z\"", 0, 0 },
		{ "\"1969-12-31T23:59:59.999999999Z\"", 0, REJECT_TIME_BEFORE_1970 },
		{ "\"2023-11-14T23:13:20.000000001+01:00\"", NOW + 1, 0 },
		{ "\"2023-11-14T22:23:20Z\"", LATEST, 0 },
		{ "\"2023-11-14T22:23:20.000000001Z\"", 0, REJECT_TIME_IN_FUTURE },
		{ "\"9999-12-31T00:00:00Z\"", 0, REJECT_TIME_IN_FUTURE },
		{ "\"0001-01-01T00:00:00Z\"", 0, REJECT_TIME_BEFORE_1970 },
		{ "1.5", INT64_MIN, 0 },
		{ "1e3", INT64_MIN, 0 },
		{ "\"\"", INT64_MIN, 0 },
		{ "\"yesterday\"", INT64_MIN, 0 },
		{ "\"2023-13-14T22:13:20Z\"", INT64_MIN, 0 },
		{ "\"9999-13-31T00:00:00Z\"", INT64_MIN, 0 },
		{ "\"1700000000000\"", INT64_MIN, 0 },
		{ "true", INT64_MIN, 0 },
		{ "[]", INT64_MIN, 0 },
	};
	char line[300];

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(table); i++) {
		int64_t want = table[i / 2].t_ns;
		bool log = i % 2;
		struct batch *b;

		snprintf(line, sizeof(line), "{%s,\"time\":%s}",
			 log ? "\"log\":\"x\"" : "\"metric\":\"m\",\"value\":1", table[i / 2].text);
		if (want == INT64_MIN) {
			refused(ndjson_request, span_str(line), ERR_REFUSED, "time", "RFC 3339");
			continue;
		}
		b = lines(line);
		if (table[i / 2].code) {
			assert_true(b->n_samples == 0 && b->n_logs == 0);
			has_rejected(b, 0, log ? 'l' : 's', 0, table[i / 2].code);
		} else if ((log ? b->logs[0].t_ns : b->t_ns[0]) != want) {
			fail_msg("%s: %s", line, "another time");
		}
		batch_done_with(b);
	}
}

static void steps(void **state)
{
	static const char *const no_steps[] = { "1.0", "1e3", "\"1\"", "9223372036854775808", "true", "[]" };
	struct batch *b =
	    lines("{\"metric\":\"m\",\"value\":1,\"step\":-9223372036854775808}\n"
		  "{\"metric\":\"m\",\"value\":2,\"step\":9223372036854775807}\n"
		  "{\"metric\":\"m\",\"value\":3,\"step\":null}\n{\"metric\":\"m\",\"value\":4,\"step\":-5}\n"
		  "{\"metric\":\"m\",\"value\":1,\"step\":-9223372036854775808}\n");
	char line[200];

	(void)state;
	assert_int_equal(b->n_samples, 3);
	assert_true(b->step[0] == INT64_MAX && b->step[1] == STEP_NONE && b->step[2] == -5);
	assert_true(b->value[0] == 2 && b->value[2] == 4);
	has_rejected(b, 0, 's', 0, REJECT_STEP_RANGE);
	has_rejected(b, 1, 's', 4, REJECT_STEP_RANGE);
	batch_done_with(b);
	for (size_t i = 0; i < COUNT(no_steps); i++) {
		snprintf(line, sizeof(line), "{\"metric\":\"m\",\"value\":1,\"step\":%s}", no_steps[i]);
		refused(ndjson_request, span_str(line), ERR_REFUSED, "step", "integer");
	}
}

static void names(void **state)
{
	struct batch *b = lines("{\"metric\":\"\\u00e4\\ud83d\\ude00 \\\"x\\\" \\/\",\"value\":1,"
				"\"labels\":{\"k\\u0065y\":\"v \\\\ {},:\\u20ac\",\"\xc3\xa4\":\"\"}}");
	char line[8000];
	size_t n;

	(void)state;
	assert_true(span_is(b->series[0].name.metric, "\xc3\xa4\xf0\x9f\x98\x80 \"x\" /"));
	assert_true(span_is(b->series[0].name.labels[0].key, "key"));
	assert_true(span_is(b->series[0].name.labels[0].value, "v \\ {},:\xe2\x82\xac"));
	assert_true(span_is(b->series[0].name.labels[1].key, "\xc3\xa4"));
	batch_done_with(b);
#define NAMED(json) span_str("{\"metric\":\"m\",\"value\":1}\n\n{\"value\":1," json "}")
	refused(ndjson_request, NAMED("\"metric\":\"\""), ERR_REFUSED, "series.metric", "line 3: ");
	refused(ndjson_request, NAMED("\"metric\":\"a\\nb\""), ERR_REFUSED, "series.metric", "line 3: ");
	refused(ndjson_request, NAMED("\"metric\":\"a\\ud800b\""), ERR_REFUSED, "series.metric", "line 3: ");
	refused(ndjson_request, NAMED("\"metric\":\"\xff\""), ERR_REFUSED, "series.metric", "line 3: ");
	refused(ndjson_request, NAMED("\"metric\":7"), ERR_REFUSED, "metric", "line 3: ");
	refused(ndjson_request, NAMED("\"metric\":\"m\",\"unit\":\"\\t\""), ERR_REFUSED, "series.unit",
		"line 3: ");
	refused(ndjson_request, NAMED("\"metric\":\"m\",\"labels\":[]"), ERR_REFUSED, "labels", "line 3: ");
	refused(ndjson_request, NAMED("\"metric\":\"m\",\"labels\":{\"a\":1}"), ERR_REFUSED, "labels",
		"line 3: ");
	refused(ndjson_request, NAMED("\"metric\":\"m\",\"labels\":{\"\":\"\"}"), ERR_REFUSED,
		"series.labels", "line 3: ");
	refused(ndjson_request, NAMED("\"metric\":\"m\",\"labels\":{\"a\":\"1\",\"\\u0061\":\"2\"}"),
		ERR_REFUSED, "series.labels", "twice");
	for (int labels = LABELS_MAX; labels <= LABELS_MAX + 1; labels++) {
		n = (size_t)snprintf(line, sizeof(line), "{\"metric\":\"m\",\"value\":1,\"labels\":{");
		for (int i = 0; i < labels; i++)
			n += (size_t)snprintf(line + n, sizeof(line) - n, "%s\"k%d\":\"v\"", i ? "," : "", i);
		snprintf(line + n, sizeof(line) - n, "}}");
		if (labels == LABELS_MAX)
			batch_done_with(lines(line));
		else
			refused(ndjson_request, span_str(line), ERR_REFUSED, "labels", "16");
	}
}

/* ---- log records ---- */

static void records(void **state)
{
	struct batch *b = lines(
	    "{\"log\":\"a\\r\\n\\u0000\\u001b[1m\xff\xfe\",\"level\":\"WARNING\",\"stream\":\"stderr\","
	    "\"rank\":3,"
	    "\"time\":5,\"attrs\":{\"k\":\"v\",\"a\":\"\"}}\n{\"log\":\"\"}\n"
	    "{\"log\":\"x\",\"level\":null,\"stream\":null,\"rank\":null,\"time\":null,\"attrs\":null}\n");

	(void)state;
	assert_int_equal(b->n_logs, 3);
	assert_true(span_equal(b->logs[0].text, span_of("a\r\n\0\x1b[1m\xff\xfe", 10)));
	assert_true(b->logs[0].level == LEVEL_WARN && b->logs[0].rank == 3);
	assert_true(span_is(b->logs[0].stream, "stderr") && b->logs[0].t_ns == 5 * NS_PER_MS);
	assert_true(b->logs[0].n_attrs == 2 && span_is(b->logs[0].attrs[0].key, "k"));
	assert_true(span_is(b->logs[0].attrs[1].key, "a") && b->logs[0].attrs[1].value.len == 0);
	for (size_t i = 1; i < 3; i++) {
		assert_true(b->logs[i].level == LEVEL_NONE && b->logs[i].rank == RANK_NONE);
		assert_true(b->logs[i].stream.len == 0 && b->logs[i].t_ns == NOW && b->logs[i].n_attrs == 0);
		assert_true(b->logs[i].observed_ns == NOW);
	}
	assert_int_equal(batch_seal(fixture_store, b), 0);
	batch_done_with(b);
}

/* Where none was sent: of the text, as it stays; its time is that of receipt all the same. */
static void levels_of_texts(void **state)
{
	struct batch *b =
	    lines("{\"log\":\"2025-07-06 12:00:00,123 - a - WARNING - x\"}\n"
		  "{\"log\":\"WARNING:root:x\",\"level\":\"debug\"}\n"
		  "{\"log\":\"WARNING:root:x\",\"level\":null}\n"
		  "{\"level\":\"debug\",\"log\":\"WARNING:root:x\"}\n"
		  "{\"text_base64\":\"RTA3MDYgMTI6MDA6MDAgeP8=\",\"log\":\"I0706 12:00:00 x?\"}\n"
		  "{\"log\":\"a long line, \",\"continues\":true}\n{\"log\":\"WARNING: of which\"}\n"
		  "{\"log\":\"WARNING: again\"}\n");
	static const enum level want[] = { LEVEL_WARN,  LEVEL_DEBUG, LEVEL_NONE, LEVEL_DEBUG,
					   LEVEL_ERROR, LEVEL_NONE,  LEVEL_NONE, LEVEL_WARN };

	(void)state;
	assert_int_equal(b->n_logs, 8);
	for (size_t i = 0; i < 8; i++)
		assert_true(b->logs[i].level == want[i] && b->logs[i].t_ns == NOW);
	assert_true(span_is(b->logs[0].text, "2025-07-06 12:00:00,123 - a - WARNING - x"));
	batch_done_with(b);
}

static void bad_records(void **state)
{
	struct batch *b =
	    lines("{\"log\":\"x\",\"rank\":-1}\n{\"log\":\"x\",\"rank\":2147483648}\n{\"log\":\"good\","
		  "\"rank\":2147483647}\n"
		  "{\"log\":\"x\",\"stream\":\"a\\tb\"}\n{\"log\":\"x\",\"attrs\":{\"\":\"\"}}\n"
		  "{\"metric\":\"m\",\"value\":1,\"time\":-1}\n{\"log\":\"x\",\"attrs\":{\"a\":\"\",\"a\":"
		  "\"\"}}\n");

	(void)state;
	assert_true(b->n_logs == 1 && b->n_samples == 0 && b->n_rejected == 6);
	has_rejected(b, 0, 'l', 0, REJECT_LOG_RANK);
	has_rejected(b, 1, 'l', 1, REJECT_LOG_RANK);
	has_rejected(b, 2, 'l', 3, REJECT_LOG_STREAM);
	has_rejected(b, 3, 'l', 4, REJECT_LOG_ATTRIBUTES);
	has_rejected(b, 4, 's', 0, REJECT_TIME_BEFORE_1970);
	has_rejected(b, 5, 'l', 5, REJECT_LOG_ATTRIBUTES);
	batch_done_with(b);
	refused(ndjson_request, span_str("{\"log\":7}"), ERR_REFUSED, "log", "string");
	refused(ndjson_request, span_str("{\"log\":\"x\",\"level\":\"loud\"}"), ERR_REFUSED, "level", "loud");
	refused(ndjson_request, span_str("{\"log\":\"x\",\"level\":3}"), ERR_REFUSED, "level", NULL);
	refused(ndjson_request, span_str("{\"log\":\"x\",\"stream\":{}}"), ERR_REFUSED, "stream", NULL);
	refused(ndjson_request, span_str("{\"log\":\"x\",\"rank\":\"0\"}"), ERR_REFUSED, "rank", NULL);
	refused(ndjson_request, span_str("{\"log\":\"x\",\"attrs\":{\"a\":null}}"), ERR_REFUSED, "attrs",
		NULL);
}

/* A text of 2 MiB + 1 whose JSON is six times as long, and one without escapes. */
static void long_texts(void **state)
{
	enum { N = 2 * LOG_TEXT_MAX + 1 };
	char *body = malloc(6 * N + 100);

	(void)state;
	for (int escaped = 0; escaped < 2; escaped++) {
		size_t n = (size_t)sprintf(body, "{\"log\":\""), at = 0, wrong = 0;
		struct batch *b;

		for (size_t i = 0; i < N; i++)
			n += (size_t)(escaped ? sprintf(body + n, "\\u00%02x", (unsigned)(i % 128))
					      : sprintf(body + n, "%c", 'a' + (int)(i % 26)));
		n += (size_t)sprintf(body + n, "\"}");
		b = decoded(ndjson_request, span_of(body, n));
		assert_int_equal(b->n_logs, 3);
		for (size_t p = 0; p < 3; p++) {
			assert_int_equal(b->logs[p].flags, p < 2 ? LOG_CONTINUES : 0);
			for (size_t i = 0; i < b->logs[p].text.len; i++, at++)
				wrong += b->logs[p].text.data[i] != (escaped ? at % 128 : 'a' + at % 26);
		}
		assert_true(at == N && wrong == 0);
		batch_done_with(b);
	}
	free(body);
}

/* ---- lines ---- */

static void line_ends(void **state)
{
	static const char *const bodies[] = {
		"{\"log\":\"a\"}\n{\"log\":\"b\"}\n",
		"{\"log\":\"a\"}\n{\"log\":\"b\"}",
		"{\"log\":\"a\"}\r\n{\"log\":\"b\"}\r\n",
		"\n\n{\"log\":\"a\"}\n \t\r\n\n{\"log\":\"b\"}\n\n",
		"  {\"log\":\"a\"}  \n\t{ \"log\" : \"b\" }\r",
		"\r\n{\"log\":\"a\"}\n\r\n{\"log\":\"b\"}\n\r",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		struct batch *b = lines(bodies[i]);

		assert_int_equal(b->n_logs, 2);
		assert_true(span_is(b->logs[0].text, "a") && span_is(b->logs[1].text, "b"));
		batch_done_with(b);
	}
	for (size_t i = 0; i < 3; i++) {
		struct batch *b = lines((const char *[]){ "", "\n", " \n\n\r\n" }[i]);

		assert_true(b->n_logs == 0 && b->n_samples == 0);
		batch_done_with(b);
	}
}

static void bad_lines(void **state)
{
	static const struct {
		const char *line;
		int err;
		const char *field;
	} table[] = {
		{ "{", ERR_MALFORMED, "" },
		{ "}", ERR_MALFORMED, "" },
		{ "[]", ERR_MALFORMED, "" },
		{ "7", ERR_MALFORMED, "" },
		{ "\"log\"", ERR_MALFORMED, "" },
		{ "null", ERR_MALFORMED, "" },
		{ "{\"log\":\"a\"", ERR_MALFORMED, "" },
		{ "{\"log\":\"a\"}}", ERR_MALFORMED, "" },
		{ "{\"log\":\"a\"} {\"log\":\"b\"}", ERR_MALFORMED, "" },
		{ "{\"log\":\"a\",}", ERR_MALFORMED, "" },
		{ "{log:\"a\"}", ERR_MALFORMED, "" },
		{ "{'log':'a'}", ERR_MALFORMED, "" },
		{ "{\"log\":\"a\tb\"}", ERR_MALFORMED, "" },
		{ "{\"log\":\"a\\x\"}", ERR_MALFORMED, "" },
		{ "{\"log\":\"\\u12g4\"}", ERR_MALFORMED, "" },
		{ "/* a */ {\"log\":\"a\"}", ERR_MALFORMED, "" },
		{ "{\"log\":\"a\",\"log\":\"b\"}", ERR_MALFORMED, "log" },
		{ "{\"metric\":\"m\",\"value\":1,\"value\":2}", ERR_MALFORMED, "value" },
		{ "{}", ERR_REFUSED, "" },
		{ "{\"log\":null}", ERR_REFUSED, "" },
		{ "{\"log\":\"a\",\"lvel\":\"info\"}", ERR_REFUSED, "" },
		{ "{\"log\":\"a\",\"step\":1}", ERR_REFUSED, "step" },
		{ "{\"metric\":\"m\",\"value\":1,\"log\":\"a\"}", ERR_REFUSED, "log" },
		{ "{\"metric\":\"m\",\"value\":1,\"rank\":0}", ERR_REFUSED, "rank" },
	};
	char body[300];

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		snprintf(body, sizeof(body),
			 "{\"log\":\"x\"}\n\n{\"metric\":\"m\",\"value\":1}\n%s\n{\"log\":\"y\"}\n",
			 table[i].line);
		refused(ndjson_request, span_str(body), table[i].err, table[i].field, "line 4: ");
	}
	refused(ndjson_request, span_of("{\"log\":\"a\0b\"}", 13), ERR_MALFORMED, "", "line 1: ");
	refused(ndjson_request, span_of("{\"log\":\"a\"}\0", 12), ERR_MALFORMED, "", "line 1: ");
}

/* Nested deep, in eight million values, or cut off after as many bytes: an error, and soon. */
static void bombs(void **state)
{
	enum { N = 8 << 20 };
	static const char *const open[] = { "[", "{\"a\":", "1,", "{\"log\":[", "{\"log\":\"\\" };
	char *body = malloc(N + 100);

	(void)state;
	for (size_t i = 0; i < COUNT(open); i++) {
		size_t n = strlen(open[i]);

		for (size_t at = 0; at + n <= N; at += n)
			memcpy(body + at, open[i], n);
		refused(ndjson_request, span_of(body, N / n * n), ERR_MALFORMED, "", "line 1: ");
	}
	/* good JSON, of no use */
	strcpy(body, "{\"log\":[");
	for (size_t at = 8; at < N; at += 2)
		memcpy(body + at, "1,", 2);
	memcpy(body + N, "1]}", 3);
	refused(ndjson_request, span_of(body, N + 3), ERR_REFUSED, "log", "string");
	free(body);
}

/* Bounds of one request, at them and one over. */
static void as_many_as_may(void **state)
{
	static const struct {
		const char *line, *field;
		size_t most;
	} table[] = { { "{\"metric\":\"m\",\"value\":1}\n", "samples", 1000000 },
		      { "{\"log\":\"\"}\n", "logs", 250000 } };
	char *body = malloc(64 << 20);

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		size_t n = strlen(table[i].line);
		struct batch *b;

		for (size_t k = 0; k <= table[i].most; k++)
			memcpy(body + k * n, table[i].line, n);
		b = decoded(ndjson_request, span_of(body, table[i].most * n));
		assert_int_equal(b->n_samples + b->n_logs, table[i].most);
		assert_int_equal(batch_seal(fixture_store, b), 0);
		batch_done_with(b);
		refused(ndjson_request, span_of(body, (table[i].most + 1) * n), ERR_TOO_LARGE, table[i].field,
			"split it");
	}
	free(body);
}

/* 64 MiB of as many series and of as many attributes as they hold: bounded, never out of memory. */
static void large_bodies(void **state)
{
	char *body = malloc((64 << 20) + 4096);
	size_t n = 0, lines_of_32 = 0;
	struct batch *b;

	(void)state;
	for (int i = 0; i <= 100000; i++)
		n += (size_t)sprintf(
		    body + n, "{\"metric\":\"\\u006d%d\",\"value\":1}\n{\"metric\":\"m%d\",\"value\":2}\n", i,
		    i);
	refused(ndjson_request, span_of(body, n), ERR_TOO_LARGE, "series", "100000");
	while (body[n - 2] != '2' || body[n - 1] != '}')
		n--; /* the last line ... */
	n = (size_t)((char *)memrchr(body, '\n', n) - body);
	n = (size_t)((char *)memrchr(body, '\n', n) - body);
	b = decoded(ndjson_request, span_of(body, n)); /* ... and the one before are left out */
	assert_int_equal(b->n_series, 100000);
	assert_int_equal(b->n_samples, 2 * 100000);
	batch_done_with(b);
	for (n = 0; n < 64 << 20; lines_of_32++) {
		n += (size_t)sprintf(body + n, "{\"log\":\"\",\"attrs\":{");
		for (int i = 0; i < LOG_ATTRS_MAX; i++)
			n += (size_t)sprintf(body + n, "%s\"%c\":\"\"", i ? "," : "",
					     'A' + i + (i + 'A' >= '\\'));
		n += (size_t)sprintf(body + n, "}}\n");
	}
	refused(ndjson_request, span_of(body, n), ERR_TOO_LARGE, "attrs", "1000000");
	n = n / lines_of_32 * (REQUEST_ATTRIBUTES_MAX / LOG_ATTRS_MAX);
	b = decoded(ndjson_request, span_of(body, n));
	assert_int_equal(b->n_logs, REQUEST_ATTRIBUTES_MAX / LOG_ATTRS_MAX);
	assert_int_equal(b->logs[b->n_logs - 1].n_attrs, LOG_ATTRS_MAX);
	batch_done_with(b);
	free(body);
}

static void kinds(void **state)
{
	(void)state;
	assert_int_equal(ndjson_kind(span_str("{\"metric\":\"m\",\"value\":1}")), 's');
	assert_int_equal(ndjson_kind(span_str(" {\"value\":1,\"log\":null,\"metric\":\"m\"}\r")), 's');
	assert_int_equal(ndjson_kind(span_str("{\"level\":\"info\",\"log\":\"\"}")), 'l');
	assert_int_equal(ndjson_kind(span_str("")), 0);
	assert_int_equal(ndjson_kind(span_str(" \r")), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples),      cmocka_unit_test(numbers),
		cmocka_unit_test(no_numbers),   cmocka_unit_test(times),
		cmocka_unit_test(steps),        cmocka_unit_test(names),
		cmocka_unit_test(records),      cmocka_unit_test(levels_of_texts),
		cmocka_unit_test(bad_records),  cmocka_unit_test(long_texts),
		cmocka_unit_test(line_ends),    cmocka_unit_test(bad_lines),
		cmocka_unit_test(bombs),        cmocka_unit_test(as_many_as_may),
		cmocka_unit_test(large_bodies), cmocka_unit_test(kinds),
	};

	return cmocka_run_group_tests_name("ndjson", tests, setup, teardown);
}

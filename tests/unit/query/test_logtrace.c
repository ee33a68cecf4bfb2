/* Which lines go on with those before them: tracebacks of Python, stack traces, lines that are set in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "query/cli/logtrace.h"

#define S  LOG_PART_STARTS
#define G  LOG_PART_GOES_ON
#define T  LOG_PART_TRACE
#define TB "Traceback (most recent call last):\n"

static const struct {
	const char *text;
	enum level level;
	enum log_part want;
} lines[] = {
	/* the first has nothing to go on with */
	{ "  set in\n", 0, S },
	{ "step 1\n", 0, S },
	{ "  set in\n", 0, G },
	{ "\ttoo\n", 0, G },
	{ "\n", 0, S },
	{ "   \n", 0, S },
	/* Python: by itself, and behind what logging.exception says */
	{ TB, 0, S },
	{ "  File \"a.py\", line 1, in <module>\n", 0, T },
	{ "\n", 0, T },
	{ "    ^^^^\n", 0, T },
	{ "ValueError: bad\n", 0, T },
	{ "  of which more\n", 0, T },
	{ "step 2\n", 0, S },
	{ "ValueError: as a word\n", 0, S },
	{ "ERROR:root:no\n", LEVEL_ERROR, S },
	{ TB, 0, T },
	{ "  File\n", 0, T },
	{ "KeyboardInterrupt\n", 0, T },
	{ TB, 0, S },
	{ "  File\n", 0, T },
	{ "torch.cuda.OutOfMemoryError: CUDA out of memory.\r\n", 0, T },
	/* chained */
	{ "\n", 0, T },
	{ "During handling of the above exception, another exception occurred:\n", 0, T },
	{ "\n", 0, T },
	{ TB, 0, T },
	{ "  File\n", 0, T },
	{ "KeyError: 'x'\n", 0, T },
	{ "The above exception was the direct cause of the following exception:\n", 0, T },
	{ TB, 0, T },
	{ "  File\n", 0, T },
	/* something else than an exception ends it */
	{ "epoch 3 of 9\n", 0, S },
	{ "RuntimeError: x\n", 0, S },
	{ TB, 0, S },
	{ "WARNING:root:x\n", LEVEL_WARN, S },
	{ "E0306 12:06:29 1 a.py:1] " TB, LEVEL_ERROR, S },
	{ "  File\n", 0, T },
	{ "OSError\n", 0, T },
	{ "OSError\n", 0, S },
	/* Java */
	{ "2025-03-06 12:06:29,038 [main] ERROR com.x - y\n", LEVEL_ERROR, S },
	{ "java.lang.IllegalStateException: bad\n", 0, T },
	{ "\tat com.x.Y.z(Y.java:1)\n", 0, T },
	{ "\t... 23 more\n", 0, T },
	{ "Caused by: java.io.IOException: gone\n", 0, T },
	{ "\tat com.x.Y.z(Y.java:1)\n", 0, T },
	{ "java.lang.Error: without an error before it\n", 0, S },
	{ "\tSuppressed: java.lang.Error\n", 0, T },
	{ "Exception in thread \"main\" java.lang.Error\n", 0, S },
	{ "  at x\n", 0, T },
	{ "\t... and more\n", 0, G },
	/* C++ */
	{ "Exception raised from f at a.cpp:1 (most recent call first):\n", 0, S },
	{ "frame #0: c10::Error::Error() + 0x57 (0x7f in libc10.so)\n", 0, T },
	{ "frame #12: main\n", 0, T },
	{ "frame #x\n", 0, S },
	/* bars go on with nothing, and do not look like what is set in */
	{ " 10%|#  | 1/9\r 20%|## | 2/9", 0, S },
	{ "\r 30%|## | 3/9\n", 0, S },
	{ "  crlf\r\n", 0, G },
};

static void parts(void **state)
{
	struct log_trace t = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		size_t len = strlen(lines[i].text);
		char *copy = malloc(len); /* so that a sanitizer sees a step past the end */
		enum log_part got;

		assert_non_null(copy);
		memcpy(copy, lines[i].text, len);
		got = log_trace_next(&t, span_of(copy, len), lines[i].level, false);
		free(copy);
		if (got != lines[i].want)
			fail_msg("line %zu, %s is %d", i, lines[i].text, got);
	}
}

static void split_lines_go_on(void **state)
{
	struct log_trace t = { 0 };

	(void)state;
	assert_int_equal(log_trace_next(&t, span_str("a long line, "), LEVEL_NONE, true), S);
	assert_int_equal(log_trace_next(&t, span_str("which goes on, "), LEVEL_NONE, true), T);
	assert_int_equal(log_trace_next(&t, span_str("and on\n"), LEVEL_NONE, false), T);
	assert_int_equal(log_trace_next(&t, span_str("another\n"), LEVEL_NONE, false), S);
	assert_int_equal(log_trace_next(&t, span_str(""), LEVEL_NONE, false), S);
}

static void labels(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} cases[] = { { "3: x", 3 },       { "3:", 2 },
		      { "3:\n", 2 },       { "12:06:29 x", 0 },
		      { "1234567: x", 0 }, { "[rank3]: x", 9 },
		      { "[rank12]:x", 9 }, { "[rank]: x", 0 },
		      { "[rank3]", 0 },    { "6: [rank6]:   File", 12 },
		      { "", 0 },           { "3", 0 },
		      { "[rank3]:", 8 },   { "x", 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t len = strlen(cases[i].text);
		char *copy = malloc(len + !len);

		assert_non_null(copy);
		memcpy(copy, cases[i].text, len);
		assert_int_equal(log_label(span_of(copy, len)), cases[i].n);
		free(copy);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts),
		cmocka_unit_test(split_lines_go_on),
		cmocka_unit_test(labels),
	};

	return cmocka_run_group_tests_name("query/logtrace", tests, NULL, NULL);
}

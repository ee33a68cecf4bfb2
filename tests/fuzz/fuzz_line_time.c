/*
 * fuzz_line_time.c - lines and cells of foreign text through the search for times and levels, and
 * through a form of the user's, which is the input's first line.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ingest/import/sink.h"
#include "ingest/import/time_format.h"

static void check_time(bool has_time, int64_t t_ns)
{
	assert(!has_time || (t_ns >= -INT64_C(8600000000000000000) && t_ns < LINE_TIME_END_NS + NS_PER_S));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct year_rule until = year_rule_until(INT64_C(1741305600000000000));
	struct year_rule from = year_rule_from(INT64_C(1741305600000000000));
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	struct span text = span_of(data, size);
	char format[2 * TIME_FORMAT_MAX];
	struct line_time found;
	struct fault f = { 0 };
	int64_t t = 0;

	line_time_find(text, &until, &found);
	check_time(found.has_time, found.t_ns);
	assert(found.level >= LEVEL_NONE && found.level <= LEVEL_FATAL);
	line_time_find(text, &from, &found);
	check_time(found.has_time, found.t_ns);
	check_time(line_time_parse(text, &until, &t), t);
	check_time(epoch_time(text, &t), t);
	if (!end || (size_t)(end - data) >= sizeof(format))
		return 0;
	snprintf(format, sizeof(format), "%.*s", (int)(end - data), (const char *)data);
	if (time_format_check(format, &f) < 0) {
		assert(f.text[0]);
		return 0;
	}
	text = span_of(end + 1, size - (size_t)(end - data) - 1);
	check_time(time_format_parse(format, text, false, &until, &t), t);
	check_time(time_format_parse(format, text, true, &from, &t), t);
	return 0;
}

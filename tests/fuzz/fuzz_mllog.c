/*
 * fuzz_mllog.c - lines of foreign logs through the line parser of the importer.
 *
 * Whatever it finds has to lie in the line: a number is JSON again, a time is in range.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ingest/import/json_span.h"
#include "ingest/import/mllog.h"
#include "ingest/names.h"

static struct line_facts facts;

static void check_record(const struct line_record *r)
{
	struct json_value v;
	size_t sum = 0; /* so that each byte of the key is read */

	for (size_t i = 0; i < r->key.len; i++)
		sum += r->key.data[i];
	name_is_clean(r->key);
	assert(sum <= r->key.len * 255);
	assert(!r->has_time || (r->t_ns >= 0 && r->t_ns < LINE_TIME_END_NS));
	if (r->value.len > 0) {
		assert(json_scan(r->value, &v) == 0);
		assert(v.text.data == r->value.data && v.text.len == r->value.len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int ready;

	if (!ready++)
		line_facts_init(&facts);
	assert(mllog_parse_line(span_of(data, size), &facts) == 0);
	for (size_t i = 0; i < facts.n; i++)
		check_record(&facts.records[i]);
	return 0;
}

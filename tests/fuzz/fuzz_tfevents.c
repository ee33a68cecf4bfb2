/*
 * fuzz_tfevents.c - bytes of foreign event files: as frames with their events, and, because no
 * mutation finds a checksum, as an event without its frame.
 *
 * Every tag lies in its record, every time in its range, every number is what its type can hold.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ingest/import/sink.h"
#include "ingest/import/tfevents.h"
#include "ingest/import/tfrecord.h"

static void check_event(struct span record)
{
	struct event e;
	struct event_scalar s;
	size_t n = 0;

	if (event_parse(record, &e) < 0)
		return;
	assert(!e.has_time || (e.t_ns >= 0 && e.t_ns <= LINE_TIME_END_NS));
	while (event_next(&e, &s) == 0) {
		assert(s.tag.len == 0 ||
		       (s.tag.data >= record.data && s.tag.data + s.tag.len <= record.data + record.len));
		assert(!s.is_float32 || s.value != s.value || (double)(float)s.value == s.value);
		n++;
	}
	assert(n + e.others <= record.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span left = span_of(data, size);
	struct tfrecord r;
	struct fault f;

	check_event(left);
	while (tfrecord_scan(left, (uint64_t)(left.data - data), &r, &f) == 0) {
		assert(r.passed_over || r.bytes <= left.len);
		check_event(r.data);
		if (r.bytes > left.len)
			break;
		left = span_of(left.data + r.bytes, left.len - r.bytes);
	}
	return 0;
}

/*
 * fuzz_logtrace.c - lines of foreign text as records of one writer: which go on with the one before.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "query/cli/logtrace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log_trace t = { 0 };
	enum log_part before = LOG_PART_STARTS;
	size_t at = 0;

	for (size_t i = 0; at < size; i++) {
		const uint8_t *end = memchr(data + at, '\n', size - at);
		size_t len = end ? (size_t)(end + 1 - data) - at : size - at, label;
		uint8_t *copy = malloc(len); /* of its own size, so that a step past its end is seen */

		assert(copy);
		memcpy(copy, data + at, len);
		label = log_label(span_of(copy, len));
		assert(label <= len);
		before = log_trace_next(&t, span_of(copy + label, len - label), (enum level)(len % LEVELS),
					len % 31 == 0);
		assert(i > 0 || before == LOG_PART_STARTS);
		free(copy);
		at += len;
	}
	return 0;
}

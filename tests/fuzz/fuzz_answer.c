/*
 * HTTP answers that the load generator reads: whatever the pieces they come in, the same body.
 * The first byte says where the input is cut.
 */
#include <assert.h>
#include <stdint.h>

#include "tools/loadgen/answer.h"

#define BODY_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct answer whole, cut;
	int err, cut_err;

	if (size < 1)
		return 0;
	answer_init(&whole, BODY_MAX);
	answer_init(&cut, BODY_MAX);
	err = answer_feed(&whole, span_of(data + 1, size - 1));
	cut_err = answer_feed(&cut, span_of(data + 1, data[0] % size));
	if (cut_err == 0)
		cut_err = answer_feed(&cut, span_of(data + 1 + data[0] % size, size - 1 - data[0] % size));
	assert(err == cut_err);
	assert(err < 0 || (whole.state == cut.state && whole.status == cut.status && whole.left == cut.left));
	assert(err < 0 || span_equal(buf_span(&whole.body), buf_span(&cut.body)));
	answer_release(&whole);
	answer_release(&cut);
	return 0;
}

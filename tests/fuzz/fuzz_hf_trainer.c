/*
 * fuzz_hf_trainer.c - foreign bytes as a trainer_state.json.
 *
 * Whatever comes of them is within what the importer expects of a reader.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ingest/import/hf_trainer.h"
#include "ingest/import/json_span.h"

static size_t sum; /* so that every byte is read */

static void see(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		sum += s.data[i];
}

static int take_sample(struct import_sink *k, const struct import_sample *s, struct fault *f)
{
	(void)k, (void)f;
	see(s->metric);
	assert(s->time.kind == TIME_RELATIVE && s->time.ns >= 0 && s->time.ns < LINE_TIME_END_NS);
	assert(s->n_labels == 0 && s->unit.len == 0);
	return 0;
}

static int take_log(struct import_sink *k, const struct import_log *l, struct fault *f)
{
	(void)k, (void)l, (void)f;
	assert(false);
	return 0;
}

static int take_param(struct import_sink *k, struct span key, struct span value)
{
	struct json_value v;

	(void)k;
	see(key);
	assert(json_scan(value, &v) == 0 && v.text.len == value.len);
	return 0;
}

static void take_note(struct import_sink *k, const char *text) { (void)k, see(span_str(text)); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct import_sink k = {
		.sample = take_sample, .log = take_log, .param = take_param, .note = take_note
	};
	struct fault f = { 0 };
	int err = hf_trainer_parse(span_of(data, size), &k, &f);

	assert(err == 0 || (err == ERR_MALFORMED && f.text[0]));
	return 0;
}

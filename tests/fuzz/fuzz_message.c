/*
 * fuzz_message.c - the pre-check of ingest messages, and what relies on it.
 *
 * What message_check accepts has to hold when it is walked: as many of each as were counted, every
 * message whole, every column within the room that its shape asks for.
 */
#include <assert.h>
#include <stdlib.h>

#include "proto/message.h"
#include "proto/samples.h"

static const struct message_limits limits = { 100000, 1000, 1000, 1000, 1000, 1000, 1000000 };

/* Room to the entry, for a sanitizer to see one too many. */
static void walk_columns(struct span s, const struct samples_shape *shape)
{
	const struct {
		uint32_t field;
		size_t n;
	} sums[] = { { SAMPLES_SERIES, shape->n_series },
		     { SAMPLES_TIMES, shape->n_times },
		     { SAMPLES_STEPS, shape->n_steps } };
	double *values = malloc(shape->n * sizeof(*values));

	for (size_t i = 0; i < sizeof(sums) / sizeof(*sums); i++) {
		int64_t *room = malloc(sums[i].n * sizeof(*room));

		samples_sums(s, sums[i].field, room);
		free(room);
	}
	samples_values(s, values);
	free(values);
}

static bool length_is_good(size_t entries, size_t n, size_t least)
{
	return entries == n || entries == 1 || (entries == 0 && least == 0);
}

static void walk_samples(struct span s, struct message_counts *n)
{
	struct samples_shape shape;
	int err = samples_shape(s, &shape);

	assert(err == 0);
	assert(!(shape.has_f32 && shape.has_f64) && shape.time_unit_ns > 0);
	assert(length_is_good(shape.n_series, shape.n, 1));
	assert(length_is_good(shape.n_times, shape.n, 0) && length_is_good(shape.n_steps, shape.n, 0));
	n->samples += shape.n;
	n->fields += shape.fields;
	n->has_steps |= shape.n_steps > 0;
	walk_columns(s, &shape);
}

/* Counts the fields and those numbered `field`. */
static void walk_flat(struct span s, uint32_t field, struct message_counts *n, size_t *ret)
{
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	for (; (err = message_next(&r, &f)) == 0; n->fields++)
		*ret += f.number == field;
	assert(err == 1);
}

static void walk_labelled(struct span s, uint32_t labels, struct message_counts *n, size_t *ret)
{
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	for (; (err = message_next(&r, &f)) == 0; n->fields++)
		if (f.number == labels) {
			size_t keys = 0;

			assert(f.type == WIRE_BYTES);
			walk_flat(f.bytes, LABEL_KEY, n, &keys);
			++*ret;
		}
	assert(err == 1);
}

static void walk_logs(struct span s, struct message_counts *n)
{
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	for (; (err = message_next(&r, &f)) == 0; n->fields++)
		if (f.number == LOGS_RECORDS) {
			walk_labelled(f.bytes, RECORD_ATTRIBUTES, n, &n->attributes);
			n->records++;
		}
	assert(err == 1);
}

static void walk_bucket(struct span s, struct message_counts *n)
{
	struct reader r = reader_of(s);
	struct message_field f;
	size_t points[BUCKET_BAD + 1] = { 0 };
	int err;

	for (; (err = message_next(&r, &f)) == 0; n->fields++) {
		size_t none = 0;

		if (f.number != BUCKET_FIRST && f.number != BUCKET_LAST && f.number != BUCKET_BAD)
			continue;
		assert(f.type == WIRE_BYTES && ++points[f.number] == 1);
		walk_flat(f.bytes, 0, n, &none);
	}
	assert(err == 1);
	n->buckets++;
}

static void walk_buckets(struct span s, struct message_counts *n)
{
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	for (; (err = message_next(&r, &f)) == 0; n->fields++)
		if (f.number == BUCKETS_BUCKETS)
			walk_bucket(f.bytes, n);
	assert(err == 1);
}

static void walk_field(const struct message_field *f, struct message_counts *n, size_t *pairs)
{
	size_t none = 0;

	assert(f->number != REQUEST_IMPORTED || f->type == WIRE_VARINT);
	assert(f->number >= REQUEST_IMPORTED || f->type == WIRE_BYTES);
	switch (f->number) {
	case REQUEST_PRODUCER:
	case REQUEST_RUN:
		assert(++pairs[f->number] == 1);
		walk_flat(f->bytes, 0, n, &none);
		break;
	case REQUEST_SERIES:
		walk_labelled(f->bytes, SERIES_LABELS, n, &n->labels);
		n->series++;
		break;
	case REQUEST_SAMPLES:
		walk_samples(f->bytes, n);
		break;
	case REQUEST_LOGS:
		walk_logs(f->bytes, n);
		break;
	case REQUEST_BUCKETS:
		walk_buckets(f->bytes, n);
		break;
	}
}

static void walk_request(struct span body, const struct message_counts *want)
{
	struct reader r = reader_of(body);
	struct message_counts n = { 0 };
	size_t pairs[REQUEST_IMPORTED] = { 0 };
	struct message_field f;
	int err;

	for (; (err = message_next(&r, &f)) == 0; n.fields++)
		walk_field(&f, &n, pairs);
	assert(err == 1);
	assert(n.samples == want->samples && n.samples <= limits.samples);
	assert(n.series == want->series && n.series <= limits.series);
	assert(n.labels == want->labels && n.labels <= limits.labels);
	assert(n.records == want->records && n.records <= limits.records);
	assert(n.attributes == want->attributes && n.attributes <= limits.attributes);
	assert(n.buckets == want->buckets && n.buckets <= limits.buckets);
	assert(n.fields == want->fields);
	assert(n.has_steps == want->has_steps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of(data, size);
	struct message_counts n = { .fields = 12345 };
	struct samples_shape shape;
	struct fault f = { 0 };
	int err = message_check(s, &limits, &n, &f);

	if (err == 0) {
		walk_request(s, &n);
	} else {
		assert(err == ERR_MALFORMED || err == ERR_TOO_LARGE);
		assert(f.err == err && f.text[0] && n.fields == 12345);
	}
	/* columns alone are safe on any bytes */
	if (samples_shape(s, &shape) == 0)
		walk_columns(s, &shape);
	return 0;
}

/*
 * fuzz_decode.c - ingest messages through the decoder, against an empty store and against protobuf-c.
 *
 * What is taken obeys every limit, its buckets are such as samples can have made, and they are those that
 * protobuf-c reads.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "astraml/v2/ingest.pb-c.h"
#include "ingest/decode.h"
#include "store/admin.h"

#define NOW (INT64_C(1800000000) * NS_PER_S)

static char dir[] = "/tmp/astraml-fuzz-decode-XXXXXX";
static struct store *store;

static void close_store(void)
{
	char command[100];

	store_close(store);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command) != 0)
		fprintf(stderr, "%s is left behind\n", dir);
}

static void open_store(void)
{
	struct store_options o = { .map_max_bytes = 1 << 26 };
	bool made = mkdtemp(dir) != NULL && store_open(dir, &o, &store, NULL) == 0;

	assert(made);
	atexit(close_store);
}

static bool same_point(const struct point *p, const Astraml__V2__Point *m)
{
	bool has_step = m->step_or_none_case == ASTRAML__V2__POINT__STEP_OR_NONE_STEP;
	bool has_value = m->value_or_zero_case == ASTRAML__V2__POINT__VALUE_OR_ZERO_VALUE;

	return p->t_ns == m->time_ns && p->step == (has_step ? m->step : STEP_NONE) &&
	       double_bits(p->value) == (has_value ? double_bits(m->value) : 0);
}

static void same_bucket(const struct bucket_record *r, const Astraml__V2__Bucket *m)
{
	const struct bucket_rare none = { 0 }, *rare = r->bucket.rare ? r->bucket.rare : &none;

	assert(r->start_ns == m->start_ns && r->bucket.count == m->count);
	assert(rare->nan == m->nan && rare->pos_inf == m->pos_inf && rare->neg_inf == m->neg_inf);
	assert(same_point(&r->bucket.first, m->first) && same_point(&r->bucket.last, m->last));
	if (!m->count)
		return;
	assert(double_bits(r->bucket.min) == double_bits(m->min) &&
	       double_bits(r->bucket.max) == double_bits(m->max));
	if (m->n_sum) {
		double sum = sum_round(&r->bucket.sum);

		assert(double_bits(sum) == double_bits(m->sum[0]));
	}
}

static void check_taken(const struct batch *b, struct span body)
{
	Astraml__V2__IngestRequest *m = astraml__v2__ingest_request__unpack(NULL, body.len, body.data);
	size_t n = 0;

	assert(m);
	for (size_t i = 0; i < m->n_buckets; i++)
		for (size_t k = 0; k < m->buckets[i]->n_buckets; k++, n++) {
			struct fault f = { 0 };

			assert(n < b->n_buckets && m->buckets[i]->series < m->n_series);
			assert(bucket_record_check(&b->buckets[n], b->window_ns, &f) == 0);
			assert(b->buckets[n].bucket.last.t_ns <= NOW + 600 * NS_PER_S);
			same_bucket(&b->buckets[n], m->buckets[i]->buckets[k]);
		}
	assert(n == b->n_buckets);
	astraml__v2__ingest_request__free_unpacked(m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run_ref run = { 1, WINDOW_DEFAULT_NS };
	struct span body = span_of(data, size);
	struct batch *b = batch_new();
	struct fault f = { 0 };
	struct intake in;
	int err;

	if (!store)
		open_store();
	assert(b);
	intake_init(&in, store, &run, NOW, b, &f);
	err = decode_request(&in, body);
	intake_release(&in);
	if (err == 0)
		check_taken(b, body);
	else
		assert(f.err == err && f.text[0] &&
		       (err == ERR_MALFORMED || err == ERR_REFUSED || err == ERR_TOO_LARGE));
	batch_free(b);
	return 0;
}

/*
 * fuzz_ndjson.c - JSON lines through the decoder, against an empty store.
 *
 * What is taken obeys every limit, and has as many records as ndjson_kind finds lines of each kind;
 * what is refused names a line that there is.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/names.h"
#include "ingest/ndjson.h"
#include "store/admin.h"

#define NOW (INT64_C(1700000000) * NS_PER_S)

static char dir[] = "/tmp/astraml-fuzz-ndjson-XXXXXX";
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

static bool is_good_time(int64_t t) { return t >= 0 && t <= NOW + 600 * NS_PER_S; }

static void check_samples(const struct batch *b)
{
	for (size_t i = 0; i < b->n_samples; i++) {
		assert(b->sid[i] & BATCH_NEW && (b->sid[i] & ~BATCH_NEW) < b->n_series);
		assert(is_good_time(b->t_ns[i]));
	}
	for (size_t i = 0; i < b->n_series; i++) {
		struct series_name copy = b->series[i].name;

		assert(name_check_series(&copy, NULL) == 0);
	}
}

/* Whatever was said of it, what is kept of a window is what samples can have made. */
static void check_buckets(const struct batch *b)
{
	for (size_t i = 0; i < b->n_buckets; i++) {
		const struct bucket_record *r = &b->buckets[i];
		struct fault f = { 0 };

		assert(r->sid & BATCH_NEW && (r->sid & ~BATCH_NEW) < b->n_series);
		assert(bucket_record_check(r, b->window_ns, &f) == 0);
		assert(is_good_time(r->bucket.first.t_ns) && is_good_time(r->bucket.last.t_ns));
	}
	assert(!b->has_producer || b->sequence > 0);
	assert(b->update.state < RUN_LOST && (!b->update.ended_ns || is_good_time(b->update.ended_ns)));
}

static size_t check_records(const struct batch *b)
{
	size_t whole = 0, sum = 0;

	for (size_t i = 0; i < b->n_logs; i++) {
		const struct log_record *r = &b->logs[i];

		assert(is_good_time(r->t_ns) && r->observed_ns == NOW);
		assert(r->level < LEVELS && r->rank >= RANK_NONE && r->text.len <= LOG_TEXT_MAX);
		assert(name_check(r->stream, "", 0, STREAM_NAME_MAX, NULL) == 0);
		assert(name_attributes_are_good(r->attrs, r->n_attrs));
		for (size_t k = 0; k < r->text.len; k++)
			sum += r->text.data[k]; /* each byte can be read */
		whole += r->flags == 0;
	}
	assert(sum <= UINT64_C(255) * LOG_TEXT_MAX * (b->n_logs + 1));
	return whole;
}

static void count_kinds(struct span body, size_t *ret_samples, size_t *ret_records, size_t *ret_lines)
{
	*ret_samples = *ret_records = *ret_lines = 0;
	for (size_t at = 0; at < body.len; ++*ret_lines) {
		const uint8_t *end = memchr(body.data + at, '\n', body.len - at);
		size_t n = end ? (size_t)(end - body.data) - at : body.len - at;
		char kind = ndjson_kind(span_of(body.data + at, n));

		*ret_samples += kind == 's';
		*ret_records += kind == 'l';
		at += n + 1;
	}
}

static void check_taken(const struct batch *b, size_t samples, size_t records)
{
	size_t rejected[2] = { 0 };

	for (size_t i = 0; i < b->n_rejected; i++) {
		bool log = b->rejected[i].kind == 'l';

		assert(b->rejected[i].index < (log ? records : samples));
		rejected[log]++;
	}
	check_samples(b);
	check_buckets(b);
	assert(b->n_samples + rejected[0] == samples);
	assert(check_records(b) + rejected[1] == records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run_ref run = { 1, WINDOW_DEFAULT_NS };
	struct span body = span_of(data, size);
	struct batch *b = batch_new();
	size_t samples, records, lines, line;
	struct fault f = { 0 };
	struct intake in;
	int err;

	if (!store)
		open_store();
	assert(b);
	intake_init(&in, store, &run, NOW, b, &f);
	err = ndjson_request(&in, body);
	intake_release(&in);
	count_kinds(body, &samples, &records, &lines);
	if (err == 0) {
		check_taken(b, samples, records);
	} else {
		assert(err == ERR_MALFORMED || err == ERR_REFUSED || err == ERR_TOO_LARGE);
		assert(f.err == err && sscanf(f.text, "line %zu: ", &line) == 1);
		assert(line >= 1 && line <= lines);
	}
	batch_free(b);
	return 0;
}

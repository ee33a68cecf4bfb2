#include "store/batch.h"

#include <stdlib.h>

#include "store/hot/journal.h"
#include "store/log/logblock.h"
#include "store/store.h"

#define SEALED_MAX ((size_t)256 * 1024 * 1024)

struct batch *batch_new(void)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	arena_init(&b->memory, SEALED_MAX);
	buf_init(&b->journal_record, SEALED_MAX);
	buf_init(&b->log_blocks, SEALED_MAX);
	return b;
}

void batch_free(struct batch *b)
{
	if (!b)
		return;
	free(b->series);
	free(b->sid);
	free(b->t_ns);
	free(b->step);
	free(b->value);
	bucket_records_release(b->buckets, b->n_buckets);
	free(b->buckets);
	free(b->logs);
	free(b->rejected);
	arena_release(&b->memory);
	buf_release(&b->journal_record);
	buf_release(&b->log_blocks);
	free(b);
}

struct journal_record batch_journal(const struct batch *b)
{
	return (struct journal_record){ .rid = b->rid,
					.window_ns = b->window_ns,
					.n = b->n_samples,
					.sid = b->sid,
					.t_ns = b->t_ns,
					.step = b->step,
					.value = b->value,
					.buckets = b->buckets,
					.n_buckets = b->n_buckets };
}

int batch_encode_samples(struct batch *b)
{
	struct journal_record rec = batch_journal(b);

	return journal_encode(&rec, &b->journal_record);
}

int batch_name_samples(struct batch *b)
{
	if (b->n_samples + b->n_buckets == 0)
		return 0;
	for (size_t i = 0; b->n_series && i < b->n_samples; i++)
		if (b->sid[i] & BATCH_NEW)
			b->sid[i] = b->series[b->sid[i] & ~BATCH_NEW].sid;
	for (size_t i = 0; i < b->n_buckets; i++)
		if (b->buckets[i].sid & BATCH_NEW)
			b->buckets[i].sid = b->series[b->buckets[i].sid & ~BATCH_NEW].sid;
	buf_clear(&b->journal_record);
	return batch_encode_samples(b);
}

static bool has_new(const struct batch *b)
{
	for (size_t i = 0; i < b->n_series; i++)
		if (!b->series[i].sid)
			return true;
	return false;
}

int batch_seal(struct store *s, struct batch *b)
{
	int err = 0;

	(void)s;
	if (b->n_samples + b->n_buckets && !has_new(b))
		err = batch_name_samples(b);
	if (err == 0 && b->n_logs)
		err = logblock_pack(b->logs, b->n_logs, &b->log_blocks);
	return err;
}

int store_series_find(struct store *s, uint32_t rid, const struct series_name *name, uint32_t *ret_sid)
{
	return registry_find(&s->series, rid, name, ret_sid);
}

int store_series_check(struct store *s, uint32_t rid, const uint32_t *sids, size_t n, size_t *ret_bad)
{
	size_t good = registry_check(&s->series, rid, sids, n);

	if (good == n)
		return 0;
	*ret_bad = good;
	return ERR_NOT_FOUND;
}

int store_run_find(struct store *s, const char *project, const char *id, struct run_ref *ret)
{
	return runs_find(&s->runs, project, id, ret);
}

const char *reject_name(enum reject code)
{
	switch (code) {
	case REJECT_TIME_BEFORE_1970:
		return "time_before_1970";
	case REJECT_TIME_IN_FUTURE:
		return "time_in_future";
	case REJECT_STEP_RANGE:
		return "step_out_of_range";
	case REJECT_LOG_STREAM:
		return "log_stream";
	case REJECT_LOG_LEVEL:
		return "log_level";
	case REJECT_LOG_ATTRIBUTES:
		return "log_attributes";
	case REJECT_LOG_RANK:
		return "log_rank";
	}
	return "unknown";
}

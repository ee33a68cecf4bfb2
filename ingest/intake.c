#include "ingest/intake.h"

#include <inttypes.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/base/array.h"
#include "store/base/duration.h"
#include "store/base/limits.h"

void intake_init(struct intake *in, struct store *s, const struct run_ref *run, int64_t now_ns,
		 struct batch *b, struct fault *f)
{
	*in = (struct intake){ .store = s, .batch = b, .fault = f, .now_ns = now_ns };
	in->latest_ns = now_ns + limits.future_ns;
	in->years = year_rule_until(now_ns);
	b->rid = run->rid;
	b->window_ns = run->window_ns;
}

void intake_release(struct intake *in) { free(in->slots); }

int intake_reject(struct intake *in, uint8_t kind, uint64_t index, enum reject code)
{
	struct batch *b = in->batch;

	if (b->n_rejected == REJECTED_MAX)
		return fault_set(in->fault, ERR_REFUSED, kind == 's' ? "samples" : "logs",
				 "more than %d records cannot be kept, the last one because of %s; none was",
				 REJECTED_MAX, reject_name(code));
	if (array_grow(b->rejected, b->n_rejected, in->rejected_cap) < 0)
		return ERR_NOMEM;
	b->rejected[b->n_rejected++] = (struct rejection){ kind, index, (uint16_t)code };
	return 0;
}

/* ---- names ---- */

static uint64_t hash_of(const struct series_name *name)
{
	uint64_t h = XXH3_64bits(name->metric.data, name->metric.len);

	for (size_t i = 0; i < name->n_labels; i++) {
		h = XXH3_64bits_withSeed(name->labels[i].key.data, name->labels[i].key.len, h);
		h = XXH3_64bits_withSeed(name->labels[i].value.data, name->labels[i].value.len, h);
	}
	return h;
}

static bool same_name(const struct series_name *a, const struct series_name *b)
{
	if (!span_equal(a->metric, b->metric) || a->n_labels != b->n_labels)
		return false;
	for (size_t i = 0; i < a->n_labels; i++)
		if (!span_equal(a->labels[i].key, b->labels[i].key) ||
		    !span_equal(a->labels[i].value, b->labels[i].value))
			return false;
	return true;
}

/* The slot of a name, or the free one where it belongs; at least half of the slots are free. */
static struct definition_slot *probe(const struct intake *in, uint64_t hash, const struct series_name *name)
{
	size_t mask = in->n_slots - 1, at = hash & mask;

	for (; in->slots[at].index; at = (at + 1) & mask)
		if (in->slots[at].hash == hash &&
		    same_name(&in->batch->series[in->slots[at].index - 1].name, name))
			break;
	return &in->slots[at];
}

static int grow_slots(struct intake *in)
{
	struct intake grown = *in;
	size_t n = in->n_slots ? in->n_slots * 4 : 64;

	grown.slots = calloc(n, sizeof(*grown.slots));
	if (!grown.slots)
		return ERR_NOMEM;
	grown.n_slots = n;
	for (size_t i = 0; i < in->n_slots; i++) {
		size_t at = in->slots[i].hash & (n - 1);

		if (!in->slots[i].index)
			continue;
		while (grown.slots[at].index)
			at = (at + 1) & (n - 1);
		grown.slots[at] = in->slots[i];
	}
	free(in->slots);
	*in = grown;
	return 0;
}

int intake_index(struct intake *in, const struct series_name *name, uint32_t index, uint32_t *ret)
{
	uint64_t hash = hash_of(name);
	struct definition_slot *slot;
	int err = in->n_defined * 2 >= in->n_slots ? grow_slots(in) : 0;

	if (err < 0)
		return err;
	slot = probe(in, hash, name);
	if (!slot->index) {
		*slot = (struct definition_slot){ hash, index + 1 };
		in->n_defined++;
	}
	*ret = slot->index - 1;
	return 0;
}

/* ---- buckets ---- */

static int check_bucket(const struct intake *in, const struct bucket_record *r, int64_t every_ns)
{
	int64_t window_ns = in->batch->window_ns;
	char every[DURATION_TEXT_MAX], window[DURATION_TEXT_MAX];
	int err;

	if (every_ns != window_ns) {
		duration_print(every_ns, every);
		duration_print(window_ns, window);
		return fault_set(
		    in->fault, ERR_REFUSED, "bucket.every",
		    "bucket.every is %s and the windows of this run are %s wide; create a run with "
		    "\"metrics\":{\"window\":\"%s\"}",
		    every, window, every);
	}
	err = bucket_record_check(r, window_ns, in->fault);
	if (err < 0 || r->bucket.last.t_ns <= in->latest_ns)
		return err;
	return fault_set(in->fault, ERR_REFUSED, "bucket.last.time",
			 "bucket.last.time is more than %d s ahead of the server's clock",
			 (int)(limits.future_ns / NS_PER_S));
}

static int room_for_bucket(struct intake *in)
{
	struct batch *b = in->batch;

	if (b->n_buckets >= limits.buckets)
		return fault_set(in->fault, ERR_TOO_LARGE, "bucket",
				 "more than %" PRIu64 " buckets in one request; split it", limits.buckets);
	return array_grow(b->buckets, b->n_buckets, in->buckets_cap);
}

int intake_bucket(struct intake *in, struct bucket_record *r, int64_t every_ns)
{
	int err = check_bucket(in, r, every_ns);

	if (err == 0)
		err = room_for_bucket(in);
	if (err < 0) {
		bucket_release(&r->bucket);
		return err;
	}
	in->batch->buckets[in->batch->n_buckets++] = *r;
	return 0;
}

/* ---- log records ---- */

static int room_for_records(struct intake *in, size_t more)
{
	struct batch *b = in->batch;
	size_t cap = in->logs_cap ? in->logs_cap : 16;
	struct log_record *p;

	if (b->n_logs + more <= in->logs_cap)
		return 0;
	while (cap < b->n_logs + more)
		cap *= 2;
	p = realloc(b->logs, cap * sizeof(*p));
	if (!p)
		return ERR_NOMEM;
	b->logs = p;
	in->logs_cap = cap;
	return 0;
}

static int keep_record(struct intake *in, const struct log_record *r)
{
	size_t left = r->text.len, pieces = left ? (left + LOG_TEXT_MAX - 1) / LOG_TEXT_MAX : 1;
	const uint8_t *at = r->text.data;
	int err = room_for_records(in, pieces);

	if (err < 0)
		return err;
	for (; pieces > 0; pieces--) {
		struct log_record *piece = &in->batch->logs[in->batch->n_logs++];
		size_t n = left < LOG_TEXT_MAX ? left : LOG_TEXT_MAX;

		*piece = *r;
		piece->text = span_of(at, n);
		piece->flags = pieces > 1 ? LOG_CONTINUES : r->flags;
		left -= n;
		at = left ? at + n : NULL;
	}
	return 0;
}

/* The rest of a line that was split begins anywhere in it. */
enum level intake_level(const struct intake *in, struct span text)
{
	struct line_time found;

	if (in->goes_on)
		return LEVEL_NONE;
	line_time_find(text, &in->years, &found);
	return found.level;
}

int intake_record(struct intake *in, const struct log_record *r, enum reject code)
{
	struct log_record kept = *r;
	uint64_t index = in->n_records++;

	kept.observed_ns = in->now_ns;
	in->goes_on = r->flags & LOG_CONTINUES;
	if (!code)
		code = intake_judge_time(in, kept.t_ns);
	return code ? intake_reject(in, 'l', index, code) : keep_record(in, &kept);
}

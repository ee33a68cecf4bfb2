#include "ingest/import/segment.h"

#include <sodium/crypto_generichash.h>

#include "store/base/bytes.h"

#define SAMPLES_BYTES_MAX (256u << 20)

struct segment_sample {
	uint32_t tag, tag_len;
	bool is_float32;
	struct point point;
};

int event_sender_init(struct event_sender *k, struct upload *u)
{
	*k = (struct event_sender){ .upload = u };
	series_names_init(&k->names);
	return request_new(&k->request);
}

void event_sender_release(struct event_sender *k)
{
	request_free(k->request);
	series_names_release(&k->names);
}

void segment_init(struct segment *s)
{
	*s = (struct segment){ 0 };
	buf_init(&s->ends, SEGMENT_RECORDS * sizeof(uint32_t));
	buf_init(&s->samples, SAMPLES_BYTES_MAX);
	buf_init(&s->tags, SEGMENT_TAG_BYTES + (32u << 20)); /* and those of one record more */
}

void segment_release(struct segment *s)
{
	buf_release(&s->ends);
	buf_release(&s->samples);
	buf_release(&s->tags);
}

static const struct segment_sample *samples_of(const struct segment *s)
{
	return (const void *)s->samples.data;
}

static uint32_t n_samples(const struct segment *s)
{
	return s->samples_before + (uint32_t)(s->samples.len / sizeof(struct segment_sample));
}

static uint32_t tag_bytes(const struct segment *s) { return s->tags_before + (uint32_t)s->tags.len; }

/* Samples of the segment before a record, which is not before `first`. */
static uint32_t samples_until(const struct segment *s, size_t record)
{
	const uint32_t *ends = (const void *)s->ends.data;

	return record == s->first ? s->samples_before : ends[record - 1 - s->first];
}

int segment_add(struct segment *s, int64_t t_ns, int64_t step, const struct event_scalar *v)
{
	struct segment_sample new = { .tag = tag_bytes(s),
				      .tag_len = (uint32_t)v->tag.len,
				      .is_float32 = v->is_float32,
				      .point = { t_ns, step, v->value } };
	int err = buf_add(&s->tags, v->tag.data, v->tag.len);

	return err < 0 ? err : buf_add(&s->samples, &new, sizeof(new));
}

int segment_end_record(struct segment *s)
{
	uint32_t end = n_samples(s);
	int err = buf_add(&s->ends, &end, sizeof(end));

	s->n_records += err == 0;
	return err;
}

/* The tags up to those of a sample, which may be the one behind the last. */
static uint32_t tags_until(const struct segment *s, uint32_t sample)
{
	return sample < n_samples(s) ? samples_of(s)[sample - s->samples_before].tag : tag_bytes(s);
}

void segment_drop_record(struct segment *s)
{
	uint32_t samples = samples_until(s, s->n_records), tags = tags_until(s, samples);

	s->samples.len = (samples - s->samples_before) * sizeof(struct segment_sample);
	s->tags.len = tags - s->tags_before;
}

bool segment_is_complete(const struct segment *s)
{
	return s->n_records == SEGMENT_RECORDS || n_samples(s) >= SEGMENT_SAMPLES ||
	       tag_bytes(s) >= SEGMENT_TAG_BYTES;
}

void segment_next(struct segment *s)
{
	struct segment old = *s;

	segment_init(s);
	s->number = old.number + 1;
	segment_release(&old);
}

/* What is on the server is not held any longer. */
static void forget_sent(struct segment *s)
{
	if (s->next < s->n_records)
		return;
	s->samples_before = n_samples(s);
	s->tags_before = tag_bytes(s);
	s->first = s->n_records;
	segment_release(s);
}

/* ---- requests ---- */

/* A piece has the level of what it is made of: 0 is one of records. */
static size_t piece_records(int level) { return (size_t)32 << 5 * level; }

static void producer_of(const struct segment *s, const uint8_t *file, const char *run, int level,
			uint8_t ret[PRODUCER_ID_BYTES])
{
	crypto_generichash_state hash;
	uint8_t place[16];

	put_le32(place, (uint32_t)level);
	put_le32(place + 4, (uint32_t)(s->next / piece_records(level)));
	put_le64(place + 8, s->number);
	crypto_generichash_init(&hash, NULL, 0, PRODUCER_ID_BYTES);
	crypto_generichash_update(&hash, file, EVENT_FILE_ID_BYTES);
	crypto_generichash_update(&hash, place, sizeof(place));
	crypto_generichash_update(&hash, (const uint8_t *)run, strlen(run));
	crypto_generichash_final(&hash, ret, PRODUCER_ID_BYTES);
}

static int add_sample(struct event_sender *k, const struct segment *s, const struct segment_sample *a)
{
	struct import_sample sample = { .metric =
					    span_of(s->tags.data + (a->tag - s->tags_before), a->tag_len) };
	struct series_entry *series;
	int err = series_names_get(&k->names, &sample, &series);

	if (err < 0 || !series)
		return err < 0 ? err : ERR_FULL;
	if (series->request != k->offers) {
		err = request_add_series(k->request, &sample, &series->index);
		if (err < 0)
			return err;
		series->request = k->offers;
	}
	return request_add_sample(k->request, series->index, a->point, a->is_float32);
}

static void see_samples(struct event_sender *k, const struct segment_sample *a, size_t n)
{
	struct transfer_result *r = &k->result;

	for (size_t i = 0; i < n; i++, r->samples++) {
		int64_t t_ns = a[i].point.t_ns;

		if (r->samples == 0 || t_ns < r->first_ns)
			r->first_ns = t_ns;
		if (r->samples == 0 || t_ns > r->last_ns)
			r->last_ns = t_ns;
	}
}

/* A producer's sequence: records from .. to (not included) of the segment. */
struct offer {
	uint8_t producer[PRODUCER_ID_BYTES];
	uint64_t sequence;
	size_t from, to;
};

/* *ret_there: the server has it, now or since earlier; else it has something else there. */
static int make_offer(const struct segment *s, const struct offer *o, struct event_sender *k, bool *ret_there,
		      struct fault *f)
{
	uint32_t from = samples_until(s, o->from), to = samples_until(s, o->to);
	const struct segment_sample *samples = samples_of(s) + (from - s->samples_before);
	struct upload_answer answer;
	int err = 0;

	k->offers++;
	request_clear(k->request);
	for (uint32_t i = 0; i < to - from && err == 0; i++)
		err = add_sample(k, s, samples + i);
	if (err == 0)
		err = request_encode(k->request, o->producer, o->sequence, false, &k->upload->body);
	if (err == ERR_FULL)
		return fault_set(
		    f, ERR_TOO_LARGE, "file",
		    "one record holds more scalars than a request can: at most %d tags of a run, "
		    "and %u MiB",
		    SERIES_NAMES_MAX, REQUEST_BYTES_MAX >> 20);
	if (err < 0)
		return fault_default(f, err);
	err = upload_send(k->upload, false, &answer, f);
	*ret_there = err == 0;
	if (err < 0)
		return err == ERR_CONFLICT ? 0 : err;
	see_samples(k, samples, to - from);
	k->added += answer.duplicate ? 0 : to - from;
	k->result.rejected_samples += answer.rejected_samples;
	if (answer.rejected_samples > 0 && !k->result.reject_code[0])
		memcpy(k->result.reject_code, answer.reject_code, sizeof(answer.reject_code));
	return 0;
}

static int rewritten(struct fault *f)
{
	return fault_set(f, ERR_CONFLICT, "file",
			 "the file was rewritten since it was imported: at the same place the run has other "
			 "records; give it a run of its own with --run");
}

/* Sequence 1 of a piece.  When it is complete and not split then, all of it is there.  When it is
 * not complete and not split, there is nothing in it, or the server has it from a longer file. */
static int settle(const struct segment *s, struct offer o, bool complete, struct event_sender *k,
		  bool *ret_split, struct fault *f)
{
	bool there = false;
	int err = 0;

	if (samples_until(s, o.from) == samples_until(s, o.to))
		return 0;
	o.sequence = 1;
	if (complete)
		err = make_offer(s, &o, k, &there, f);
	if (err < 0 || there)
		return err;
	o.to = o.from;
	err = make_offer(s, &o, k, ret_split, f);
	return err == 0 && complete && !*ret_split ? rewritten(f) : err;
}

/* The records up to o.to of a split piece, each for itself. */
static int send_records(struct segment *s, struct offer o, struct event_sender *k, struct fault *f)
{
	for (; s->next < o.to; s->next++) {
		struct offer one = o;
		bool there = true;
		int err = 0;

		one.sequence = s->next % piece_records(0) + 2;
		one.from = s->next;
		one.to = s->next + 1;
		if (samples_until(s, one.from) < samples_until(s, one.to))
			err = make_offer(s, &one, k, &there, f);
		if (err < 0 || !there)
			return err < 0 ? err : rewritten(f);
	}
	return 0;
}

/* The piece of that level that `next` is in, as far as it is there.  Three levels deep at most. */
static int send_piece(struct segment *s, int level, const uint8_t *file, struct event_sender *k,
		      struct fault *f)
{
	size_t end = (s->next / piece_records(level) + 1) * piece_records(level), before = SIZE_MAX;
	bool complete = end <= s->n_records || segment_is_complete(s);
	struct offer o = { .from = s->next, .to = end < s->n_records ? end : s->n_records };
	int err = 0;

	producer_of(s, file, k->upload->run, level, o.producer);
	if (!s->split[level])
		err = settle(s, o, complete, k, &s->split[level], f);
	if (err == 0 && s->split[level] && level == 0)
		err = send_records(s, o, k, f);
	while (err == 0 && s->split[level] && s->next < o.to && s->next != before) {
		before = s->next;
		err = send_piece(s, level - 1, file, k, f);
	}
	if (err < 0 || !complete)
		return err;
	s->next = o.to;
	s->split[level] = false;
	return 0;
}

int segment_send(struct segment *s, const uint8_t file[EVENT_FILE_ID_BYTES], struct event_sender *k,
		 struct fault *f)
{
	int err = 0;

	if (s->next < s->n_records)
		err = send_piece(s, SEGMENT_LEVELS - 1, file, k, f);
	forget_sent(s);
	return err;
}

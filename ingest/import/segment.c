#include "ingest/import/segment.h"

#include <sodium/crypto_generichash.h>

#include "store/base/bytes.h"

#define SAMPLES_BYTES_MAX (256u << 20)
/* Rises when the same records are cut or encoded otherwise: a sequence never changes. */
#define LAYOUT_VERSION 1

struct segment_sample {
	uint32_t tag, tag_len;
	bool is_float32;
	struct point point;
};

/* The parts of a segment have numbers from 0; this is the segment itself. */
#define WHOLE_SEGMENT UINT32_MAX

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
	buf_init(&s->samples, SAMPLES_BYTES_MAX);
	buf_init(&s->tags, SEGMENT_TAG_BYTES + (32u << 20)); /* and those of one record more */
}

void segment_release(struct segment *s)
{
	buf_release(&s->samples);
	buf_release(&s->tags);
}

static const struct segment_sample *samples_of(const struct segment *s)
{
	return (const void *)s->samples.data;
}

static size_t n_samples(const struct segment *s) { return s->samples.len / sizeof(struct segment_sample); }

/* Samples before a record. */
static size_t start_of(const struct segment *s, size_t record) { return record ? s->ends[record - 1] : 0; }

int segment_add(struct segment *s, int64_t t_ns, int64_t step, const struct event_scalar *v)
{
	struct segment_sample new = { .tag = (uint32_t)s->tags.len,
				      .tag_len = (uint32_t)v->tag.len,
				      .is_float32 = v->is_float32,
				      .point = { t_ns, step, v->value } };
	int err = buf_add(&s->tags, v->tag.data, v->tag.len);

	return err < 0 ? err : buf_add(&s->samples, &new, sizeof(new));
}

void segment_end_record(struct segment *s) { s->ends[s->n_records++] = (uint32_t)n_samples(s); }

void segment_drop_record(struct segment *s)
{
	s->samples.len = start_of(s, s->n_records) * sizeof(struct segment_sample);
	s->tags.len = 0;
	if (s->samples.len > 0) {
		const struct segment_sample *last = samples_of(s) + n_samples(s) - 1;

		s->tags.len = last->tag + last->tag_len;
	}
}

bool segment_is_complete(const struct segment *s)
{
	return s->n_records == SEGMENT_RECORDS || n_samples(s) >= SEGMENT_SAMPLES ||
	       s->tags.len >= SEGMENT_TAG_BYTES;
}

void segment_next(struct segment *s)
{
	buf_clear(&s->samples);
	buf_clear(&s->tags);
	s->number++;
	s->n_records = 0;
	s->settled = s->part_settled = SETTLED_NOT;
	s->part = s->next = 0;
}

/* ---- requests ---- */

static void producer_of(const struct segment *s, const uint8_t *file, const char *run, uint32_t part,
			uint8_t ret[PRODUCER_ID_BYTES])
{
	crypto_generichash_state hash;
	uint8_t place[16];

	put_le32(place, LAYOUT_VERSION);
	put_le32(place + 4, part);
	put_le64(place + 8, s->number);
	crypto_generichash_init(&hash, NULL, 0, PRODUCER_ID_BYTES);
	crypto_generichash_update(&hash, file, EVENT_FILE_ID_BYTES);
	crypto_generichash_update(&hash, place, sizeof(place));
	crypto_generichash_update(&hash, (const uint8_t *)run, strlen(run));
	crypto_generichash_final(&hash, ret, PRODUCER_ID_BYTES);
}

static int add_sample(struct event_sender *k, const struct segment *s, const struct segment_sample *a)
{
	struct import_sample sample = { .metric = span_of(s->tags.data + a->tag, a->tag_len) };
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
	size_t from = start_of(s, o->from), to = start_of(s, o->to);
	struct upload_answer answer;
	int err = 0;

	k->offers++;
	request_clear(k->request);
	for (size_t i = from; i < to && err == 0; i++)
		err = add_sample(k, s, samples_of(s) + i);
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
	err = upload_send(k->upload, &answer, f);
	*ret_there = err == 0;
	if (err < 0)
		return err == ERR_CONFLICT ? 0 : err;
	see_samples(k, samples_of(s) + from, to - from);
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

/* Sequence 1 of a segment or a part, whichever way it is settled. */
static int settle(const struct segment *s, struct offer o, bool complete, struct event_sender *k,
		  enum settled *ret, struct fault *f)
{
	bool there;
	int err;

	if (start_of(s, o.from) == start_of(s, o.to)) {
		*ret = complete ? SETTLED_WHOLE : SETTLED_NOT;
		return 0;
	}
	o.sequence = 1;
	if (complete) {
		err = make_offer(s, &o, k, &there, f);
		if (err < 0 || there) {
			*ret = err < 0 ? SETTLED_NOT : SETTLED_WHOLE;
			return err;
		}
	}
	o.to = o.from;
	err = make_offer(s, &o, k, &there, f);
	if (err < 0)
		return err;
	/* not there, though it is incomplete now: a longer version of the file was imported */
	if (!there && complete)
		return rewritten(f);
	*ret = there ? SETTLED_SPLIT : SETTLED_WHOLE;
	return 0;
}

/* The records of a split part up to `to`, each for itself. */
static int send_records(struct segment *s, struct offer o, struct event_sender *k, struct fault *f)
{
	for (; s->next < o.to; s->next++) {
		struct offer one = o;
		bool there = true;
		int err = 0;

		one.sequence = s->next - o.from + 2;
		one.from = s->next;
		one.to = s->next + 1;
		if (start_of(s, one.from) < start_of(s, one.to))
			err = make_offer(s, &one, k, &there, f);
		if (err < 0 || !there)
			return err < 0 ? err : rewritten(f);
	}
	return 0;
}

/* The part that is on its way, as far as it is there. */
static int send_part(struct segment *s, const uint8_t *file, bool complete, size_t to, struct event_sender *k,
		     struct fault *f)
{
	struct offer o = { .from = s->part * SEGMENT_PART, .to = to };
	int err = 0;

	producer_of(s, file, k->upload->run, (uint32_t)s->part, o.producer);
	if (s->part_settled == SETTLED_NOT)
		err = settle(s, o, complete, k, &s->part_settled, f);
	if (err == 0 && s->part_settled == SETTLED_SPLIT)
		err = send_records(s, o, k, f);
	return err;
}

int segment_send(struct segment *s, const uint8_t file[EVENT_FILE_ID_BYTES], struct event_sender *k,
		 struct fault *f)
{
	struct offer o = { .from = 0, .to = s->n_records };
	bool complete = segment_is_complete(s);
	int err = 0;

	producer_of(s, file, k->upload->run, WHOLE_SEGMENT, o.producer);
	if (s->settled == SETTLED_NOT)
		err = settle(s, o, complete, k, &s->settled, f);
	while (err == 0 && s->settled == SETTLED_SPLIT && s->part * SEGMENT_PART < s->n_records) {
		size_t end = (s->part + 1) * SEGMENT_PART;
		bool part_complete = end <= s->n_records || complete;

		err = send_part(s, file, part_complete, end < s->n_records ? end : s->n_records, k, f);
		if (err < 0 || !part_complete)
			return err;
		s->part++;
		s->part_settled = SETTLED_NOT;
		s->next = s->part * SEGMENT_PART;
	}
	return err;
}

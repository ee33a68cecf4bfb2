#include "ingest/decode_buckets.h"

#include <inttypes.h>
#include <stdlib.h>

#include "proto/message.h"

/* A bucket as it was said; what is there is not yet known to fit together. */
struct said {
	struct bucket_record record;
	int64_t every_ns;
	double sum[SUM_TERMS_MAX];
	size_t n_sum; /* also those that have no room */
	struct span sum_hex;
	struct bucket_rare rare;
	bool has_min, has_max, has_first, has_last, has_bad;
};

static int refuse(struct intake *in, const char *field, const char *what)
{
	return fault_set(in->fault, ERR_REFUSED, field, "%s %s", field, what);
}

static struct point read_point(struct span s)
{
	struct point p = { .step = STEP_NONE };
	struct reader r = reader_of(s);
	struct message_field f;

	while (message_next(&r, &f) == 0) {
		if (f.number == POINT_TIME_NS)
			p.t_ns = (int64_t)f.value;
		else if (f.number == POINT_STEP)
			p.step = unzigzag(f.value);
		else if (f.number == POINT_VALUE)
			p.value = bits_double(f.value);
	}
	return p;
}

static void read_sum(struct said *s, const struct message_field *f)
{
	struct reader r = reader_of(f->bytes);

	if (f->type == WIRE_FIXED64) {
		if (s->n_sum < SUM_TERMS_MAX)
			s->sum[s->n_sum] = bits_double(f->value);
		s->n_sum++;
		return;
	}
	for (; reader_left(&r) > 0; s->n_sum++) {
		double v = bits_double(read_le64(&r));

		if (s->n_sum < SUM_TERMS_MAX)
			s->sum[s->n_sum] = v;
	}
}

static void read_points(struct said *s, const struct message_field *f)
{
	struct bucket *b = &s->record.bucket;
	struct point p = read_point(f->bytes);

	if (f->number == BUCKET_FIRST) {
		b->first = p;
		s->has_first = true;
	} else if (f->number == BUCKET_LAST) {
		b->last = p;
		s->has_last = true;
	} else {
		s->rare.bad_t_ns = p.t_ns;
		s->rare.bad_step = p.step;
		s->has_bad = true;
	}
}

static void read_field(struct said *s, const struct message_field *f)
{
	struct bucket *b = &s->record.bucket;

	switch (f->number) {
	case BUCKET_START_NS:
		s->record.start_ns = (int64_t)f->value;
		break;
	case BUCKET_EVERY_NS:
		s->every_ns = f->value > INT64_MAX ? INT64_MAX : (int64_t)f->value;
		break;
	case BUCKET_COUNT:
		b->count = f->value;
		break;
	case BUCKET_SUM:
		read_sum(s, f);
		break;
	case BUCKET_SUM_HEX:
		s->sum_hex = f->bytes;
		break;
	case BUCKET_MIN:
		b->min = bits_double(f->value);
		s->has_min = true;
		break;
	case BUCKET_MAX:
		b->max = bits_double(f->value);
		s->has_max = true;
		break;
	case BUCKET_STEP_MIN:
		b->step_min = unzigzag(f->value);
		break;
	case BUCKET_STEP_MAX:
		b->step_max = unzigzag(f->value);
		break;
	case BUCKET_NAN:
		s->rare.nan = f->value;
		break;
	case BUCKET_POS_INF:
		s->rare.pos_inf = f->value;
		break;
	case BUCKET_NEG_INF:
		s->rare.neg_inf = f->value;
		break;
	case BUCKET_FIRST:
	case BUCKET_LAST:
	case BUCKET_BAD:
		read_points(s, f);
		break;
	}
}

static int take_sum(struct intake *in, struct said *s)
{
	struct bucket *b = &s->record.bucket;
	int err;

	if (s->sum_hex.len && s->n_sum)
		return refuse(in, "bucket.sum", "is there, and sum_hex too; one of them says the sum");
	if (b->count == 0)
		return s->n_sum || s->sum_hex.len || s->has_min || s->has_max
			   ? refuse(in, "bucket.count", "is 0, and there is a sum, min or max")
			   : 0;
	if (!s->has_min || !s->has_max)
		return refuse(in, s->has_min ? "bucket.max" : "bucket.min",
			      "is not there, and count is not 0");
	err = s->sum_hex.len ? sum_from_hex(s->sum_hex, &b->sum) : sum_from_terms(s->sum, s->n_sum, &b->sum);
	if (err != ERR_MALFORMED)
		return err;
	return s->sum_hex.len
		   ? refuse(in, "bucket.sum_hex",
			    "is no \"0x1f00p-1074\" in its shortest form, or a sum that doubles can say")
		   : refuse(in, "bucket.sum",
			    "has to be at most 6 doubles, each the rest of the sum rounded, none 0");
}

static int take_rare(struct intake *in, struct said *s)
{
	struct bucket *b = &s->record.bucket;
	bool any = s->rare.nan | s->rare.pos_inf | s->rare.neg_inf;

	if (any && !s->has_bad)
		return refuse(in, "bucket.bad", "is not there, and some samples are not finite");
	if (!any && !s->has_bad)
		return 0;
	b->rare = malloc(sizeof(*b->rare));
	if (!b->rare)
		return ERR_NOMEM;
	*b->rare = s->rare;
	return 0;
}

static int decode_bucket(struct intake *in, uint32_t sid, struct span message)
{
	struct said s = { 0 };
	struct reader r = reader_of(message);
	struct message_field f;
	int err;

	bucket_init(&s.record.bucket);
	s.record.sid = sid;
	while (message_next(&r, &f) == 0)
		read_field(&s, &f);
	if (!s.has_first || !s.has_last)
		return refuse(in, s.has_first ? "bucket.last" : "bucket.first", "is not there");
	err = take_sum(in, &s);
	if (err == 0)
		err = take_rare(in, &s);
	if (err < 0) {
		bucket_release(&s.record.bucket);
		return err;
	}
	return intake_bucket(in, &s.record, s.every_ns);
}

/* The series may be said after its buckets. */
static int find_series(struct intake *in, const uint32_t *refs, struct span message, uint32_t *ret_sid)
{
	struct reader r = reader_of(message);
	struct message_field f;
	uint32_t at = 0;

	while (message_next(&r, &f) == 0)
		if (f.number == BUCKETS_SERIES)
			at = (uint32_t)f.value;
	if (at >= in->batch->n_series)
		return fault_set(in->fault, ERR_REFUSED, "buckets.series",
				 "buckets.series refers to series %" PRIu32
				 " of a request that defines %zu; count its definitions from 0",
				 at, in->batch->n_series);
	*ret_sid = refs[at];
	return 0;
}

int decode_buckets(struct intake *in, const uint32_t *refs, struct span message)
{
	struct reader r = reader_of(message);
	struct message_field f;
	uint32_t sid = 0;
	int err = find_series(in, refs, message, &sid);

	while (err == 0 && message_next(&r, &f) == 0)
		if (f.number == BUCKETS_BUCKETS)
			err = decode_bucket(in, sid, f.bytes);
	return err;
}

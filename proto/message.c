#include "proto/message.h"

#include <assert.h>

#include "proto/samples.h"

/* of a tag, and of a length; more is malformed for protobuf-c, too */
#define PREFIX_BYTES_MAX 5

/* Nearly all tags and lengths have one byte. */
static inline uint64_t take_prefix(struct reader *r)
{
	return r->p < r->end && *r->p < 0x80 ? *r->p++ : read_varint(r);
}

static inline struct span take_bytes(struct reader *r)
{
	const uint8_t *start = r->p;
	uint64_t len = take_prefix(r);

	r->bad |= r->p - start > PREFIX_BYTES_MAX || len > (size_t)(r->end - r->p);
	return r->bad ? (struct span){ r->end, 0 } : read_bytes(r, (size_t)len);
}

int message_next(struct reader *r, struct message_field *ret)
{
	const uint8_t *start = r->p;
	uint64_t tag;

	if (reader_left(r) == 0)
		return r->bad ? ERR_MALFORMED : 1;
	tag = take_prefix(r);
	if (r->bad || r->p - start > PREFIX_BYTES_MAX || tag >> 3 == 0 || tag > UINT32_MAX)
		return ERR_MALFORMED;
	*ret = (struct message_field){ (uint32_t)(tag >> 3), (enum wire_type)(tag & 7), 0, { 0 } };
	switch (tag & 7) {
	case WIRE_VARINT:
		ret->value = read_varint(r);
		break;
	case WIRE_FIXED64:
		ret->value = read_le64(r);
		break;
	case WIRE_FIXED32:
		ret->value = read_le32(r);
		break;
	case WIRE_BYTES:
		ret->bytes = take_bytes(r);
		break;
	default:
		return ERR_MALFORMED; /* groups, and types that do not exist */
	}
	return r->bad ? ERR_MALFORMED : 0;
}

/* ---- pre-check ---- */

struct check {
	const struct message_limits *limits;
	struct message_counts counts;
	struct fault *f;
	bool producer, run;
};

static int malformed(struct check *c, const char *field, const char *what)
{
	return fault_set(c->f, ERR_MALFORMED, field, "%s: %s; see proto/astraml/v2/ingest.proto", field,
			 what);
}

static int another_type(struct check *c, const char *field)
{
	return malformed(c, field, "a field is of another type there");
}

static int over(struct check *c, const char *field, size_t n, size_t limit)
{
	return fault_set(c->f, ERR_TOO_LARGE, field,
			 "%s: at least %zu in this request, and one may hold %zu; split it", field, n, limit);
}

/* message_next, with the fault and the count of all fields. */
static int next(struct check *c, struct reader *r, const char *field, struct message_field *ret)
{
	int err = message_next(r, ret);

	if (err < 0)
		return malformed(c, field, "the bytes end in the middle of a field, or are no protobuf");
	if (err == 0 && ++c->counts.fields > c->limits->fields)
		return over(c, "fields", c->counts.fields, c->limits->fields);
	return err;
}

/* n entries are wanted, or one, or (least 0) none. */
static int check_length(struct check *c, const char *field, size_t entries, size_t n, size_t least)
{
	if (entries == n || (entries == 1 && n > 0) || (entries == 0 && least == 0))
		return 0;
	return fault_set(c->f, ERR_MALFORMED, field,
			 "%s has %zu entries for %zu values; give it one for each value, or one for all%s",
			 field, entries, n, least ? "" : ", or none");
}

static int check_samples(struct check *c, struct span s)
{
	struct samples_shape n;
	int err = samples_shape(s, &n);

	if (err < 0)
		return malformed(c, "samples", "a column is cut off, or of another type");
	c->counts.fields += n.fields;
	if (c->counts.fields > c->limits->fields)
		return over(c, "fields", c->counts.fields, c->limits->fields);
	if (n.has_f32 && n.has_f64)
		return malformed(c, "samples.values",
				 "values and values_f32 are both there; use one of them");
	if ((err = check_length(c, "samples.series", n.n_series, n.n, 1)) < 0 ||
	    (err = check_length(c, "samples.times", n.n_times, n.n, 0)) < 0 ||
	    (err = check_length(c, "samples.steps", n.n_steps, n.n, 0)) < 0)
		return err;
	c->counts.has_steps |= n.n_steps > 0;
	c->counts.samples += n.n;
	return c->counts.samples > c->limits->samples
		   ? over(c, "samples", c->counts.samples, c->limits->samples)
		   : 0;
}

/* ---- everything else ---- */

static int check_label(struct check *c, struct span s)
{
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	while ((err = next(c, &r, "label", &f)) == 0)
		if ((f.number == LABEL_KEY || f.number == LABEL_VALUE) && f.type != WIRE_BYTES)
			return another_type(c, "label");
	return err < 0 ? err : 0;
}

static int check_series(struct check *c, struct span s)
{
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	while ((err = next(c, &r, "series", &f)) == 0) {
		if (f.number > SERIES_LABELS)
			continue;
		if (f.type != WIRE_BYTES)
			return another_type(c, "series");
		if (f.number != SERIES_LABELS)
			continue;
		if (++c->counts.labels > c->limits->labels)
			return over(c, "series.labels", c->counts.labels, c->limits->labels);
		if ((err = check_label(c, f.bytes)) < 0)
			return err;
	}
	if (err < 0)
		return err;
	return ++c->counts.series > c->limits->series ? over(c, "series", c->counts.series, c->limits->series)
						      : 0;
}

static int check_record(struct check *c, struct span s)
{
	static const enum wire_type types[] = { 0, WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT, WIRE_BYTES };
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	while ((err = next(c, &r, "logs.records", &f)) == 0) {
		if (f.number > RECORD_ATTRIBUTES)
			continue;
		if (f.type != types[f.number])
			return another_type(c, "logs.records");
		if (f.number != RECORD_ATTRIBUTES)
			continue;
		if (++c->counts.attributes > c->limits->attributes)
			return over(c, "logs.records.attributes", c->counts.attributes,
				    c->limits->attributes);
		if ((err = check_label(c, f.bytes)) < 0)
			return err;
	}
	if (err < 0)
		return err;
	return ++c->counts.records > c->limits->records
		   ? over(c, "logs.records", c->counts.records, c->limits->records)
		   : 0;
}

static int check_logs(struct check *c, struct span s)
{
	static const enum wire_type types[] = { 0, WIRE_BYTES, WIRE_VARINT, WIRE_BYTES };
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	while ((err = next(c, &r, "logs", &f)) == 0) {
		if (f.number > LOGS_RECORDS)
			continue;
		if (f.type != types[f.number])
			return another_type(c, "logs");
		if (f.number == LOGS_RECORDS && (err = check_record(c, f.bytes)) < 0)
			return err;
	}
	return err < 0 ? err : 0;
}

/* Producer, RunUpdate, Point: one each, of scalar fields; types from the field number 1 on. */
static int check_scalars(struct check *c, struct span s, bool *seen, const char *name,
			 const enum wire_type *types, size_t n)
{
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	if (*seen)
		return malformed(c, name, "it is there twice");
	*seen = true;
	while ((err = next(c, &r, name, &f)) == 0)
		if (f.number <= n && f.type != types[f.number - 1])
			return another_type(c, name);
	return err < 0 ? err : 0;
}

/* The sum may come packed; how many doubles it may have is the decoder's to say. */
static bool is_sum(const struct message_field *f)
{
	return f->number == BUCKET_SUM &&
	       (f->type == WIRE_FIXED64 || (f->type == WIRE_BYTES && f->bytes.len % 8 == 0));
}

static int check_bucket(struct check *c, struct span s)
{
	static const enum wire_type point[] = { WIRE_FIXED64, WIRE_VARINT, WIRE_FIXED64 };
	static const enum wire_type types[BUCKET_BAD] = { WIRE_FIXED64, WIRE_VARINT, WIRE_VARINT,
							  WIRE_FIXED64, WIRE_BYTES,  WIRE_FIXED64,
							  WIRE_FIXED64, WIRE_BYTES,  WIRE_BYTES,
							  WIRE_VARINT,  WIRE_VARINT, WIRE_VARINT,
							  WIRE_VARINT,  WIRE_VARINT, WIRE_BYTES };
	bool seen[BUCKET_BAD] = { false };
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	while ((err = next(c, &r, "buckets", &f)) == 0) {
		if (f.number > BUCKET_BAD || is_sum(&f))
			continue;
		if (f.type != types[f.number - 1])
			return another_type(c, "buckets");
		if ((f.number == BUCKET_FIRST || f.number == BUCKET_LAST || f.number == BUCKET_BAD) &&
		    (err = check_scalars(c, f.bytes, &seen[f.number - 1], "buckets.point", point, 3)) < 0)
			return err;
	}
	if (err < 0)
		return err;
	return ++c->counts.buckets > c->limits->buckets
		   ? over(c, "buckets", c->counts.buckets, c->limits->buckets)
		   : 0;
}

static int check_buckets(struct check *c, struct span s)
{
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	while ((err = next(c, &r, "buckets", &f)) == 0) {
		if (f.number > BUCKETS_BUCKETS)
			continue;
		if (f.type != (f.number == BUCKETS_SERIES ? WIRE_VARINT : WIRE_BYTES))
			return another_type(c, "buckets");
		if (f.number == BUCKETS_BUCKETS && (err = check_bucket(c, f.bytes)) < 0)
			return err;
	}
	return err < 0 ? err : 0;
}

static int check_field(struct check *c, const struct message_field *f)
{
	static const enum wire_type producer[] = { WIRE_BYTES, WIRE_VARINT };
	static const enum wire_type run[] = { WIRE_VARINT, WIRE_VARINT, WIRE_FIXED64 };

	if (f->number > REQUEST_BUCKETS)
		return 0;
	if (f->type != (f->number == REQUEST_IMPORTED ? WIRE_VARINT : WIRE_BYTES))
		return another_type(c, "request");
	switch (f->number) {
	case REQUEST_PRODUCER:
		return check_scalars(c, f->bytes, &c->producer, "producer", producer, 2);
	case REQUEST_SERIES:
		return check_series(c, f->bytes);
	case REQUEST_SAMPLES:
		return check_samples(c, f->bytes);
	case REQUEST_LOGS:
		return check_logs(c, f->bytes);
	case REQUEST_RUN:
		return check_scalars(c, f->bytes, &c->run, "run", run, 3);
	case REQUEST_BUCKETS:
		return check_buckets(c, f->bytes);
	default:
		return 0;
	}
}

int message_check(struct span body, const struct message_limits *limits, struct message_counts *ret,
		  struct fault *f)
{
	struct check c = { .limits = limits, .f = f };
	struct reader r = reader_of(body);
	struct message_field field;
	int err;

	while ((err = next(&c, &r, "request", &field)) == 0) {
		err = check_field(&c, &field);
		if (err < 0)
			return err;
	}
	if (err < 0)
		return err;
	*ret = c.counts;
	return 0;
}

/* ---- writing ---- */

static int put_tag(struct buf *out, uint32_t field, enum wire_type type)
{
	return buf_add_varint(out, (uint64_t)field << 3 | type);
}

int message_put_varint(struct buf *out, uint32_t field, uint64_t v)
{
	int err = put_tag(out, field, WIRE_VARINT);

	return err < 0 ? err : buf_add_varint(out, v);
}

int message_put_fixed64(struct buf *out, uint32_t field, uint64_t v)
{
	int err = put_tag(out, field, WIRE_FIXED64);
	uint8_t raw[8];

	put_le64(raw, v);
	return err < 0 ? err : buf_add(out, raw, sizeof(raw));
}

int message_put_bytes(struct buf *out, uint32_t field, struct span s)
{
	int err = put_tag(out, field, WIRE_BYTES);

	if (err == 0)
		err = buf_add_varint(out, s.len);
	return err < 0 ? err : buf_add(out, s.data, s.len);
}

int message_put_differences(struct buf *out, uint32_t field, const int64_t *v, size_t n)
{
	uint64_t before = 0;
	size_t mark;
	int err = message_begin(out, field, &mark);

	if (err == 0)
		err = buf_reserve(out, n * VARINT_MAX);
	for (size_t i = 0; i < n && err == 0; i++) {
		uint8_t *p = out->data + out->len;

		out->len += (size_t)(put_varint(p, zigzag((int64_t)((uint64_t)v[i] - before))) - p);
		before = (uint64_t)v[i];
	}
	return err < 0 ? err : message_end(out, mark);
}

int message_begin(struct buf *out, uint32_t field, size_t *ret_mark)
{
	int err = put_tag(out, field, WIRE_BYTES);

	if (err == 0)
		*ret_mark = out->len;
	return err;
}

/* The length takes as many bytes as it needs: what is in the message moves up. */
int message_end(struct buf *out, size_t mark)
{
	size_t len = out->len - mark, n;
	uint8_t length[VARINT_MAX];
	int err;

	assert(mark <= out->len);
	n = (size_t)(put_varint(length, len) - length);
	err = buf_reserve(out, n);
	if (err < 0)
		return err;
	memmove(out->data + mark + n, out->data + mark, len);
	memcpy(out->data + mark, length, n);
	out->len += n;
	return 0;
}

#include "ingest/import/tfevents.h"

#include <math.h>

#include "ingest/import/sink.h"
#include "proto/message.h"

enum { EVENT_WALL_TIME = 1, EVENT_STEP, EVENT_FILE_VERSION, EVENT_SUMMARY = 5, EVENT_SESSION_LOG = 7 };
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SIMPLE, VALUE_OLD_HISTOGRAM, VALUE_AUDIO = 6, VALUE_TENSOR = 8, VALUE_METADATA };
enum { METADATA_PLUGIN = 1, PLUGIN_NAME = 1 };
enum { TENSOR_DTYPE = 1, TENSOR_SHAPE, TENSOR_CONTENT = 4 };
enum { SHAPE_DIMENSION = 2, SHAPE_UNKNOWN_RANK };

/* ---- the event ---- */

bool event_time_ns(double seconds, int64_t *ret_ns)
{
	int exponent, shift;
	unsigned __int128 ns, half;
	uint64_t whole;

	if (!(seconds >= 0 && seconds < (double)(LINE_TIME_END_NS / NS_PER_S)))
		return false;
	/* seconds = mantissa / 2^shift, and the mantissa has 53 bits */
	ns = (unsigned __int128)(uint64_t)ldexp(frexp(seconds, &exponent), 53) * NS_PER_S;
	shift = 53 - exponent;
	if (shift > 100) {
		*ret_ns = 0;
		return true;
	}
	half = (unsigned __int128)1 << (shift - 1);
	whole = (uint64_t)(ns >> shift);
	ns -= (unsigned __int128)whole << shift;
	*ret_ns = (int64_t)(whole + (ns > half || (ns == half && (whole & 1))));
	return true;
}

static int parse_field(struct event *e, const struct message_field *f)
{
	static const enum wire_type types[] = { [EVENT_WALL_TIME] = WIRE_FIXED64,  [EVENT_STEP] = WIRE_VARINT,
						[EVENT_FILE_VERSION] = WIRE_BYTES, [4] = WIRE_BYTES,
						[EVENT_SUMMARY] = WIRE_BYTES,      [6] = WIRE_BYTES,
						[EVENT_SESSION_LOG] = WIRE_BYTES };

	if (f->number > EVENT_SESSION_LOG)
		return 0;
	if (f->type != types[f->number])
		return ERR_MALFORMED;
	if (f->number == EVENT_WALL_TIME)
		e->has_time = event_time_ns(bits_double(f->value), &e->t_ns);
	if (f->number == EVENT_STEP)
		e->step = (int64_t)f->value;
	return 0;
}

int event_parse(struct span record, struct event *ret)
{
	/* without a wall_time it is 0, as protobuf has it */
	struct event e = { .has_time = true };
	struct reader r = reader_of(record);
	struct message_field f;
	int err;

	while ((err = message_next(&r, &f)) == 0)
		if ((err = parse_field(&e, &f)) < 0)
			return err;
	if (err < 0)
		return err;
	e.fields = reader_of(record);
	*ret = e;
	return 0;
}

/* ---- tensors ---- */

/* The entries of a *_val column: how many, and the last. */
struct entries {
	size_t n;
	uint64_t last;
};

static const struct {
	uint32_t field;
	enum wire_type type;
} columns[] = { { 5, WIRE_FIXED32 }, { 6, WIRE_FIXED64 }, { 7, WIRE_VARINT }, { 10, WIRE_VARINT },
		{ 13, WIRE_VARINT }, { 16, WIRE_VARINT }, { 17, WIRE_VARINT } };
#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))
enum { FLOAT_VAL, DOUBLE_VAL, INT_VAL, INT64_VAL, HALF_VAL, UINT32_VAL, UINT64_VAL };

enum number_kind { NO_NUMBER, FLOAT32, FLOAT64, FLOAT16, BRAIN16, SIGNED, UNSIGNED };

/* By DataType of tensorflow/core/framework/types.proto: what the numbers are, how many bytes each
 * has in tensor_content, and the column they come in otherwise. */
static const struct dtype {
	enum number_kind kind;
	uint8_t bytes, column;
} dtypes[] = {
	[1] = { FLOAT32, 4, FLOAT_VAL },    [2] = { FLOAT64, 8, DOUBLE_VAL },
	[3] = { SIGNED, 4, INT_VAL },       [4] = { UNSIGNED, 1, INT_VAL },
	[5] = { SIGNED, 2, INT_VAL },       [6] = { SIGNED, 1, INT_VAL },
	[9] = { SIGNED, 8, INT64_VAL },     [14] = { BRAIN16, 2, HALF_VAL },
	[17] = { UNSIGNED, 2, INT_VAL },    [19] = { FLOAT16, 2, HALF_VAL },
	[22] = { UNSIGNED, 4, UINT32_VAL }, [23] = { UNSIGNED, 8, UINT64_VAL },
};

struct tensor {
	uint64_t dtype;
	bool has_rank; /* it is no scalar */
	struct span content;
	struct entries columns[N_COLUMNS];
};

static float bits_float(uint32_t bits)
{
	float v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

/* IEEE 754 binary16 */
static double half_value(uint16_t bits)
{
	int exponent = bits >> 10 & 31, fraction = bits & 1023;
	double v = exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
		   : exponent     ? ldexp(1024 + fraction, exponent - 25)
				  : ldexp(fraction, -24);

	return bits >> 15 ? -v : v;
}

static double number_of(const struct dtype *d, uint64_t bits)
{
	int unused = 64 - 8 * d->bytes;

	switch (d->kind) {
	case FLOAT32:
		return (double)bits_float((uint32_t)bits);
	case FLOAT64:
		return bits_double(bits);
	case FLOAT16:
		return half_value((uint16_t)bits);
	case BRAIN16:
		return (double)bits_float((uint32_t)bits << 16);
	case SIGNED:
		return (double)((int64_t)(bits << unused) >> unused);
	default:
		return (double)(bits << unused >> unused);
	}
}

/* One entry, or a packed column of them. */
static int take_entries(const struct message_field *f, enum wire_type type, struct entries *e)
{
	struct reader r = reader_of(f->bytes);

	if (f->type == type) {
		e->n++;
		e->last = f->value;
		return 0;
	}
	if (f->type != WIRE_BYTES)
		return ERR_MALFORMED;
	while (reader_left(&r) > 0) {
		e->n++;
		e->last = type == WIRE_FIXED32   ? read_le32(&r)
			  : type == WIRE_FIXED64 ? read_le64(&r)
						 : read_varint(&r);
	}
	return r.bad ? ERR_MALFORMED : 0;
}

/* A shape is a scalar's when it has no dimension and says nothing of an unknown rank. */
static int parse_shape(struct span s, bool *has_rank)
{
	struct reader r = reader_of(s);
	struct message_field f;
	int err;

	while ((err = message_next(&r, &f)) == 0)
		*has_rank |= f.number == SHAPE_DIMENSION || (f.number == SHAPE_UNKNOWN_RANK && f.value);
	return err < 0 ? err : 0;
}

static int parse_tensor_field(struct tensor *t, const struct message_field *f)
{
	if (f->number == TENSOR_DTYPE && f->type == WIRE_VARINT)
		t->dtype = f->value;
	else if (f->number == TENSOR_CONTENT && f->type == WIRE_BYTES)
		t->content = f->bytes;
	else if (f->number == TENSOR_SHAPE && f->type == WIRE_BYTES)
		return parse_shape(f->bytes, &t->has_rank);
	else if (f->number <= TENSOR_SHAPE || f->number == TENSOR_CONTENT)
		return ERR_MALFORMED;
	for (size_t i = 0; i < N_COLUMNS; i++)
		if (f->number == columns[i].field)
			return take_entries(f, columns[i].type, &t->columns[i]);
	return 0;
}

/* The single number of a tensor; 1: it is no scalar.  No entry at all stands for 0, as everywhere
 * in TensorFlow. */
static int tensor_number(const struct tensor *t, struct event_scalar *ret)
{
	const struct dtype *d = &dtypes[t->dtype < sizeof(dtypes) / sizeof(dtypes[0]) ? t->dtype : 0];
	const struct entries *e = &t->columns[d->column];
	uint8_t raw[8] = { 0 };

	if (d->kind == NO_NUMBER || t->has_rank || (t->content.len > 0 && t->content.len != d->bytes) ||
	    (t->content.len == 0 && e->n > 1))
		return 1;
	if (t->content.len > 0)
		memcpy(raw, t->content.data, d->bytes);
	ret->value = number_of(d, t->content.len > 0 ? get_le64(raw) : e->last);
	ret->is_float32 = d->kind == FLOAT32 || d->kind == FLOAT16 || d->kind == BRAIN16;
	return 0;
}

static int parse_tensor(struct span s, struct event_scalar *ret)
{
	struct reader r = reader_of(s);
	struct message_field f;
	struct tensor t = { 0 };
	int err;

	while ((err = message_next(&r, &f)) == 0)
		if ((err = parse_tensor_field(&t, &f)) < 0)
			return err;
	return err < 0 ? err : tensor_number(&t, ret);
}

/* ---- values ---- */

/* Whether the metadata names a plugin for something else than scalars. */
static int other_plugin(struct span metadata, bool *ret)
{
	struct reader r = reader_of(metadata), plugin;
	struct message_field f;
	int err;

	while ((err = message_next(&r, &f)) == 0) {
		if (f.number != METADATA_PLUGIN || f.type != WIRE_BYTES)
			continue;
		plugin = reader_of(f.bytes);
		while ((err = message_next(&plugin, &f)) == 0)
			if (f.number == PLUGIN_NAME && f.type == WIRE_BYTES)
				*ret = f.bytes.len > 0 && !span_is(f.bytes, "scalars");
		if (err < 0)
			return err;
	}
	return err < 0 ? err : 0;
}

/* 1: no scalar.  Of the fields that exclude one another the last counts, as in protobuf. */
static int parse_value(struct span s, struct event_scalar *ret)
{
	struct event_scalar v = { 0 };
	struct reader r = reader_of(s);
	struct message_field f;
	bool other = false;
	int err, kind = 1;

	while ((err = message_next(&r, &f)) == 0) {
		if (f.number <= VALUE_METADATA &&
		    f.type != (f.number == VALUE_SIMPLE ? WIRE_FIXED32 : WIRE_BYTES))
			return ERR_MALFORMED;
		if (f.number == VALUE_TAG)
			v.tag = f.bytes;
		if (f.number == VALUE_SIMPLE) {
			v.value = (double)bits_float((uint32_t)f.value);
			v.is_float32 = true;
			kind = 0;
		}
		if (f.number >= VALUE_OLD_HISTOGRAM && f.number <= VALUE_AUDIO)
			kind = 1;
		if (f.number == VALUE_TENSOR && (kind = parse_tensor(f.bytes, &v)) < 0)
			return kind;
		if (f.number == VALUE_METADATA && (err = other_plugin(f.bytes, &other)) < 0)
			return err;
	}
	if (err < 0 || kind != 0 || other)
		return err < 0 ? err : 1;
	*ret = v;
	return 0;
}

/* The next value of the event's summaries, of which there is one as a rule. */
static int next_value(struct event *e, struct span *ret)
{
	struct message_field f;
	int err;

	for (;;) {
		while ((err = message_next(&e->values, &f)) == 0) {
			if (f.number != SUMMARY_VALUE)
				continue;
			if (f.type != WIRE_BYTES)
				return ERR_MALFORMED;
			*ret = f.bytes;
			return 0;
		}
		if (err < 0)
			return err;
		while ((err = message_next(&e->fields, &f)) == 0 && f.number != EVENT_SUMMARY)
			;
		if (err != 0)
			return err;
		e->values = reader_of(f.bytes);
	}
}

int event_next(struct event *e, struct event_scalar *ret)
{
	struct span value;
	int err;

	while ((err = next_value(e, &value)) == 0) {
		err = parse_value(value, ret);
		if (err != 1)
			return err;
		e->others++;
	}
	return err;
}

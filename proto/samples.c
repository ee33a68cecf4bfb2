#include "proto/samples.h"

#include "proto/message.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* ---- counting ---- */

/* Whether each varint has at most ten bytes and fits 64 bits. */
static bool varints_fit(struct span s)
{
	struct reader r = reader_of(s);

	while (reader_left(&r))
		read_varint(&r);
	return !r.bad;
}

/* Number of varints in a packed column: of bytes without the high bit, eight at a time.  -1 when
 * the last one is cut, or one is too long: nine bytes in a row with the high bit.  Wherever these
 * lie, they fill half a word of the loop, or four bytes of the tail; then it is worth a look. */
static int64_t count_varints(struct span s)
{
	size_t n = 0, i = 0, row = 0;
	bool long_ones = false;

	if (s.len && s.data[s.len - 1] >= 0x80)
		return -1;
	for (; i + 8 <= s.len; i += 8) {
		uint64_t high = get_le64(s.data + i) & HIGH_BITS, ends = ~high & HIGH_BITS;

		n += (ends >> 7) * UINT64_C(0x0101010101010101) >> 56;
		long_ones |= (uint32_t)high == (uint32_t)HIGH_BITS || high >> 32 == HIGH_BITS >> 32;
	}
	for (; i < s.len; i++) {
		row = s.data[i] < 0x80 ? 0 : row + 1;
		n += row == 0;
		long_ones |= row == 4;
	}
	return long_ones && !varints_fit(s) ? -1 : (int64_t)n;
}

struct column_counts {
	size_t series, times, steps, doubles, floats;
};

/* Adds the entries of a repeated field, packed or not.  False: it is of another type. */
static bool count_entries(const struct message_field *f, enum wire_type type, size_t *n)
{
	size_t width = type == WIRE_FIXED64 ? 8 : 4;
	int64_t more;

	if (f->type == type)
		more = 1;
	else if (f->type != WIRE_BYTES)
		more = -1;
	else if (type == WIRE_VARINT)
		more = count_varints(f->bytes);
	else
		more = f->bytes.len % width ? -1 : (int64_t)(f->bytes.len / width);
	*n += more > 0 ? (size_t)more : 0;
	return more >= 0;
}

static bool count_column(const struct message_field *f, struct column_counts *n)
{
	switch (f->number) {
	case SAMPLES_SERIES:
		return count_entries(f, WIRE_VARINT, &n->series);
	case SAMPLES_TIMES:
		return count_entries(f, WIRE_VARINT, &n->times);
	case SAMPLES_STEPS:
		return count_entries(f, WIRE_VARINT, &n->steps);
	case SAMPLES_VALUES:
		return count_entries(f, WIRE_FIXED64, &n->doubles);
	case SAMPLES_VALUES_F32:
		return count_entries(f, WIRE_FIXED32, &n->floats);
	case SAMPLES_SERIES_ARE_IDS:
	case SAMPLES_TIME_UNIT_NS:
		return f->type == WIRE_VARINT;
	case SAMPLES_START_NS:
		return f->type == WIRE_FIXED64;
	default:
		return true;
	}
}

int samples_shape(struct span samples, struct samples_shape *ret)
{
	struct reader r = reader_of(samples);
	struct samples_shape shape = { .time_unit_ns = 1 };
	struct column_counts n = { 0 };
	struct message_field f;
	int err;

	for (; (err = message_next(&r, &f)) == 0; shape.fields++) {
		if (!count_column(&f, &n))
			return ERR_MALFORMED;
		if (f.number == SAMPLES_SERIES_ARE_IDS)
			shape.series_are_ids = f.value != 0;
		else if (f.number == SAMPLES_START_NS)
			shape.start_ns = (int64_t)f.value;
		else if (f.number == SAMPLES_TIME_UNIT_NS)
			shape.time_unit_ns = f.value ? f.value : 1;
	}
	if (err < 0)
		return err;
	shape.n = n.doubles + n.floats;
	shape.n_series = n.series;
	shape.n_times = n.times;
	shape.n_steps = n.steps;
	shape.has_f64 = n.doubles > 0;
	shape.has_f32 = n.floats > 0;
	*ret = shape;
	return 0;
}

/* ---- reading ---- */

struct sums {
	int64_t *room;
	int64_t sum;
	bool overflow;
	bool narrow; /* sint32: the low half of the varint counts */
};

static inline void sum_one(struct sums *s, uint64_t v)
{
	int64_t d = s->narrow ? unzigzag((uint32_t)v) : unzigzag(v);

	s->overflow |= __builtin_add_overflow(s->sum, d, &s->sum);
	*s->room++ = s->sum;
}

static uint64_t take_varint(const uint8_t **at)
{
	const uint8_t *p = *at;
	uint64_t v = *p & 0x7f;

	for (unsigned shift = 7; *p++ >= 0x80; shift += 7)
		v |= (uint64_t)(*p & 0x7f) << shift;
	*at = p;
	return v;
}

/* Regular columns are one-byte differences nearly throughout: eight of these at a time, while the
 * sum is far from the edge. */
static void sum_packed(struct sums *s, struct span column)
{
	const uint8_t *p = column.data, *end = p + column.len;

	while (p < end) {
		bool near_edge = s->sum > INT64_MAX / 2 || s->sum < INT64_MIN / 2;

		if (end - p < 8 || near_edge || (get_le64(p) & HIGH_BITS)) {
			sum_one(s, take_varint(&p));
			continue;
		}
		for (int i = 0; i < 8; i++) {
			s->sum += unzigzag(p[i]);
			s->room[i] = s->sum;
		}
		p += 8;
		s->room += 8;
	}
}

bool samples_sums(struct span samples, uint32_t field, int64_t *room)
{
	struct sums s = { .room = room, .narrow = field == SAMPLES_SERIES };
	struct reader r = reader_of(samples);
	struct message_field f;

	while (message_next(&r, &f) == 0) {
		if (f.number != field)
			continue;
		if (f.type == WIRE_VARINT)
			sum_one(&s, f.value);
		else
			sum_packed(&s, f.bytes);
	}
	return !s.overflow;
}

/* What the processor does, but for the bit that it sets in signalling NaNs. */
static double widen_nan(uint32_t bits)
{
	uint64_t sign = (uint64_t)(bits >> 31) << 63, payload = bits & 0x7fffff;

	return bits_double(sign | UINT64_C(0x7ff0000000000000) | payload << 29);
}

static size_t widen(struct span s, double *room)
{
	size_t n = s.len / 4;

	for (size_t i = 0; i < n; i++) {
		float v;

		memcpy(&v, s.data + 4 * i, 4);
		room[i] = (double)v;
		if (__builtin_expect(v != v, 0))
			room[i] = widen_nan(get_le32(s.data + 4 * i));
	}
	return n;
}

void samples_values(struct span samples, double *room)
{
	struct reader r = reader_of(samples);
	struct message_field f;

	while (message_next(&r, &f) == 0) {
		uint8_t one[8];
		struct span s = f.bytes;

		if (f.number != SAMPLES_VALUES && f.number != SAMPLES_VALUES_F32)
			continue;
		if (f.type != WIRE_BYTES) {
			put_le64(one, f.value);
			s = span_of(one, f.type == WIRE_FIXED64 ? 8 : 4);
		}
		if (f.number == SAMPLES_VALUES_F32) {
			room += widen(s, room);
		} else if (s.len) {
			memcpy(room, s.data, s.len);
			room += s.len / 8;
		}
	}
}

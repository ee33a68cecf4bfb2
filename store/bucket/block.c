/*
 * Buckets go into one buffer per column as they come; times wait for the block's unit and shapes
 * for their run lengths, both with their size known.  The layout is in block_layout.h.
 */
#include "store/bucket/block.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "store/bucket/block_layout.h"

#define BUCKET_MAX 512 /* bytes one bucket can take: 4 + 34 * 8 of it a sum in limbs */
#define PLAIN_MAX  160 /* the same without a rare part, and a sum of at most two doubles */
#define HEAD_MAX   (2 + COLUMNS * 3)

struct state {
	uint8_t *end[COLUMNS]; /* of the bytes so far; unused for SHAPES and TIMES */
	size_t count, run;     /* buckets; how many of the last ones have the same shape */
	size_t n_times;
	size_t shapes_len, times_len; /* bytes they will take */
	unsigned unit;
	struct before before;
};

struct block_writer {
	size_t body_max;
	size_t room; /* bytes that are left at least, while the unit stays */
	struct state state;
	uint8_t *column[COLUMNS];
	uint8_t *shapes; /* one per bucket */
	uint64_t *times; /* in ns */
};

/* Times of a bucket from its window's start, in ns; bad is 0 without a rare part. */
struct offsets {
	uint64_t first, last, bad;
};

static void writer_clear(struct block_writer *w)
{
	w->room = 0;
	w->state = (struct state){ .before = before_first };
	for (int i = 0; i < COLUMNS; i++)
		w->state.end[i] = w->column[i];
}

int block_writer_new(size_t body_max, struct block_writer **ret)
{
	/* Room for a bucket too many beside one that is alone too large.  A time takes at least a byte,
	 * a bucket at least the four of its value. */
	size_t column = (body_max + 2 * BUCKET_MAX + 7) & ~(size_t)7;
	struct block_writer *w = malloc(sizeof(*w) + column * (8 + COLUMNS + 1));

	assert(body_max < 1 << 20); /* a length of a column is a varint of three bytes */
	if (!w)
		return ERR_NOMEM;
	*w = (struct block_writer){ .body_max = body_max, .times = (uint64_t *)(w + 1) };
	w->shapes = (uint8_t *)(w->times + column);
	for (size_t i = 0; i < COLUMNS; i++)
		w->column[i] = w->shapes + column * (i + 1);
	writer_clear(w);
	*ret = w;
	return 0;
}

void block_writer_free(struct block_writer *w) { free(w); }

size_t block_writer_count(const struct block_writer *w) { return w->state.count; }

static size_t varint_len(uint64_t v) { return (size_t)(70 - __builtin_clzll(v | 1)) / 7; }

static bool is_single(const struct bucket *b) { return b->count == 1 && !b->rare; }

static struct offsets offsets_of(const struct block_key *key, const struct bucket *b)
{
	uint64_t start = (uint64_t)key->start_ns, window = (uint64_t)key->window_ns;
	struct offsets o = { (uint64_t)b->first.t_ns - start, (uint64_t)b->last.t_ns - start, 0 };

	if (b->rare)
		o.bad = (uint64_t)b->rare->bad_t_ns - start;
	assert(o.first <= o.last && o.last < window && o.bad < window);
	return o;
}

/* ---- one bucket into the columns ---- */

static unsigned put_key(struct state *s, const struct block_key *key)
{
	const struct block_key *before = &s->before.key;
	uint8_t *p = s->end[KEYS];
	unsigned form = KEY_ANY;

	if (key->window_ns == before->window_ns) {
		if (key->sid == before->sid + 1 && key->start_ns == before->start_ns)
			return KEY_NEXT_SID;
		if (key->sid == before->sid && key->start_ns - before->start_ns == key->window_ns)
			return KEY_NEXT_WINDOW;
		form = KEY_SAME_WIDTH;
	}
	assert(s->count == 0 || key->sid > before->sid ||
	       (key->sid == before->sid && key->start_ns > before->start_ns));
	assert(key->window_ns > 0 && key->start_ns % key->window_ns == 0);
	p = put_varint(p, key->sid - before->sid);
	if (form == KEY_ANY) {
		p = put_varint(p, (uint64_t)key->window_ns);
		p = put_varint(p, zigzag(key->start_ns / key->window_ns));
	} else {
		p = put_varint(p, zigzag(key->start_ns / key->window_ns - before->start_ns / key->window_ns));
	}
	s->end[KEYS] = p;
	return form;
}

static unsigned put_count(struct state *s, uint64_t count)
{
	if (count == s->before.count)
		return 0;
	s->end[COUNTS] = put_varint(s->end[COUNTS], count);
	return SHAPE_COUNT;
}

static unsigned steps_form(const struct before *before, unsigned key_form, const struct bucket *b)
{
	struct steps same = same_steps(before, key_form);

	if (b->first.step == same.first && b->last.step == same.last && b->step_min == same.min &&
	    b->step_max == same.max)
		return STEPS_SAME;
	if (b->step_max == STEP_NONE)
		return STEPS_NONE;
	return b->first.step == b->step_min && b->last.step == b->step_max ? STEPS_RISING : STEPS_ANY;
}

static uint8_t *put_step(uint8_t *p, int64_t step, uint64_t base)
{
	return put_varint(p, zigzag((int64_t)((uint64_t)step - base)));
}

static unsigned put_steps(struct state *s, unsigned key_form, const struct bucket *b)
{
	unsigned form = steps_form(&s->before, key_form, b);
	uint64_t base = step_base(&s->before), range = (uint64_t)b->step_max - (uint64_t)b->step_min;
	uint8_t *p = s->end[STEPS];

	if (form == STEPS_RISING) {
		p = put_step(p, b->first.step, base);
		if (!is_single(b))
			p = put_varint(p, range);
	} else if (form == STEPS_ANY) {
		*p++ = (uint8_t)((b->first.step == STEP_NONE) | (b->last.step == STEP_NONE) << 1);
		if (b->first.step != STEP_NONE)
			p = put_step(p, b->first.step, base);
		if (b->last.step != STEP_NONE)
			p = put_step(p, b->last.step, base);
		p = put_step(p, b->step_min, base);
		p = put_varint(p, range);
	}
	s->end[STEPS] = p;
	return form << SHAPE_STEPS;
}

/* The high bytes that are not zero, at p; returns their number. */
static unsigned put_high_bytes(uint8_t *p, double v)
{
	unsigned zero = (unsigned)__builtin_ctzll(double_bits(v)) / 8;

	put_le64(p, double_bits(v) >> 8 * zero);
	return 8 - zero;
}

static inline struct sum normal(const struct sum *s)
{
	double hi = s->hi + s->lo, a = hi - s->hi;

	return (struct sum){ .hi = hi, .lo = (s->hi - (hi - a)) + (s->lo - a) };
}

/* The sum's canonical doubles, zero where there is none; false when there are more than two. */
static inline bool two_terms(const struct sum *s, struct sum *ret)
{
	double terms[SUM_TERMS_MAX] = { 0 };
	int n;

	*ret = normal(s);
	if (!s->wide && isfinite(ret->lo))
		return true;
	n = sum_terms(s, terms);
	*ret = (struct sum){ .hi = terms[0], .lo = terms[1] };
	return n >= 0 && n <= 2;
}

static unsigned put_any_sum(struct state *s, const struct sum *sum)
{
	struct buf bytes = { s->end[SUMS], 0, BUCKET_MAX, BUCKET_MAX };
	int err = sum_encode(sum, &bytes);

	assert(err == 0);
	(void)err;
	s->end[SUMS] += bytes.len;
	return SUM_ANY;
}

static inline bool is_foretold(const struct bucket *b, bool min_stored, const struct sum *sum)
{
	struct sum told;

	if (b->rare || !foretell_sum(b, min_stored, &told))
		return false;
	told = normal(&told);
	return (told.hi == sum->hi) & (told.lo == sum->lo);
}

/* Returns its form.  Bytes are written, and the end moved where they count: whether a sum is
 * foretold is not. */
static unsigned put_sum(struct state *s, const struct bucket *b, bool min_stored)
{
	uint8_t *p = s->end[SUMS];
	unsigned hi, lo, len;
	struct sum sum;
	bool told;

	if (!two_terms(&b->sum, &sum))
		return put_any_sum(s, &b->sum);
	told = is_foretold(b, min_stored, &sum);
	if (sum.hi == 0)
		return told ? SUM_FORETOLD : SUM_ZERO;
	if (sum.lo == 0) {
		hi = put_high_bytes(p, sum.hi);
		len = told ? 0 : hi;
		s->end[SUMS] = p + len;
		return len;
	}
	hi = put_high_bytes(p + 1, sum.hi);
	lo = put_high_bytes(p + 1 + hi, sum.lo);
	*p = (uint8_t)((hi - 1) | (lo - 1) << 4);
	len = told ? 0 : 1 + hi + lo;
	s->end[SUMS] = p + len;
	return told ? SUM_FORETOLD : SUM_TWO;
}

/* What in v a float32 would not hold: 0 for nothing. */
static uint64_t beyond_float(double v) { return double_bits((double)(float)v) ^ double_bits(v); }

/* Each value is written, and the end moved where it counts: which ones do is not to be foretold. */
static inline unsigned put_values(struct state *s, const struct bucket *b, const unsigned stored[4])
{
	const double v[4] = { b->first.value, b->last.value, b->min, b->max };
	uint8_t *p;

	if (beyond_float(v[0]) | beyond_float(v[1]) | beyond_float(v[2]) | beyond_float(v[3])) {
		p = s->end[DOUBLES];
		for (int i = 0; i < 4; i++) {
			put_le64(p, double_bits(v[i]));
			p += 8 * stored[i];
		}
		s->end[DOUBLES] = p;
		return SHAPE_WIDE;
	}
	p = s->end[SINGLES];
	for (int i = 0; i < 4; i++) {
		float f = (float)v[i];

		memcpy(p, &f, 4);
		p += 4 * stored[i];
	}
	s->end[SINGLES] = p;
	return 0;
}

/* The form, the values and the sum; returns the shape's bit of the values. */
static unsigned put_numbers(struct state *s, const struct bucket *b)
{
	static const unsigned one[4] = { 1, 0, 0, 0 };
	uint64_t first = double_bits(b->first.value), last = double_bits(b->last.value);
	uint64_t min = double_bits(b->min), max = double_bits(b->max);
	unsigned last_form = last != first, min_form = 0, max_form = 0, sum_form = 0;

	if (is_single(b))
		return put_values(s, b, one);
	if (b->count) {
		min_form = (unsigned)(min != first) * (1 + (min != last));
		max_form = (unsigned)(max != first) * (1 + (max != last));
		sum_form = put_sum(s, b, min_form == 2);
	}
	*s->end[FORMS]++ = (uint8_t)(((last_form * 3 + min_form) * 3 + max_form) * SUM_FORMS + sum_form);
	return put_values(s, b, (unsigned[]){ 1, last_form, min_form == 2, max_form == 2 });
}

static void put_rare(struct state *s, const struct bucket_rare *r)
{
	uint8_t *p = s->end[RARE];

	p = put_varint(p, r->nan);
	p = put_varint(p, r->pos_inf);
	p = put_varint(p, r->neg_inf);
	s->end[RARE] = put_step(p, r->bad_step, step_base(&s->before));
}

/* ---- times and shapes, written at the end ---- */

static unsigned finer_unit(unsigned unit, uint64_t offset_ns)
{
	while (offset_ns && offset_ns % (uint64_t)time_units[unit])
		unit++;
	return unit;
}

static void set_unit(struct block_writer *w, unsigned unit)
{
	struct state *s = &w->state;

	s->unit = unit;
	s->times_len = 0;
	for (size_t i = 0; i < s->n_times; i++)
		s->times_len += varint_len(w->times[i] / (uint64_t)time_units[unit]);
}

static void add_time(struct block_writer *w, uint64_t offset_ns)
{
	struct state *s = &w->state;

	w->times[s->n_times++] = offset_ns;
	s->times_len += varint_len(offset_ns / (uint64_t)time_units[s->unit]);
}

static bool same_times(const struct before *before, const struct offsets *o)
{
	return o->first == before->first_offset_ns && o->last == before->last_offset_ns;
}

static unsigned add_times(struct block_writer *w, const struct bucket *b, const struct offsets *o)
{
	unsigned shape = 0;

	if (!same_times(&w->state.before, o)) {
		shape = SHAPE_TIMES;
		add_time(w, o->first);
		if (!is_single(b))
			add_time(w, o->last - o->first);
	}
	if (b->rare)
		add_time(w, o->bad);
	return shape;
}

static void add_shape(struct block_writer *w, unsigned shape)
{
	struct state *s = &w->state;

	w->shapes[s->count] = (uint8_t)shape;
	if (s->count == 0 || w->shapes[s->count - 1] != shape) {
		s->run = 1;
		s->shapes_len++;
	} else if (++s->run == 2) {
		s->shapes_len += 2;
	} else {
		s->shapes_len += s->run - 2 == 1 << 7 || s->run - 2 == 1 << 14;
	}
	s->count++;
}

static uint8_t *encode_shapes(const struct block_writer *w, uint8_t *p)
{
	const uint8_t *shape = w->shapes, *end = shape + w->state.count;

	while (shape < end) {
		const uint8_t *run = shape;

		while (shape < end && *shape == *run)
			shape++;
		*p++ = *run;
		if (shape - run > 1) {
			*p++ = *run;
			p = put_varint(p, (uint64_t)(shape - run - 2));
		}
	}
	return p;
}

static uint8_t *encode_times(const struct block_writer *w, uint8_t *p)
{
	for (size_t i = 0; i < w->state.n_times; i++)
		p = put_varint(p, w->times[i] / (uint64_t)time_units[w->state.unit]);
	return p;
}

/* ---- blocks ---- */

static size_t column_len(const struct block_writer *w, int column)
{
	if (column == SHAPES)
		return w->state.shapes_len;
	return column == TIMES ? w->state.times_len : (size_t)(w->state.end[column] - w->column[column]);
}

static size_t body_bound(const struct block_writer *w)
{
	size_t len = HEAD_MAX;

	for (int i = 0; i < COLUMNS; i++)
		len += column_len(w, i);
	return len;
}

static void add_bucket(struct block_writer *w, const struct block_key *key, const struct bucket *b,
		       const struct offsets *o)
{
	struct state *s = &w->state;
	unsigned key_form = put_key(s, key), shape = key_form | put_count(s, b->count);

	shape |= add_times(w, b, o);
	shape |= put_steps(s, key_form, b);
	shape |= put_numbers(s, b);
	if (b->rare) {
		shape |= SHAPE_RARE;
		put_rare(s, b->rare);
	}
	add_shape(w, shape);
	s->before = (struct before){
		.key = *key,
		.count = b->count,
		.first_offset_ns = o->first,
		.last_offset_ns = o->last,
		.first_step = b->first.step,
		.last_step = b->last.step,
		.step_min = b->step_min,
		.step_max = b->step_max,
	};
}

static unsigned unit_with(const struct state *s, const struct offsets *o)
{
	unsigned unit = finer_unit(s->unit, o->bad);

	return same_times(&s->before, o) ? unit : finer_unit(finer_unit(unit, o->first), o->last);
}

static bool is_plain(const struct bucket *b) { return !bucket_owns(b) && isfinite(b->sum.hi + b->sum.lo); }

/* Near the end of a block: what does not fit is taken back. */
static int add_carefully(struct block_writer *w, const struct block_key *key, const struct bucket *b,
			 const struct offsets *o, unsigned unit)
{
	struct state before = w->state;

	if (unit != before.unit)
		set_unit(w, unit);
	add_bucket(w, key, b, o);
	if (before.count && body_bound(w) > w->body_max) {
		w->state = before;
		return ERR_FULL;
	}
	w->room = 0;
	return 0;
}

int block_writer_add(struct block_writer *w, struct block_key key, const struct bucket *b)
{
	struct offsets o = offsets_of(&key, b);
	unsigned unit = unit_with(&w->state, &o);
	size_t most = is_plain(b) ? PLAIN_MAX : BUCKET_MAX, bound;

	if (w->room < most) {
		bound = body_bound(w);
		w->room = bound < w->body_max ? w->body_max - bound : 0;
	}
	if (w->room < most || unit != w->state.unit)
		return add_carefully(w, &key, b, &o, unit);
	w->room -= most;
	add_bucket(w, &key, b, &o);
	return 0;
}

int block_writer_finish(struct block_writer *w, struct buf *out)
{
	size_t bound = body_bound(w);
	int err = buf_reserve(out, bound);
	unsigned head = w->state.unit << COLUMNS;
	uint8_t *start, *p;

	assert(w->state.count > 0);
	if (err < 0)
		return err;
	start = out->data + out->len;
	p = start + 2;
	for (int i = 0; i < COLUMNS; i++) {
		size_t len = column_len(w, i);

		if (!len)
			continue;
		head |= 1U << i;
		p = put_varint(p, len);
	}
	put_le16(start, (uint16_t)head);
	for (int i = 0; i < COLUMNS; i++) {
		size_t len = column_len(w, i);

		if (i == SHAPES)
			p = encode_shapes(w, p);
		else if (i == TIMES)
			p = encode_times(w, p);
		else if (len)
			p = (uint8_t *)memcpy(p, w->column[i], len) + len;
	}
	assert((size_t)(p - start) <= bound);
	out->len += (size_t)(p - start);
	writer_clear(w);
	return 0;
}

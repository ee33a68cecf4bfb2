/*
 * The way back.  Streams over the columns, so it holds one bucket; all that it trusts is what the
 * readers of the columns bound.
 */
#include <math.h>

#include "store/bucket/block_layout.h"

struct block_reader {
	struct reader column[COLUMNS];
	struct before before;
	uint64_t unit_ns;
	int shape;        /* of the bucket before; -1: none yet */
	bool run;         /* it has come more than once, so its run is over when repeats are */
	uint64_t repeats; /* buckets still to come of that shape */
	struct bucket_rare rare;
};

static int open_columns(struct block_reader *b, struct span body)
{
	struct reader r = reader_of(body);
	unsigned head = read_le16(&r);
	uint64_t len[COLUMNS] = { 0 };

	if (head >> COLUMNS >= TIME_UNITS)
		return ERR_CORRUPT;
	b->unit_ns = (uint64_t)time_units[head >> COLUMNS];
	for (int i = 0; i < COLUMNS; i++)
		if (head >> i & 1)
			len[i] = read_varint(&r);
	for (int i = 0; i < COLUMNS; i++) {
		if (len[i] > reader_left(&r) || (len[i] == 0 && (head >> i & 1)))
			return ERR_CORRUPT;
		b->column[i] = reader_of(read_bytes(&r, (size_t)len[i]));
	}
	return r.bad || reader_left(&r) ? ERR_CORRUPT : 0;
}

static unsigned read_shape(struct block_reader *b)
{
	struct reader *r = &b->column[SHAPES];
	int shape;

	if (b->repeats) {
		b->repeats--;
		return (unsigned)b->shape;
	}
	shape = read_u8(r);
	if (shape == b->shape) {
		r->bad |= b->run;
		b->repeats = read_varint(r);
	}
	b->run = shape == b->shape;
	b->shape = shape;
	return (unsigned)shape;
}

static int read_key(struct block_reader *b, unsigned form, struct block_key *ret)
{
	struct reader *r = &b->column[KEYS];
	struct block_key key = b->before.key;
	uint64_t sid = 1, window;
	int64_t windows = 0, shift;

	if (form == KEY_NEXT_WINDOW) {
		sid = 0;
		windows = 1;
	} else if (form != KEY_NEXT_SID) {
		sid = read_varint(r);
		window = form == KEY_ANY ? read_varint(r) : (uint64_t)key.window_ns;
		windows = read_zigzag(r);
		if (window > INT64_MAX)
			return ERR_CORRUPT;
		key.window_ns = (int64_t)window;
		key.start_ns = form == KEY_ANY ? 0 : key.start_ns;
	}
	if (r->bad || key.window_ns == 0 || sid > UINT32_MAX - key.sid ||
	    __builtin_mul_overflow(windows, key.window_ns, &shift) ||
	    __builtin_add_overflow(key.start_ns, shift, &key.start_ns))
		return ERR_CORRUPT;
	key.sid += (uint32_t)sid;
	*ret = key;
	return 0;
}

static bool key_rises(struct block_key before, struct block_key key)
{
	return key.sid > before.sid || (key.sid == before.sid && key.start_ns > before.start_ns);
}

/* An offset from the window's start, below the window's length. */
static uint64_t read_offset(struct block_reader *b, uint64_t window_ns)
{
	uint64_t v = read_varint(&b->column[TIMES]);

	if (v > (window_ns - 1) / b->unit_ns) {
		b->column[TIMES].bad = true;
		return 0;
	}
	return v * b->unit_ns;
}

static int read_times(struct block_reader *b, unsigned shape, struct block_key key, struct bucket *ret)
{
	uint64_t window = (uint64_t)key.window_ns, bad = 0, first = b->before.first_offset_ns;
	uint64_t last = b->before.last_offset_ns;

	if (shape & SHAPE_TIMES) {
		first = last = read_offset(b, window);
		if (ret->count != 1 || ret->rare)
			last += read_offset(b, window);
	}
	if (ret->rare)
		bad = read_offset(b, window);
	if (b->column[TIMES].bad || last >= window || last > (uint64_t)INT64_MAX - (uint64_t)key.start_ns ||
	    bad > (uint64_t)INT64_MAX - (uint64_t)key.start_ns)
		return ERR_CORRUPT;
	ret->first.t_ns = key.start_ns + (int64_t)first;
	ret->last.t_ns = key.start_ns + (int64_t)last;
	b->rare.bad_t_ns = key.start_ns + (int64_t)bad;
	b->before.first_offset_ns = first;
	b->before.last_offset_ns = last;
	return 0;
}

static int64_t read_step(struct reader *r, uint64_t base)
{
	return (int64_t)((uint64_t)read_zigzag(r) + base);
}

/* min and what lies above it by a varint; STEP_NONE, which is never a maximum, for one too far. */
static int64_t read_step_above(struct reader *r, int64_t min)
{
	uint64_t range = read_varint(r);

	return range > (uint64_t)INT64_MAX - (uint64_t)min ? STEP_NONE : (int64_t)((uint64_t)min + range);
}

static bool step_within(int64_t step, int64_t min, int64_t max)
{
	return step == STEP_NONE || (step >= min && step <= max);
}

static int read_any_steps(struct reader *r, uint64_t base, struct bucket *ret)
{
	unsigned none = read_u8(r);

	ret->first.step = none & 1 ? STEP_NONE : read_step(r, base);
	ret->last.step = none & 2 ? STEP_NONE : read_step(r, base);
	ret->step_min = read_step(r, base);
	ret->step_max = read_step_above(r, ret->step_min);
	if (r->bad || none > 3 || ret->step_min == STEP_NONE || ret->step_max == STEP_NONE ||
	    !step_within(ret->first.step, ret->step_min, ret->step_max) ||
	    !step_within(ret->last.step, ret->step_min, ret->step_max))
		return ERR_CORRUPT;
	return 0;
}

static int read_steps(struct block_reader *b, unsigned form, unsigned key_form, struct bucket *ret)
{
	struct reader *r = &b->column[STEPS];
	uint64_t base = step_base(&b->before);
	struct steps same;

	switch (form) {
	case STEPS_SAME:
		same = same_steps(&b->before, key_form);
		ret->first.step = same.first;
		ret->last.step = same.last;
		ret->step_min = same.min;
		ret->step_max = same.max;
		return 0;
	case STEPS_NONE:
		ret->first.step = ret->last.step = ret->step_min = ret->step_max = STEP_NONE;
		return 0;
	case STEPS_RISING:
		ret->first.step = ret->step_min = read_step(r, base);
		ret->last.step =
		    ret->count == 1 && !ret->rare ? ret->step_min : read_step_above(r, ret->step_min);
		ret->step_max = ret->last.step;
		return r->bad || ret->step_min == STEP_NONE || ret->step_max == STEP_NONE ? ERR_CORRUPT : 0;
	default:
		return read_any_steps(r, base, ret);
	}
}

static double read_value(struct block_reader *b, unsigned shape)
{
	uint32_t bits;
	float f;

	if (shape & SHAPE_WIDE)
		return bits_double(read_le64(&b->column[DOUBLES]));
	bits = read_le32(&b->column[SINGLES]);
	memcpy(&f, &bits, 4);
	return f;
}

/* The n high bytes of a double that is not zero; 0 when the lowest of them is a zero byte. */
static double read_high_bytes(struct reader *r, unsigned n)
{
	struct span s = read_bytes(r, n);
	uint64_t bits = 0;

	if (!s.len || !s.data[0])
		return 0;
	memcpy(&bits, s.data, s.len);
	return bits_double(bits << 8 * (8 - n));
}

static bool is_sum(double hi, double lo) { return isfinite(hi) && hi != 0 && hi + lo == hi; }

static int read_sum(struct block_reader *b, unsigned form, bool min_stored, struct bucket *ret)
{
	struct reader *r = &b->column[SUMS];
	double hi, lo = 0;
	unsigned lens;

	if (form == SUM_FORETOLD)
		return !ret->rare && foretell_sum(ret, min_stored, &ret->sum) ? 0 : ERR_CORRUPT;
	if (form == SUM_ZERO)
		return 0;
	if (form == SUM_ANY) {
		int err = sum_decode(r, &ret->sum);

		return err < 0 ? err : ret->sum.wide ? 0 : ERR_CORRUPT;
	}
	lens = form == SUM_TWO ? read_u8(r) : form - 1;
	if (lens & 0x88)
		return ERR_CORRUPT;
	hi = read_high_bytes(r, (lens & 15) + 1);
	if (form == SUM_TWO)
		lo = read_high_bytes(r, (lens >> 4) + 1);
	if (r->bad || !is_sum(hi, lo) || (form == SUM_TWO && lo == 0))
		return ERR_CORRUPT;
	ret->sum = (struct sum){ .hi = hi, .lo = lo };
	return 0;
}

static int read_single(struct block_reader *b, unsigned shape, struct bucket *ret)
{
	double v = read_value(b, shape);

	ret->first.value = ret->last.value = ret->min = ret->max = v;
	ret->sum.hi = v == 0 ? 0 : v;
	return isfinite(v) ? 0 : ERR_CORRUPT;
}

static int read_numbers(struct block_reader *b, unsigned shape, struct bucket *ret)
{
	unsigned form, last_form, min_form, max_form, sum_form;

	if (ret->count == 1 && !ret->rare)
		return read_single(b, shape, ret);
	form = read_u8(&b->column[FORMS]);
	sum_form = form % SUM_FORMS;
	max_form = form / SUM_FORMS % 3;
	min_form = form / SUM_FORMS / 3 % 3;
	last_form = form / SUM_FORMS / 9;
	if (last_form > 1 || (ret->count == 0 && form % (9 * SUM_FORMS)))
		return ERR_CORRUPT;
	ret->first.value = read_value(b, shape);
	ret->last.value = last_form ? read_value(b, shape) : ret->first.value;
	if (!ret->rare && (!isfinite(ret->first.value) || !isfinite(ret->last.value)))
		return ERR_CORRUPT;
	if (ret->count == 0)
		return 0;
	ret->min = min_form == 2 ? read_value(b, shape) : min_form ? ret->last.value : ret->first.value;
	ret->max = max_form == 2 ? read_value(b, shape) : max_form ? ret->last.value : ret->first.value;
	if (!isfinite(ret->min) || !isfinite(ret->max) || double_total_compare(ret->min, ret->max) > 0)
		return ERR_CORRUPT;
	return read_sum(b, sum_form, min_form == 2, ret);
}

static int read_rare(struct block_reader *b, struct bucket_rare *ret)
{
	struct reader *r = &b->column[RARE];

	ret->nan = read_varint(r);
	ret->pos_inf = read_varint(r);
	ret->neg_inf = read_varint(r);
	ret->bad_step = read_step(r, step_base(&b->before));
	return r->bad || !(ret->nan | ret->pos_inf | ret->neg_inf) ? ERR_CORRUPT : 0;
}

/* ---- passing over ---- */

/* What a form stores: values, and bytes of the sum << 4 or SUM_ASK. */
#define SUM_ASK 0xf0
#define SUM_SKIP(f)                                                                                          \
	((f) % SUM_FORMS < SUM_ZERO ? (f) % SUM_FORMS << 4 : (f) % SUM_FORMS == SUM_ZERO ? 0 : SUM_ASK)
#define SKIP_1(f)                                                                                            \
	(SUM_SKIP(f) |                                                                                       \
	 (1 + ((f) / SUM_FORMS / 9 > 0) + ((f) / SUM_FORMS / 3 % 3 == 2) + ((f) / SUM_FORMS % 3 == 2)))
#define SKIP_4(f)  SKIP_1(f), SKIP_1((f) + 1), SKIP_1((f) + 2), SKIP_1((f) + 3)
#define SKIP_16(f) SKIP_4(f), SKIP_4((f) + 4), SKIP_4((f) + 8), SKIP_4((f) + 12)
/* cppcheck-suppress preprocessorErrorDirective ; it takes the commas for arguments */
#define SKIP_64(f) SKIP_16(f), SKIP_16((f) + 16), SKIP_16((f) + 32), SKIP_16((f) + 48)

static const uint8_t form_skips[256] = { SKIP_64(0), SKIP_64(64), SKIP_64(128), SKIP_64(192) };

/* A sum of which the form does not tell the length. */
static int skip_sum(struct block_reader *b, unsigned form)
{
	struct reader *r = &b->column[SUMS];
	struct sum sum = { 0 };
	unsigned lens;
	int err;

	if (form == SUM_TWO) {
		lens = read_u8(r);
		read_bytes(r, (lens & 15) + 1 + (lens >> 4) + 1);
		return 0;
	}
	err = sum_decode(r, &sum);
	sum_release(&sum);
	return err;
}

/* The numbers of n buckets of one shape. */
static int skip_numbers(struct block_reader *b, unsigned shape, bool single, size_t n)
{
	struct reader *values = &b->column[shape & SHAPE_WIDE ? DOUBLES : SINGLES];
	size_t value_bytes = shape & SHAPE_WIDE ? 8 : 4, stored = 0, sums = 0;
	struct span forms;
	int err = 0;

	if (single) {
		read_bytes(values, n * value_bytes);
		return 0;
	}
	forms = read_bytes(&b->column[FORMS], n);
	for (size_t i = 0; i < forms.len && err == 0; i++) {
		unsigned skip = form_skips[forms.data[i]];

		stored += skip & 15;
		if (skip < SUM_ASK) {
			sums += skip >> 4;
		} else {
			read_bytes(&b->column[SUMS], sums);
			sums = 0;
			err = skip_sum(b, forms.data[i] % SUM_FORMS);
		}
	}
	read_bytes(&b->column[SUMS], sums);
	read_bytes(values, stored * value_bytes);
	return err;
}

/* Of the buckets still to come of this shape, those of the series before sid, when nothing but their
 * numbers has to be passed over.  Returns how many there were. */
static size_t skip_run(struct block_reader *b, uint32_t sid, size_t most, int *ret_err)
{
	unsigned shape = (unsigned)b->shape, steps = shape >> SHAPE_STEPS & 3;
	size_t n = sid - b->before.key.sid - 1;

	if ((shape & SHAPE_KEY) != KEY_NEXT_SID || shape & (SHAPE_COUNT | SHAPE_TIMES | SHAPE_RARE) ||
	    steps > STEPS_NONE || sid <= b->before.key.sid)
		return 0;
	n = n < b->repeats ? n : (size_t)b->repeats;
	n = n < most ? n : most;
	*ret_err = skip_numbers(b, shape, b->before.count == 1, n);
	b->repeats -= n;
	b->before.key.sid += (uint32_t)n;
	return n;
}

/* Where in a block the series stand that are wanted. */
struct wanted {
	const struct block_want *want; /* NULL: all */
	size_t next;                   /* sids before it lie behind */
};

/* Whether the bucket is wanted; sids rise. */
static bool is_wanted(struct wanted *w, struct block_key key)
{
	const struct block_want *want = w->want;

	if (!want)
		return true;
	while (w->next < want->n_sids && want->sids[w->next] < key.sid)
		w->next++;
	return w->next < want->n_sids && want->sids[w->next] == key.sid && key.start_ns >= want->from_ns &&
	       key.start_ns < want->to_ns;
}

/* Whether none behind this key is. */
static bool is_past(const struct wanted *w, struct block_key key)
{
	const struct block_want *want = w->want;

	return want &&
	       (w->next == want->n_sids || (w->next + 1 == want->n_sids && want->sids[w->next] == key.sid &&
					    key.start_ns >= want->to_ns));
}

/* ---- buckets ---- */

/* The next bucket; its sum may own memory, its rare part is the reader's.  *ret_wanted false: its
 * numbers were passed over. */
static int read_bucket(struct block_reader *b, struct wanted *w, struct block_key *ret_key,
		       struct bucket *ret, bool *ret_wanted)
{
	unsigned shape = read_shape(b);
	struct block_key key;
	int err = b->column[SHAPES].bad ? ERR_CORRUPT : read_key(b, shape & SHAPE_KEY, &key);

	if (err < 0)
		return err;
	*ret_wanted = is_wanted(w, key);
	ret->count = shape & SHAPE_COUNT ? read_varint(&b->column[COUNTS]) : b->before.count;
	ret->rare = shape & SHAPE_RARE ? &b->rare : NULL;
	if (b->column[COUNTS].bad || (ret->count == 0 && !ret->rare))
		return ERR_CORRUPT;
	err = read_times(b, shape, key, ret);
	if (err == 0 && ret->rare)
		err = read_rare(b, ret->rare);
	if (err == 0)
		err = read_steps(b, shape >> SHAPE_STEPS & 3, shape & SHAPE_KEY, ret);
	if (err == 0)
		err = *ret_wanted ? read_numbers(b, shape, ret)
				  : skip_numbers(b, shape, ret->count == 1 && !ret->rare, 1);
	b->before.key = key;
	b->before.count = ret->count;
	b->before.first_step = ret->first.step;
	b->before.last_step = ret->last.step;
	b->before.step_min = ret->step_min;
	b->before.step_max = ret->step_max;
	*ret_key = key;
	return err;
}

static bool columns_ended(struct block_reader *b)
{
	for (int i = 0; i < COLUMNS; i++)
		if (b->column[i].bad || reader_left(&b->column[i]))
			return false;
	return b->repeats == 0;
}

static bool columns_bad(const struct block_reader *b)
{
	bool bad = false;

	for (int i = 0; i < COLUMNS; i++)
		bad |= b->column[i].bad;
	return bad;
}

static int read_one(struct block_reader *b, struct wanted *w, bool first, block_fn fn, void *arg)
{
	struct block_key key = { 0 }, before = b->before.key;
	struct bucket bucket;
	bool wanted = false;
	int err;

	bucket_init(&bucket);
	err = read_bucket(b, w, &key, &bucket, &wanted);
	if (err == 0 && (columns_bad(b) || (!first && !key_rises(before, key))))
		err = ERR_CORRUPT;
	if (err == 0 && wanted)
		err = fn(arg, key, &bucket);
	sum_release(&bucket.sum);
	return err;
}

int block_read_some(struct span body, size_t count, const struct block_want *want, block_fn fn, void *arg)
{
	struct block_reader b = { .before = before_first, .shape = -1 };
	struct wanted w = { .want = want };
	int err = count ? open_columns(&b, body) : ERR_CORRUPT;

	for (size_t i = 0; i < count && err == 0; i++) {
		err = read_one(&b, &w, i == 0, fn, arg);
		if (err == 0 && is_past(&w, b.before.key))
			return 0;
		if (err == 0 && want && b.repeats)
			i += skip_run(&b, want->sids[w.next], count - 1 - i, &err);
	}
	if (err)
		return err;
	return columns_ended(&b) ? 0 : ERR_CORRUPT;
}

int block_read(struct span body, size_t count, block_fn fn, void *arg)
{
	return block_read_some(body, count, NULL, fn, arg);
}

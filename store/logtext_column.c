/*
 * logtext_column.c - the numbers of templates, column by column, as they are needed.
 */
#include "store/logtext_read.h"

/* ---- where they are ---- */

static struct column *column_of(struct logtext *x, const struct template *t, uint32_t slot)
{
	return &x->columns[t->first_column + (t->count < FEW_SEGMENTS ? 0 : slot)];
}

/* Tells each column where it is in which frame, and each template where its runs go. */
static int read_places(struct logtext *x, struct span places, size_t *ret_runs)
{
	struct reader r = reader_of(places);
	size_t ends[CLASSES + 1] = { 0 }, runs = 0;

	for (size_t i = 0; i < x->n_templates; i++) {
		struct template *t = &x->templates[i];
		bool few = t->count < FEW_SEGMENTS;
		uint32_t pieces = few && t->slots ? 1 : t->slots;

		t->first_run = runs;
		runs += (size_t)t->slots * t->count;
		if (runs > x->raw_len)
			return ERR_CORRUPT;
		for (uint32_t j = 0; j < pieces; j++) {
			struct column *c = &x->columns[t->first_column + j];
			uint64_t v = read_varint(&r), len = few ? v : v >> CLASS_BITS;

			c->class = few ? CLASS_FEW : (uint8_t)(v % CLASSES);
			c->decoded = false;
			c->at = ends[c->class];
			c->bytes.len = len;
			if (len > x->numbers_frames[c->class].raw_len - c->at)
				return ERR_CORRUPT;
			ends[c->class] += len;
		}
	}
	for (int i = 0; i <= CLASSES; i++)
		r.bad |= ends[i] != x->numbers_frames[i].raw_len;
	*ret_runs = runs;
	return r.bad || reader_left(&r) ? ERR_CORRUPT : 0;
}

static int reserve_runs(struct logtext *x, size_t n)
{
	size_t values = x->runs_cap, digits = x->runs_cap;
	int err = logtext_reserve(&x->values, &values, n, sizeof *x->values);

	if (err == 0)
		err = logtext_reserve(&x->digits, &digits, n, 1);
	x->runs_cap = err == 0 ? values : 0;
	return err;
}

static int need_places(struct logtext *x)
{
	struct span places;
	size_t runs = 0;
	int err;

	if (x->has_columns)
		return 0;
	err = logtext_open_frame(&x->columns_frame, x->n_columns * VARINT_MAX, &x->columns_buf, &places);
	if (err == 0)
		err = logtext_reserve(&x->columns, &x->columns_cap, x->n_columns, sizeof *x->columns);
	if (err == 0)
		err = read_places(x, places, &runs);
	x->n_runs = runs;
	if (err == 0)
		err = reserve_runs(x, runs);
	x->has_columns = err == 0;
	return err;
}

static int need_bytes(struct logtext *x, struct column *c)
{
	struct span *numbers = &x->numbers_of[c->class];
	size_t most = x->n_runs * (2 + VARINT_MAX + RUN_DIGITS_MAX);
	int err = numbers->data ? 0
				: logtext_open_frame(&x->numbers_frames[c->class], most,
						     &x->numbers[c->class], numbers);

	if (err < 0) {
		*numbers = (struct span){ 0 };
		return err;
	}
	c->bytes.data = numbers->data + c->at;
	return 0;
}

/* ---- what they are ---- */

static int set_digits(const uint64_t *values, uint8_t *digits, size_t n, uint8_t width)
{
	bool bad = width > RUN_DIGITS_MAX;

	if (width) {
		memset(digits, width, n);
		return bad ? ERR_CORRUPT : 0;
	}
	for (size_t i = 0; i < n; i++) {
		digits[i] = (uint8_t)digits_of(values[i]);
		bad |= digits[i] > RUN_DIGITS_MAX;
	}
	return bad ? ERR_CORRUPT : 0;
}

/* The 7 bits of each of the low n bytes of x, together; n is 1 to 8. */
static uint64_t join_sevens(uint64_t x, unsigned n)
{
	x &= ~UINT64_C(0) >> (64 - 8 * n);
	x = (x & 0x007f007f007f007f) | (x & 0x7f007f007f007f00) >> 1;
	x = (x & 0x00003fff00003fff) | (x & 0x3fff00003fff0000) >> 2;
	return (x & 0x000000000fffffff) | (x & 0x0fffffff00000000) >> 4;
}

/* n varints in a row: as read_varint, without a branch for each of their bytes. */
static void read_varints(struct reader *r, uint64_t *to, size_t n)
{
	size_t i = 0;

	for (; i < n && !r->bad && r->end - r->p >= 8; i++) {
		uint64_t x = get_le64(r->p), ends = ~x & 0x8080808080808080;
		unsigned bytes;

		if (!ends)
			to[i] = read_varint(r);
		if (!ends)
			continue;
		bytes = (unsigned)__builtin_ctzll(ends) / 8 + 1;
		to[i] = join_sevens(x, bytes);
		r->p += bytes;
	}
	for (; i < n; i++)
		to[i] = read_varint(r);
}

static int read_values(struct reader *r, enum column_kind kind, uint64_t *values, uint8_t *digits, size_t n)
{
	uint8_t width = read_u8(r);

	if (kind == COLUMN_SAME) {
		values[0] = read_varint(r);
		for (size_t i = 1; i < n; i++)
			values[i] = values[0];
	} else {
		read_varints(r, values, n);
	}
	for (size_t i = 1; i < n && kind == COLUMN_DELTA; i++)
		values[i] = values[i - 1] + (uint64_t)unzigzag(values[i]);
	return set_digits(values, digits, n, width);
}

/* Eight digits at once, the first one lowest in x; false where one is none. */
static bool join_digits(uint64_t x, uint64_t *ret)
{
	const uint64_t high = 0xf0f0f0f0f0f0f0f0, zeros = 0x3030303030303030;

	if ((x & high) != zeros || ((x + 0x0606060606060606) & high) != zeros)
		return false;
	x -= zeros;
	x = (x * 10 + (x >> 8)) & 0x00ff00ff00ff00ff;
	x = (x * 100 + (x >> 16)) & 0x0000ffff0000ffff;
	*ret = (x * 10000 + (x >> 32)) & 0xffffffff;
	return true;
}

static bool number_of(struct span text, uint64_t *ret)
{
	uint64_t v = 0, eight;
	size_t i = 0;

	for (; i + 8 <= text.len; i += 8) {
		if (!join_digits(get_le64(text.data + i), &eight))
			return false;
		v = v * 100000000 + eight;
	}
	for (; i < text.len; i++) {
		if (!is_digit(text.data[i]))
			return false;
		v = v * 10 + (uint64_t)(text.data[i] - '0');
	}
	*ret = v;
	return true;
}

static int read_digits(struct reader *r, uint64_t *values, uint8_t *digits, size_t n)
{
	struct span lengths = read_bytes(r, n);

	if (lengths.len != n)
		return ERR_CORRUPT;
	for (size_t i = 0; i < n; i++) {
		struct span text = read_bytes(r, lengths.data[i]);

		if (text.len == 0 || text.len > RUN_DIGITS_MAX || !number_of(text, &values[i]))
			return ERR_CORRUPT;
		digits[i] = lengths.data[i];
	}
	return 0;
}

static int read_column(struct logtext *x, struct reader *r, const struct template *t, uint32_t slot)
{
	size_t at = t->first_run + (size_t)slot * t->count;
	uint8_t kind = read_u8(r);

	if (r->bad || t->count == 0)
		return ERR_CORRUPT;
	if (kind == COLUMN_DIGITS)
		return read_digits(r, x->values + at, x->digits + at, t->count);
	if (kind < COLUMN_SAME || kind > COLUMN_DELTA)
		return ERR_CORRUPT;
	return read_values(r, kind, x->values + at, x->digits + at, t->count);
}

int logtext_need_column(struct logtext *x, struct template *t, uint32_t slot)
{
	bool few = t->count < FEW_SEGMENTS;
	int err = need_places(x);
	struct column *c;
	struct reader r;

	if (err < 0)
		return err;
	c = column_of(x, t, slot);
	if (c->decoded)
		return 0;
	err = need_bytes(x, c);
	if (err < 0)
		return err;
	r = reader_of(c->bytes);
	for (uint32_t s = few ? 0 : slot, end = few ? t->slots : slot + 1; s < end && err == 0; s++)
		err = read_column(x, &r, t, s);
	if (err == 0 && (r.bad || reader_left(&r)))
		err = ERR_CORRUPT;
	c->decoded = err == 0;
	return err;
}

int logtext_need_columns(struct logtext *x, struct template *t)
{
	int err = 0;

	for (uint32_t slot = 0; slot < t->slots && !t->decoded && err == 0; slot++)
		err = logtext_need_column(x, t, slot);
	t->decoded = err == 0;
	return err;
}

int logtext_most_digits(struct logtext *x, const struct template *t, uint32_t slot, unsigned *ret)
{
	int err = need_places(x);
	unsigned class;

	if (err < 0)
		return err;
	class = column_of(x, t, slot)->class;
	*ret = class == CLASS_FEW ? RUN_DIGITS_MAX : class_digits[class];
	return 0;
}

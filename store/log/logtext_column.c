/*
 * logtext_column.c - the numbers of templates, column by column, as they are needed.
 */
#include "store/log/logtext_read.h"

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
	size_t values = x->runs_cap, digits = values;
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

/* n varints in a row: as read_varint, eight that are a byte each in one go, others without a branch for each
 * of their bytes. */
static void read_varints(struct reader *r, uint64_t *to, size_t n)
{
	const uint8_t *p = r->p;
	size_t i = 0;

	while (i < n && !r->bad && r->end - p >= 8) {
		uint64_t x = get_le64(p), ends = ~x & 0x8080808080808080;
		unsigned bytes;

		if (ends == 0x8080808080808080 && n - i >= 8) {
			for (int j = 0; j < 8; j++)
				to[i + j] = p[j];
			i += 8;
			p += 8;
		} else if (ends) {
			bytes = (unsigned)__builtin_ctzll(ends) / 8 + 1;
			to[i++] = join_sevens(x, bytes);
			p += bytes;
		} else {
			r->p = p;
			to[i++] = read_varint(r);
			p = r->p;
		}
	}
	r->p = p;
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

static uint64_t number_of(struct span text)
{
	uint64_t v = 0;
	size_t i = 0;

	for (; i + 8 <= text.len; i += 8)
		v = v * 100000000 + join_digits(get_le64(text.data + i) - EIGHT_ZEROS);
	for (; i < text.len; i++)
		v = v * 10 + (uint64_t)(text.data[i] - '0');
	return v;
}

/* n lengths and the digits of all. */
static int read_text(struct reader *r, size_t n, struct span *ret_lengths, struct span *ret_text)
{
	struct span lengths = read_bytes(r, n), text;
	bool bad = lengths.len == 0;
	size_t len = 0;

	for (size_t i = 0; i < lengths.len; i++) {
		len += lengths.data[i];
		bad |= lengths.data[i] == 0 || lengths.data[i] > RUN_DIGITS_MAX;
	}
	text = read_bytes(r, len);
	for (size_t i = 0; i < text.len; i++)
		bad |= !is_digit(text.data[i]);
	*ret_lengths = lengths;
	*ret_text = text;
	return r->bad || bad ? ERR_CORRUPT : 0;
}

/* Where each run is. */
static int read_digits(struct reader *r, uint64_t *values, uint8_t *digits, size_t n)
{
	struct span lengths, text;
	const uint8_t *at;
	int err = read_text(r, n, &lengths, &text);

	at = text.data;
	for (size_t i = 0; i < n && err == 0; at += lengths.data[i++])
		values[i] = (uintptr_t)at;
	if (err == 0)
		memcpy(digits, lengths.data, n);
	return err;
}

static int read_column(struct logtext *x, struct reader *r, const struct template *t, uint32_t slot)
{
	size_t at = t->first_run + (size_t)slot * t->count;
	uint8_t kind = read_u8(r);

	if (r->bad || t->count == 0)
		return ERR_CORRUPT;
	x->columns[t->first_column + slot].as_text = kind == COLUMN_DIGITS;
	if (kind == COLUMN_DIGITS)
		return read_digits(r, x->values + at, x->digits + at, t->count);
	if (kind < COLUMN_SAME || kind > COLUMN_DELTA)
		return ERR_CORRUPT;
	return read_values(r, kind, x->values + at, x->digits + at, t->count);
}

static int need_column(struct logtext *x, struct template *t, uint32_t slot)
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

int logtext_need_numbers(struct logtext *x, struct template *t, uint32_t slot)
{
	int err = need_column(x, t, slot);
	struct column *c;
	size_t run;

	if (err < 0 || !x->columns[t->first_column + slot].as_text)
		return err;
	c = &x->columns[t->first_column + slot];
	run = t->first_run + (size_t)slot * t->count;
	for (size_t i = run; i < run + t->count; i++)
		x->values[i] = number_of(span_of((const uint8_t *)(uintptr_t)x->values[i], x->digits[i]));
	c->as_text = false;
	return 0;
}

static void measure_pieces(struct logtext *x, const struct template *t)
{
	const uint8_t *at = t->text.data;

	for (uint32_t slot = 0; slot < t->slots; slot++) {
		const uint8_t *next = memchr(at, SLOT, (size_t)(t->text.data + t->text.len - at));

		x->columns[t->first_column + slot].before = (uint32_t)(next - at);
		at = next + 1;
	}
}

int logtext_need_columns(struct logtext *x, struct template *t)
{
	int err = 0;

	for (uint32_t slot = 0; slot < t->slots && err == 0; slot++)
		err = need_column(x, t, slot);
	if (err == 0)
		measure_pieces(x, t);
	t->decoded = err == 0;
	return err;
}

/* ---- digits in them ---- */

static unsigned most_digits(const struct column *c)
{
	return c->class == CLASS_FEW ? RUN_DIGITS_MAX : class_digits[c->class];
}

static int mark_same(struct reader *r, size_t n, const struct wanted *w, uint8_t *marks)
{
	unsigned width = read_u8(r);
	uint64_t v = read_varint(r);

	if (width > RUN_DIGITS_MAX)
		return ERR_CORRUPT;
	if (digits_hold(v, width ? width : digits_of(v), w))
		memset(marks, true, n);
	return 0;
}

/* As text. */
static int mark_text(struct reader *r, size_t n, const struct wanted *w, uint8_t *marks)
{
	struct span lengths, text;
	uint8_t wanted[RUN_DIGITS_MAX];
	const uint8_t *hit;
	size_t i = 0, end;
	int err = read_text(r, n, &lengths, &text);

	if (err < 0)
		return err;
	print_run(wanted, w->value, w->digits);
	end = lengths.data[0];
	for (size_t at = 0; (hit = memmem(text.data + at, text.len - at, wanted, w->digits)); at++) {
		at = (size_t)(hit - text.data);
		while (end <= at)
			end += lengths.data[++i];
		if (at + w->digits > end) /* goes on in the next one */
			continue;
		marks[i] = true;
		at = end - 1;
	}
	return 0;
}

static int mark_column(struct logtext *x, struct reader *r, const struct template *t, uint32_t slot,
		       unsigned most, const struct wanted *w, uint8_t *marks)
{
	size_t at = t->first_run + (size_t)slot * t->count;
	uint8_t kind = r->p < r->end ? *r->p : 0;
	int err;

	if (kind == COLUMN_SAME || kind == COLUMN_DIGITS) {
		read_u8(r);
		return t->count ? (kind == COLUMN_SAME ? mark_same : mark_text)(r, t->count, w, marks)
				: ERR_CORRUPT;
	}
	err = read_column(x, r, t, slot);
	if (err == 0)
		digits_mark(x->values + at, x->digits + at, t->count, most, w, marks);
	return err;
}

int logtext_most_digits(struct logtext *x, const struct template *t, uint32_t slot, unsigned *ret)
{
	int err = need_places(x);

	if (err == 0)
		*ret = most_digits(column_of(x, t, slot));
	return err;
}

int logtext_mark_digits(struct logtext *x, struct template *t, const struct wanted *w, uint8_t *marks)
{
	uint32_t pieces = t->count < FEW_SEGMENTS ? 1 : t->slots, slots = t->slots / pieces;
	int err = need_places(x);

	for (uint32_t i = 0; i < pieces && err == 0; i++) {
		struct column *c = column_of(x, t, i);
		struct reader r;

		if (most_digits(c) < w->digits)
			continue;
		err = need_bytes(x, c);
		r = reader_of(c->bytes);
		for (uint32_t s = i, end = i + slots; s < end && err == 0; s++)
			err = mark_column(x, &r, t, s, most_digits(c), w, marks);
		if (err == 0 && (r.bad || reader_left(&r)))
			err = ERR_CORRUPT;
	}
	return err;
}

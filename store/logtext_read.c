/*
 * logtext_read.c - texts from templates and numbers, and which of them may hold what is looked for.
 *
 * Everything is decoded when it is first needed: the templates by logtext_open, which template each
 * segment has by the first text, the numbers of a template by the first of its segments.
 */
#include <stdlib.h>

#include "store/base/compress.h"
#include "store/logtext_read.h"

int logtext_new(struct logtext **ret)
{
	struct logtext *x = calloc(1, sizeof *x);

	if (!x)
		return ERR_NOMEM;
	*ret = x;
	return 0;
}

void logtext_free(struct logtext *x)
{
	if (!x)
		return;
	buf_release(&x->head);
	buf_release(&x->lines);
	buf_release(&x->ids);
	buf_release(&x->numbers);
	free(x->templates);
	free(x->segments);
	free(x->first_segment);
	free(x->values);
	free(x->digits);
	free(x);
}

/* At least n entries of `size` bytes; what was in them is lost. */
static int reserve(void *array, size_t *cap, size_t n, size_t size)
{
	void **p = array, *more;

	if (n <= *cap)
		return 0;
	more = malloc(n * size);
	if (!more)
		return ERR_NOMEM;
	free(*p);
	*p = more;
	*cap = n;
	return 0;
}

/* ---- frames ---- */

static struct frame read_frame(struct reader *r)
{
	struct frame f = { .raw_len = read_varint(r) };

	f.packed = read_bytes(r, read_varint(r));
	return f;
}

/* What a frame holds; copied into b only where it is compressed. */
static int open_frame(const struct frame *f, size_t most, struct buf *b, struct span *ret)
{
	int err;

	if (f->raw_len > most || f->packed.len > f->raw_len)
		return ERR_CORRUPT;
	if (f->packed.len == f->raw_len) {
		*ret = f->packed;
		return 0;
	}
	buf_clear(b);
	b->max = most;
	err = buf_reserve(b, f->raw_len);
	if (err == 0)
		err = decompress_block(f->packed, b->data, f->raw_len);
	*ret = span_of(b->data, f->raw_len);
	return err;
}

static uint32_t count_slots(struct span text)
{
	uint32_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == SLOT;
	return n;
}

static int read_templates(struct logtext *x, struct span head, size_t bytes)
{
	struct reader r = reader_of(head);
	const uint8_t *at, *end = head.data + head.len;

	if (bytes > head.len)
		return ERR_CORRUPT;
	at = end - bytes;
	r.end = at;
	x->bytes = span_of(at, bytes);
	for (size_t i = 0; i < x->n_templates; i++) {
		uint64_t len = read_varint(&r), columns = read_varint(&r);

		if (r.bad || len > (uint64_t)(end - at) || columns > x->numbers_frame.raw_len)
			return ERR_CORRUPT;
		x->templates[i] = (struct template){ .text = span_of(at, len) };
		x->templates[i].slots = count_slots(x->templates[i].text);
		x->templates[i].columns.len = columns;
		at += len;
	}
	return at == end && reader_left(&r) == 0 ? 0 : ERR_CORRUPT;
}

int logtext_open(struct logtext *x, struct span packed, size_t n, size_t raw_len)
{
	struct reader r = reader_of(packed);
	uint64_t segments = read_varint(&r), templates = read_varint(&r), bytes = read_varint(&r);
	struct frame head = read_frame(&r);
	struct span text;
	int err;

	x->has_segments = x->has_numbers = false;
	x->n_texts = n;
	x->raw_len = raw_len;
	x->lines_frame = read_frame(&r);
	x->ids_frame = read_frame(&r);
	x->numbers_frame = read_frame(&r);
	if (r.bad || reader_left(&r) || raw_len > LOGTEXT_RAW_MAX || segments > raw_len ||
	    templates > segments)
		return ERR_CORRUPT;
	x->n_segments = segments;
	x->n_templates = templates;
	err = open_frame(&head, raw_len + templates * 2 * VARINT_MAX, &x->head, &text);
	if (err == 0)
		err = reserve(&x->templates, &x->templates_cap, templates, sizeof *x->templates);
	return err < 0 ? err : read_templates(x, text, bytes);
}

/* ---- segments ---- */

static int read_lines(struct logtext *x)
{
	struct span lines;
	struct reader r;
	uint64_t at = 0;
	int err = open_frame(&x->lines_frame, x->n_texts * VARINT_MAX, &x->lines, &lines);

	if (err < 0)
		return err;
	r = reader_of(lines);
	for (size_t i = 0; i < x->n_texts; i++) {
		uint64_t n = read_varint(&r);

		x->first_segment[i] = (uint32_t)at;
		if (n > x->n_segments - at)
			return ERR_CORRUPT;
		at += n;
	}
	x->first_segment[x->n_texts] = (uint32_t)at;
	return r.bad || reader_left(&r) || at != x->n_segments ? ERR_CORRUPT : 0;
}

static int read_ids(struct logtext *x)
{
	uint32_t before = 0;
	struct span ids;
	struct reader r;
	int err = open_frame(&x->ids_frame, x->n_segments * VARINT_MAX, &x->ids, &ids);

	if (err < 0)
		return err;
	r = reader_of(ids);
	for (size_t i = 0; i < x->n_segments; i++) {
		uint64_t id = read_varint(&r);

		if (id >= x->n_templates)
			return ERR_CORRUPT;
		x->segments[i] = (struct segment){ (uint32_t)id, x->templates[id].count++ };
	}
	for (size_t i = 0; i < x->n_templates; i++) {
		x->templates[i].first = before;
		before += x->templates[i].count;
	}
	return r.bad || reader_left(&r) ? ERR_CORRUPT : 0;
}

int logtext_need_segments(struct logtext *x)
{
	int err;

	if (x->has_segments)
		return 0;
	err = reserve(&x->segments, &x->segments_cap, x->n_segments, sizeof *x->segments);
	if (err == 0)
		err = reserve(&x->first_segment, &x->texts_cap, x->n_texts + 1, sizeof *x->first_segment);
	if (err == 0)
		err = read_lines(x);
	if (err == 0)
		err = read_ids(x);
	x->has_segments = err == 0;
	return err;
}

/* ---- numbers ---- */

static int reserve_runs(struct logtext *x, size_t n)
{
	size_t values = x->runs_cap, digits = x->runs_cap;
	int err = reserve(&x->values, &values, n, sizeof *x->values);

	if (err == 0)
		err = reserve(&x->digits, &digits, n, 1);
	x->runs_cap = err == 0 ? values : 0;
	return err;
}

/* Tells each template where its columns are, and where their runs go. */
static int need_numbers(struct logtext *x)
{
	size_t runs = 0;
	struct span numbers;
	struct reader r;
	int err;

	if (x->has_numbers)
		return 0;
	for (size_t i = 0; i < x->n_templates; i++) {
		x->templates[i].first_run = runs;
		runs += (size_t)x->templates[i].slots * x->templates[i].count;
		if (runs > x->raw_len)
			return ERR_CORRUPT;
	}
	err = open_frame(&x->numbers_frame, runs * (2 + VARINT_MAX + RUN_DIGITS_MAX), &x->numbers, &numbers);
	if (err == 0)
		err = reserve_runs(x, runs);
	if (err < 0)
		return err;
	r = reader_of(numbers);
	for (size_t i = 0; i < x->n_templates; i++)
		x->templates[i].columns = read_bytes(&r, x->templates[i].columns.len);
	if (r.bad || reader_left(&r))
		return ERR_CORRUPT;
	x->has_numbers = true;
	return 0;
}

static int read_values(struct reader *r, enum column kind, uint64_t *values, uint8_t *digits, size_t n)
{
	uint8_t width = read_u8(r);
	uint64_t v = read_varint(r);
	bool bad = width > RUN_DIGITS_MAX;

	for (size_t i = 0; i < n && !bad; i++) {
		if (i && kind == COLUMN_PLAIN)
			v = read_varint(r);
		else if (i && kind == COLUMN_DELTA)
			v += (uint64_t)read_zigzag(r);
		values[i] = v;
		digits[i] = width ? width : (uint8_t)digits_of(v);
		bad = digits[i] > RUN_DIGITS_MAX;
	}
	return bad ? ERR_CORRUPT : 0;
}

static int read_digits(struct reader *r, uint64_t *values, uint8_t *digits, size_t n)
{
	struct span lengths = read_bytes(r, n);

	if (lengths.len != n)
		return ERR_CORRUPT;
	for (size_t i = 0; i < n; i++) {
		struct span text = read_bytes(r, lengths.data[i]);
		uint64_t v = 0;

		if (text.len == 0 || text.len > RUN_DIGITS_MAX)
			return ERR_CORRUPT;
		for (size_t j = 0; j < text.len; j++) {
			if (!is_digit(text.data[j]))
				return ERR_CORRUPT;
			v = v * 10 + (uint64_t)(text.data[j] - '0');
		}
		values[i] = v;
		digits[i] = lengths.data[i];
	}
	return 0;
}

int logtext_need_columns(struct logtext *x, struct template *t)
{
	struct reader r;
	int err = t->decoded ? 0 : need_numbers(x);

	if (err < 0 || t->decoded)
		return err;
	r = reader_of(t->columns);
	for (uint32_t s = 0; s < t->slots && err == 0; s++) {
		size_t at = t->first_run + (size_t)s * t->count;
		uint8_t kind = read_u8(&r);

		if (kind == COLUMN_DIGITS)
			err = read_digits(&r, x->values + at, x->digits + at, t->count);
		else if (kind >= COLUMN_SAME && kind <= COLUMN_DELTA)
			err = read_values(&r, kind, x->values + at, x->digits + at, t->count);
		else
			err = ERR_CORRUPT;
	}
	if (err == 0 && (r.bad || reader_left(&r)))
		err = ERR_CORRUPT;
	t->decoded = err == 0;
	return err;
}

/* ---- texts ---- */

static size_t length_of(const struct logtext *x, const struct template *t, uint32_t nth)
{
	size_t len = t->text.len - t->slots;

	for (size_t i = 0, run = t->first_run + nth; i < t->slots; i++, run += t->count)
		len += x->digits[run];
	return len;
}

static int add_segment(struct logtext *x, const struct segment *s, struct buf *out)
{
	struct template *t = &x->templates[s->template];
	const uint8_t *at = t->text.data, *end = at + t->text.len;
	int err = logtext_need_columns(x, t);
	size_t run;
	uint8_t *to;

	if (err == 0)
		err = buf_reserve(out, length_of(x, t, s->nth));
	if (err < 0)
		return err;
	run = t->first_run + s->nth;
	to = out->data + out->len;
	for (; at < end; at++) {
		if (*at != SLOT) {
			*to++ = *at;
			continue;
		}
		print_run(to, x->values[run], x->digits[run]);
		to += x->digits[run];
		run += t->count;
	}
	out->len = (size_t)(to - out->data);
	return 0;
}

int logtext_get(struct logtext *x, size_t i, struct buf *out)
{
	int err = i < x->n_texts ? logtext_need_segments(x) : ERR_CORRUPT;

	for (size_t s = err < 0 ? 0 : x->first_segment[i]; err == 0 && s < x->first_segment[i + 1]; s++)
		err = add_segment(x, &x->segments[s], out);
	return err;
}

/*
 * logtext_read.c - texts from templates and numbers.
 *
 * Everything is decoded when it is first needed: the templates and which of them each segment has by
 * the first text, the numbers of a template by the first of its segments.
 */
#include <stdlib.h>

#include "store/base/compress.h"
#include "store/base/digits.h"
#include "store/log/logtext_read.h"

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
	buf_release(&x->columns_buf);
	for (int i = 0; i <= CLASSES; i++)
		buf_release(&x->numbers[i]);
	buf_release(&x->shape);
	free(x->templates);
	free(x->columns);
	free(x->segments);
	free(x->first_segment);
	free(x->values);
	free(x->digits);
	free(x->verdicts);
	free(x->marks);
	free(x);
}

int logtext_reserve(void *array, size_t *cap, size_t n, size_t size)
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

int logtext_open_frame(const struct frame *f, size_t most, struct buf *b, struct span *ret)
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

int logtext_open(struct logtext *x, struct span packed, size_t n, size_t raw_len)
{
	struct reader r = reader_of(packed);
	uint64_t segments = read_varint(&r), templates = read_varint(&r), bytes = read_varint(&r);

	x->has_templates = x->has_lines = x->has_segments = x->has_columns = false;
	memset(x->numbers_of, 0, sizeof x->numbers_of);
	x->n_texts = n;
	x->raw_len = raw_len;
	x->trigrams = read_lenspan(&r);
	x->head_frame = read_frame(&r);
	x->lines_frame = read_frame(&r);
	x->ids_frame = read_frame(&r);
	x->columns_frame = read_frame(&r);
	x->numbers_frames[CLASS_FEW] = read_frame(&r);
	for (int i = 0; i < CLASSES; i++)
		x->numbers_frames[i] = read_frame(&r);
	if (r.bad || reader_left(&r) || raw_len > LOGTEXT_RAW_MAX || segments > raw_len ||
	    templates > segments || bytes > raw_len)
		return ERR_CORRUPT;
	x->n_segments = segments;
	x->n_templates = templates;
	x->templates_bytes = bytes;
	return 0;
}

/* ---- templates ---- */

/* The slots of a template, eight bytes at a time. */
static uint32_t count_slots(struct span text)
{
	const uint64_t low = 0x7f7f7f7f7f7f7f7f;
	uint32_t n = 0;
	size_t i = 0;

	for (; i + 8 <= text.len; i += 8) {
		uint64_t x = get_le64(text.data + i) ^ 0x0101010101010101 * SLOT;

		x = ~(((x & low) + low) | x | low); /* 0x80 where there is one */
		n += (uint32_t)((x >> 7) * 0x0101010101010101 >> 56);
	}
	for (; i < text.len; i++)
		n += text.data[i] == SLOT;
	return n;
}

static int read_templates(struct logtext *x, struct span head)
{
	struct reader r = reader_of(head);
	const uint8_t *at, *end = head.data + head.len;
	uint32_t columns = 0;

	if (x->templates_bytes > head.len)
		return ERR_CORRUPT;
	at = end - x->templates_bytes;
	r.end = at;
	x->bytes = span_of(at, x->templates_bytes);
	for (size_t i = 0; i < x->n_templates; i++) {
		struct template *t = &x->templates[i];
		uint64_t len = read_varint(&r);

		if (r.bad || len > (uint64_t)(end - at))
			return ERR_CORRUPT;
		*t = (struct template){ .text = span_of(at, len), .first_column = columns };
		t->slots = count_slots(t->text);
		columns += t->slots;
		at += len;
	}
	x->n_columns = columns;
	return at == end && reader_left(&r) == 0 ? 0 : ERR_CORRUPT;
}

int logtext_need_templates(struct logtext *x)
{
	struct span head;
	int err;

	if (x->has_templates)
		return 0;
	err = logtext_open_frame(&x->head_frame, x->raw_len + x->n_templates * VARINT_MAX, &x->head, &head);
	if (err == 0)
		err = logtext_reserve(&x->templates, &x->templates_cap, x->n_templates, sizeof *x->templates);
	if (err == 0)
		err = read_templates(x, head);
	x->has_templates = err == 0;
	return err;
}

/* ---- segments ---- */

static int read_lines(struct logtext *x)
{
	struct span lines;
	struct reader r;
	uint64_t at = 0;
	int err = logtext_open_frame(&x->lines_frame, x->n_texts * VARINT_MAX, &x->lines, &lines);

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

int logtext_need_lines(struct logtext *x)
{
	int err;

	if (x->has_lines)
		return 0;
	err = logtext_reserve(&x->first_segment, &x->texts_cap, x->n_texts + 1, sizeof *x->first_segment);
	if (err == 0)
		err = read_lines(x);
	x->has_lines = err == 0;
	return err;
}

static int read_ids(struct logtext *x)
{
	uint32_t before = 0;
	struct span ids;
	struct reader r;
	int err = logtext_open_frame(&x->ids_frame, x->n_segments * VARINT_MAX, &x->ids, &ids);

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
	err = logtext_need_templates(x);
	if (err == 0)
		err = logtext_need_lines(x);
	if (err == 0)
		err = logtext_reserve(&x->segments, &x->segments_cap, x->n_segments, sizeof *x->segments);
	if (err == 0)
		err = read_ids(x);
	x->has_segments = err == 0;
	return err;
}

/* ---- texts ---- */

#define ROUGH_MAX (64 * 1024) /* bytes that may be reserved in vain */
#define SLACK     16          /* bytes that may be written behind the end, and then over */

/* At least the bytes of a segment: exactly where the most would be many. */
static size_t room_of(const struct logtext *x, const struct template *t, uint32_t nth)
{
	size_t len = t->text.len - t->slots + SLACK;

	if (t->text.len <= ROUGH_MAX / RUN_DIGITS_MAX)
		return len + (size_t)t->slots * RUN_DIGITS_MAX;
	for (size_t i = 0, run = t->first_run + nth; i < t->slots; i++, run += t->count)
		len += x->digits[run];
	return len;
}

/* A few bytes from a template: sixteen at once where so many are there. */
static void copy_piece(uint8_t *to, const uint8_t *from, size_t len, const uint8_t *end)
{
	if (len <= 16 && end - from >= 16)
		memcpy(to, from, 16);
	else
		memcpy(to, from, len);
}

/* 1 to 18 digits that are text, in pieces that lie over each other. */
static void copy_digits(uint8_t *to, const uint8_t *from, size_t n)
{
	if (n >= 8) {
		memcpy(to, from, 8);
		memcpy(to + n / 2 - 4, from + n / 2 - 4, 8);
		memcpy(to + n - 8, from + n - 8, 8);
	} else if (n >= 4) {
		memcpy(to, from, 4);
		memcpy(to + n - 4, from + n - 4, 4);
	} else {
		to[0] = from[0];
		to[n / 2] = from[n / 2];
		to[n - 1] = from[n - 1];
	}
}

/* Writes eight bytes at a time, up to SLACK of them behind the run. */
static void put_digits(uint8_t *to, uint64_t v, unsigned digits)
{
	uint64_t low;

	if (digits <= 2) { /* most of them */
		uint32_t two = (uint32_t)(v % 100);

		to[0] = (uint8_t)('0' + two / 10);
		to[digits - 1] = (uint8_t)('0' + two % 10);
		return;
	}
	low = eight_digits((uint32_t)(v % 100000000));
	if (digits <= 8) {
		put_le64(to, low >> (64 - 8 * digits));
		return;
	}
	put_digits(to, v / 100000000, digits - 8);
	put_le64(to + digits - 8, low);
}

static void add_run(const struct logtext *x, const struct column *c, size_t run, uint8_t *to)
{
	if (c->as_text)
		copy_digits(to, (const uint8_t *)(uintptr_t)x->values[run], x->digits[run]);
	else
		put_digits(to, x->values[run], x->digits[run]);
}

static int add_segment(struct logtext *x, const struct segment *s, struct buf *out)
{
	struct template *t = &x->templates[s->template];
	const uint8_t *at = t->text.data, *end = at + t->text.len, *last = x->bytes.data + x->bytes.len;
	int err = t->decoded ? 0 : logtext_need_columns(x, t);
	const struct column *c;
	uint8_t *to;
	size_t run;

	if (err == 0)
		err = buf_reserve(out, room_of(x, t, s->nth));
	if (err < 0)
		return err;
	to = out->data + out->len;
	c = t->slots ? &x->columns[t->first_column] : NULL;
	run = t->first_run + s->nth; /* known with the columns */
	for (uint32_t slot = 0; slot < t->slots; slot++, run += t->count, c++) {
		copy_piece(to, at, c->before, last);
		to += c->before;
		add_run(x, c, run, to);
		to += x->digits[run];
		at += c->before + 1;
	}
	memcpy(to, at, (size_t)(end - at));
	out->len = (size_t)(to + (end - at) - out->data);
	return 0;
}

int logtext_get(struct logtext *x, size_t i, struct buf *out)
{
	int err = i < x->n_texts ? logtext_need_segments(x) : ERR_CORRUPT;

	for (size_t s = err < 0 ? 0 : x->first_segment[i]; err == 0 && s < x->first_segment[i + 1]; s++)
		err = add_segment(x, &x->segments[s], out);
	return err;
}

/*
 * logtext.c - texts to templates and numbers.
 */
#include "store/log/logtext.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/base/array.h"
#include "store/base/compress.h"
#include "store/log/logtext_layout.h"
#include "store/log/trigrams.h"

#define LEVEL           3
#define FRAME_PLAIN_MAX 64  /* bytes that are not worth a frame of zstd */
#define TRIGRAMS_SHARE  128 /* of the packed form */
#define TRIGRAMS_LEAST  8   /* bytes; a block that makes less is opened as fast */

struct template
{
	uint64_t hash;
	uint32_t at, len; /* in pack.templates */
	uint32_t slots, count;
	uint32_t first; /* in pack.segments_of: of the segments that have it */
};

struct segment {
	uint32_t template, first_run;
};

struct pack {
	struct template *templates;
	uint32_t *index; /* open addressing: template + 1; 0: free */
	size_t n_templates, templates_cap, index_mask;
	struct segment *segments;
	size_t n_segments, segments_cap;
	uint64_t *values; /* of the runs, in the order of the text */
	uint8_t *digits;
	size_t n_runs, runs_cap;
	uint32_t *by_template; /* first runs of segments, grouped by template */
	struct buf bytes;      /* of all templates */
	struct buf head, lines, ids, columns, numbers[CLASSES + 1];
	struct buf frames; /* packed */
};

static void pack_release(struct pack *p)
{
	free(p->templates);
	free(p->index);
	free(p->segments);
	free(p->values);
	free(p->digits);
	free(p->by_template);
	buf_release(&p->bytes);
	buf_release(&p->head);
	buf_release(&p->lines);
	buf_release(&p->ids);
	buf_release(&p->columns);
	for (int i = 0; i <= CLASSES; i++)
		buf_release(&p->numbers[i]);
	buf_release(&p->frames);
}

/* ---- taking segments apart ---- */

static int grow_runs(struct pack *p)
{
	size_t cap = p->runs_cap ? p->runs_cap * 2 : 4096;
	uint64_t *values = realloc(p->values, cap * sizeof *values);
	uint8_t *digits;

	if (!values)
		return ERR_NOMEM;
	p->values = values;
	digits = realloc(p->digits, cap);
	if (!digits)
		return ERR_NOMEM;
	p->digits = digits;
	p->runs_cap = cap;
	return 0;
}

/* One run of at most RUN_DIGITS_MAX digits; returns its end. */
static const uint8_t *take_run(struct pack *p, const uint8_t *at, const uint8_t *end)
{
	const uint8_t *from = at;
	uint64_t value = 0, x, others;

	if (end - at >= 8 && (others = ~digit_bytes(x = get_le64(at)) & 0x8080808080808080)) {
		unsigned shift =
		    64 - (unsigned)__builtin_ctzll(others) / 8 * 8; /* not 64: it begins with one */

		value = join_digits((x - EIGHT_ZEROS) << shift);
		at += 8 - shift / 8;
		end = at;
	}
	while (at < end && is_digit(*at) && at - from < RUN_DIGITS_MAX)
		value = value * 10 + (uint64_t)(*at++ - '0');
	p->values[p->n_runs] = value;
	p->digits[p->n_runs++] = (uint8_t)(at - from);
	return at;
}

/* Copies what is before a digit, or all; returns how much. */
static size_t copy_until_digit(uint8_t *out, const uint8_t *from, const uint8_t *end)
{
	const uint8_t *at = from;

	for (; end - at >= 8; at += 8, out += 8) {
		uint64_t x = get_le64(at), digits = digit_bytes(x);

		put_le64(out, x);
		if (digits)
			return (size_t)(at - from) + (size_t)__builtin_ctzll(digits) / 8;
	}
	while (at < end && !is_digit(*at))
		*out++ = *at++;
	return (size_t)(at - from);
}

/* Appends the segment's template to bytes, and its runs to the runs. */
static int take_apart(struct pack *p, struct span segment, uint32_t *ret_slots)
{
	const uint8_t *at = segment.data, *end = at + segment.len;
	size_t before = p->n_runs;
	uint8_t *out;
	int err = buf_reserve(&p->bytes, segment.len);

	if (err < 0)
		return err;
	out = p->bytes.data + p->bytes.len;
	while (at < end) {
		size_t n = copy_until_digit(out, at, end);

		at += n;
		out += n;
		if (at == end)
			break;
		if (p->n_runs == p->runs_cap && grow_runs(p) < 0)
			return ERR_NOMEM;
		at = take_run(p, at, end);
		*out++ = SLOT;
	}
	*ret_slots = (uint32_t)(p->n_runs - before);
	p->bytes.len = (size_t)(out - p->bytes.data);
	return 0;
}

/* ---- templates ---- */

static int grow_templates(struct pack *p)
{
	size_t cap = p->templates_cap ? p->templates_cap * 2 : 1024, mask = cap * 2 - 1;
	struct template *t = realloc(p->templates, cap * sizeof *t);
	uint32_t *index;

	if (!t)
		return ERR_NOMEM;
	p->templates = t;
	index = calloc(mask + 1, sizeof *index);
	if (!index)
		return ERR_NOMEM;
	for (size_t i = 0; i < p->n_templates; i++) {
		size_t at = p->templates[i].hash & mask;

		while (index[at])
			at = (at + 1) & mask;
		index[at] = (uint32_t)i + 1;
	}
	free(p->index);
	p->index = index;
	p->index_mask = mask;
	p->templates_cap = cap;
	return 0;
}

/* The template that lies at the end of bytes from `at` on; one that is there already is dropped. */
static int find_template(struct pack *p, uint32_t at, uint32_t slots, uint32_t *ret)
{
	struct span text = span_of(p->bytes.data + at, p->bytes.len - at);
	uint64_t hash = XXH3_64bits(text.data, text.len);
	size_t i;

	if (p->n_templates == p->templates_cap && grow_templates(p) < 0)
		return ERR_NOMEM;
	for (i = hash & p->index_mask; p->index[i]; i = (i + 1) & p->index_mask) {
		struct template *t = &p->templates[p->index[i] - 1];

		if (t->hash != hash || !span_equal(text, span_of(p->bytes.data + t->at, t->len)))
			continue;
		p->bytes.len = at;
		t->count++;
		*ret = p->index[i] - 1;
		return 0;
	}
	p->templates[p->n_templates++] = (struct template){
		.hash = hash, .at = at, .len = (uint32_t)text.len, .slots = slots, .count = 1
	};
	p->index[i] = (uint32_t)p->n_templates;
	*ret = (uint32_t)p->n_templates - 1;
	return 0;
}

static int add_segment(struct pack *p, struct span segment)
{
	struct segment s = { .first_run = (uint32_t)p->n_runs };
	uint32_t at = (uint32_t)p->bytes.len, slots;
	int err = take_apart(p, segment, &slots);

	if (err == 0)
		err = find_template(p, at, slots, &s.template);
	if (err < 0)
		return err;
	if (array_grow(p->segments, p->n_segments, p->segments_cap) < 0)
		return ERR_NOMEM;
	p->segments[p->n_segments++] = s;
	return buf_add_varint(&p->ids, s.template);
}

/* Length of the first segment of a text that is not empty. */
static size_t segment_len(struct span text)
{
	const uint8_t *end = text.data + text.len;
	const uint8_t *newline = memchr(text.data, '\n', text.len);
	const uint8_t *stop = newline ? newline + 1 : end;
	const uint8_t *back = memchr(text.data, '\r', (size_t)(stop - text.data));

	while (back && back + 1 < end && back[1] == '\n')
		back = back + 2 < stop ? memchr(back + 2, '\r', (size_t)(stop - back - 2)) : NULL;
	return (size_t)((back ? back + 1 : stop) - text.data);
}

static int add_text(struct pack *p, struct span text)
{
	size_t before = p->n_segments;
	int err = 0;

	while (text.len && err == 0) {
		size_t n = segment_len(text);

		err = add_segment(p, span_of(text.data, n));
		text = span_of(text.data + n, text.len - n);
	}
	return err < 0 ? err : buf_add_varint(&p->lines, p->n_segments - before);
}

/* ---- columns ---- */

static size_t varint_bytes(uint64_t v) { return (size_t)(70 - __builtin_clzll(v | 1)) / 7; }

/* What the runs of a column have in common. */
struct shape {
	bool same, canonical, one_width;
	size_t plain_bytes, delta_bytes;
	unsigned most_digits;
};

static struct shape shape_of(const struct pack *p, const uint32_t *runs, size_t n, uint32_t slot)
{
	struct shape s = { .same = true, .canonical = true, .one_width = true };
	size_t first = runs[0] + slot;
	uint64_t before = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t v = p->values[runs[i] + slot];
		uint8_t digits = p->digits[runs[i] + slot];

		s.one_width &= digits == p->digits[first];
		s.same &= v == p->values[first];
		s.canonical = s.canonical && digits == digits_of(v);
		s.plain_bytes += varint_bytes(v);
		s.delta_bytes += varint_bytes(i ? zigzag((int64_t)(v - before)) : v);
		s.most_digits = digits > s.most_digits ? digits : s.most_digits;
		before = v;
	}
	s.same &= s.one_width;
	return s;
}

static uint8_t *put_values(uint8_t *out, const struct pack *p, const uint32_t *runs, size_t n, uint32_t slot,
			   bool delta)
{
	uint64_t before = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t v = p->values[runs[i] + slot];

		out = put_varint(out, delta && i ? zigzag((int64_t)(v - before)) : v);
		before = v;
	}
	return out;
}

static uint8_t *put_digits(uint8_t *out, const struct pack *p, const uint32_t *runs, size_t n, uint32_t slot)
{
	for (size_t i = 0; i < n; i++)
		*out++ = p->digits[runs[i] + slot];
	for (size_t i = 0; i < n; i++) {
		size_t run = runs[i] + slot;

		print_run(out, p->values[run], p->digits[run]);
		out += p->digits[run];
	}
	return out;
}

static unsigned class_of(unsigned most_digits)
{
	unsigned i = 0;

	while (most_digits > class_digits[i])
		i++;
	return i;
}

static int put_column(const struct pack *p, const uint32_t *runs, size_t n, uint32_t slot,
		      const struct shape *s, struct buf *to)
{
	uint8_t digits = s->canonical ? 0 : p->digits[runs[0] + slot], *out;
	int err = buf_reserve(to, 2 + n * (VARINT_MAX + RUN_DIGITS_MAX));

	if (err < 0)
		return err;
	out = to->data + to->len;
	if (s->same) {
		*out++ = COLUMN_SAME;
		*out++ = digits;
		out = put_varint(out, p->values[runs[0] + slot]);
	} else if (s->canonical || s->one_width) {
		bool delta = s->delta_bytes <= s->plain_bytes;

		*out++ = delta ? COLUMN_DELTA : COLUMN_PLAIN;
		*out++ = digits;
		out = put_values(out, p, runs, n, slot, delta);
	} else {
		*out++ = COLUMN_DIGITS;
		out = put_digits(out, p, runs, n, slot);
	}
	to->len = (size_t)(out - to->data);
	return 0;
}

static int put_few(struct pack *p, const struct template *t, const uint32_t *runs)
{
	struct buf *to = &p->numbers[CLASS_FEW];
	size_t before = to->len;
	int err = 0;

	for (uint32_t slot = 0; slot < t->slots && err == 0; slot++) {
		struct shape s = shape_of(p, runs, t->count, slot);

		err = put_column(p, runs, t->count, slot, &s, to);
	}
	return err < 0 || !t->slots ? err : buf_add_varint(&p->columns, to->len - before);
}

static int put_many(struct pack *p, const struct template *t, const uint32_t *runs)
{
	int err = 0;

	for (uint32_t slot = 0; slot < t->slots && err == 0; slot++) {
		struct shape s = shape_of(p, runs, t->count, slot);
		unsigned class = class_of(s.most_digits);
		struct buf *to = &p->numbers[class];
		size_t before = to->len;

		err = put_column(p, runs, t->count, slot, &s, to);
		if (err == 0)
			err = buf_add_varint(&p->columns, (to->len - before) << CLASS_BITS | class);
	}
	return err;
}

/* The first runs of the segments of each template, one template after the other. */
static int group_runs(struct pack *p)
{
	uint32_t next = 0;

	p->by_template = malloc((p->n_segments + 1) * sizeof *p->by_template);
	if (!p->by_template)
		return ERR_NOMEM;
	for (size_t i = 0; i < p->n_templates; i++) {
		p->templates[i].first = next;
		next += p->templates[i].count;
		p->templates[i].count = 0;
	}
	for (size_t i = 0; i < p->n_segments; i++) {
		struct template *t = &p->templates[p->segments[i].template];

		p->by_template[t->first + t->count++] = p->segments[i].first_run;
	}
	return 0;
}

static int put_columns(struct pack *p)
{
	int err = group_runs(p);

	for (size_t i = 0; i < p->n_templates && err == 0; i++) {
		const struct template *t = &p->templates[i];

		err = (t->count < FEW_SEGMENTS ? put_few : put_many)(p, t, p->by_template + t->first);
	}
	return err;
}

/* ---- the packed form ---- */

static int put_frame(struct span raw, struct buf *out)
{
	struct buf packed;
	struct span body = raw;
	int err = ERR_FULL;

	buf_init(&packed, raw.len ? raw.len - 1 : 0);
	if (raw.len > FRAME_PLAIN_MAX)
		err = compress_block(raw, LEVEL, &packed);
	if (err == 0)
		body = buf_span(&packed);
	if (err == 0 || err == ERR_FULL) {
		err = buf_add_varint(out, raw.len);
		if (err == 0)
			err = buf_add_varint(out, body.len);
		if (err == 0)
			err = buf_add(out, body.data, body.len);
	}
	buf_release(&packed);
	return err;
}

static int put_frames(struct pack *p)
{
	struct buf *out = &p->frames;
	int err = 0;

	for (size_t i = 0; i < p->n_templates && err == 0; i++)
		err = buf_add_varint(&p->head, p->templates[i].len);
	if (err == 0)
		err = buf_add(&p->head, p->bytes.data, p->bytes.len);
	if (err == 0)
		err = put_frame(buf_span(&p->head), out);
	if (err == 0)
		err = put_frame(buf_span(&p->lines), out);
	if (err == 0)
		err = put_frame(buf_span(&p->ids), out);
	if (err == 0)
		err = put_frame(buf_span(&p->columns), out);
	if (err == 0)
		err = put_frame(buf_span(&p->numbers[CLASS_FEW]), out);
	for (int i = 0; i < CLASSES && err == 0; i++)
		err = put_frame(buf_span(&p->numbers[i]), out);
	return err;
}

static int put_trigrams(const struct pack *p, struct buf *out)
{
	size_t n = p->frames.len / TRIGRAMS_SHARE;
	int err;

	if (n < TRIGRAMS_LEAST)
		n = 0;
	err = buf_add_varint(out, n);
	if (err == 0)
		err = buf_reserve(out, n);
	if (err < 0 || n == 0)
		return err;
	memset(out->data + out->len, 0, n);
	for (size_t i = 0; i < p->n_templates; i++) {
		const struct template *t = &p->templates[i];

		trigrams_add(out->data + out->len, n, span_of(p->bytes.data + t->at, t->len));
	}
	out->len += n;
	return 0;
}

static int put_all(struct pack *p, struct buf *out)
{
	int err = put_frames(p);

	if (err == 0)
		err = buf_add_varint(out, p->n_segments);
	if (err == 0)
		err = buf_add_varint(out, p->n_templates);
	if (err == 0)
		err = buf_add_varint(out, p->bytes.len);
	if (err == 0)
		err = put_trigrams(p, out);
	return err < 0 ? err : buf_add(out, p->frames.data, p->frames.len);
}

static void pack_init(struct pack *p)
{
	buf_init(&p->bytes, 2 * LOGTEXT_RAW_MAX);
	buf_init(&p->head, SIZE_MAX / 2);
	buf_init(&p->lines, SIZE_MAX / 2);
	buf_init(&p->ids, SIZE_MAX / 2);
	buf_init(&p->columns, SIZE_MAX / 2);
	for (int i = 0; i <= CLASSES; i++)
		buf_init(&p->numbers[i], SIZE_MAX / 2);
	buf_init(&p->frames, SIZE_MAX / 2);
}

int logtext_pack(const struct span *texts, size_t n, struct buf *out)
{
	struct pack p = { 0 };
	size_t before = out->len, raw = 0;
	int err = 0;

	for (size_t i = 0; i < n; i++)
		raw += texts[i].len;
	if (raw > LOGTEXT_RAW_MAX)
		return ERR_TOO_LARGE;
	pack_init(&p);
	for (size_t i = 0; i < n && err == 0; i++)
		err = add_text(&p, texts[i]);
	if (err == 0)
		err = put_columns(&p);
	if (err == 0)
		err = put_all(&p, out);
	if (err < 0)
		out->len = before;
	pack_release(&p);
	return err;
}

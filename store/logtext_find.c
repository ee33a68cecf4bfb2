/*
 * logtext_find.c - which texts may hold some bytes, told from templates and numbers.
 *
 * What is looked for is taken apart like a text.  Its template has to be in the text's template; runs
 * that have something on both sides must then be equal, one at the beginning is the end of a run of
 * the text, one at the end the beginning of one.  Where that gets hard (more digits than a slot
 * holds, an end of segment inside) everything is "maybe".
 */
#include <stdlib.h>

#include "store/logtext_read.h"

#define NEEDLE_MAX 512

struct needle {
	bool hard;
	uint8_t text[NEEDLE_MAX]; /* its template */
	size_t len, runs;
	uint64_t values[NEEDLE_MAX];
	uint8_t digits[NEEDLE_MAX];
};

/* An end of segment that is not the end of the bytes. */
static bool has_inner_end(struct span bytes)
{
	size_t inner = bytes.len - 1;

	if (inner && bytes.data[inner] == '\n' && bytes.data[inner - 1] == '\r')
		inner--;
	return memchr(bytes.data, '\n', inner) || memchr(bytes.data, '\r', inner);
}

static struct needle needle_of(struct span bytes)
{
	struct needle n = { .hard = bytes.len == 0 || bytes.len > NEEDLE_MAX || has_inner_end(bytes) };

	for (size_t i = 0; i < bytes.len && !n.hard;) {
		uint64_t value = 0;
		uint8_t digits = 0;

		if (!is_digit(bytes.data[i])) {
			n.text[n.len++] = bytes.data[i++];
			continue;
		}
		for (; i < bytes.len && is_digit(bytes.data[i]) && digits <= RUN_DIGITS_MAX; digits++)
			value = value * 10 + (uint64_t)(bytes.data[i++] - '0');
		n.hard = digits > RUN_DIGITS_MAX;
		n.values[n.runs] = value;
		n.digits[n.runs++] = digits;
		n.text[n.len++] = SLOT;
	}
	return n;
}

static const uint8_t *find_in(struct span text, const struct needle *n)
{
	return n->len ? memmem(text.data, text.len, n->text, n->len) : NULL;
}

bool logtext_may_hold(const struct logtext *x, struct span bytes)
{
	struct needle n = needle_of(bytes);

	return n.hard || find_in(x->bytes, &n);
}

static const uint64_t powers_of_ten[RUN_DIGITS_MAX + 1] = {
	1,
	10,
	100,
	1000,
	10000,
	100000,
	1000000,
	10000000,
	100000000,
	1000000000,
	10000000000,
	100000000000,
	1000000000000,
	10000000000000,
	100000000000000,
	1000000000000000,
	10000000000000000,
	100000000000000000,
	1000000000000000000,
};

/* Whether a run of the text, `digits` long, may hold the needle's run at its end or beginning or
 * anywhere. */
static bool run_fits(uint64_t v, unsigned digits, uint64_t wanted, unsigned n, bool at_start, bool at_end)
{
	if (digits < n)
		return false;
	if (!at_start && !at_end)
		return digits == n && v == wanted;
	if (!at_end)
		return v % powers_of_ten[n] == wanted;
	if (!at_start)
		return v / powers_of_ten[digits - n] == wanted;
	for (; digits >= n; digits--, v /= 10)
		if (v % powers_of_ten[n] == wanted)
			return true;
	return false;
}

/* The needle's template begins at `at`; the first of its slots is `slot`. */
static bool fits_at(const struct logtext *x, const struct template *t, uint32_t nth, const uint8_t *at,
		    uint32_t slot, const struct needle *n)
{
	const uint8_t *end = t->text.data + t->text.len;

	for (size_t i = 0; i < n->runs; i++) {
		size_t run = t->first_run + (size_t)(slot + i) * t->count + nth;
		bool at_start = i == 0 && n->text[0] == SLOT;
		bool at_end = i + 1 == n->runs && n->text[n->len - 1] == SLOT;

		/* a run of more digits than a slot holds goes on in the slot beside */
		if (at_start && at > t->text.data && at[-1] == SLOT)
			continue;
		if (at_end && at + n->len < end && at[n->len] == SLOT)
			continue;
		if (!run_fits(x->values[run], x->digits[run], n->values[i], n->digits[i], at_start, at_end))
			return false;
	}
	return true;
}

/* Marks the segments of a template, in their order, that may hold the needle. */
static int mark_template(struct logtext *x, struct template *t, const struct needle *n, uint8_t *marks)
{
	const uint8_t *at = t->text.data, *end = at + t->text.len, *from = at, *hit = find_in(t->text, n);
	uint32_t slot = 0;
	int err = hit && n->runs ? logtext_need_columns(x, t) : 0;

	if (hit && !n->runs)
		memset(marks, 1, t->count);
	while (hit && n->runs && err == 0) {
		for (; at < hit; at++)
			slot += *at == SLOT;
		for (uint32_t nth = 0; nth < t->count; nth++)
			marks[nth] |= fits_at(x, t, nth, hit, slot, n);
		from = hit + 1;
		hit = find_in(span_of(from, (size_t)(end - from)), n);
	}
	return err;
}

static bool is_marked(const struct logtext *x, size_t text, const uint8_t *marks)
{
	for (uint32_t s = x->first_segment[text]; s < x->first_segment[text + 1]; s++)
		if (marks[x->templates[x->segments[s].template].first + x->segments[s].nth])
			return true;
	return false;
}

int logtext_find(struct logtext *x, struct span bytes, uint8_t *maybe)
{
	struct needle n = needle_of(bytes);
	uint8_t *marks;
	int err = logtext_need_segments(x);

	if (err < 0)
		return err;
	memset(maybe, n.hard, x->n_texts);
	if (n.hard || !find_in(x->bytes, &n))
		return 0;
	marks = calloc(x->n_segments, 1);
	if (!marks)
		return ERR_NOMEM;
	for (size_t i = 0; i < x->n_templates && err == 0; i++)
		err = mark_template(x, &x->templates[i], &n, marks + x->templates[i].first);
	for (size_t i = 0; i < x->n_texts && err == 0; i++)
		maybe[i] = is_marked(x, i, marks);
	free(marks);
	return err;
}

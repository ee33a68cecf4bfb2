/*
 * logtext_find.c - which texts a hint lets through, told from templates and numbers.
 *
 * A text of one segment has the shape of its template, so that a template's verdict is one for many
 * texts; of several segments, their templates in a row are the shape.
 *
 * Bytes that are looked for are taken apart like a text.  Their template has to be in the text's; runs that
 * have something on both sides must then be equal, one at the beginning is the end of a run of the text, one
 * at the end the beginning of one.  A run of more digits than a slot holds goes on in the slot beside.  Where
 * that gets hard (more digits looked for than a slot holds, an end of segment inside) everything is "maybe".
 */
#include "store/log/logtext_read.h"
#include "store/log/trigrams.h"

#define NEEDLE_MAX 512

struct needle {
	bool hard;
	uint8_t text[NEEDLE_MAX]; /* its template */
	size_t len, n_runs;
	struct wanted runs[NEEDLE_MAX / 2 + 1];
};

/* An end of segment that is not the end of the bytes. */
static bool has_inner_end(struct span bytes)
{
	size_t inner = bytes.len - 1;

	if (inner && bytes.data[inner] == '\n' && bytes.data[inner - 1] == '\r')
		inner--;
	return memchr(bytes.data, '\n', inner) || memchr(bytes.data, '\r', inner);
}

static enum place place_of(const struct needle *n, size_t run)
{
	bool first = run == 0 && n->text[0] == SLOT,
	     last = run + 1 == n->n_runs && n->text[n->len - 1] == SLOT;

	return first && last ? PLACE_ALONE : first ? PLACE_FIRST : last ? PLACE_LAST : PLACE_INSIDE;
}

static void needle_init(struct needle *n, struct span bytes)
{
	n->hard = bytes.len > NEEDLE_MAX || (bytes.len && has_inner_end(bytes));
	n->len = n->n_runs = 0;
	for (size_t i = 0; i < bytes.len && !n->hard;) {
		uint64_t value = 0;
		unsigned digits = 0;

		if (!is_digit(bytes.data[i])) {
			n->text[n->len++] = bytes.data[i++];
			continue;
		}
		for (; i < bytes.len && is_digit(bytes.data[i]) && digits <= RUN_DIGITS_MAX; digits++)
			value = value * 10 + (uint64_t)(bytes.data[i++] - '0');
		n->hard = digits > RUN_DIGITS_MAX;
		n->runs[n->n_runs].value = value;
		n->runs[n->n_runs++].digits = digits;
		n->text[n->len++] = SLOT;
	}
	for (size_t i = 0; i < n->n_runs; i++)
		n->runs[i].place = place_of(n, i);
}

static const uint8_t *find_in(struct span text, const struct needle *n)
{
	return n->len && text.len >= n->len ? memmem(text.data, text.len, n->text, n->len) : NULL;
}

/* By the trigrams of what is in all templates. */
static bool may_hold(const struct logtext *x, struct span bytes)
{
	struct needle n;

	needle_init(&n, bytes);
	return n.hard || trigrams_may_hold(x->trigrams, span_of(n.text, n.len));
}

bool logtext_may_fit(const struct logtext *x, const struct log_hint *hint)
{
	if (!may_hold(x, hint->holds))
		return false;
	for (size_t i = 0; i < hint->n_any; i++)
		if (may_hold(x, hint->any[i]))
			return true;
	return hint->n_any == 0;
}

/* Texts of none or several segments, which no template alone decides. */
static bool has_odd_texts(const struct logtext *x)
{
	for (size_t i = 0; i < x->n_texts; i++)
		if (x->first_segment[i + 1] - x->first_segment[i] != 1)
			return true;
	return false;
}

/* ---- numbers ---- */

/* Keeps in fits[] which of the template's segments may have in this slot what is wanted; *ret_any: some. */
static int keep_slot(struct logtext *x, struct template *t, uint32_t slot, const struct wanted *w,
		     uint8_t *fits, bool *ret_any)
{
	unsigned most;
	size_t run;
	int err = logtext_most_digits(x, t, slot, &most);

	*ret_any = err == 0 && most >= w->digits;
	if (!*ret_any)
		return err;
	err = logtext_need_numbers(x, t, slot);
	if (err < 0)
		return err;
	run = t->first_run + (size_t)slot * t->count;
	digits_keep(x->values + run, x->digits + run, t->count, w, fits);
	*ret_any = memchr(fits, 1, t->count);
	return 0;
}

/* As keep_slot, of a slot that goes on where the slot before ended: what is wanted may lie in both. */
static int keep_joined(struct logtext *x, struct template *t, uint32_t slot, const struct wanted *w,
		       uint8_t *fits, bool *ret_any)
{
	int err = logtext_need_numbers(x, t, slot - 1);
	size_t before, run;

	if (err == 0)
		err = logtext_need_numbers(x, t, slot);
	*ret_any = err == 0;
	before = t->first_run + (size_t)(slot - 1) * t->count;
	run = before + t->count;
	for (uint32_t i = 0; i < t->count && err == 0; i++) {
		uint64_t v = x->values[run + i];
		unsigned digits = x->digits[run + i], least = w->place == PLACE_FIRST ? digits : 1;
		bool held = (w->place == PLACE_FIRST ? digits_end_with : digits_hold)(v, digits, w);

		for (unsigned left = least; left < w->digits && left <= digits && !held; left++)
			held = digits_join(x->values[before + i], v, digits, w, left);
		fits[i] &= held;
	}
	return err;
}

/* Whether a run of the template goes on in the slot beside. */
static bool has_joined_slots(const struct template *t)
{
	return t->text.len > 1 && memmem(t->text.data, t->text.len, (const uint8_t[]){ SLOT, SLOT }, 2);
}

/* Marks the template's segments that may hold the needle at `at` of the template, whose first slot from
 * there is `slot`. */
static int mark_at(struct logtext *x, struct template *t, const uint8_t *at, uint32_t slot,
		   const struct needle *n, uint8_t *marks)
{
	uint8_t *fits = x->marks + x->n_segments; /* room for one template's */
	bool joined = at > t->text.data && at[-1] == SLOT && n->text[0] == SLOT, any = true;
	int err = 0;

	memset(fits, true, t->count);
	for (size_t i = 0; i < n->n_runs && any && err == 0; i++)
		err = (i == 0 && joined ? keep_joined : keep_slot)(x, t, slot + (uint32_t)i, &n->runs[i],
								   fits, &any);
	for (uint32_t i = 0; i < t->count && any && err == 0; i++)
		marks[i] |= fits[i];
	return err;
}

/* Marks the segments of a template, in their order, that may hold the needle. */
static int mark_template(struct logtext *x, struct template *t, const struct needle *n, uint8_t *marks)
{
	const uint8_t *at = t->text.data, *end = at + t->text.len, *from = at, *hit = find_in(t->text, n);
	uint32_t slot = 0;
	int err = 0;

	if (hit && n->runs[0].place == PLACE_ALONE && n->n_runs == 1 && !has_joined_slots(t))
		return logtext_mark_digits(x, t, &n->runs[0], marks);
	while (hit && err == 0) {
		for (; at < hit; at++)
			slot += *at == SLOT;
		err = mark_at(x, t, hit, slot, n, marks);
		from = hit + 1;
		hit = find_in(span_of(from, (size_t)(end - from)), n);
	}
	return err;
}

/* A template whose shape does not fit may be a part of an odd text that does. */
static int mark_segments(struct logtext *x, struct needle *n)
{
	bool odd = has_odd_texts(x);
	int err = logtext_reserve(&x->marks, &x->marks_cap, 2 * x->n_segments, 1);

	if (err < 0)
		return err;
	memset(x->marks, 0, x->n_segments);
	for (size_t i = 0; i < n->n_runs; i++)
		wanted_init(&n->runs[i]);
	for (size_t i = 0; i < x->n_templates && err == 0; i++)
		if (x->verdicts[i].holds && (odd || x->verdicts[i].fit != LOG_FIT_NO))
			err = mark_template(x, &x->templates[i], n, x->marks + x->templates[i].first);
	return err;
}

/* ---- templates ---- */

/* Which templates hold the needle's, by one look through the bytes of all. */
static void judge_bytes(struct logtext *x, const struct needle *n)
{
	const uint8_t *end = x->bytes.data + x->bytes.len, *hit = find_in(x->bytes, n);
	size_t i = 0;

	while (hit) {
		const struct span *text = &x->templates[i].text;

		while (hit >= text->data + text->len)
			text = &x->templates[++i].text;
		if (hit + n->len > text->data + text->len) { /* goes on in the next one */
			hit++;
		} else {
			x->verdicts[i].holds = true;
			hit = text->data + text->len;
		}
		hit = find_in(span_of(hit, (size_t)(end - hit)), n);
	}
}

/* Of a shape that may hold the needle: what the hint says of it, or, of bytes without digits, that it does.
 */
static enum log_fit fit_of(const struct log_hint *hint, const struct needle *n, struct span shape)
{
	if (hint->fit)
		return hint->fit(hint->fit_arg, shape);
	return hint->holds_is_all && n->len && !n->n_runs && !n->hard ? LOG_FIT_SURE : LOG_FIT_MAYBE;
}

/* *ret_any: some template may have a text that is wanted. */
static int judge_templates(struct logtext *x, const struct log_hint *hint, const struct needle *n,
			   bool *ret_any)
{
	int err = logtext_reserve(&x->verdicts, &x->verdicts_cap, x->n_templates, sizeof *x->verdicts);

	if (err < 0)
		return err;
	*ret_any = false;
	for (size_t i = 0; i < x->n_templates; i++)
		x->verdicts[i] = (struct verdict){ .holds = n->hard || !n->len };
	if (!n->hard)
		judge_bytes(x, n);
	for (size_t i = 0; i < x->n_templates; i++) {
		struct verdict *v = &x->verdicts[i];

		v->fit = v->holds ? (uint8_t)fit_of(hint, n, x->templates[i].text) : LOG_FIT_NO;
		*ret_any |= v->fit != LOG_FIT_NO;
	}
	return 0;
}

/* ---- texts ---- */

static bool segment_holds(const struct logtext *x, const struct segment *s, const struct needle *n)
{
	const struct template *t = &x->templates[s->template];

	return n->n_runs && !n->hard ? x->marks[t->first + s->nth] : x->verdicts[s->template].holds;
}

static int fit_odd_text(struct logtext *x, size_t i, const struct log_hint *hint, const struct needle *n,
			uint8_t *ret)
{
	bool holds = n->hard || !n->len;
	int err = 0;

	buf_clear(&x->shape);
	x->shape.max = x->raw_len;
	for (uint32_t s = x->first_segment[i]; s < x->first_segment[i + 1] && err == 0; s++) {
		struct span text = x->templates[x->segments[s].template].text;

		holds = holds || segment_holds(x, &x->segments[s], n);
		err = hint->fit ? buf_add(&x->shape, text.data, text.len) : 0;
	}
	if (err < 0)
		return err == ERR_FULL ? ERR_CORRUPT : err;
	*ret = holds ? (uint8_t)fit_of(hint, n, buf_span(&x->shape)) : LOG_FIT_NO;
	return 0;
}

static int fit_texts(struct logtext *x, const struct log_hint *hint, const struct needle *n, uint8_t *fits)
{
	int err = 0;

	for (size_t i = 0; i < x->n_texts && err == 0; i++) {
		uint32_t first = x->first_segment[i];
		const struct segment *s = &x->segments[first];

		if (x->first_segment[i + 1] - first != 1)
			err = fit_odd_text(x, i, hint, n, &fits[i]);
		else
			fits[i] = segment_holds(x, s, n) ? x->verdicts[s->template].fit : LOG_FIT_NO;
	}
	return err;
}

int logtext_find(struct logtext *x, const struct log_hint *hint, uint8_t *fits, bool *ret_any)
{
	struct needle n;
	int err = logtext_need_templates(x);

	needle_init(&n, hint->holds);
	if (err == 0)
		err = judge_templates(x, hint, &n, ret_any);
	if (err == 0 && !*ret_any && hint->fit && (n.hard || !n.len || find_in(x->bytes, &n))) {
		err = logtext_need_lines(x);
		*ret_any = err == 0 && has_odd_texts(x);
	}
	if (err < 0 || !*ret_any)
		return err;
	err = logtext_need_segments(x);
	if (err == 0 && n.n_runs && !n.hard) {
		err = mark_segments(x, &n);
		*ret_any = err == 0 && memchr(x->marks, 1, x->n_segments);
	}
	return err < 0 || !*ret_any ? err : fit_texts(x, hint, &n, fits);
}

/*
 * Adding to a cell is tried in its form first; what that cannot take goes the long way: the cell
 * becomes a struct bucket, takes the sample, and is packed again.
 */
#include "store/hot/pane.h"

#include <assert.h>
#include <stdlib.h>

#include "store/base/clock.h"

#define OFFSET_BITS 40 /* of a time, from the window's start */
#define SMALL_BITS  24
#define SMALL_MAX   ((UINT64_C(1) << SMALL_BITS) - 1)

struct one {
	uint64_t offset_ns;
	int64_t step;
	double value;
};

/* Steps go from step to step + steps, or there is none. */
struct head {
	uint64_t first_ns : OFFSET_BITS, count : SMALL_BITS;
	uint64_t last_ns : OFFSET_BITS, steps : SMALL_BITS;
	int64_t step;
};

struct singles {
	struct head head;
	float first, last, min, max;
	double sum;
};

struct doubles {
	struct head head;
	double first, last, min, max, hi, lo;
};

static const size_t sizes[] = { sizeof(struct one), sizeof(struct singles), sizeof(struct doubles) };
_Static_assert(sizeof(struct one) == 24 && sizeof(struct singles) == 48 && sizeof(struct doubles) == 72,
	       "as pane.h says");

static inline bool is_finite(double v) { return (~double_bits(v) & UINT64_C(0x7ff0000000000000)) != 0; }

static inline bool is_single(double v) { return double_bits((double)(float)v) == double_bits(v); }

/* Number of bits set: the processors we build for need not have an instruction for it. */
static inline unsigned bits_of(uint64_t v)
{
	v -= v >> 1 & UINT64_C(0x5555555555555555);
	v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
	v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)(v * UINT64_C(0x0101010101010101) >> 56);
}

static inline uint64_t bit_of(uint32_t sid) { return UINT64_C(1) << sid % PANE_SERIES; }

/* Number of cells before that of the bit. */
static inline unsigned rank_of(const struct pane *p, uint64_t bit)
{
	return p->n == PANE_SERIES ? (unsigned)__builtin_ctzll(bit) : bits_of(p->there & (bit - 1));
}

static inline void *cell_at(const struct pane *p, unsigned rank)
{
	return (char *)p->cells + rank * sizes[p->form];
}

static struct bucket **apart_at(const struct pane *p, unsigned rank) { return cell_at(p, rank); }

/* ---- life ---- */

void pane_init(struct pane *p, int64_t start_ns, uint32_t window_ms, uint32_t group)
{
	*p = (struct pane){ .start_ns = start_ns, .window_ms = window_ms, .group = group };
}

void pane_release(struct pane *p)
{
	for (uint64_t left = p->apart; left; left &= left - 1) {
		struct bucket *b = *apart_at(p, rank_of(p, left & (0 - left)));

		bucket_release(b);
		free(b);
	}
	free(p->cells);
}

size_t pane_bytes(const struct pane *p)
{
	return sizeof(*p) + p->cap * sizes[p->form] + bits_of(p->apart) * sizeof(struct bucket);
}

/* ---- a cell as a bucket, and back ---- */

static inline void from_head(const struct pane *p, const struct head *h, struct bucket *ret)
{
	int64_t last = h->step == STEP_NONE ? STEP_NONE : h->step + (int64_t)h->steps;

	ret->count = h->count;
	ret->first.t_ns = p->start_ns + (int64_t)h->first_ns;
	ret->last.t_ns = p->start_ns + (int64_t)h->last_ns;
	ret->first.step = ret->step_min = h->step;
	ret->last.step = ret->step_max = last;
	ret->rare = NULL;
}

static inline void from_one(const struct pane *p, const struct one *c, struct bucket *ret)
{
	struct point at = { p->start_ns + (int64_t)c->offset_ns, c->step, c->value };

	*ret = (struct bucket){
		.count = 1,
		.min = c->value,
		.max = c->value,
		.sum = { .hi = c->value == 0 ? 0 : c->value }, /* the sum of -0.0 is +0.0 */
		.first = at,
		.last = at,
		.step_min = c->step,
		.step_max = c->step,
	};
}

static inline void from_singles(const struct pane *p, const struct singles *c, struct bucket *ret)
{
	from_head(p, &c->head, ret);
	ret->first.value = (double)c->first;
	ret->last.value = (double)c->last;
	ret->min = (double)c->min;
	ret->max = (double)c->max;
	ret->sum = (struct sum){ .hi = c->sum };
}

static inline void from_doubles(const struct pane *p, const struct doubles *c, struct bucket *ret)
{
	from_head(p, &c->head, ret);
	ret->first.value = c->first;
	ret->last.value = c->last;
	ret->min = c->min;
	ret->max = c->max;
	ret->sum = (struct sum){ .hi = c->hi, .lo = c->lo };
}

static inline void from_cell(const struct pane *p, enum pane_form form, const void *cell, struct bucket *ret)
{
	if (form == PANE_ONE)
		from_one(p, cell, ret);
	else if (form == PANE_SINGLE)
		from_singles(p, cell, ret);
	else
		from_doubles(p, cell, ret);
}

/* A walk over many panes touches each again only after a while: a line is fetched ahead for it. */
const struct bucket *pane_bucket(const struct pane *p, uint32_t sid, struct bucket *room)
{
	unsigned rank = rank_of(p, bit_of(sid));

	assert(pane_has(p, sid));
	__builtin_prefetch(cell_at(p, rank + 2));
	if (p->apart & bit_of(sid))
		return *apart_at(p, rank);
	from_cell(p, p->form, cell_at(p, rank), room);
	return room;
}

/* The narrowest form of many samples that holds the bucket; -1: none does. */
static int form_of(const struct pane *p, const struct bucket *b)
{
	uint64_t steps = (uint64_t)b->step_max - (uint64_t)b->step_min;

	if (b->rare || b->sum.wide || b->count > SMALL_MAX || steps > SMALL_MAX ||
	    b->first.step != b->step_min || b->last.step != b->step_max ||
	    (uint64_t)b->last.t_ns - (uint64_t)p->start_ns >= UINT64_C(1) << OFFSET_BITS)
		return -1;
	return is_single(b->first.value) && is_single(b->last.value) && is_single(b->min) &&
		       is_single(b->max) && b->sum.lo == 0
		   ? PANE_SINGLE
		   : PANE_DOUBLE;
}

static inline struct head head_of(const struct pane *p, const struct bucket *b)
{
	return (struct head){ .first_ns = (uint64_t)(b->first.t_ns - p->start_ns),
			      .last_ns = (uint64_t)(b->last.t_ns - p->start_ns),
			      .count = b->count,
			      .steps = (uint64_t)b->step_max - (uint64_t)b->step_min,
			      .step = b->step_min };
}

/* The bucket fits the form, or has one sample and the form takes no more. */
static inline void to_cell(const struct pane *p, enum pane_form form, const struct bucket *b, void *cell)
{
	if (form == PANE_ONE) {
		*(struct one *)cell =
		    (struct one){ (uint64_t)(b->first.t_ns - p->start_ns), b->first.step, b->first.value };
	} else if (form == PANE_SINGLE) {
		struct singles *c = cell;

		c->head = head_of(p, b);
		c->first = (float)b->first.value;
		c->last = (float)b->last.value;
		c->min = (float)b->min;
		c->max = (float)b->max;
		c->sum = b->sum.hi;
	} else {
		struct doubles *c = cell;

		c->head = head_of(p, b);
		c->first = b->first.value;
		c->last = b->last.value;
		c->min = b->min;
		c->max = b->max;
		c->hi = b->sum.hi;
		c->lo = b->sum.lo;
	}
}

/* ---- room ---- */

static int grow(struct pane *p, size_t cap)
{
	void *cells = realloc(p->cells, cap * sizes[p->form]);

	if (!cells)
		return ERR_NOMEM;
	p->cells = cells;
	p->cap = (uint8_t)cap;
	return 0;
}

/* The form that a pane of single samples can be widened to, if `form` is wanted. */
static enum pane_form form_of_all(const struct pane *p, enum pane_form form)
{
	const struct one *c = p->cells;
	uint64_t left = p->there;

	for (unsigned rank = 0; form == PANE_SINGLE && rank < p->n; rank++, left &= left - 1)
		if (!(p->apart & left & (0 - left)) && !is_single(c[rank].value))
			form = PANE_DOUBLE;
	return form;
}

/* Inlined for each pair of forms, with all that it calls. */
static inline __attribute__((always_inline)) void
copy_cells(const struct pane *from, enum pane_form from_form, struct pane *to, enum pane_form to_form)
{
	uint64_t left = from->there;

	for (unsigned rank = 0; rank < from->n; rank++, left &= left - 1) {
		struct bucket b;

		if (from->apart & left & (0 - left)) {
			*apart_at(to, rank) = *apart_at(from, rank);
			continue;
		}
		from_cell(from, from_form, cell_at(from, rank), &b);
		to_cell(to, to_form, &b, cell_at(to, rank));
	}
}

static int widen(struct pane *p, enum pane_form form)
{
	struct pane wide = *p;

	wide.form = p->form == PANE_ONE ? form_of_all(p, form) : form;
	wide.cells = malloc(p->cap * sizes[wide.form]);
	if (!wide.cells)
		return ERR_NOMEM;
	if (wide.form == PANE_SINGLE)
		copy_cells(p, PANE_ONE, &wide, PANE_SINGLE);
	else if (p->form == PANE_ONE)
		copy_cells(p, PANE_ONE, &wide, PANE_DOUBLE);
	else
		copy_cells(p, PANE_SINGLE, &wide, PANE_DOUBLE);
	free(p->cells);
	*p = wide;
	return 0;
}

/* Widens the pane to what the bucket needs.  1: no form holds it. */
static int make_fit(struct pane *p, const struct bucket *b)
{
	int form = form_of(p, b);

	if (form < 0)
		return 1;
	return form <= p->form || (p->form == PANE_ONE && b->count == 1) ? 0 : widen(p, (enum pane_form)form);
}

/* The bucket becomes the cell's, and what it owns. */
static int put_apart(struct pane *p, unsigned rank, uint64_t bit, const struct bucket *b)
{
	struct bucket *own = malloc(sizeof(*own));

	if (!own)
		return ERR_NOMEM;
	*own = *b;
	*apart_at(p, rank) = own;
	p->apart |= bit;
	return 0;
}

static void open_cell(struct pane *p, unsigned rank, uint64_t bit)
{
	char *cell = cell_at(p, rank);

	if (rank < p->n)
		memmove(cell + sizes[p->form], cell, (p->n - rank) * sizes[p->form]);
	p->n++;
	p->there |= bit;
}

/* Of a bucket that has a cell, or is to have one.  What it owns becomes the pane's. */
static int put(struct pane *p, uint64_t bit, const struct bucket *b)
{
	int apart = make_fit(p, b);

	if (apart < 0)
		return apart;
	if (!(p->there & bit))
		open_cell(p, rank_of(p, bit), bit);
	if (apart)
		return put_apart(p, rank_of(p, bit), bit, b);
	to_cell(p, p->form, b, cell_at(p, rank_of(p, bit)));
	return 0;
}

int pane_merge(struct pane *p, uint32_t sid, struct bucket *b)
{
	uint64_t bit = bit_of(sid);
	void *cell = cell_at(p, rank_of(p, bit));
	struct bucket sum;
	int err = 0;

	if (!(p->there & bit)) {
		if (p->n == p->cap)
			err = grow(p, 2 * p->cap < PANE_SERIES ? 2 * p->cap + 1 : PANE_SERIES);
		return err < 0 ? err : put(p, bit, b);
	}
	if (p->apart & bit) {
		err = bucket_merge(*(struct bucket **)cell, b);
	} else {
		from_cell(p, p->form, cell, &sum);
		err = bucket_merge(&sum, b);
		if (err == 0)
			err = put(p, bit, &sum);
	}
	if (bucket_owns(b))
		bucket_release(b);
	return err;
}

/* ---- folding ---- */

static inline void widen_values(double *min, double *max, double v)
{
	double min_1 = v < *min ? v : *min, min_2 = *min < v ? *min : v;
	double max_1 = v > *max ? v : *max, max_2 = *max > v ? *max : v;

	/* two zeros are equal: bucket.c */
	*min = bits_double(double_bits(min_1) | double_bits(min_2));
	*max = bits_double(double_bits(max_1) & double_bits(max_2));
}

enum place { BEFORE, BETWEEN, AFTER, NOWHERE };

/* Where a sample lies among those of a cell, if its step fits in there. */
static inline enum place place_of(const struct head *h, uint64_t offset_ns, int64_t step)
{
	uint64_t above = (uint64_t)step - (uint64_t)h->step; /* of the least step */

	if ((step == STEP_NONE) != (h->step == STEP_NONE) || h->count == SMALL_MAX)
		return NOWHERE;
	if (offset_ns > h->last_ns)
		return step >= h->step && above >= h->steps && above <= SMALL_MAX ? AFTER : NOWHERE;
	if (offset_ns < h->first_ns)
		return step <= h->step && 0 - above <= SMALL_MAX - h->steps ? BEFORE : NOWHERE;
	return offset_ns > h->first_ns && offset_ns < h->last_ns && above <= h->steps ? BETWEEN : NOWHERE;
}

static inline void put_place(struct head *h, enum place place, uint64_t offset_ns, int64_t step)
{
	h->count++;
	if (place == AFTER) {
		h->last_ns = offset_ns;
		h->steps = (uint64_t)step - (uint64_t)h->step;
	} else if (place == BEFORE) {
		h->first_ns = offset_ns;
		h->steps += (uint64_t)h->step - (uint64_t)step;
		h->step = step;
	}
}

/* The first test is Knuth's TwoSum, whose rest is nothing; an infinity or NaN fails it. */
static inline bool add_single(struct singles *c, uint64_t offset_ns, int64_t step, double v)
{
	enum place place = place_of(&c->head, offset_ns, step);
	double sum = c->sum + v, min = (double)c->min, max = (double)c->max;
	bool exact = sum - c->sum == v && sum - v == c->sum;

	if (!exact || place == NOWHERE || !is_single(v))
		return false;
	put_place(&c->head, place, offset_ns, step);
	if (place == AFTER)
		c->last = (float)v;
	else if (place == BEFORE)
		c->first = (float)v;
	widen_values(&min, &max, v);
	c->min = (float)min;
	c->max = (float)max;
	c->sum = sum;
	return true;
}

/* Nor does an infinity or NaN come past sum_add_quick. */
static inline bool add_double(struct doubles *c, uint64_t offset_ns, int64_t step, double v)
{
	enum place place = place_of(&c->head, offset_ns, step);
	struct sum sum = { c->hi, c->lo, NULL };

	if (place == NOWHERE || !sum_add_quick(&sum, v))
		return false;
	put_place(&c->head, place, offset_ns, step);
	if (place == AFTER)
		c->last = v;
	else if (place == BEFORE)
		c->first = v;
	widen_values(&c->min, &c->max, v);
	c->hi = sum.hi;
	c->lo = sum.lo;
	return true;
}

static inline struct point point_at(const struct journal_record *rec, size_t i)
{
	return (struct point){ rec->t_ns[i], rec->step ? rec->step[i] : STEP_NONE, rec->value[i] };
}

/* First samples of series above all that the pane has, from i on while there is room for them;
 * returns the first that is none of these. */
static inline size_t fold_first(struct pane *p, const struct journal_record *rec, size_t i, size_t to)
{
	for (; i < to && p->n < p->cap; i++) {
		struct point at = point_at(rec, i);
		uint64_t offset_ns = (uint64_t)(at.t_ns - p->start_ns), bit = bit_of(rec->sid[i]);

		if (p->there >= bit || !is_finite(at.value) || offset_ns >> OFFSET_BITS)
			break;
		((struct one *)p->cells)[p->n++] = (struct one){ offset_ns, at.step, at.value };
		p->there |= bit;
	}
	return i;
}

/* Samples from i on, as long as the form takes them; returns the first that it does not. */
static inline __attribute__((always_inline)) size_t
fold_quick(const struct pane *p, enum pane_form form, const struct journal_record *rec, size_t i, size_t to)
{
	uint64_t quick = p->there & ~p->apart;

	for (; i < to; i++) {
		struct point at = point_at(rec, i);
		uint64_t offset_ns = (uint64_t)(at.t_ns - p->start_ns), bit = bit_of(rec->sid[i]);
		unsigned rank = rank_of(p, bit);
		bool added;

		if (!(quick & bit))
			break;
		if (form == PANE_SINGLE)
			added = add_single((struct singles *)p->cells + rank, offset_ns, at.step, at.value);
		else
			added = add_double((struct doubles *)p->cells + rank, offset_ns, at.step, at.value);
		if (!added)
			break;
	}
	return i;
}

static int fold_slow(struct pane *p, const struct journal_record *rec, size_t i)
{
	struct bucket b;
	int err = bucket_start(&b, point_at(rec, i));

	return err < 0 ? err : pane_merge(p, rec->sid[i], &b);
}

int pane_fold(struct pane *p, const struct journal_record *rec, size_t from, size_t to)
{
	size_t fresh = p->n + (to - from) < PANE_SERIES ? p->n + (to - from) : PANE_SERIES;
	bool quick = (uint64_t)p->window_ms * NS_PER_MS <= UINT64_C(1) << OFFSET_BITS;
	int err = p->n == 0 ? grow(p, fresh) : 0;

	for (size_t i = from; i < to && err == 0; i++) {
		if (!quick)
			; /* a cell may not hold the time */
		else if (p->form == PANE_ONE)
			i = fold_first(p, rec, i, to);
		else if (p->form == PANE_SINGLE)
			i = fold_quick(p, PANE_SINGLE, rec, i, to);
		else
			i = fold_quick(p, PANE_DOUBLE, rec, i, to);
		if (i < to)
			err = fold_slow(p, rec, i);
	}
	return err;
}

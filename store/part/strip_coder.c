#include "store/part/strip_coder.h"

/* Items of a reference: of all full buckets, or of the stored ones. */
static const int64_t *items_of(const struct strip *s, const struct reference *r, bool stored, int64_t *room)
{
	size_t n = stored ? s->n_stored : s->n_full;

	if (!stored && (r->of == OF_THEM || (r->of == OF_ALL && s->n_full == s->n)))
		return r->v;
	for (size_t i = 0; i < n; i++) {
		size_t nth = stored ? s->stored[i] : i, at = s->full[nth];

		if (r->of == BEFORE)
			room[i] = at ? r->v[at - 1] : r->nothing;
		else
			room[i] = r->v[r->of == OF_THEM ? nth : at];
	}
	return room;
}

/* Those that a column needs: to be put all of them, to be got the one that it says. */
static void take_references(struct coder *c, size_t n_refs, bool stored, unsigned said, const int64_t **ret)
{
	for (size_t r = 0; r < n_refs; r++)
		ret[r] = c->out || said == r + 1 ? items_of(c->s, &c->refs[r], stored, c->s->ref[r]) : NULL;
}

/* ---- what columns take ---- */

/* The next of the columns, in their order, began where `from` stands. */
static void tell_column(struct coder *c, const struct column_in *from, size_t n, const char *codec)
{
	static const char *const names[] = { "start",
					     "count",
					     "flags",
					     "last time",
					     "first time",
					     "last step",
					     "first step",
					     "least step",
					     "greatest step",
					     "form",
					     "last",
					     "first",
					     "min",
					     "max",
					     "sum",
					     "rest of sum",
					     "nan",
					     "+inf",
					     "-inf",
					     "time of non-finite",
					     "step of non-finite" };
	const struct strip_column told = { names[c->columns % (sizeof(names) / sizeof(*names))],
					   n ? codec : "none", n,
					   reader_left(&from->dense) - reader_left(&c->in->dense),
					   reader_left(&from->loose) - reader_left(&c->in->loose) };

	c->columns++;
	c->s->watch(c->s->watch_arg, &told);
}

static int watch_column(struct coder *c, int64_t *v, size_t n, const int64_t *const *refs, size_t n_refs)
{
	const struct column_in from = *c->in;
	int err = column_get(c->in, v, n, refs, n_refs);

	if (err == 0)
		tell_column(c, &from, n, n ? column_form(*from.loose.p) : NULL);
	return err;
}

static int watch_numbers(struct coder *c, struct scale scale, double *v, size_t n, const int64_t *const *refs,
			 size_t n_refs, int64_t *m)
{
	static const char *const scales[SCALE_KINDS] = {
		[SCALE_DECIMAL] = "decimal", [SCALE_BINARY] = "binary",     [SCALE_FLOAT] = "float32",
		[SCALE_DOUBLE] = "double",   [SCALE_FRACTION] = "fraction", [SCALE_PRINTED] = "printed"
	};
	const struct column_in from = *c->in;
	int err = numbers_get(c->in, scale, v, n, refs, n_refs, m);

	if (err == 0)
		tell_column(c, &from, n, scales[scale.kind]);
	return err;
}

/* ---- both ways ---- */

int coder_column(struct coder *c, int64_t *v, size_t n, size_t n_refs)
{
	const int64_t *refs[COLUMN_REFS_MAX];

	if (c->skip)
		return column_skip(c->in, n);
	take_references(c, n ? n_refs : 0, false, c->in ? column_reference(*c->in) : 0, refs);
	if (c->in && c->s->watch)
		return watch_column(c, v, n, refs, n_refs);
	return c->out ? column_put(c->out, v, n, refs, n_refs) : column_get(c->in, v, n, refs, n_refs);
}

int coder_numbers(struct coder *c, struct scale scale, double *v, size_t n, size_t n_refs, bool stored,
		  int64_t *m)
{
	const int64_t *refs[COLUMN_REFS_MAX];

	if (c->skip)
		return numbers_skip(c->in, n);
	take_references(c, n ? n_refs : 0, stored, c->in ? numbers_reference(*c->in) : 0, refs);
	if (c->in && c->s->watch)
		return watch_numbers(c, scale, v, n, refs, n_refs, m);
	return c->out ? numbers_put(c->out, scale, v, n, refs, n_refs, m)
		      : numbers_get(c->in, scale, v, n, refs, n_refs, m);
}

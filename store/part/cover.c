#include "store/part/cover.h"

/* Where the rows of the tier of row i end. */
static size_t tier_end(const struct manifest *m, size_t i)
{
	size_t lo = i, hi = m->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (m->rows[mid].id.tier_ns <= m->rows[i].id.tier_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The first of rows [lo, hi), which are of one tier, that ends after a time; hi: none. */
static size_t first_after(const struct manifest *m, size_t lo, size_t hi, int64_t t_ns)
{
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (m->rows[mid].id.to_ns <= t_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct part_row *cover_next(const struct manifest *m, int64_t tier_ns, int64_t from_ns, int64_t to_ns,
				  size_t *i)
{
	while (*i < m->n && m->rows[*i].id.tier_ns < tier_ns) {
		size_t end = tier_end(m, *i);

		*i = first_after(m, *i, end, from_ns);
		if (*i < end && m->rows[*i].id.from_ns < to_ns)
			return &m->rows[(*i)++];
		*i = end;
	}
	return NULL;
}

const struct part_row *cover_at(const struct manifest *m, int64_t tier_ns, int64_t t_ns)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct part_id *id = &m->rows[mid].id;

		if (id->tier_ns < tier_ns || (id->tier_ns == tier_ns && id->to_ns <= t_ns))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->n && m->rows[lo].id.tier_ns == tier_ns && m->rows[lo].id.from_ns <= t_ns ? &m->rows[lo]
												: NULL;
}

bool cover_is_finest(const struct manifest *m, const struct part_row *row)
{
	size_t i = 0;

	return !cover_next(m, row->id.tier_ns, row->id.from_ns, row->id.to_ns, &i);
}

bool cover_fits(const struct manifest *m, int64_t tier_ns, int64_t from_ns, int64_t to_ns)
{
	const struct part_row *row;
	size_t i = 0;

	while ((row = cover_next(m, tier_ns, from_ns, to_ns, &i)))
		if (!tier_divides(row->id.tier_ns, tier_ns) && cover_is_finest(m, row))
			return false;
	return true;
}

const struct part_row *cover_finest(const struct manifest *m, int64_t t_ns)
{
	for (size_t i = 0, end; i < m->n; i = end) {
		size_t at;

		end = tier_end(m, i);
		at = first_after(m, i, end, t_ns);
		if (at < end && m->rows[at].id.from_ns <= t_ns)
			return &m->rows[at];
	}
	return NULL;
}

uint64_t cover_folded(const struct manifest *m, int64_t start_ns)
{
	const struct part_row *row = cover_finest(m, start_ns);

	return row ? row->upto : 0;
}

const struct part_row *cover_late(const struct manifest *m, int64_t t_ns)
{
	const struct part_row *row = cover_finest(m, t_ns);

	return row && (row->alone || row->id.tier_ns == TIER_RECORDED) ? row : NULL;
}

int64_t cover_width(const struct manifest *m, int64_t start_ns)
{
	const struct part_row *row = cover_late(m, start_ns);

	return row ? row->id.tier_ns : TIER_RECORDED;
}

struct choice {
	const struct part_row *row; /* NULL: none covers the time */
	int64_t until_ns;           /* the next time at which a part begins or ends */
};

static struct choice choose(const struct manifest *m, int64_t width_ns, int64_t t_ns, int64_t to_ns)
{
	struct choice c = { NULL, to_ns };
	uint64_t newest = 0;

	for (size_t i = 0, end; i < m->n; i = end) {
		const struct part_id *id;
		size_t at;
		int64_t edge;

		end = tier_end(m, i);
		at = first_after(m, i, end, t_ns);
		if (at == end)
			continue;
		id = &m->rows[at].id;
		edge = id->from_ns <= t_ns ? id->to_ns : id->from_ns;
		c.until_ns = edge < c.until_ns ? edge : c.until_ns;
		if (id->from_ns > t_ns)
			continue;
		if (!c.row || (id->number > newest && tier_divides(id->tier_ns, width_ns)))
			c.row = &m->rows[at];
		newest = id->number > newest ? id->number : newest;
	}
	return c;
}

int cover_pieces(const struct manifest *m, int64_t width_ns, int64_t from_ns, int64_t to_ns, piece_fn fn,
		 void *arg)
{
	int err = 0;

	while (from_ns < to_ns && err == 0) {
		struct choice c = choose(m, width_ns, from_ns, to_ns), next = c;

		while (next.until_ns < to_ns) { /* a finer part that is not read may end within */
			int64_t at = next.until_ns;

			next = choose(m, width_ns, at, to_ns);
			if (next.row != c.row)
				break;
			c.until_ns = next.until_ns;
		}
		if (c.row)
			err = fn(arg, c.row, from_ns, c.until_ns);
		from_ns = c.until_ns;
	}
	return err;
}

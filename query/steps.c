#include "query/steps.h"

#include <stdlib.h>

#include "store/base/array.h"

/* ---- one series ---- */

/* Steps of all windows cut into pieces [cut[i], cut[i + 1]); next[i] leads to the first piece from i
 * on that no later window covers (a forest with halved paths). */
struct cover {
	int64_t *cut;
	size_t n, *next;
};

static int compare_steps(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int cover_init(struct cover *c, const struct step_window *w, size_t n)
{
	size_t kept = 0;

	c->cut = malloc(2 * n * sizeof *c->cut);
	c->next = malloc((2 * n + 1) * sizeof *c->next);
	if (!c->cut || !c->next)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		c->cut[2 * i] = w[i].least;
		c->cut[2 * i + 1] = w[i].greatest < INT64_MAX ? w[i].greatest + 1 : INT64_MAX;
	}
	qsort(c->cut, 2 * n, sizeof *c->cut, compare_steps);
	for (size_t i = 0; i < 2 * n; i++)
		if (kept == 0 || c->cut[kept - 1] != c->cut[i])
			c->cut[kept++] = c->cut[i];
	c->n = kept;
	for (size_t i = 0; i <= kept; i++)
		c->next[i] = i;
	return 0;
}

static size_t piece_of(const struct cover *c, int64_t step)
{
	const int64_t *at = bsearch(&step, c->cut, c->n, sizeof step, compare_steps);

	return (size_t)(at - c->cut);
}

static size_t uncovered(struct cover *c, size_t i)
{
	while (c->next[i] != i) {
		c->next[i] = c->next[c->next[i]];
		i = c->next[i];
	}
	return i;
}

static void pieces_of(const struct cover *c, const struct step_window *w, size_t *ret_from, size_t *ret_to)
{
	*ret_from = piece_of(c, w->least);
	*ret_to = piece_of(c, w->greatest < INT64_MAX ? w->greatest + 1 : INT64_MAX);
}

/* The windows of one stretch without a resume: looked at against what came later, then added to it. */
static void stretch_hide(struct cover *c, struct step_window *w, size_t from, size_t to)
{
	size_t a, b;

	for (size_t i = from; i < to; i++) {
		pieces_of(c, &w[i], &a, &b);
		w[i].hidden = a < b && uncovered(c, a) >= b;
	}
	for (size_t i = from; i < to; i++) {
		pieces_of(c, &w[i], &a, &b);
		while ((a = uncovered(c, a)) < b)
			c->next[a] = a + 1;
	}
}

static int stretches_hide(struct step_window *w, size_t n, const bool *resumes)
{
	struct cover c = { 0 };
	int err = cover_init(&c, w, n);

	for (size_t to = n; err == 0 && to > 0;) {
		size_t from = to - 1;

		while (from > 0 && !resumes[from])
			from--;
		stretch_hide(&c, w, from, to);
		to = from;
	}
	free(c.cut);
	free(c.next);
	return err;
}

int steps_hide(struct step_window *w, size_t n)
{
	bool *resumes = calloc(n + 1, sizeof *resumes), any = false;
	int64_t reached = INT64_MIN;
	int err = 0;

	if (!resumes)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		w[i].hidden = false;
		resumes[i] = i > 0 && w[i].least < reached;
		any |= resumes[i];
		if (resumes[i] || w[i].greatest > reached)
			reached = w[i].greatest;
	}
	if (any)
		err = stretches_hide(w, n, resumes);
	free(resumes);
	return err;
}

/* ---- many series ---- */

struct search {
	struct hidden *hidden;
	struct step_window *windows; /* of the series that is read */
	size_t n, cap, series;
};

void hidden_release(struct hidden *h)
{
	free(h->list);
	*h = (struct hidden){ 0 };
}

static int hidden_add(struct hidden *h, size_t series, int64_t start_ns, bool joins)
{
	if (joins) {
		h->list[h->n - 1].to_ns = start_ns + 1;
		return 0;
	}
	if (array_grow(h->list, h->n, h->cap) < 0)
		return ERR_NOMEM;
	h->list[h->n++] = (struct hidden_range){ series, start_ns, start_ns + 1 };
	return 0;
}

static int series_end(struct search *s)
{
	int err = steps_hide(s->windows, s->n);

	for (size_t i = 0; i < s->n && err == 0; i++)
		if (s->windows[i].hidden)
			err = hidden_add(s->hidden, s->series, s->windows[i].start_ns,
					 i > 0 && s->windows[i - 1].hidden);
	s->n = 0;
	return err;
}

static int search_row(void *arg, size_t series, int64_t start_ns, const struct bucket *b)
{
	struct search *s = arg;
	int err = series == s->series ? 0 : series_end(s);

	s->series = series;
	if (err < 0 || b->step_max == STEP_NONE)
		return err;
	if (array_grow(s->windows, s->n, s->cap) < 0)
		return ERR_NOMEM;
	s->windows[s->n++] = (struct step_window){ start_ns, b->step_min, b->step_max, false };
	return 0;
}

int hidden_find(const struct scan *scan, struct hidden *ret, bool *ret_partial)
{
	struct search search = { .hidden = ret };
	struct scan s = *scan;
	int err;

	s.fields = WANT_TIMES | WANT_STEPS;
	s.row = search_row;
	s.pause = NULL;
	s.arg = &search;
	err = scan_run(&s, ret_partial);
	if (err == 0)
		err = series_end(&search);
	free(search.windows);
	return err;
}

bool hidden_has(const struct hidden *h, size_t series, int64_t start_ns)
{
	size_t lo = 0, hi = h->n;

	/* the last range that begins at (series, start) or before */
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct hidden_range *r = &h->list[mid];

		if (r->series < series || (r->series == series && r->from_ns <= start_ns))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 && h->list[lo - 1].series == series && start_ns < h->list[lo - 1].to_ns;
}

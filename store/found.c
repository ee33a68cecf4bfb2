#include "store/found.h"

#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/err.h"
#include "store/part/tier.h"

struct wanted {
	uint32_t sid, position;
};

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return (x->sid > y->sid) - (x->sid < y->sid);
}

int found_init(struct found *f, const uint32_t *sids, size_t n_sids)
{
	struct wanted *wanted = malloc((n_sids + 1) * sizeof(*wanted));

	*f = (struct found){ .asked = sids, .n_sids = n_sids, .max = SIZE_MAX };
	f->sids = malloc((n_sids + 1) * sizeof(*f->sids));
	f->positions = malloc((n_sids + 1) * sizeof(*f->positions));
	if (!wanted || !f->sids || !f->positions) {
		free(wanted);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < n_sids; i++)
		wanted[i] = (struct wanted){ sids[i], (uint32_t)i };
	qsort(wanted, n_sids, sizeof(*wanted), compare_wanted);
	for (size_t i = 0; i < n_sids; i++) {
		f->sids[i] = wanted[i].sid;
		f->positions[i] = wanted[i].position;
	}
	free(wanted);
	return 0;
}

void found_truncate(struct found *f, size_t n)
{
	while (f->n > n)
		if (bucket_owns(&f->all[--f->n].bucket))
			bucket_release(&f->all[f->n].bucket);
	f->mark = f->mark < f->n ? f->mark : f->n;
}

void found_clear(struct found *f)
{
	found_truncate(f, 0);
	free(f->all);
	f->all = NULL;
	f->cap = 0;
	free(f->totals);
	f->totals = NULL;
	f->n_totals = 0;
}

void found_release(struct found *f)
{
	found_clear(f);
	free(f->sids);
	free(f->positions);
}

/* The place of a series among sids; n_sids: it is not asked for. */
static size_t place_of(const struct found *f, uint32_t sid)
{
	size_t lo = 0, hi = f->n_sids;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (f->sids[mid] < sid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < f->n_sids && f->sids[lo] == sid ? lo : f->n_sids;
}

int found_add(struct found *f, struct block_key key, int64_t width_ns, const struct bucket *b)
{
	struct found_bucket *to;
	int err;

	if (f->last == f->n_sids || f->sids[f->last] != key.sid)
		f->last = place_of(f, key.sid);
	if (f->last == f->n_sids)
		return 0;
	if (key.window_ns < width_ns && tier_divides(key.window_ns, width_ns)) {
		key.start_ns = tier_start(key.start_ns, width_ns);
		key.window_ns = width_ns;
	}
	to = f->n > f->mark ? &f->all[f->n - 1] : NULL;
	if (to && to->position == f->positions[f->last] && to->start_ns == key.start_ns &&
	    to->window_ns == key.window_ns)
		return bucket_merge(&to->bucket, b);
	if (f->n > f->max)
		return ERR_FULL;
	err = array_grow(f->all, f->n, f->cap);
	if (err < 0)
		return err;
	to = &f->all[f->n];
	err = bucket_copy(&to->bucket, b);
	if (err < 0)
		return err;
	to->position = f->positions[f->last];
	to->start_ns = key.start_ns;
	to->window_ns = key.window_ns;
	f->n++;
	return 0;
}

int found_total(struct found *f)
{
	size_t at = f->n_totals;
	int err = 0;

	if (!f->totals)
		f->totals = calloc(f->n_sids + 1, sizeof(*f->totals));
	if (!f->totals)
		return ERR_NOMEM;
	for (; at < f->n && err == 0; at++) {
		struct found_bucket *b = &f->all[at];
		size_t *total = &f->totals[b->position];

		if (*total) {
			err = bucket_merge(&f->all[*total - 1].bucket, &b->bucket);
			continue;
		}
		if (at != f->n_totals) { /* its place is that of one that was merged */
			struct found_bucket was = f->all[f->n_totals];

			f->all[f->n_totals] = *b;
			*b = was;
		}
		*total = ++f->n_totals;
	}
	found_truncate(f, f->n_totals);
	return err;
}

/* ---- in order ---- */

/* Found buckets by series: those of the nth are order[ends[n - 1]] up to order[ends[n]], in the order
 * in which they were found.  They are large, so they stay where they are. */
struct by_series {
	uint32_t *order;
	size_t *ends;
};

static int by_series_init(struct by_series *b, const struct found *f)
{
	size_t at = 0;

	b->order = malloc((f->n + 1) * sizeof(*b->order));
	b->ends = calloc(f->n_sids + 1, sizeof(*b->ends));
	if (!b->order || !b->ends)
		return ERR_NOMEM;
	for (size_t i = 0; i < f->n; i++)
		b->ends[f->all[i].position]++;
	for (size_t i = 0; i < f->n_sids; i++) {
		size_t n = b->ends[i];

		b->ends[i] = at;
		at += n;
	}
	for (size_t i = 0; i < f->n; i++)
		b->order[b->ends[f->all[i].position]++] = (uint32_t)i;
	return 0;
}

static int compare_starts(const void *a, const void *b, void *all)
{
	const struct found_bucket *f = all, *x = &f[*(const uint32_t *)a], *y = &f[*(const uint32_t *)b];

	return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

/* Flushes follow each other as time does, so windows of a series are nearly always found in order. */
static void sort_windows(const struct found *f, uint32_t *order, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (compare_starts(&order[i - 1], &order[i], f->all) > 0) {
			qsort_r(order, n, sizeof(*order), compare_starts, f->all);
			return;
		}
}

/* The windows of one series; partials of one window lie side by side now. */
static int tell_windows(const struct found *f, const uint32_t *order, size_t n, uint32_t sid, block_fn fn,
			void *arg)
{
	int err = 0;

	for (size_t i = 0, next; i < n && err == 0; i = next) {
		struct found_bucket *b = &f->all[order[i]];

		for (next = i + 1; next < n && err == 0 && f->all[order[next]].start_ns == b->start_ns;
		     next++) {
			const struct found_bucket *other = &f->all[order[next]];

			err = bucket_merge(&b->bucket, &other->bucket);
			b->window_ns = other->window_ns > b->window_ns ? other->window_ns : b->window_ns;
		}
		if (err == 0)
			err = fn(arg, (struct block_key){ sid, b->start_ns, b->window_ns }, &b->bucket);
	}
	return err;
}

int found_tell(struct found *f, block_fn fn, void *arg)
{
	struct by_series b = { 0 };
	int err = by_series_init(&b, f);

	for (size_t i = 0, at = 0; i < f->n_sids && err == 0; at = b.ends[i++]) {
		sort_windows(f, b.order + at, b.ends[i] - at);
		err = tell_windows(f, b.order + at, b.ends[i] - at, f->asked[i], fn, arg);
	}
	free(b.order);
	free(b.ends);
	return err;
}

#include "query/exact.h"

#include "query/scan.h"
#include "store/base/limits.h"

struct sample_scan exact_scan(const struct plan *p, const struct chosen_run *r, struct store *store)
{
	const struct ask *a = &p->ask;
	struct sample_scan s = { .store = store,
				 .rid = r->rid,
				 .sids = p->picked.sids + r->first,
				 .n_sids = r->n,
				 .from_ns = a->has_start ? a->start_ns : INT64_MIN,
				 .to_ns = a->has_end ? a->end_ns : INT64_MAX,
				 .by_step = a->x_step };
	int64_t from = window_start(r->life_from_ns, p->tier_ns);
	int64_t to = r->life_from_ns < r->life_to_ns ? window_end(r->life_to_ns, p->tier_ns) : from;

	if (a->points) { /* its life may be that of the steps which are asked for */
		s.from_ns = s.from_ns > from ? s.from_ns : from;
		s.to_ns = s.to_ns < to ? s.to_ns : to;
	}
	return s;
}

/* ---- not too many ---- */

static int count_samples(void *arg, size_t series, int64_t start_ns, const struct bucket *b)
{
	uint64_t *n = arg;

	(void)series, (void)start_ns;
	*n += bucket_samples(b);
	return *n > limits.rows ? ERR_TOO_LARGE : 0;
}

/* Adds the samples of the windows that are to be read of.  ERR_TOO_LARGE. */
static int count_run(const struct plan *p, const struct chosen_run *r, struct store *store, uint64_t *n)
{
	const struct sample_scan s = exact_scan(p, r, store);
	const struct scan windows = { .store = store,
				      .rid = r->rid,
				      .window_ns = r->window_ns,
				      .sids = s.sids,
				      .n_sids = s.n_sids,
				      .width_ns = p->tier_ns,
				      .every_ns = p->tier_ns,
				      .from_ns = window_start(s.from_ns, p->tier_ns),
				      .to_ns = window_end(s.to_ns, p->tier_ns),
				      .fields = WANT_COUNT | WANT_RARE,
				      .row = count_samples,
				      .arg = n };
	bool some_missing = false; /* of windows, which the answer is not made of */

	return s.from_ns < s.to_ns ? scan_run(&windows, &some_missing) : 0;
}

/* Whether windows tell that there are too many, or tell nothing because they are past their time. */
static int count(struct plan *p, struct store *store)
{
	uint64_t n = 0;
	int err = 0;

	for (size_t i = 0; err == 0 && i < p->n_runs; i++)
		err = count_run(p, &p->runs[i], store, &n);
	if (err == ERR_TOO_LARGE || err == ERR_BUSY) {
		p->exact = false;
		return 0;
	}
	return err;
}

/* ---- all are kept ---- */

static int kept(struct plan *p, struct store *store)
{
	const struct ask *a = &p->ask;
	struct view *v;
	int err = view_open(store, &v);

	if (err < 0)
		return err;
	for (size_t i = 0; err == 0 && i < p->n_runs; i++) {
		const struct chosen_run *r = &p->runs[i];
		int64_t since;

		err = view_samples_since(v, r->rid, &since);
		if (err == 0 && since > (a->has_start ? a->start_ns : r->life_from_ns)) {
			p->since_ns = since > p->since_ns ? since : p->since_ns;
			p->exact = a->samples;
		}
	}
	view_close(v);
	return err;
}

int exact_find(struct plan *p, struct store *store)
{
	const struct ask *a = &p->ask;
	int err;

	p->since_ns = INT64_MIN;
	p->exact = a->samples || (a->x_step && !a->every_ns && (a->points || !a->merge));
	if (!p->exact)
		return 0;
	err = kept(p, store);
	return err == 0 && p->exact && a->points ? count(p, store) : err;
}

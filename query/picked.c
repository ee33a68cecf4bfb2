#include "query/picked.h"

#include <stdlib.h>

#define TEXT_BYTES_MAX (OUT_HOLD_MAX - 65536) /* a name is at most some 50 KiB as JSON */

struct picking {
	struct picked *p;
	const struct ask *ask;
	void (*write)(struct out *o, const struct series_name *name);
};

void picked_init(struct picked *p)
{
	*p = (struct picked){ 0 };
	out_init(&p->text, NULL);
}

void picked_release(struct picked *p)
{
	free(p->sids);
	free(p->heads);
	out_release(&p->text);
	picked_init(p);
}

static int grow(struct picked *p)
{
	size_t cap = p->cap ? p->cap * 2 : 64;
	struct picked_head *heads;
	uint32_t *sids;

	if (p->n < p->cap)
		return 0;
	sids = realloc(p->sids, cap * sizeof *sids);
	if (!sids)
		return ERR_NOMEM;
	p->sids = sids;
	heads = realloc(p->heads, cap * sizeof *heads);
	if (!heads)
		return ERR_NOMEM;
	p->heads = heads;
	p->cap = cap;
	return 0;
}

static bool is_wanted(void *arg, const struct series_name *name)
{
	const struct picking *k = arg;

	return ask_wants(k->ask, name);
}

static int pick(void *arg, uint32_t sid, const struct series_name *name)
{
	struct picking *k = arg;
	struct picked *p = k->p;
	struct series_name merged;
	size_t at;

	if (k->ask && !ask_wants(k->ask, name))
		return 0;
	if (p->n == PICKED_MAX || p->text.b.len > TEXT_BYTES_MAX)
		return ERR_TOO_LARGE;
	if (grow(p) < 0)
		return ERR_NOMEM;
	p->sids[p->n] = sid;
	at = p->text.b.len;
	if (k->ask && k->ask->merge) {
		merged = ask_merged_name(k->ask, name);
		name = &merged;
	}
	k->write(&p->text, name);
	p->heads[p->n++] = (struct picked_head){ at, p->text.b.len - at };
	return p->text.err;
}

int picked_add(struct picked *p, struct view *v, uint32_t rid, const struct ask *ask,
	       void (*write)(struct out *o, const struct series_name *name), struct fault *f)
{
	struct picking k = { p, ask, write };
	struct span metrics[ASK_METRICS_MAX];
	size_t n = ask ? ask_metrics(ask, metrics) : 0;
	int err = n ? view_series_of(v, rid, metrics, n, is_wanted, pick, &k) : view_series(v, rid, pick, &k);

	if (err == ERR_TOO_LARGE)
		return fault_set(f, ERR_REFUSED, "metric",
				 "more than %zu series are asked for; narrow them with metric= "
				 "or label.KEY=",
				 p->n);
	return err < 0 ? fault_default(f, err) : 0;
}

struct span picked_head(const struct picked *p, size_t nth)
{
	return span_of(p->text.b.data + p->heads[nth].at, p->heads[nth].len);
}

/* ---- groups ---- */

struct member {
	const struct picked *p;
	struct picked_head head;
	uint32_t sid;
	size_t nth, group; /* its place, and that of the first with its text */
};

static int compare_texts(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	const uint8_t *text = x->p->text.b.data;
	size_t n = x->head.len < y->head.len ? x->head.len : y->head.len;
	int c = memcmp(text + x->head.at, text + y->head.at, n);

	if (c != 0)
		return c;
	if (x->head.len != y->head.len)
		return x->head.len < y->head.len ? -1 : 1;
	return (x->nth > y->nth) - (x->nth < y->nth);
}

static int compare_groups(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return (x->nth > y->nth) - (x->nth < y->nth);
}

int picked_group(struct picked *p, size_t first)
{
	size_t n = p->n - first;
	struct member *m = malloc((n + 1) * sizeof *m);

	if (!m)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		m[i] = (struct member){ p, p->heads[first + i], p->sids[first + i], first + i, 0 };
	qsort(m, n, sizeof *m, compare_texts);
	for (size_t i = 0; i < n; i++) {
		bool alike = i > 0 && span_equal(picked_head(p, m[i - 1].nth), picked_head(p, m[i].nth));

		m[i].group = alike ? m[i - 1].group : m[i].nth;
	}
	qsort(m, n, sizeof *m, compare_groups);
	for (size_t i = 0; i < n; i++) {
		p->heads[first + i] = m[i].head;
		p->sids[first + i] = m[i].sid;
	}
	free(m);
	return 0;
}

size_t picked_alike(const struct picked *p, size_t nth, size_t end)
{
	size_t n = 1;

	while (nth + n < end && span_equal(picked_head(p, nth), picked_head(p, nth + n)))
		n++;
	return n;
}

/* ---- names ---- */

void out_labels(struct out *o, const struct series_name *name)
{
	out_ch(o, '{');
	for (size_t i = 0; i < name->n_labels; i++) {
		if (i > 0)
			out_ch(o, ',');
		out_string(o, name->labels[i].key);
		out_ch(o, ':');
		out_string(o, name->labels[i].value);
	}
	out_ch(o, '}');
}

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
	uint32_t *sids;
	size_t *heads;

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

static int pick(void *arg, uint32_t sid, const struct series_name *name)
{
	struct picking *k = arg;
	struct picked *p = k->p;

	if (k->ask && !ask_wants(k->ask, name))
		return 0;
	if (p->n == PICKED_MAX || p->text.b.len > TEXT_BYTES_MAX)
		return ERR_TOO_LARGE;
	if (grow(p) < 0)
		return ERR_NOMEM;
	p->sids[p->n] = sid;
	p->heads[p->n++] = p->text.b.len;
	k->write(&p->text, name);
	return p->text.err;
}

int picked_add(struct picked *p, struct view *v, uint32_t rid, const struct ask *ask,
	       void (*write)(struct out *o, const struct series_name *name), struct fault *f)
{
	struct picking k = { p, ask, write };
	int err = view_series(v, rid, pick, &k);

	if (err == ERR_TOO_LARGE)
		return fault_set(f, ERR_REFUSED, "metric",
				 "more than %zu series are asked for; narrow them with metric= "
				 "or label.KEY=",
				 p->n);
	return err < 0 ? fault_default(f, err) : 0;
}

struct span picked_head(const struct picked *p, size_t nth)
{
	size_t end = nth + 1 < p->n ? p->heads[nth + 1] : p->text.b.len;

	return span_of(p->text.b.data + p->heads[nth], end - p->heads[nth]);
}

void out_labels(struct out *o, const struct series_name *name)
{
	out_raw(o, "\"labels\":{");
	for (size_t i = 0; i < name->n_labels; i++) {
		if (i > 0)
			out_ch(o, ',');
		out_string(o, name->labels[i].key);
		out_ch(o, ':');
		out_string(o, name->labels[i].value);
	}
	out_ch(o, '}');
}

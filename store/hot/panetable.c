#include "store/hot/panetable.h"

#include <stdio.h>
#include <stdlib.h>

void *must(void *p)
{
	if (!p) {
		fputs("astraml: out of memory while folding; the journal has everything, restart\n", stderr);
		abort();
	}
	return p;
}

struct table *table_new(int64_t epoch_ns, uint64_t first_batch)
{
	struct table *t = must(calloc(1, sizeof(*t)));

	t->epoch_ns = epoch_ns;
	t->first_batch = first_batch;
	t->least_start = INT64_MAX;
	t->greatest_start = INT64_MIN;
	t->mask = 31;
	t->slots = must(calloc(t->mask + 1, sizeof(*t->slots)));
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->n; i++)
		pane_release(table_pane(t, i));
	for (size_t i = 0; i < t->n_chunks; i++)
		free(t->chunks[i]);
	free(t->chunks);
	free(t->slots);
	free(t);
}

static void table_rehash(struct table *t)
{
	size_t mask = t->mask * 2 + 1;
	struct slot *slots = must(calloc(mask + 1, sizeof(*slots)));

	for (size_t i = 0; i <= t->mask; i++) {
		size_t at = t->slots[i].tag & mask;

		if (!t->slots[i].index)
			continue;
		while (slots[at].index)
			at = (at + 1) & mask;
		slots[at] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->mask = mask;
}

static struct pane *table_append(struct table *t)
{
	if (t->n == t->n_chunks * CHUNK_PANES) {
		if (t->n_chunks == t->chunks_cap) {
			t->chunks_cap = t->chunks_cap ? t->chunks_cap * 2 : 8;
			t->chunks = must(realloc(t->chunks, t->chunks_cap * sizeof(*t->chunks)));
		}
		t->chunks[t->n_chunks++] = must(malloc(CHUNK_PANES * sizeof(struct pane)));
	}
	return table_pane(t, t->n++);
}

static struct pane *table_add(struct table *t, int64_t start_ns, uint32_t window_ms, uint32_t group,
			      uint32_t tag, size_t at)
{
	struct pane *p = table_append(t);

	pane_init(p, start_ns, window_ms, group);
	t->bytes += pane_bytes(p);
	t->slots[at] = (struct slot){ tag, t->n };
	if (start_ns < t->least_start)
		t->least_start = start_ns;
	if (start_ns > t->greatest_start)
		t->greatest_start = start_ns;
	if (t->n > t->mask / 2)
		table_rehash(t);
	return p;
}

struct pane *table_next(const struct table *t, int64_t start_ns, uint32_t group, uint32_t tag, size_t *at)
{
	for (; t->slots[*at].index; *at = (*at + 1) & t->mask) {
		struct pane *p;

		if (t->slots[*at].tag != tag)
			continue;
		p = table_pane(t, t->slots[*at].index - 1);
		if (p->group != group || p->start_ns != start_ns)
			continue;
		*at = (*at + 1) & t->mask;
		return p;
	}
	return NULL;
}

struct pane *table_pane_of(struct table *t, int64_t start_ns, uint32_t window_ms, uint32_t group)
{
	uint32_t tag = table_tag(group, start_ns);
	size_t at = tag & t->mask;
	struct pane *p;

	while ((p = table_next(t, start_ns, group, tag, &at)))
		if (p->window_ms == window_ms)
			return p;
	return table_add(t, start_ns, window_ms, group, tag, at);
}

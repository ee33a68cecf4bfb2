#include "ingest/import/series_names.h"

#include <stdlib.h>
#include <xxhash.h>

#include "ingest/names.h"

/* A name and a label have at most 250 bytes each; what is longer is no name. */
#define KEY_MAX (64 * 1024)

void series_names_init(struct series_names *m)
{
	*m = (struct series_names){ 0 };
	buf_init(&m->key, KEY_MAX);
}

void series_names_release(struct series_names *m)
{
	for (size_t i = 0; i < m->cap; i++)
		free(m->slots[i].name);
	free(m->slots);
	buf_release(&m->key);
	*m = (struct series_names){ 0 };
}

static struct series_entry *find_slot(const struct series_names *m, uint64_t hash, struct span name)
{
	size_t i = hash & (m->cap - 1);

	while (m->slots[i].name && (m->slots[i].hash != hash || m->slots[i].len != name.len ||
				    memcmp(m->slots[i].name, name.data, name.len) != 0))
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

static int grow(struct series_names *m)
{
	struct series_names bigger = *m;

	bigger.cap = m->cap ? m->cap * 2 : 64;
	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return ERR_NOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		const struct series_entry *old = &m->slots[i];

		if (old->name)
			*find_slot(&bigger, old->hash, span_of(old->name, old->len)) = *old;
	}
	free(m->slots);
	*m = bigger;
	return 0;
}

static int add_part(struct buf *key, struct span part)
{
	int err = buf_addch(key, 0); /* in no good name */

	return err < 0 ? err : buf_add(key, part.data, part.len);
}

/* The metric itself where there are no labels. */
static int make_key(struct series_names *m, const struct import_sample *s, struct span *ret)
{
	int err;

	*ret = s->metric;
	if (s->n_labels == 0)
		return 0;
	buf_clear(&m->key);
	err = buf_add(&m->key, s->metric.data, s->metric.len);
	for (size_t i = 0; i < s->n_labels && err == 0; i++) {
		err = add_part(&m->key, s->labels[i].key);
		if (err == 0)
			err = add_part(&m->key, s->labels[i].value);
	}
	*ret = buf_span(&m->key);
	return err;
}

static bool name_is_good(const struct import_sample *s)
{
	struct series_name name = { .metric = s->metric, .unit = s->unit, .n_labels = s->n_labels };

	if (s->n_labels > LABELS_MAX)
		return false;
	for (size_t i = 0; i < s->n_labels; i++)
		name.labels[i] = s->labels[i];
	return name_check_series(&name, NULL) == 0;
}

int series_names_get(struct series_names *m, const struct import_sample *s, struct series_entry **ret)
{
	struct series_entry *e;
	struct span key;
	uint64_t hash;
	int err = make_key(m, s, &key);

	*ret = NULL;
	if (err == ERR_FULL)
		return 0;
	if (err < 0 || (m->n * 2 >= m->cap && (err = grow(m)) < 0))
		return err;
	hash = XXH3_64bits(key.data, key.len);
	e = find_slot(m, hash, key);
	if (!e->name) {
		char *copy;

		if (m->n >= SERIES_NAMES_MAX || !name_is_good(s))
			return 0;
		copy = malloc(key.len);
		if (!copy)
			return ERR_NOMEM;
		memcpy(copy, key.data, key.len);
		*e = (struct series_entry){ .hash = hash, .name = copy, .len = key.len };
		m->n++;
	}
	*ret = e;
	return 0;
}

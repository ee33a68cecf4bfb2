#include "ingest/import/metric_names.h"

#include <stdlib.h>
#include <xxhash.h>

#include "ingest/names.h"

bool metric_name_ok(struct span name)
{
	return name.len >= 1 && name.len <= METRIC_NAME_MAX && name_is_clean(name);
}

static struct metric_name *find_slot(const struct metric_names *m, uint64_t hash, struct span name)
{
	size_t i = hash & (m->cap - 1);

	while (m->slots[i].name && (m->slots[i].hash != hash || m->slots[i].len != name.len ||
				    memcmp(m->slots[i].name, name.data, name.len) != 0))
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

static int grow(struct metric_names *m)
{
	struct metric_names bigger = { .n = m->n, .cap = m->cap ? m->cap * 2 : 64 };

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return ERR_NOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		const struct metric_name *old = &m->slots[i];

		if (old->name)
			*find_slot(&bigger, old->hash, span_of(old->name, old->len)) = *old;
	}
	free(m->slots);
	*m = bigger;
	return 0;
}

int metric_names_get(struct metric_names *m, struct span name, struct metric_name **ret)
{
	uint64_t hash;
	struct metric_name *e;
	int err;

	if (!metric_name_ok(name)) {
		*ret = NULL;
		return 0;
	}
	if (m->n * 2 >= m->cap && (err = grow(m)) < 0)
		return err;
	hash = XXH3_64bits(name.data, name.len);
	e = find_slot(m, hash, name);
	if (!e->name && m->n >= METRIC_NAMES_MAX) {
		*ret = NULL;
		return 0;
	}
	if (!e->name) {
		char *copy = malloc(name.len);

		if (!copy)
			return ERR_NOMEM;
		memcpy(copy, name.data, name.len);
		*e = (struct metric_name){ .hash = hash, .name = copy, .len = name.len };
		m->n++;
	}
	*ret = e;
	return 0;
}

void metric_names_release(struct metric_names *m)
{
	for (size_t i = 0; i < m->cap; i++)
		free(m->slots[i].name);
	free(m->slots);
	*m = (struct metric_names){ 0 };
}

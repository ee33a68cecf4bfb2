#include "store/registry/series.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/base/array.h"
#include "store/base/bytes.h"

#define NAME_BYTES_MAX (16 + METRIC_NAME_MAX + UNIT_MAX + LABELS_MAX * (2 * LABEL_PART_MAX + 8))

static uint8_t *put_span(uint8_t *p, struct span s)
{
	p = put_varint(p, s.len);
	if (s.len)
		memcpy(p, s.data, s.len);
	return p + s.len;
}

static uint8_t *put_labels(uint8_t *p, const struct series_name *name)
{
	p = put_varint(p, name->n_labels);
	for (size_t i = 0; i < name->n_labels; i++) {
		p = put_span(p, name->labels[i].key);
		p = put_span(p, name->labels[i].value);
	}
	return p;
}

int series_put(struct kv_txn *t, uint32_t rid, uint32_t sid, int64_t created_ns,
	       const struct series_name *name)
{
	uint8_t key[8], body[NAME_BYTES_MAX + 8], *p = body;

	put_be32(key, rid);
	put_be32(key + 4, sid);
	put_le64(p, (uint64_t)created_ns);
	p = put_span(p + 8, name->metric);
	p = put_span(p, name->unit);
	p = put_labels(p, name);
	return stored_put(t, KV_SERIES, KIND_SERIES, span_of(key, 8), span_of(body, (size_t)(p - body)));
}

int series_decode(struct span body, struct series_name *ret)
{
	struct reader r = reader_of(body);
	uint64_t n;

	read_bytes(&r, 8);
	ret->metric = read_lenspan(&r);
	ret->unit = read_lenspan(&r);
	n = read_varint(&r);
	if (r.bad || n > LABELS_MAX)
		return ERR_CORRUPT;
	ret->n_labels = (size_t)n;
	for (size_t i = 0; i < ret->n_labels; i++) {
		ret->labels[i].key = read_lenspan(&r);
		ret->labels[i].value = read_lenspan(&r);
	}
	return r.bad ? ERR_CORRUPT : 0;
}

int series_get(struct kv_txn *t, uint32_t rid, uint32_t sid, struct series_name *ret)
{
	struct stored s;
	uint8_t key[8];
	int err;

	put_be32(key, rid);
	put_be32(key + 4, sid);
	err = stored_get(t, KV_SERIES, KIND_SERIES, span_of(key, 8), &s);
	return err < 0 ? err : series_decode(s.body, ret);
}

int series_read(struct kv_txn *t, uint32_t rid, series_row_fn fn, void *arg)
{
	struct kv_cursor *c;
	struct span key, value;
	uint8_t from[8] = { 0 };
	int err = kv_cursor_open(t, KV_SERIES, &c), moved;

	if (err < 0)
		return err;
	put_be32(from, rid);
	moved = kv_seek(c, span_of(from, 8), &key, &value);
	while (err == 0 && moved == 0) {
		struct series_name name;
		struct stored s;

		if (key.len != 8 || (rid != 0 && get_be32(key.data) != rid))
			break;
		err = stored_open(key, value, KIND_SERIES, &s);
		if (err == 0)
			err = series_decode(s.body, &name);
		if (err == 0)
			err = fn(arg, get_be32(key.data), get_be32(key.data + 4), &name);
		if (err == 0)
			moved = kv_next(c, &key, &value);
	}
	kv_cursor_close(c);
	if (err == 0 && moved < 0 && moved != ERR_NOT_FOUND)
		return moved;
	return err;
}

/* ---- names: packed, for there are many and they stay ---- */

#define NAME_CHUNK_BYTES (256 * 1024)
_Static_assert(NAME_BYTES_MAX <= UINT16_MAX, "a length is a u16");

struct name_chunk {
	struct name_chunk *next;
	size_t len;
	uint8_t bytes[NAME_CHUNK_BYTES];
};

static struct span name_of(const struct registry_entry *e) { return span_of(e->name + 2, get_le16(e->name)); }

/* Names whose ids are taken back leave a gap; that follows a failed commit only. */
static const uint8_t *keep_name(struct registry *r, const uint8_t *bytes, size_t len)
{
	struct name_chunk *c = r->names;
	uint8_t *p;

	if (!c || NAME_CHUNK_BYTES - c->len < len + 2) {
		c = malloc(sizeof(*c));
		if (!c)
			return NULL;
		c->next = r->names;
		c->len = 0;
		r->names = c;
	}
	p = c->bytes + c->len;
	put_le16(p, (uint16_t)len);
	memcpy(p + 2, bytes, len);
	c->len += len + 2;
	return p;
}

static struct span metric_of(const struct registry_entry *e)
{
	struct reader r = reader_of(name_of(e));

	return read_lenspan(&r);
}

/* The name without its unit; borrowed. */
static struct series_name decode_name(const struct registry_entry *e)
{
	struct reader r = reader_of(name_of(e));
	struct series_name name = { .metric = read_lenspan(&r) };

	name.n_labels = (size_t)read_varint(&r);
	for (size_t i = 0; i < name.n_labels; i++) {
		name.labels[i].key = read_lenspan(&r);
		name.labels[i].value = read_lenspan(&r);
	}
	return name;
}

/* ---- tables ---- */

#define TABLE_LEAST 1024

static uint64_t hash_metric(uint32_t rid, struct span metric)
{
	return XXH3_64bits_withSeed(metric.data, metric.len, rid);
}

static size_t home_of(const struct registry *r, const struct sid_table *t, const struct registry_entry *e)
{
	struct span key = t == &r->by_name ? name_of(e) : metric_of(e);

	return XXH3_64bits_withSeed(key.data, key.len, e->rid) & t->mask;
}

/* The place of the newest series of a run and metric, or the free one for it. */
static size_t metric_place(const struct registry *r, uint32_t rid, struct span metric)
{
	const struct sid_table *t = &r->by_metric;
	size_t at = hash_metric(rid, metric) & t->mask;

	for (; t->slots[at]; at = (at + 1) & t->mask) {
		const struct registry_entry *e = &r->entries[t->slots[at]];

		if (e->rid == rid && span_equal(metric_of(e), metric))
			break;
	}
	return at;
}

static void put_newest(struct registry *r, uint32_t sid)
{
	const struct registry_entry *e = &r->entries[sid];
	uint32_t *slot = &r->by_metric.slots[metric_place(r, e->rid, metric_of(e))];

	r->by_metric.used += *slot == 0;
	r->alike[sid] = *slot;
	*slot = sid;
}

static void put_name(struct registry *r, uint32_t sid)
{
	struct sid_table *t = &r->by_name;
	size_t at = home_of(r, t, &r->entries[sid]);

	while (t->slots[at])
		at = (at + 1) & t->mask;
	t->slots[at] = sid;
	t->used++;
}

/* Empty, as large as that. */
static int table_clear(struct sid_table *t, size_t mask)
{
	uint32_t *slots = calloc(mask + 1, sizeof(*slots));

	if (!slots)
		return ERR_NOMEM;
	free(t->slots);
	t->slots = slots;
	t->mask = mask;
	t->used = 0;
	return 0;
}

/* As large as that, with all there is. */
static int table_fill(struct registry *r, struct sid_table *t, size_t mask)
{
	int err = table_clear(t, mask);

	for (uint32_t sid = 0; sid < r->n_entries && err == 0; sid++) {
		if (!r->entries[sid].rid)
			continue;
		if (t == &r->by_name)
			put_name(r, sid);
		else
			put_newest(r, sid);
	}
	return err;
}

/* Room for one more. */
static int table_grow(struct registry *r, struct sid_table *t)
{
	return t->used > t->mask / 2 ? table_fill(r, t, t->mask * 2 + 1) : 0;
}

/* What follows moves up, so that no chain is broken. */
static void clear_slot(struct registry *r, struct sid_table *t, size_t at)
{
	for (size_t next = (at + 1) & t->mask; t->slots[next]; next = (next + 1) & t->mask) {
		size_t home = home_of(r, t, &r->entries[t->slots[next]]);

		if (((next - home) & t->mask) < ((next - at) & t->mask))
			continue;
		t->slots[at] = t->slots[next];
		at = next;
	}
	t->slots[at] = 0;
	t->used--;
}

/* ---- registry ---- */

int registry_init(struct registry *r)
{
	*r = (struct registry){ .by_name.mask = TABLE_LEAST - 1, .by_metric.mask = TABLE_LEAST - 1 };
	pthread_rwlock_init(&r->lock, NULL);
	r->by_name.slots = calloc(TABLE_LEAST, sizeof(uint32_t));
	r->by_metric.slots = calloc(TABLE_LEAST, sizeof(uint32_t));
	return r->by_name.slots && r->by_metric.slots ? 0 : ERR_NOMEM;
}

void registry_release(struct registry *r)
{
	for (struct name_chunk *c = r->names, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(r->entries);
	free(r->alike);
	free(r->by_name.slots);
	free(r->by_metric.slots);
	pthread_rwlock_destroy(&r->lock);
}

struct canonical {
	uint8_t bytes[NAME_BYTES_MAX];
	size_t len;
	uint64_t hash;
};

static void canonicalise(uint32_t rid, const struct series_name *name, struct canonical *ret)
{
	ret->len = (size_t)(put_labels(put_span(ret->bytes, name->metric), name) - ret->bytes);
	ret->hash = XXH3_64bits_withSeed(ret->bytes, ret->len, rid);
}

static size_t probe(const struct registry *r, uint32_t rid, const struct canonical *c)
{
	const struct sid_table *t = &r->by_name;
	size_t at = c->hash & t->mask;

	for (; t->slots[at]; at = (at + 1) & t->mask) {
		const struct registry_entry *e = &r->entries[t->slots[at]];

		if (e->hash == (uint32_t)(c->hash >> 32) && e->rid == rid &&
		    span_equal(name_of(e), span_of(c->bytes, c->len)))
			break;
	}
	return at;
}

static int grow_entries(struct registry *r, uint32_t sid)
{
	size_t n = r->n_entries ? r->n_entries : 1024;
	struct registry_entry *p;
	uint32_t *alike;

	if (sid < r->n_entries)
		return 0;
	while (n <= sid)
		n += n / 4;
	alike = realloc(r->alike, n * sizeof(*alike));
	if (!alike)
		return ERR_NOMEM;
	r->alike = alike;
	p = realloc(r->entries, n * sizeof(*p));
	if (!p)
		return ERR_NOMEM;
	memset(p + r->n_entries, 0, (n - r->n_entries) * sizeof(*p));
	memset(alike + r->n_entries, 0, (n - r->n_entries) * sizeof(*alike));
	r->entries = p;
	r->n_entries = n;
	return 0;
}

int registry_add(struct registry *r, uint32_t rid, uint32_t sid, const struct series_name *name)
{
	const uint8_t *kept = NULL;
	struct canonical c;
	int err = 0;

	canonicalise(rid, name, &c);
	pthread_rwlock_wrlock(&r->lock);
	err = table_grow(r, &r->by_name);
	if (err == 0)
		err = table_grow(r, &r->by_metric);
	if (err == 0)
		err = grow_entries(r, sid);
	if (err == 0 && !(kept = keep_name(r, c.bytes, c.len)))
		err = ERR_NOMEM;
	if (err == 0) {
		r->entries[sid] = (struct registry_entry){ rid, (uint32_t)(c.hash >> 32), kept };
		put_name(r, sid);
		put_newest(r, sid);
	}
	pthread_rwlock_unlock(&r->lock);
	return err;
}

void registry_truncate(struct registry *r, uint32_t from_sid)
{
	pthread_rwlock_wrlock(&r->lock);
	for (size_t i = from_sid; i < r->n_entries; i++)
		r->entries[i] = (struct registry_entry){ 0 };
	r->rollbacks++;
	if (table_fill(r, &r->by_name, r->by_name.mask) < 0 ||
	    table_fill(r, &r->by_metric, r->by_metric.mask) < 0)
		abort(); /* the table would name series that do not exist */
	pthread_rwlock_unlock(&r->lock);
}

/* Its name stays in its chunk until the process ends.  With the newest of its metric go the others, which are
 * of the same run. */
static void forget(struct registry *r, uint32_t sid)
{
	struct registry_entry *e = &r->entries[sid];
	size_t at = home_of(r, &r->by_name, e), newest = metric_place(r, e->rid, metric_of(e));

	while (r->by_name.slots[at] != sid)
		at = (at + 1) & r->by_name.mask;
	clear_slot(r, &r->by_name, at);
	if (r->by_metric.slots[newest] == sid)
		clear_slot(r, &r->by_metric, newest);
	*e = (struct registry_entry){ 0 };
}

void registry_forget(struct registry *r, const uint32_t *sids, size_t n)
{
	pthread_rwlock_wrlock(&r->lock);
	for (size_t i = 0; i < n; i++)
		if (sids[i] < r->n_entries && r->entries[sids[i]].rid)
			forget(r, sids[i]);
	pthread_rwlock_unlock(&r->lock);
}

int registry_find(struct registry *r, uint32_t rid, const struct series_name *name, uint32_t *ret_sid)
{
	struct canonical c;
	uint32_t sid;

	canonicalise(rid, name, &c);
	pthread_rwlock_rdlock(&r->lock);
	sid = r->by_name.slots[probe(r, rid, &c)];
	pthread_rwlock_unlock(&r->lock);
	if (!sid)
		return ERR_NOT_FOUND;
	*ret_sid = sid;
	return 0;
}

#define COLLECT_TURN 1000 /* series looked at before the lock is let go */

/* From *at on, up to the end, which is 0, or a turn; under the lock. */
static int collect_some(struct registry *r, uint32_t rid, uint32_t *at,
			bool (*wanted)(void *, const struct series_name *), void *arg, struct sid_list *found)
{
	for (int i = 0; i < COLLECT_TURN && *at; i++, *at = r->alike[*at]) {
		const struct registry_entry *e = &r->entries[*at];
		struct series_name name;

		if (e->rid != rid)
			continue;
		name = decode_name(e);
		if (!wanted(arg, &name))
			continue;
		if (array_grow(found->sids, found->n, found->cap) < 0)
			return ERR_NOMEM;
		found->sids[found->n++] = *at;
	}
	return 0;
}

int registry_collect(struct registry *r, uint32_t rid, struct span metric,
		     bool (*wanted)(void *, const struct series_name *), void *arg, struct sid_list *found)
{
	uint32_t at;
	int err;

	pthread_rwlock_rdlock(&r->lock);
	at = r->by_metric.slots[metric_place(r, rid, metric)];
	err = collect_some(r, rid, &at, wanted, arg, found);
	pthread_rwlock_unlock(&r->lock);
	while (at && err == 0) {
		pthread_rwlock_rdlock(&r->lock);
		err = collect_some(r, rid, &at, wanted, arg, found);
		pthread_rwlock_unlock(&r->lock);
	}
	return err;
}

uint64_t registry_rollbacks(struct registry *r)
{
	uint64_t n;

	pthread_rwlock_rdlock(&r->lock);
	n = r->rollbacks;
	pthread_rwlock_unlock(&r->lock);
	return n;
}

uint32_t registry_run(struct registry *r, uint32_t sid)
{
	uint32_t rid;

	pthread_rwlock_rdlock(&r->lock);
	rid = sid < r->n_entries ? r->entries[sid].rid : 0;
	pthread_rwlock_unlock(&r->lock);
	return rid;
}

size_t registry_check(struct registry *r, uint32_t rid, const uint32_t *sids, size_t n)
{
	size_t i = 0;

	pthread_rwlock_rdlock(&r->lock);
	while (i < n && sids[i] < r->n_entries && r->entries[sids[i]].rid == rid)
		i++;
	pthread_rwlock_unlock(&r->lock);
	return i;
}

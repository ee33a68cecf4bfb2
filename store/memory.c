#include "store/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/base/clock.h"

#define CHUNK_ENTRIES 256
#define NEAR          8 /* slots of a cache line */

/* Open addressing by the tag, which is half of the key's hash: growing needs no keys, and a probe
 * rarely touches the key of another entry. */
struct slot {
	uint32_t tag, index; /* index of the entry + 1; 0: empty */
};

/* Keys past the table's last entry have sid 0, which no series has. */
struct chunk {
	struct entry_key keys[CHUNK_ENTRIES];
	struct bucket buckets[CHUNK_ENTRIES];
};

struct table {
	int64_t epoch_ns;
	uint64_t first_batch;
	int64_t least_start, greatest_start;
	uint32_t n;
	struct chunk **chunks;
	size_t n_chunks, chunks_cap;
	struct slot *slots;
	size_t mask; /* number of slots - 1 */
};

static void *must(void *p)
{
	if (!p) {
		fputs("astraml: out of memory while folding; the journal has everything, restart\n", stderr);
		abort();
	}
	return p;
}

static struct table *table_new(int64_t epoch_ns, uint64_t first_batch)
{
	struct table *t = must(calloc(1, sizeof(*t)));

	t->epoch_ns = epoch_ns;
	t->first_batch = first_batch;
	t->least_start = INT64_MAX;
	t->greatest_start = INT64_MIN;
	t->mask = 255;
	t->slots = must(calloc(t->mask + 1, sizeof(*t->slots)));
	return t;
}

static inline struct entry_key *table_key(const struct table *t, uint32_t i)
{
	return &t->chunks[i / CHUNK_ENTRIES]->keys[i % CHUNK_ENTRIES];
}

static inline struct bucket *table_bucket(const struct table *t, uint32_t i)
{
	return &t->chunks[i / CHUNK_ENTRIES]->buckets[i % CHUNK_ENTRIES];
}

static struct entry table_entry(const struct table *t, uint32_t i)
{
	return (struct entry){ *table_key(t, i), table_bucket(t, i) };
}

static void table_free(struct table *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->n; i++)
		if (bucket_owns(table_bucket(t, i)))
			bucket_release(table_bucket(t, i));
	for (size_t i = 0; i < t->n_chunks; i++)
		free(t->chunks[i]);
	free(t->chunks);
	free(t->slots);
	free(t);
}

static size_t table_bytes(const struct table *t)
{
	return t->n_chunks * sizeof(struct chunk) + (t->mask + 1) * sizeof(struct slot);
}

/* Series that follow each other share a cache line of slots: they mostly come in that order. */
static uint32_t tag_of(uint32_t sid, int64_t start_ns)
{
	uint64_t near = sid / NEAR;
	uint64_t h = ((uint64_t)start_ns ^ (near << 32 | near)) * 0x9e3779b97f4a7c15u;

	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	return (uint32_t)(h >> 32) * NEAR | sid % NEAR;
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

static uint32_t table_append(struct table *t)
{
	if (t->n == t->n_chunks * CHUNK_ENTRIES) {
		if (t->n_chunks == t->chunks_cap) {
			t->chunks_cap = t->chunks_cap ? t->chunks_cap * 2 : 8;
			t->chunks = must(realloc(t->chunks, t->chunks_cap * sizeof(*t->chunks)));
		}
		t->chunks[t->n_chunks] = must(malloc(sizeof(struct chunk)));
		memset(t->chunks[t->n_chunks++]->keys, 0, sizeof(t->chunks[0]->keys));
	}
	return t->n++;
}

static inline bool key_is(const struct entry_key *k, uint32_t sid, int64_t start_ns)
{
	return k->sid == sid && k->start_ns == start_ns;
}

/* Slot of the key, or the empty slot where it belongs. */
static size_t table_probe(const struct table *t, uint32_t sid, int64_t start_ns, uint32_t tag)
{
	size_t at = tag & t->mask;

	while (t->slots[at].index) {
		if (t->slots[at].tag == tag && key_is(table_key(t, t->slots[at].index - 1), sid, start_ns))
			break;
		at = (at + 1) & t->mask;
	}
	return at;
}

/* The bucket is the caller's to start. */
static uint32_t table_add(struct table *t, struct entry_key key, uint32_t tag, size_t at)
{
	uint32_t i = table_append(t);

	*table_key(t, i) = key;
	t->slots[at] = (struct slot){ tag, i + 1 };
	if (key.start_ns < t->least_start)
		t->least_start = key.start_ns;
	if (key.start_ns > t->greatest_start)
		t->greatest_start = key.start_ns;
	if (t->n > t->mask / 2)
		table_rehash(t);
	return i;
}

/* ---- memory ---- */

void memory_init(struct memory *m) { *m = (struct memory){ .floor_ns = INT64_MIN }; }

static void tables_free(struct table ***tables, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		table_free((*tables)[i]);
	free(*tables);
	*tables = NULL;
	*n = 0;
}

void memory_release(struct memory *m)
{
	tables_free(&m->open, &m->n_open);
	tables_free(&m->frozen, &m->n_frozen);
	m->recent = NULL;
}

static int64_t epoch_of(int64_t end_ns) { return (end_ns + EPOCH_NS - 1) / EPOCH_NS * EPOCH_NS; }

static struct table *open_table(struct memory *m, int64_t epoch_ns, uint64_t batch)
{
	size_t i = 0;

	if (epoch_ns <= m->floor_ns)
		epoch_ns = EPOCH_LATE;
	if (m->recent && m->recent->epoch_ns == epoch_ns)
		return m->recent;
	while (i < m->n_open && m->open[i]->epoch_ns < epoch_ns)
		i++;
	if (i == m->n_open || m->open[i]->epoch_ns != epoch_ns) {
		m->open = must(realloc(m->open, (m->n_open + 1) * sizeof(*m->open)));
		memmove(m->open + i + 1, m->open + i, (m->n_open - i) * sizeof(*m->open));
		m->open[i] = table_new(epoch_ns, batch);
		m->n_open++;
	}
	m->recent = m->open[i];
	return m->recent;
}

/* A bucket that was made elsewhere; as a sample it would have come to the same table. */
static int fold_bucket(struct table *t, struct entry_key key, const struct bucket *b)
{
	uint32_t tag = tag_of(key.sid, key.start_ns);
	size_t at = table_probe(t, key.sid, key.start_ns, tag);

	if (t->slots[at].index)
		return bucket_merge(table_bucket(t, t->slots[at].index - 1), b);
	return bucket_copy(table_bucket(t, table_add(t, key, tag, at)), b);
}

static void fold_buckets(struct memory *m, uint64_t batch, const struct journal_record *rec,
			 int64_t skip_floor)
{
	for (size_t i = 0; i < rec->n_buckets; i++) {
		const struct bucket_record *r = &rec->buckets[i];
		struct entry_key key = { r->start_ns, r->sid, (uint32_t)(rec->window_ns / NS_PER_MS) };
		int64_t epoch = epoch_of(r->start_ns + rec->window_ns);

		if (epoch > skip_floor && fold_bucket(open_table(m, epoch, batch), key, &r->bucket) < 0)
			must(NULL);
	}
}

/* Where the bucket after the one found last lies: series come in the same order again and again, so
 * that is nearly always the next one wanted. */
struct guess {
	struct chunk *chunk; /* NULL: none */
	uint32_t at;         /* CHUNK_ENTRIES: past its end */
};

static void guess_after(const struct table *t, uint32_t i, struct guess *g)
{
	g->chunk = t->chunks[i / CHUNK_ENTRIES];
	g->at = i % CHUNK_ENTRIES + 1;
	if (g->at == CHUNK_ENTRIES && i / CHUNK_ENTRIES + 1 < t->n_chunks) {
		g->chunk = t->chunks[i / CHUNK_ENTRIES + 1];
		g->at = 0;
	}
}

static int fold_by_key(struct table *t, struct guess *g, struct entry_key key, struct point p)
{
	uint32_t tag = tag_of(key.sid, key.start_ns), i;
	size_t at = table_probe(t, key.sid, key.start_ns, tag);
	bool there = t->slots[at].index != 0;

	i = there ? t->slots[at].index - 1 : table_add(t, key, tag, at);
	guess_after(t, i, g);
	return there ? bucket_add(table_bucket(t, i), p) : bucket_start(table_bucket(t, i), p);
}

static inline int fold_sample(struct table *t, struct guess *g, struct entry_key key, struct point p)
{
	if (g->chunk && g->at < CHUNK_ENTRIES && key_is(&g->chunk->keys[g->at], key.sid, key.start_ns))
		return bucket_add(&g->chunk->buckets[g->at++], p);
	return fold_by_key(t, g, key, p);
}

void memory_fold(struct memory *m, uint64_t batch, const struct journal_record *rec, int64_t skip_floor)
{
	struct entry_key key = { .start_ns = INT64_MAX, .window_ms = (uint32_t)(rec->window_ns / NS_PER_MS) };
	int64_t end = INT64_MIN;
	struct table *t = NULL;
	struct guess guess = { 0 };

	for (size_t i = 0; i < rec->n; i++) {
		struct point p = { rec->t_ns[i], rec->step ? rec->step[i] : STEP_NONE, rec->value[i] };

		if (p.t_ns < key.start_ns || p.t_ns >= end) {
			key.start_ns = window_start(p.t_ns, rec->window_ns);
			end = key.start_ns + rec->window_ns;
			t = epoch_of(end) <= skip_floor ? NULL : open_table(m, epoch_of(end), batch);
			guess.chunk = NULL;
		}
		if (!t)
			continue;
		key.sid = rec->sid[i];
		if (fold_sample(t, &guess, key, p) < 0)
			must(NULL);
	}
	fold_buckets(m, batch, rec, skip_floor);
}

size_t memory_buckets(const struct memory *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_open; i++)
		n += m->open[i]->n;
	for (size_t i = 0; i < m->n_frozen; i++)
		n += m->frozen[i]->n;
	return n;
}

size_t memory_bytes(const struct memory *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_open; i++)
		n += table_bytes(m->open[i]);
	return n;
}

size_t memory_late_bytes(const struct memory *m)
{
	return m->n_open && m->open[0]->epoch_ns == EPOCH_LATE ? table_bytes(m->open[0]) : 0;
}

bool memory_due(const struct memory *m, int64_t floor_ns)
{
	return m->n_open > 0 && m->open[0]->epoch_ns <= floor_ns;
}

void memory_freeze(struct memory *m, int64_t floor_ns)
{
	size_t n = 0;

	assert(m->n_frozen == 0);
	while (n < m->n_open && m->open[n]->epoch_ns <= floor_ns)
		n++;
	if (floor_ns != INT64_MAX && floor_ns > m->floor_ns)
		m->floor_ns = floor_ns;
	m->recent = NULL;
	if (n == 0)
		return;
	m->frozen = must(malloc(n * sizeof(*m->frozen)));
	memcpy(m->frozen, m->open, n * sizeof(*m->frozen));
	m->n_frozen = n;
	m->n_open -= n;
	memmove(m->open, m->open + n, m->n_open * sizeof(*m->open));
}

void memory_drop_frozen(struct memory *m) { tables_free(&m->frozen, &m->n_frozen); }

uint64_t memory_first_batch(const struct memory *m)
{
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < m->n_open; i++)
		if (m->open[i]->first_batch < least)
			least = m->open[i]->first_batch;
	return least;
}

/* ---- sorting ---- */

struct sid_range {
	uint32_t least, greatest;
	size_t n;
};

static struct sid_range frozen_range(const struct memory *m)
{
	struct sid_range r = { UINT32_MAX, 0, 0 };

	for (size_t i = 0; i < m->n_frozen; i++) {
		const struct table *t = m->frozen[i];

		for (uint32_t j = 0; j < t->n; j++) {
			uint32_t sid = table_key(t, j)->sid;

			r.least = sid < r.least ? sid : r.least;
			r.greatest = sid > r.greatest ? sid : r.greatest;
		}
		r.n += t->n;
	}
	return r;
}

/* Entries of one series came nearly by time: insertion sort while it goes well, else qsort. */
static int compare_start(const void *a, const void *b)
{
	int64_t x = ((const struct entry *)a)->key.start_ns, y = ((const struct entry *)b)->key.start_ns;

	return (x > y) - (x < y);
}

static void sort_series(struct entry *e, size_t n)
{
	size_t moves = 0;

	for (size_t i = 1; i < n; i++) {
		struct entry x = e[i];
		size_t j = i;

		for (; j > 0 && e[j - 1].key.start_ns > x.key.start_ns; j--, moves++)
			e[j] = e[j - 1];
		e[j] = x;
		if (moves > 8 * n) {
			qsort(e, n, sizeof(*e), compare_start);
			return;
		}
	}
}

/* A counting sort by sid: series ids are dense. */
int memory_sort_frozen(const struct memory *m, struct entry **ret, size_t *ret_n)
{
	struct sid_range r = frozen_range(m);
	size_t sids = r.n ? (size_t)(r.greatest - r.least) + 1 : 0;
	size_t *ends = calloc(sids + 1, sizeof(*ends)), total = 0;
	struct entry *e = malloc((r.n + 1) * sizeof(*e));

	if (!ends || !e) {
		free(ends);
		free(e);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < m->n_frozen; i++)
		for (uint32_t j = 0; j < m->frozen[i]->n; j++)
			ends[table_key(m->frozen[i], j)->sid - r.least]++;
	for (size_t i = 0; i < sids; i++) {
		size_t n = ends[i];
		ends[i] = total;
		total += n;
	}
	for (size_t i = 0; i < m->n_frozen; i++)
		for (uint32_t j = 0; j < m->frozen[i]->n; j++)
			e[ends[table_key(m->frozen[i], j)->sid - r.least]++] = table_entry(m->frozen[i], j);
	for (size_t i = 0, at = 0; i < sids; at = ends[i], i++)
		sort_series(e + at, ends[i] - at);
	free(ends);
	*ret = e;
	*ret_n = r.n;
	return 0;
}

/* ---- looking up ---- */

static int compare_sid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Every entry against the wanted series (sorted). */
static int table_scan(const struct table *t, const uint32_t *sorted, size_t n_sids, int64_t from_ns,
		      int64_t to_ns, entry_fn fn, void *arg)
{
	int err = 0;

	for (uint32_t i = 0; i < t->n && err == 0; i++) {
		const struct entry_key *k = table_key(t, i);
		struct entry e;

		if (k->start_ns < from_ns || k->start_ns >= to_ns ||
		    !bsearch(&k->sid, sorted, n_sids, sizeof(*sorted), compare_sid))
			continue;
		e = table_entry(t, i);
		err = fn(arg, &e);
	}
	return err;
}

/* Tables of one window, which live data makes, are looked up by key. */
static int table_lookup(const struct table *t, const uint32_t *sids, size_t n_sids, entry_fn fn, void *arg)
{
	int err = 0;

	for (size_t i = 0; i < n_sids && err == 0; i++) {
		size_t at = table_probe(t, sids[i], t->least_start, tag_of(sids[i], t->least_start));
		struct entry e;

		if (!t->slots[at].index)
			continue;
		e = table_entry(t, t->slots[at].index - 1);
		err = fn(arg, &e);
	}
	return err;
}

static int table_find(const struct table *t, const uint32_t *sorted, size_t n_sids, int64_t from_ns,
		      int64_t to_ns, entry_fn fn, void *arg)
{
	if (t->greatest_start < from_ns || t->least_start >= to_ns)
		return 0;
	if (t->least_start == t->greatest_start && n_sids < t->n / 2)
		return table_lookup(t, sorted, n_sids, fn, arg);
	return table_scan(t, sorted, n_sids, from_ns, to_ns, fn, arg);
}

int memory_find(const struct memory *m, const uint32_t *sids, size_t n_sids, int64_t from_ns, int64_t to_ns,
		entry_fn fn, void *arg)
{
	uint32_t *sorted;
	int err = 0;

	if (n_sids == 0)
		return 0;
	sorted = malloc(n_sids * sizeof(*sorted));
	if (!sorted)
		return ERR_NOMEM;
	memcpy(sorted, sids, n_sids * sizeof(*sorted));
	qsort(sorted, n_sids, sizeof(*sorted), compare_sid);
	for (size_t i = 0; i < m->n_open && err == 0; i++)
		err = table_find(m->open[i], sorted, n_sids, from_ns, to_ns, fn, arg);
	for (size_t i = 0; i < m->n_frozen && err == 0; i++)
		err = table_find(m->frozen[i], sorted, n_sids, from_ns, to_ns, fn, arg);
	free(sorted);
	return err;
}

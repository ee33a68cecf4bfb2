/*
 * panetable.h - the panes of one epoch (memory.h), found by their series and start.
 *
 * The writer's until the table is frozen; callers see to that nobody reads while it adds.  There is no way
 * to be out of memory here: that ends the process (memory.h).
 */
#ifndef STORE_PANETABLE_H
#define STORE_PANETABLE_H

#include "store/hot/pane.h"

#define CHUNK_PANES 64

/* Open addressing by the tag, which is half of the key's hash: growing needs no keys, and a probe
 * rarely touches another pane. */
struct slot {
	uint32_t tag, index; /* index of the pane + 1; 0: empty */
};

struct table {
	int64_t epoch_ns;
	uint64_t first_batch; /* that it holds a sample of */
	int64_t least_start, greatest_start;
	size_t buckets, bytes; /* there are; that the panes take */
	uint32_t n;            /* panes */
	struct pane **chunks;
	size_t n_chunks, chunks_cap;
	struct slot *slots;
	size_t mask; /* number of slots - 1 */
};

/* p; or, where it is NULL, the end of the process. */
void *must(void *p);

struct table *table_new(int64_t epoch_ns, uint64_t first_batch);
void table_free(struct table *t); /* NULL is fine */

/* The i-th that was added. */
static inline struct pane *table_pane(const struct table *t, uint32_t i)
{
	return &t->chunks[i / CHUNK_PANES][i % CHUNK_PANES];
}

static inline size_t table_bytes(const struct table *t)
{
	return t->bytes + (t->mask + 1) * sizeof(struct slot);
}

/* The pane of these series, start and window, added where there is none. */
struct pane *table_pane_of(struct table *t, int64_t start_ns, uint32_t window_ms, uint32_t group);

/* The first slot to look at is table_tag & mask. */
static inline uint32_t table_tag(uint32_t group, int64_t start_ns)
{
	uint64_t h = ((uint64_t)start_ns ^ ((uint64_t)group << 32 | group)) * 0x9e3779b97f4a7c15u;

	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	return (uint32_t)(h >> 32);
}

/* The next pane of these series and this start, from slot *at on, which moves past it; NULL: there
 * is none, and *at is where it belongs.  Runs of different windows may share a group. */
struct pane *table_next(const struct table *t, int64_t start_ns, uint32_t group, uint32_t tag, size_t *at);

#endif

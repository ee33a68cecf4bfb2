/*
 * arena.h - memory of one request, given back in one call (after h2o's and nginx's pools).
 *
 * Allocations are 16-byte aligned, not zeroed, and live until arena_reset or arena_release.
 * The arena never holds more than its cap: past it arena_alloc returns NULL.  One thread.
 */
#ifndef STORE_BASE_ARENA_H
#define STORE_BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t used, cap; /* bytes held from malloc, and their bound */
};

void arena_init(struct arena *a, size_t cap_bytes);
void *arena_alloc(struct arena *a, size_t n);

/* Forgets everything, keeps the first chunk for the next request. */
void arena_reset(struct arena *a);
void arena_release(struct arena *a);

#endif

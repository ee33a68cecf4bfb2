#include "store/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (64 * 1024)

struct arena_chunk {
	struct arena_chunk *next;
	size_t len, size; /* of data */
	_Alignas(16) uint8_t data[];
};

void arena_init(struct arena *a, size_t cap_bytes) { *a = (struct arena){ .cap = cap_bytes }; }

static struct arena_chunk *chunk_new(struct arena *a, size_t n)
{
	size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
	struct arena_chunk *c;

	if (size > a->cap - a->used)
		size = n; /* the last bytes below the cap, exactly */
	if (size > a->cap - a->used)
		return NULL;
	c = malloc(sizeof(*c) + size);
	if (!c)
		return NULL;
	*c = (struct arena_chunk){ .next = a->chunks, .size = size };
	a->chunks = c;
	a->used += size;
	return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_chunk *c = a->chunks;
	void *p;

	if (n > SIZE_MAX - 15)
		return NULL;
	n = (n + 15) & ~(size_t)15;
	if (!c || c->size - c->len < n)
		c = chunk_new(a, n);
	if (!c)
		return NULL;
	p = c->data + c->len;
	c->len += n;
	return p;
}

static void chunks_free(struct arena_chunk *c)
{
	while (c) {
		struct arena_chunk *next = c->next;
		free(c);
		c = next;
	}
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *c = a->chunks;

	if (!c)
		return;
	chunks_free(c->next);
	c->next = NULL;
	c->len = 0;
	a->used = c->size;
}

void arena_release(struct arena *a)
{
	chunks_free(a->chunks);
	*a = (struct arena){ .cap = a->cap };
}

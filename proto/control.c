#include "proto/control.h"

struct capped {
	struct arena *arena;
	bool full;
};

static void *take(void *arg, size_t n)
{
	struct capped *c = arg;
	void *p = arena_alloc(c->arena, n);

	c->full |= !p;
	return p;
}

static void give(void *arg, void *p)
{
	(void)arg;
	(void)p;
}

int control_read_response(struct span bytes, struct arena *a, Astraml__V2__IngestResponse **ret)
{
	struct capped c = { a, false };
	ProtobufCAllocator allocator = { take, give, &c };
	Astraml__V2__IngestResponse *m =
	    astraml__v2__ingest_response__unpack(&allocator, bytes.len, bytes.data);

	if (!m)
		return c.full ? ERR_FULL : ERR_MALFORMED;
	*ret = m;
	return 0;
}

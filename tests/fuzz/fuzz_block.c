/*
 * Two bytes of count, then a block's body.  What the reader takes must be buckets as a writer is
 * given them: written again they read the same.
 */
#include <stdlib.h>

#include "tests/buckets.h"

#define BUCKETS_MAX 4096

struct taken {
	size_t n;
	struct block_key key[BUCKETS_MAX];
	struct bucket bucket[BUCKETS_MAX];
};

static struct taken taken, again;

static void must(bool what)
{
	if (!what)
		abort();
}

static int take(void *arg, struct block_key key, const struct bucket *b)
{
	struct taken *t = arg;

	must(t->n < BUCKETS_MAX);
	must(bucket_samples(b) > 0 || (b->rare && b->rare->nan | b->rare->pos_inf | b->rare->neg_inf));
	must(b->first.t_ns <= b->last.t_ns && b->first.t_ns >= key.start_ns);
	must(bucket_copy(&t->bucket[t->n], b) == 0);
	t->key[t->n++] = key;
	return 0;
}

static void release(struct taken *t)
{
	while (t->n)
		bucket_release(&t->bucket[--t->n]);
}

static void write_again(void)
{
	static struct block_writer *w; /* kept: its room is for blocks no store has */
	struct buf body;

	buf_init(&body, 1 << 22);
	must(w || block_writer_new(1 << 19, &w) == 0);
	for (size_t i = 0; i < taken.n; i++)
		must(block_writer_add(w, taken.key[i], &taken.bucket[i]) == 0);
	must(block_writer_finish(w, &body) == 0);
	must(block_read(buf_span(&body), taken.n, take, &again) == 0);
	must(again.n == taken.n);
	for (size_t i = 0; i < taken.n; i++)
		must(again.key[i].sid == taken.key[i].sid && again.key[i].start_ns == taken.key[i].start_ns &&
		     same_bucket(&again.bucket[i], &taken.bucket[i]));
	release(&again);
	buf_release(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t count;
	int err;

	if (size < 2)
		return 0;
	count = get_le16(data) % BUCKETS_MAX;
	err = block_read(span_of(data + 2, size - 2), count, take, &taken);
	must(err == 0 || err == ERR_CORRUPT);
	if (err == 0)
		write_again();
	release(&taken);
	return 0;
}

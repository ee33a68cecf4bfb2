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

/* Some of the series, and of the windows: what the whole reading gave of them, if that gave anything. */
static void read_some(struct span body, size_t count, int whole)
{
	static uint32_t sids[BUCKETS_MAX];
	struct block_want want = { .sids = sids, .from_ns = INT64_MIN, .to_ns = INT64_MAX };
	size_t next = 0;
	int err;

	for (size_t i = 0; i < taken.n; i++)
		if (taken.key[i].sid % 3 == 1 && (!want.n_sids || sids[want.n_sids - 1] != taken.key[i].sid))
			sids[want.n_sids++] = taken.key[i].sid;
	if (taken.n > 2) {
		want.from_ns = taken.key[taken.n / 3].start_ns;
		want.to_ns = taken.key[taken.n / 2].start_ns + 1;
	}
	err = block_read_some(body, count, &want, take, &again);
	must(err == 0 || err == ERR_CORRUPT);
	for (size_t i = 0; i < taken.n && whole == 0; i++) {
		const struct block_key *k = &taken.key[i];

		if (k->sid % 3 != 1 || k->start_ns < want.from_ns || k->start_ns >= want.to_ns)
			continue;
		must(next < again.n && again.key[next].sid == k->sid &&
		     again.key[next].start_ns == k->start_ns);
		must(same_bucket(&again.bucket[next++], &taken.bucket[i]));
	}
	must(whole < 0 || (err == 0 && next == again.n));
	release(&again);
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
	read_some(span_of(data + 2, size - 2), count, err);
	if (err == 0)
		write_again();
	release(&taken);
	return 0;
}

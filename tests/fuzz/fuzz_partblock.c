/*
 * A block of a part, its checksum made to fit.  What the reader takes must be buckets as a writer is
 * given them: written again they read the same.
 */
#include <stdlib.h>

#include "store/base/checksum.h"
#include "store/part/partblock.h"
#include "tests/buckets.h"

struct taken {
	size_t n;
	struct block_key key[PARTBLOCK_BUCKETS_MAX];
	struct bucket bucket[PARTBLOCK_BUCKETS_MAX];
};

static struct taken taken, again;
static struct partblock_writer *writer;
static struct partblock_reader *reader;

static void must(bool what)
{
	if (!what)
		abort();
}

static bool rises(struct block_key before, struct block_key key)
{
	return key.sid > before.sid || (key.sid == before.sid && key.start_ns > before.start_ns);
}

static int take(void *arg, struct block_key key, const struct bucket *b)
{
	struct taken *t = arg;

	must(t->n < PARTBLOCK_BUCKETS_MAX);
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
	struct buf out;

	for (size_t i = 0; i < taken.n; i++)
		must(partblock_writer_add(writer, taken.key[i], &taken.bucket[i]) == 0);
	buf_init(&out, 2 * PARTBLOCK_BYTES_MAX);
	must(partblock_writer_finish(writer, 0, &out) == 0);
	must(partblock_read(reader, buf_span(&out), 0, &block_want_all, take, &again) == 0);
	must(again.n == taken.n);
	for (size_t i = 0; i < taken.n; i++)
		must(same_bucket(&again.bucket[i], &taken.bucket[i]));
	release(&again);
	buf_release(&out);
}

static int count_one(void *arg, struct block_key key, const struct bucket *b)
{
	size_t *n = arg;

	must(key.start_ns == taken.key[*n].start_ns && b->count == taken.bucket[*n].count);
	++*n;
	return 0;
}

/* Who wants less gets as many. */
static void read_fields(struct span block, unsigned fields)
{
	const struct block_want want = { NULL, 0, INT64_MIN, INT64_MAX, fields };
	size_t n = 0;

	must(partblock_read(reader, block, 0, &want, count_one, &n) == 0);
	must(n == taken.n);
}

static int ignore_sheet(void *arg, uint32_t sid, const struct sheet *s)
{
	(void)arg, (void)sid, (void)s;
	return 0;
}

static int count_sheet(void *arg, uint32_t sid, const struct sheet *s)
{
	size_t *n = arg;

	for (size_t i = 0; i < s->n; i++, ++*n) {
		const struct bucket *b = &taken.bucket[*n];

		must(*n < taken.n && sid == taken.key[*n].sid && s->start_ns[i] == taken.key[*n].start_ns);
		must((uint64_t)s->count[i] == b->count);
		must(!s->last || double_bits(s->last[i]) == double_bits(b->last.value));
		must(!s->first || double_bits(s->first[i]) == double_bits(b->first.value));
		must(!s->max || b->count == 0 || double_bits(s->max[i]) == double_bits(b->max));
		must(!s->sum || same_sum(&s->sum[i], &b->sum));
	}
	return 0;
}

/* Sheets have the same buckets; of bytes that buckets refuse they may see less, and take them. */
static void read_sheets(struct span block, unsigned fields, bool good)
{
	const struct block_want want = { NULL, 0, INT64_MIN, INT64_MAX, fields };
	size_t n = 0;
	int err = partblock_sheets(reader, block, 0, &want, good ? count_sheet : ignore_sheet, &n);

	must(good ? err == 0 && n == taken.n : err == 0 || err == ERR_CORRUPT || err == ERR_VERSION);
}

static int ignore(void *arg, struct block_key key, const struct bucket *b)
{
	(void)arg, (void)key, (void)b;
	return 0;
}

/* Buckets and sheets of the same fields are taken and refused alike. */
static void refuse_alike(struct span block)
{
	const struct block_want want = { NULL, 0, INT64_MIN, INT64_MAX, WANT_VALUES | WANT_SUM };

	must(partblock_read(reader, block, 0, &want, ignore, NULL) ==
	     partblock_sheets(reader, block, 0, &want, ignore_sheet, NULL));
}

/* Sids of a directory may repeat in bytes no writer made; the part's index tells such blocks off. */
static bool in_order(void)
{
	for (size_t i = 1; i < taken.n; i++)
		if (!rises(taken.key[i - 1], taken.key[i]))
			return false;
	return taken.n > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t zero[8] = { 0 }, *block;
	uint32_t crc;
	int err;

	must(writer || partblock_writer_new(&writer) == 0);
	must(reader || partblock_reader_new(&reader) == 0);
	if (size < PARTBLOCK_HEADER_BYTES)
		return 0;
	block = malloc(size);
	must(block != NULL);
	memcpy(block, data, size);
	crc = crc32c_extend(crc32c(block, PARTBLOCK_HEADER_BYTES - 4), zero, sizeof(zero));
	put_le32(block + 24,
		 crc32c_extend(crc, block + PARTBLOCK_HEADER_BYTES, size - PARTBLOCK_HEADER_BYTES));
	err = partblock_read(reader, span_of(block, size), 0, &block_want_all, take, &taken);
	must(err == 0 || err == ERR_CORRUPT || err == ERR_VERSION);
	if (err == 0)
		read_fields(span_of(block, size), size % (WANT_ALL + 1));
	read_sheets(span_of(block, size), WANT_COUNT, err == 0);
	read_sheets(span_of(block, size), WANT_MAX, err == 0);
	read_sheets(span_of(block, size), WANT_VALUES | WANT_SUM, err == 0);
	refuse_alike(span_of(block, size));
	if (err == 0 && in_order())
		write_again();
	release(&taken);
	free(block);
	return 0;
}

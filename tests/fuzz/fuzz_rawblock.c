/*
 * A block of samples, its checksum made to fit.  What the reader takes must be samples as a writer is
 * given them: written again they read the same.
 */
#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/base/checksum.h"
#include "store/raw/rawblock.h"

struct taken {
	size_t n;
	uint32_t sid[RAWBLOCK_SAMPLES_MAX];
	struct point p[RAWBLOCK_SAMPLES_MAX];
};

static struct taken taken, again;
static struct rawblock_writer *writer;
static struct rawblock_reader *reader;

static void must(bool what)
{
	if (!what)
		abort();
}

static int take(void *arg, uint32_t sid, const struct point *p, size_t n)
{
	struct taken *t = arg;

	must(n > 0 && sid > 0 && n <= RAWBLOCK_SAMPLES_MAX - t->n);
	for (size_t i = 0; i < n; i++) {
		t->sid[t->n] = sid;
		t->p[t->n++] = p[i];
	}
	return 0;
}

/* A series may come in strips that do not rise in bytes no writer made; a part's check tells these off. */
static bool in_order(void)
{
	for (size_t i = 1; i < taken.n; i++)
		if (taken.sid[i] == taken.sid[i - 1] && sample_compare(&taken.p[i - 1], &taken.p[i]) > 0)
			return false;
	return taken.n > 0;
}

static void write_again(void)
{
	struct rawblock_range range;
	struct buf out;

	for (size_t i = 0; i < taken.n; i++)
		if (rawblock_add(writer, taken.sid[i], &taken.p[i], 1) == 0)
			taken.n = i; /* more strips than a writer makes */
	buf_init(&out, 2 * RAWBLOCK_BYTES_MAX);
	must(rawblock_finish(writer, taken.n, 0, &out, &range) == 0);
	again.n = 0;
	must(rawblock_read(reader, buf_span(&out), 0, NULL, 0, take, &again) == 0);
	must(again.n == taken.n);
	for (size_t i = 0; i < taken.n; i++)
		must(again.sid[i] == taken.sid[i] && again.p[i].t_ns == taken.p[i].t_ns &&
		     again.p[i].step == taken.p[i].step &&
		     double_bits(again.p[i].value) == double_bits(taken.p[i].value));
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t zero[8] = { 0 }, *block;
	uint32_t crc;
	int err;

	must(writer || rawblock_writer_new(&writer) == 0);
	must(reader || rawblock_reader_new(&reader) == 0);
	if (size < RAWBLOCK_HEADER_BYTES)
		return 0;
	block = malloc(size);
	must(block != NULL);
	memcpy(block, data, size);
	crc = crc32c_extend(crc32c(block, RAWBLOCK_HEADER_BYTES - 4), zero, sizeof(zero));
	put_le32(block + 24, crc32c_extend(crc, block + RAWBLOCK_HEADER_BYTES, size - RAWBLOCK_HEADER_BYTES));
	taken.n = 0;
	err = rawblock_read(reader, span_of(block, size), 0, NULL, 0, take, &taken);
	must(err == 0 || err == ERR_CORRUPT || err == ERR_VERSION);
	if (err == 0 && in_order())
		write_again();
	free(block);
	return 0;
}

/*
 * A byte of codec, two of count, four of raw length, then a log block's body.  What the reader
 * takes is packed again and must read the same.  The input is also walked as a list of blocks.
 */
#include <stdlib.h>

#include "store/log/logblock.h"

static void must(bool what)
{
	if (!what)
		abort();
}

static void same_record(const struct log_record *a, const struct log_record *b)
{
	must(a->seq == b->seq && a->t_ns == b->t_ns && a->observed_ns == b->observed_ns);
	must(a->level == b->level && a->rank == b->rank && a->flags == b->flags);
	must(span_equal(a->stream, b->stream) && span_equal(a->text, b->text) && a->n_attrs == b->n_attrs);
	for (size_t i = 0; i < a->n_attrs; i++)
		must(span_equal(a->attrs[i].key, b->attrs[i].key) &&
		     span_equal(a->attrs[i].value, b->attrs[i].value));
}

static void pack_again(const struct log_record *records, size_t n)
{
	struct logblock *b;
	struct log_record r;
	struct stored s;
	struct buf out;
	struct reader reader;
	size_t done = 0;
	int err;

	buf_init(&out, 64 << 20);
	must(logblock_new(&b) == 0);
	err = logblock_pack(records, n, &out);
	must(err == 0 || (n == 1 && err == ERR_TOO_LARGE)); /* by the bound, which is a little above */
	reader = reader_of(buf_span(&out));
	while (err == 0 && logblock_next(&reader, &s) == 0) {
		must(logblock_open(b, &s, 1 + done) == 0);
		for (size_t i = 0; i < s.count; i++) {
			must(logblock_get(b, i, &r) == 0);
			same_record(&r, &records[done++]);
		}
	}
	must(err != 0 || done == n);
	logblock_free(b);
	buf_release(&out);
}

static enum log_fit fit_even(void *arg, struct span shape)
{
	(void)arg;
	return shape.len % 2 ? LOG_FIT_NO : LOG_FIT_SURE;
}

/* A piece of some text, and which records may hold it; damage is told. */
static int find_piece(struct logblock *b, const struct log_record *records, size_t n, struct span *ret_piece,
		      const uint8_t **ret_fits)
{
	const struct span all = records[n / 2].text;
	size_t from = all.len / 3, len = all.len - from < 40 ? all.len - from : 40;
	struct log_hint hint = { .holds = span_of(all.data + from, len), .fit = fit_even };

	must(logblock_find(b, &hint, ret_fits) <= 0);
	hint.fit = NULL;
	*ret_piece = hint.holds;
	return logblock_find(b, &hint, ret_fits);
}

static void find_sealed(struct logblock *b, const struct log_record *records, size_t n)
{
	const uint8_t *fits;
	struct span piece;

	must(find_piece(b, records, n, &piece, &fits) == 0);
	for (size_t i = 0; i < n; i++)
		must(piece.len == 0 ||
		     !memmem(records[i].text.data, records[i].text.len, piece.data, piece.len) ||
		     (fits && fits[i] == LOG_FIT_MAYBE));
}

static void seal_again(const struct log_record *records, size_t n)
{
	struct stored s = { .codec = CODEC_SEALED, .count = (uint32_t)n };
	struct logblock *b;
	struct log_record r;
	struct buf out;

	buf_init(&out, 64 << 20);
	must(logblock_new(&b) == 0 && logblock_seal(records, n, &out, &s.raw_len) == 0);
	s.body = buf_span(&out);
	must(logblock_open(b, &s, 1) == 0);
	for (size_t i = 0; i < n; i++) {
		must(logblock_get(b, i, &r) == 0);
		same_record(&r, &records[i]);
	}
	find_sealed(b, records, n);
	logblock_free(b);
	buf_release(&out);
}

static void free_all(struct log_record *records, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((void *)records[i].attrs);
		free((void *)records[i].text.data);
	}
	free(records);
}

/* Attributes and text copied, as those of a record got live until the next; NULL: damaged. */
static struct log_record *get_all(struct logblock *b, const struct logblock_prefix *prefix)
{
	size_t n = logblock_count(b);
	struct log_record *records = calloc(n, sizeof(*records));

	must(records);
	for (size_t i = 0; i < n; i++) {
		struct log_record *r = &records[i];
		struct label *attrs;

		uint8_t *text;

		if (logblock_get(b, i, r) < 0) {
			free_all(records, i);
			return NULL;
		}
		must(r->t_ns >= prefix->t_min_ns && r->t_ns <= prefix->t_max_ns);
		must(prefix->levels >> r->level & 1);
		attrs = calloc(r->n_attrs + 1, sizeof(*attrs));
		must(attrs);
		memcpy(attrs, r->attrs, r->n_attrs * sizeof(*attrs));
		r->attrs = attrs;
		text = malloc(r->text.len + 1);
		must(text);
		if (r->text.len)
			memcpy(text, r->text.data, r->text.len);
		r->text.data = text;
	}
	return records;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size)), list = r;
	struct stored s = { .codec = (enum codec)(read_u8(&r) % 4) };
	struct logblock_prefix prefix;
	struct log_record *records;
	struct logblock *b;
	int err;

	s.count = read_le16(&r);
	s.raw_len = read_le32(&r);
	s.body = read_bytes(&r, reader_left(&r));
	must(logblock_new(&b) == 0);
	err = logblock_open(b, &s, 1);
	must(err == 0 || err == ERR_CORRUPT);
	if (err == 0) {
		must(logblock_count(b) == s.count && logblock_prefix(s.body, &prefix) == 0);
		records = get_all(b, &prefix);
		if (records) {
			find_piece(b, records, s.count, &(struct span){ 0 }, &(const uint8_t *){ NULL });
			pack_again(records, s.count);
			seal_again(records, s.count);
			free_all(records, s.count);
		}
	}
	while (logblock_next(&list, &s) == 0)
		logblock_open(b, &s, 1);
	logblock_free(b);
	return 0;
}

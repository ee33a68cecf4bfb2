#include "store/logblock.h"

#include <assert.h>
#include <stdlib.h>

#include "store/base/compress.h"

enum { TIME = 1, STREAM = 2, RANK = 4, LEVEL = 8, ATTRS = 16, CONTINUES = 32, FLAGS_ALL = 63 };

#define PREFIX_MAX         (8 + 1 + 2 * VARINT_MAX)
#define ENTRY_BYTES        13 /* u8 codec, le32 rows, raw length, body length */
#define COMPRESS_MIN_BYTES 512
#define COMPRESS_LEVEL     1
#define RAW_MAX(rows)      ((rows) > 1 ? LOGBLOCK_RAW_BYTES : LOGBLOCK_RAW_MAX)

/* ---- writing ---- */

static const struct log_record nothing_before = { .rank = RANK_NONE };

static bool same_attrs(const struct log_record *a, const struct log_record *b)
{
	if (a->n_attrs != b->n_attrs)
		return false;
	for (size_t i = 0; i < a->n_attrs; i++)
		if (!span_equal(a->attrs[i].key, b->attrs[i].key) ||
		    !span_equal(a->attrs[i].value, b->attrs[i].value))
			return false;
	return true;
}

static size_t row_bound(const struct log_record *r, const struct log_record *before)
{
	/* flags, time, rank, level, length of the text */
	size_t n = 1 + VARINT_MAX + VARINT_MAX / 2 + 1 + VARINT_MAX / 2 + r->text.len;

	if (!span_equal(r->stream, before->stream))
		n += VARINT_MAX + r->stream.len;
	if (same_attrs(r, before))
		return n;
	for (size_t i = 0; i < r->n_attrs; i++)
		n += 2 * VARINT_MAX + r->attrs[i].key.len + r->attrs[i].value.len;
	return n + 1;
}

static uint8_t *put_span(uint8_t *p, struct span s)
{
	p = put_varint(p, s.len);
	if (s.len)
		memcpy(p, s.data, s.len);
	return p + s.len;
}

static uint8_t *put_attrs(uint8_t *p, const struct log_record *r)
{
	p = put_varint(p, r->n_attrs);
	for (size_t i = 0; i < r->n_attrs; i++) {
		p = put_span(p, r->attrs[i].key);
		p = put_span(p, r->attrs[i].value);
	}
	return p;
}

static uint8_t *put_row(uint8_t *p, const struct log_record *r, const struct log_record *before,
			int64_t t_before)
{
	uint8_t *flags = p++;

	assert((unsigned)r->level < LEVELS && r->rank >= RANK_NONE && r->n_attrs <= LOG_ATTRS_MAX);
	*flags = r->flags & LOG_CONTINUES ? CONTINUES : 0;
	if (r->t_ns != t_before) {
		*flags |= TIME;
		p = put_varint(p, zigzag((int64_t)((uint64_t)r->t_ns - (uint64_t)t_before)));
	}
	if (!span_equal(r->stream, before->stream)) {
		*flags |= STREAM;
		p = put_span(p, r->stream);
	}
	if (r->rank != before->rank) {
		*flags |= RANK;
		p = put_varint(p, zigzag(r->rank));
	}
	if (r->level != before->level) {
		*flags |= LEVEL;
		*p++ = (uint8_t)r->level;
	}
	if (!same_attrs(r, before)) {
		*flags |= ATTRS;
		p = put_attrs(p, r);
	}
	return put_span(p, r->text);
}

/* How many of the records the next block takes; their bytes are at most *ret_bound. */
static size_t block_rows(const struct log_record *records, size_t n, size_t *ret_bound)
{
	size_t rows = 0, bound = PREFIX_MAX;

	while (rows < n && rows < LOGBLOCK_ROWS_MAX && records[rows].observed_ns == records[0].observed_ns) {
		size_t more = row_bound(&records[rows], rows ? &records[rows - 1] : &nothing_before);

		if (rows && bound + more > LOGBLOCK_RAW_BYTES)
			break;
		bound += more;
		rows++;
	}
	*ret_bound = bound;
	return rows;
}

static uint8_t *put_prefix(uint8_t *p, const struct log_record *records, size_t rows, int64_t *ret_t_min)
{
	int64_t t_min = INT64_MAX, t_max = INT64_MIN;
	unsigned levels = 0;

	for (size_t i = 0; i < rows; i++) {
		if (records[i].t_ns < t_min)
			t_min = records[i].t_ns;
		if (records[i].t_ns > t_max)
			t_max = records[i].t_ns;
		levels |= 1U << records[i].level;
	}
	put_le64(p, (uint64_t)t_min);
	p = put_varint(p + 8, (uint64_t)t_max - (uint64_t)t_min);
	*p++ = (uint8_t)levels;
	*ret_t_min = t_min;
	return put_varint(p, zigzag((int64_t)((uint64_t)records[0].observed_ns - (uint64_t)t_min)));
}

/* Puts the compressed rows in the place of the rows, when that saves a sixteenth of them. */
static int compress_rows(uint8_t *rows, size_t len, size_t *ret_len)
{
	struct buf packed;
	int err;

	buf_init(&packed, len - len / 16);
	err = compress_block(span_of(rows, len), COMPRESS_LEVEL, &packed);
	if (err == 0) {
		memcpy(rows, packed.data, packed.len);
		*ret_len = packed.len;
	}
	buf_release(&packed);
	return err;
}

static int pack_block(const struct log_record *records, size_t rows, size_t bound, struct buf *out)
{
	int err = bound > LOGBLOCK_RAW_MAX ? ERR_TOO_LARGE : buf_reserve(out, ENTRY_BYTES + bound);
	uint8_t *entry, *body, *first, *p;
	size_t len;
	int64_t t;

	if (err < 0)
		return err;
	entry = out->data + out->len;
	body = entry + ENTRY_BYTES;
	p = first = put_prefix(body, records, rows, &t);
	for (size_t i = 0; i < rows; i++) {
		p = put_row(p, &records[i], i ? &records[i - 1] : &nothing_before, t);
		t = records[i].t_ns;
	}
	len = (size_t)(p - first);
	entry[0] = CODEC_PLAIN;
	put_le32(entry + 1, (uint32_t)rows);
	put_le32(entry + 5, (uint32_t)(p - body));
	if (len > COMPRESS_MIN_BYTES) {
		err = compress_rows(first, len, &len);
		if (err < 0 && err != ERR_FULL)
			return err;
		entry[0] = err == 0 ? CODEC_ZSTD : CODEC_PLAIN;
	}
	put_le32(entry + 9, (uint32_t)(first + len - body));
	out->len = (size_t)(first + len - out->data);
	return 0;
}

int logblock_pack(const struct log_record *records, size_t n, struct buf *out)
{
	size_t before = out->len;

	while (n) {
		size_t bound, rows = block_rows(records, n, &bound);
		int err = pack_block(records, rows, bound, out);

		if (err < 0) {
			out->len = before;
			return err;
		}
		records += rows;
		n -= rows;
	}
	return 0;
}

int logblock_next(struct reader *r, struct stored *ret)
{
	struct stored s = { .codec = (enum codec)read_u8(r) };

	if (r->bad && r->p == r->end)
		return 1;
	s.count = read_le32(r);
	s.raw_len = read_le32(r);
	s.body = read_bytes(r, read_le32(r));
	if (r->bad)
		return ERR_CORRUPT;
	*ret = s;
	return 0;
}

/* ---- reading ---- */

struct row {
	int64_t t_ns;
	struct span stream, attrs, text; /* attrs: as encoded, the number first; empty for none */
	int32_t rank;
	uint8_t level;
	bool continues;
};

struct logblock {
	struct row *rows;
	size_t count, rows_cap;
	struct buf raw; /* decompressed rows */
	uint64_t first_seq;
	int64_t observed_ns;
	struct label attrs[LOG_ATTRS_MAX]; /* of the record got last */
};

static int read_prefix(struct reader *r, struct logblock_prefix *ret)
{
	struct logblock_prefix p = { .t_min_ns = (int64_t)read_le64(r) };
	uint64_t range = read_varint(r);

	p.levels = read_u8(r);
	p.observed_ns = (int64_t)((uint64_t)p.t_min_ns + (uint64_t)read_zigzag(r));
	p.t_max_ns = (int64_t)((uint64_t)p.t_min_ns + range);
	if (r->bad || range > (uint64_t)INT64_MAX - (uint64_t)p.t_min_ns || !p.levels || p.levels >> LEVELS)
		return ERR_CORRUPT;
	*ret = p;
	return 0;
}

int logblock_prefix(struct span body, struct logblock_prefix *ret)
{
	struct reader r = reader_of(body);

	return read_prefix(&r, ret);
}

static struct span read_attrs(struct reader *r)
{
	const uint8_t *from = r->p;
	uint64_t n = read_varint(r);

	if (n > LOG_ATTRS_MAX)
		r->bad = true;
	for (uint64_t i = 0; i < 2 * n && !r->bad; i++)
		read_lenspan(r);
	return r->bad ? (struct span){ r->end, 0 } : span_of(from, (size_t)(r->p - from));
}

/* The row, which holds the one before it on entry. */
static int read_row(struct reader *r, struct row *row)
{
	uint8_t flags = read_u8(r);

	if (flags & TIME)
		row->t_ns = (int64_t)((uint64_t)row->t_ns + (uint64_t)read_zigzag(r));
	if (flags & STREAM)
		row->stream = read_lenspan(r);
	if (flags & RANK) {
		int64_t rank = read_zigzag(r);

		if (rank < RANK_NONE || rank > INT32_MAX)
			return ERR_CORRUPT;
		row->rank = (int32_t)rank;
	}
	if (flags & LEVEL)
		row->level = read_u8(r);
	if (flags & ATTRS)
		row->attrs = read_attrs(r);
	row->continues = flags & CONTINUES;
	row->text = read_lenspan(r);
	return r->bad || flags > FLAGS_ALL || row->level >= LEVELS ? ERR_CORRUPT : 0;
}

static int read_rows(struct logblock *b, struct span rows, size_t count, const struct logblock_prefix *prefix)
{
	struct reader r = reader_of(rows);
	struct row row = { .t_ns = prefix->t_min_ns, .rank = RANK_NONE };
	int64_t t_min = INT64_MAX, t_max = INT64_MIN;
	unsigned levels = 0;

	for (size_t i = 0; i < count; i++) {
		int err = read_row(&r, &row);

		if (err < 0)
			return err;
		t_min = row.t_ns < t_min ? row.t_ns : t_min;
		t_max = row.t_ns > t_max ? row.t_ns : t_max;
		levels |= 1U << row.level;
		b->rows[i] = row;
	}
	if (reader_left(&r) || t_min != prefix->t_min_ns || t_max != prefix->t_max_ns ||
	    levels != prefix->levels)
		return ERR_CORRUPT;
	return 0;
}

int logblock_new(struct logblock **ret)
{
	struct logblock *b = calloc(1, sizeof(*b));

	if (!b)
		return ERR_NOMEM;
	buf_init(&b->raw, LOGBLOCK_RAW_MAX);
	*ret = b;
	return 0;
}

void logblock_free(struct logblock *b)
{
	if (!b)
		return;
	free(b->rows);
	buf_release(&b->raw);
	free(b);
}

static int rows_reserve(struct logblock *b, size_t count)
{
	struct row *p;

	if (count <= b->rows_cap)
		return 0;
	p = realloc(b->rows, count * sizeof(*p));
	if (!p)
		return ERR_NOMEM;
	b->rows = p;
	b->rows_cap = count;
	return 0;
}

/* The rows as they were before compression: what is left in r, or in b->raw. */
static int unpack_rows(struct logblock *b, const struct stored *s, struct reader *r, struct span *ret)
{
	size_t prefix_len = s->body.len - reader_left(r), len;
	struct span rows = span_of(r->p, reader_left(r));
	int err;

	if (s->raw_len <= prefix_len)
		return ERR_CORRUPT;
	len = s->raw_len - prefix_len;
	if (s->codec == CODEC_PLAIN) {
		*ret = rows;
		return rows.len == len ? 0 : ERR_CORRUPT;
	}
	if (s->codec != CODEC_ZSTD)
		return ERR_CORRUPT;
	buf_clear(&b->raw);
	err = buf_reserve(&b->raw, len);
	if (err == 0)
		err = decompress_block(rows, b->raw.data, len);
	if (err < 0)
		return err;
	*ret = span_of(b->raw.data, len);
	return 0;
}

int logblock_open(struct logblock *b, const struct stored *s, uint64_t first_seq)
{
	struct reader r = reader_of(s->body);
	struct logblock_prefix prefix;
	struct span rows;
	int err;

	b->count = 0;
	if (s->count == 0 || s->count > LOGBLOCK_ROWS_MAX || s->raw_len > RAW_MAX(s->count))
		return ERR_CORRUPT;
	err = read_prefix(&r, &prefix);
	if (err == 0)
		err = unpack_rows(b, s, &r, &rows);
	if (err == 0)
		err = rows_reserve(b, s->count);
	if (err == 0)
		err = read_rows(b, rows, s->count, &prefix);
	if (err < 0)
		return err;
	b->count = s->count;
	b->first_seq = first_seq;
	b->observed_ns = prefix.observed_ns;
	return 0;
}

size_t logblock_count(const struct logblock *b) { return b->count; }

void logblock_get(struct logblock *b, size_t i, struct log_record *ret)
{
	const struct row *row = &b->rows[i];
	struct reader r = reader_of(row->attrs);

	assert(i < b->count);
	ret->seq = b->first_seq + i;
	ret->t_ns = row->t_ns;
	ret->observed_ns = b->observed_ns;
	ret->level = (enum level)row->level;
	ret->rank = row->rank;
	ret->flags = row->continues ? LOG_CONTINUES : 0;
	ret->stream = row->stream;
	ret->text = row->text;
	ret->attrs = b->attrs;
	ret->n_attrs = row->attrs.len ? (size_t)read_varint(&r) : 0;
	for (size_t j = 0; j < ret->n_attrs; j++) {
		b->attrs[j].key = read_lenspan(&r);
		b->attrs[j].value = read_lenspan(&r);
	}
}

#include "store/log/logblock.h"

#include <assert.h>
#include <stdlib.h>

#include "store/base/compress.h"
#include "store/log/logrow.h"
#include "store/log/logtext.h"

#define ENTRY_BYTES        13 /* u8 codec, le32 rows, raw length, body length */
#define COMPRESS_MIN_BYTES 512
#define COMPRESS_LEVEL     1
#define RAW_MAX(rows)      ((rows) > 1 ? LOGBLOCK_RAW_BYTES : LOGBLOCK_RAW_MAX)

/* ---- writing ---- */

/* How many of the records the next block takes; their bytes are at most *ret_bound. */
static size_t block_rows(const struct log_record *records, size_t n, size_t *ret_bound)
{
	size_t rows = 0, bound = LOGPREFIX_MAX;

	while (rows < n && rows < LOGBLOCK_ROWS_MAX && records[rows].observed_ns == records[0].observed_ns) {
		size_t more = logrow_bound(&records[rows], rows ? &records[rows - 1] : NULL);

		if (rows && bound + more > LOGBLOCK_RAW_BYTES)
			break;
		bound += more;
		rows++;
	}
	*ret_bound = bound;
	return rows;
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

static uint8_t *put_text(uint8_t *p, struct span text)
{
	p = put_varint(p, text.len);
	if (text.len)
		memcpy(p, text.data, text.len);
	return p + text.len;
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
	p = first = logprefix_put(body, records, rows, &t);
	for (size_t i = 0; i < rows; i++) {
		p = logrow_put(p, &records[i], i ? &records[i - 1] : NULL, t, records[i].observed_ns);
		p = put_text(p, records[i].text);
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

struct logblock {
	struct logrow *rows;
	size_t count, rows_cap;
	struct buf raw;        /* decompressed rows */
	struct span undecoded; /* the rows, as far as they have not been read; sealed: compressed */
	size_t undecoded_len;  /* once decompressed */
	struct logblock_prefix prefix;
	bool has_rows, sealed; /* has_rows: sealed: groups */
	struct {
		struct span bytes;
		bool decoded;
	} groups[LOGBLOCK_SEALED_ROWS_MAX / SEALED_GROUP];
	uint64_t first_seq;
	struct logtext *texts; /* of a sealed block */
	struct buf text;       /* of the record of it got last */
	uint8_t *fits;         /* of logblock_find */
	size_t fits_cap;
	struct label attrs[LOG_ATTRS_MAX]; /* of the record got last */
};

int logblock_prefix(struct span body, struct logblock_prefix *ret)
{
	struct reader r = reader_of(body);

	return logprefix_read(&r, ret);
}

static struct logrow before_first(const struct logblock_prefix *p)
{
	return (struct logrow){ .t_ns = p->t_min_ns, .observed_ns = p->observed_ns, .rank = RANK_NONE };
}

static int read_rows(struct logblock *b)
{
	struct reader r = reader_of(b->undecoded);
	struct logrow row = before_first(&b->prefix);
	int64_t t_min = INT64_MAX, t_max = INT64_MIN;
	unsigned levels = 0;

	for (size_t i = 0; i < b->count; i++) {
		int err = logrow_read(&r, &row, false);

		if (err < 0)
			return err;
		t_min = row.t_ns < t_min ? row.t_ns : t_min;
		t_max = row.t_ns > t_max ? row.t_ns : t_max;
		levels |= 1U << row.level;
		b->rows[i] = row;
	}
	if (reader_left(&r) || b->prefix.latest_ns != b->prefix.observed_ns || t_min != b->prefix.t_min_ns ||
	    t_max != b->prefix.t_max_ns || levels != b->prefix.levels)
		return ERR_CORRUPT;
	return 0;
}

/* Where the groups of a sealed block are. */
static int read_groups(struct logblock *b)
{
	size_t groups = (b->count + SEALED_GROUP - 1) / SEALED_GROUP;
	struct reader r;
	int err;

	buf_clear(&b->raw);
	err = buf_reserve(&b->raw, b->undecoded_len);
	if (err == 0)
		err = decompress_block(b->undecoded, b->raw.data, b->undecoded_len);
	if (err < 0)
		return err;
	r = reader_of(span_of(b->raw.data, b->undecoded_len));
	for (size_t i = 0; i < groups; i++)
		b->groups[i].bytes.len = read_varint(&r);
	for (size_t i = 0; i < groups; i++) {
		b->groups[i].bytes = read_bytes(&r, b->groups[i].bytes.len);
		b->groups[i].decoded = false;
	}
	return r.bad || reader_left(&r) ? ERR_CORRUPT : 0;
}

static int read_group(struct logblock *b, size_t group)
{
	struct reader r = reader_of(b->groups[group].bytes);
	struct logrow row = before_first(&b->prefix);
	size_t from = group * SEALED_GROUP, to = from + SEALED_GROUP;

	for (size_t i = from; i < to && i < b->count; i++) {
		if (logrow_read(&r, &row, true) < 0 || row.t_ns < b->prefix.t_min_ns ||
		    row.t_ns > b->prefix.t_max_ns || row.observed_ns > b->prefix.latest_ns ||
		    !(b->prefix.levels >> row.level & 1))
			return ERR_CORRUPT;
		b->rows[i] = row;
	}
	b->groups[group].decoded = true;
	return reader_left(&r) ? ERR_CORRUPT : 0;
}

int logblock_new(struct logblock **ret)
{
	struct logblock *b = calloc(1, sizeof(*b));

	if (!b)
		return ERR_NOMEM;
	buf_init(&b->raw, SEALED_ROWS_BYTES_MAX);
	buf_init(&b->text, LOGBLOCK_SEALED_RAW_MAX);
	if (logtext_new(&b->texts) < 0) {
		free(b);
		return ERR_NOMEM;
	}
	*ret = b;
	return 0;
}

void logblock_free(struct logblock *b)
{
	if (!b)
		return;
	free(b->rows);
	free(b->fits);
	buf_release(&b->raw);
	buf_release(&b->text);
	logtext_free(b->texts);
	free(b);
}

static int rows_reserve(struct logblock *b, size_t count)
{
	struct logrow *p;

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

static int open_young(struct logblock *b, const struct stored *s, struct reader *r)
{
	if (s->count > LOGBLOCK_ROWS_MAX || s->raw_len > RAW_MAX(s->count))
		return ERR_CORRUPT;
	return unpack_rows(b, s, r, &b->undecoded);
}

static int open_sealed(struct logblock *b, const struct stored *s, struct reader *r)
{
	uint64_t len = read_varint(r);

	b->undecoded = read_bytes(r, read_varint(r));
	b->undecoded_len = len;
	if (r->bad || s->count > LOGBLOCK_SEALED_ROWS_MAX || s->raw_len > LOGBLOCK_SEALED_RAW_MAX ||
	    len > SEALED_ROWS_BYTES_MAX)
		return ERR_CORRUPT;
	return logtext_open(b->texts, span_of(r->p, reader_left(r)), s->count, s->raw_len);
}

int logblock_open(struct logblock *b, const struct stored *s, uint64_t first_seq)
{
	struct reader r = reader_of(s->body);
	int err = s->count ? logprefix_read(&r, &b->prefix) : ERR_CORRUPT;

	b->count = 0;
	b->has_rows = false;
	b->sealed = s->codec == CODEC_SEALED;
	if (err == 0)
		err = (b->sealed ? open_sealed : open_young)(b, s, &r);
	if (err < 0)
		return err;
	b->count = s->count;
	b->first_seq = first_seq;
	return 0;
}

/* Row i, and with it some around it. */
static int need_row(struct logblock *b, size_t i)
{
	int err = 0;

	if (!b->has_rows) {
		err = rows_reserve(b, b->count);
		if (err == 0)
			err = b->sealed ? read_groups(b) : read_rows(b);
		b->has_rows = err == 0;
	}
	if (err == 0 && b->sealed && !b->groups[i / SEALED_GROUP].decoded)
		err = read_group(b, i / SEALED_GROUP);
	return err;
}

size_t logblock_count(const struct logblock *b) { return b->count; }

uint64_t logblock_seq(const struct logblock *b, size_t i) { return b->first_seq + i; }

static int get_text(struct logblock *b, size_t i, struct span *ret)
{
	int err;

	buf_clear(&b->text);
	err = logtext_get(b->texts, i, &b->text);
	*ret = buf_span(&b->text);
	return err == ERR_FULL || (err == 0 && b->text.len > LOG_TEXT_MAX) ? ERR_CORRUPT : err;
}

static size_t get_attrs(struct logblock *b, const struct logrow *row)
{
	struct reader r = reader_of(row->attrs);
	size_t n = row->attrs.len ? (size_t)read_varint(&r) : 0;

	for (size_t i = 0; i < n; i++) {
		b->attrs[i].key = read_lenspan(&r);
		b->attrs[i].value = read_lenspan(&r);
	}
	return n;
}

int logblock_get_row(struct logblock *b, size_t i, struct log_record *ret)
{
	const struct logrow *row;
	int err;

	assert(i < b->count);
	err = need_row(b, i);
	if (err < 0)
		return err;
	row = &b->rows[i];
	ret->seq = b->first_seq + i;
	ret->t_ns = row->t_ns;
	ret->observed_ns = row->observed_ns;
	ret->level = (enum level)row->level;
	ret->rank = row->rank;
	ret->flags = row->continues ? LOG_CONTINUES : 0;
	ret->stream = row->stream;
	ret->text = row->text;
	ret->attrs = b->attrs;
	ret->n_attrs = get_attrs(b, row);
	return 0;
}

int logblock_get(struct logblock *b, size_t i, struct log_record *ret)
{
	int err = logblock_get_row(b, i, ret);

	return err == 0 && b->sealed ? get_text(b, i, &ret->text) : err;
}

bool logblock_may_fit(const struct logblock *b, const struct log_hint *hint)
{
	if (b->sealed)
		return logtext_may_fit(b->texts, hint);
	return hint->holds.len == 0 || (b->undecoded.len && memmem(b->undecoded.data, b->undecoded.len,
								   hint->holds.data, hint->holds.len));
}

static int find_young(struct logblock *b, const struct log_hint *hint)
{
	int err = need_row(b, 0);

	for (size_t i = 0; i < b->count && err == 0; i++) {
		struct span text = b->rows[i].text;
		bool holds = hint->holds.len == 0 ||
			     (text.len && memmem(text.data, text.len, hint->holds.data, hint->holds.len));

		b->fits[i] = holds ? LOG_FIT_MAYBE : LOG_FIT_NO;
	}
	return err;
}

int logblock_find(struct logblock *b, const struct log_hint *hint, const uint8_t **ret_fits)
{
	bool any = true;
	int err;

	if (b->count > b->fits_cap) {
		uint8_t *p = realloc(b->fits, b->count);

		if (!p)
			return ERR_NOMEM;
		b->fits = p;
		b->fits_cap = b->count;
	}
	err = b->sealed ? logtext_find(b->texts, hint, b->fits, &any) : find_young(b, hint);
	*ret_fits = err == 0 && any ? b->fits : NULL;
	return err;
}

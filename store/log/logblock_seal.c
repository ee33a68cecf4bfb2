/*
 * logblock_seal.c - records to a sealed block (logblock.h).
 */
#include <stdlib.h>

#include "store/base/compress.h"
#include "store/log/logrow.h"
#include "store/log/logtext.h"

#define LEVEL 3

size_t logblock_weight(const struct log_record *r)
{
	size_t n = r->text.len + r->stream.len;

	for (size_t i = 0; i < r->n_attrs; i++)
		n += r->attrs[i].key.len + r->attrs[i].value.len;
	return n;
}

/* Rows in groups: v bytes of each group, then the groups. */
static int put_rows(const struct log_record *records, size_t n, int64_t t_min, struct buf *out)
{
	struct buf rows;
	int err = 0;

	buf_init(&rows, SEALED_ROWS_BYTES_MAX);
	for (size_t from = 0; from < n && err == 0; from += SEALED_GROUP) {
		size_t to = n - from < SEALED_GROUP ? n : from + SEALED_GROUP, begin = rows.len;
		int64_t t = t_min, observed = records[0].observed_ns;

		for (size_t i = from; i < to && err == 0; i++) {
			const struct log_record *r = &records[i], *before = i > from ? r - 1 : NULL;
			uint8_t *p;

			err = buf_reserve(&rows, logrow_bound(r, before));
			if (err < 0)
				break;
			p = rows.data + rows.len;
			rows.len = (size_t)(logrow_put(p, r, before, t, observed) - rows.data);
			t = r->t_ns;
			observed = r->observed_ns;
		}
		if (err == 0)
			err = buf_add_varint(out, rows.len - begin);
	}
	if (err == 0)
		err = buf_add(out, rows.data, rows.len);
	buf_release(&rows);
	return err;
}

static int put_packed(struct span raw, struct buf *out)
{
	struct buf packed;
	int err;

	buf_init(&packed, SEALED_ROWS_BYTES_MAX);
	err = compress_block(raw, LEVEL, &packed);
	if (err == 0)
		err = buf_add_varint(out, raw.len);
	if (err == 0)
		err = buf_add_varint(out, packed.len);
	if (err == 0)
		err = buf_add(out, packed.data, packed.len);
	buf_release(&packed);
	return err;
}

static int put_texts(const struct log_record *records, size_t n, struct buf *out, uint32_t *ret_raw_len)
{
	struct span *texts = malloc((n + 1) * sizeof(*texts));
	size_t raw_len = 0;
	int err;

	if (!texts)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		texts[i] = records[i].text;
		raw_len += texts[i].len;
	}
	err = logtext_pack(texts, n, out);
	*ret_raw_len = (uint32_t)raw_len;
	free(texts);
	return err;
}

int logblock_seal(const struct log_record *records, size_t n, struct buf *out, uint32_t *ret_raw_len)
{
	struct buf rows;
	int64_t t;
	int err;

	buf_clear(out);
	buf_init(&rows, SEALED_ROWS_BYTES_MAX);
	err = buf_reserve(out, LOGPREFIX_MAX);
	if (err == 0) {
		out->len = (size_t)(logprefix_put(out->data, records, n, &t) - out->data);
		err = put_rows(records, n, t, &rows);
	}
	if (err == 0)
		err = put_packed(buf_span(&rows), out);
	buf_release(&rows);
	return err < 0 ? err : put_texts(records, n, out, ret_raw_len);
}

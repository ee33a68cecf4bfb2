#include "store/log/logrow.h"

#include <assert.h>

enum {
	TIME = 1,
	STREAM = 2,
	RANK = 4,
	LEVEL = 8,
	ATTRS = 16,
	CONTINUES = 32,
	OBSERVED = 64,
	FLAGS_YOUNG = 63,
	FLAGS_SEALED = 127
};

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

size_t logrow_bound(const struct log_record *r, const struct log_record *before)
{
	/* flags, time, rank, level, observed, length of the text */
	size_t n = 1 + VARINT_MAX + VARINT_MAX / 2 + 1 + VARINT_MAX + VARINT_MAX / 2 + r->text.len;

	before = before ? before : &nothing_before;
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

uint8_t *logrow_put(uint8_t *p, const struct log_record *r, const struct log_record *before, int64_t t_ns,
		    int64_t observed_ns)
{
	uint8_t *flags = p++;

	before = before ? before : &nothing_before;
	assert((unsigned)r->level < LEVELS && r->rank >= RANK_NONE && r->n_attrs <= LOG_ATTRS_MAX);
	*flags = r->flags & LOG_CONTINUES ? CONTINUES : 0;
	if (r->t_ns != t_ns) {
		*flags |= TIME;
		p = put_varint(p, zigzag((int64_t)((uint64_t)r->t_ns - (uint64_t)t_ns)));
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
	if (r->observed_ns != observed_ns) {
		*flags |= OBSERVED;
		p = put_varint(p, zigzag((int64_t)((uint64_t)r->observed_ns - (uint64_t)observed_ns)));
	}
	return p;
}

uint8_t *logprefix_put(uint8_t *p, const struct log_record *records, size_t rows, int64_t *ret_t_min)
{
	int64_t t_min = INT64_MAX, t_max = INT64_MIN, observed = records[0].observed_ns, latest = observed;
	unsigned levels = 0;

	for (size_t i = 0; i < rows; i++) {
		if (records[i].observed_ns > latest)
			latest = records[i].observed_ns;
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
	p = put_varint(p, zigzag((int64_t)((uint64_t)observed - (uint64_t)t_min)));
	return put_varint(p, (uint64_t)latest - (uint64_t)observed);
}

/* ---- reading ---- */

int logprefix_read(struct reader *r, struct logblock_prefix *ret)
{
	struct logblock_prefix p = { .t_min_ns = (int64_t)read_le64(r) };
	uint64_t range = read_varint(r), lasted;

	p.levels = read_u8(r);
	p.observed_ns = (int64_t)((uint64_t)p.t_min_ns + (uint64_t)read_zigzag(r));
	lasted = read_varint(r);
	p.t_max_ns = (int64_t)((uint64_t)p.t_min_ns + range);
	p.latest_ns = (int64_t)((uint64_t)p.observed_ns + lasted);
	if (r->bad || range > (uint64_t)INT64_MAX - (uint64_t)p.t_min_ns ||
	    lasted > (uint64_t)INT64_MAX - (uint64_t)p.observed_ns || !p.levels || p.levels >> LEVELS)
		return ERR_CORRUPT;
	*ret = p;
	return 0;
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

int logrow_read(struct reader *r, struct logrow *row, bool sealed)
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
	if (flags & OBSERVED)
		row->observed_ns = (int64_t)((uint64_t)row->observed_ns + (uint64_t)read_zigzag(r));
	if (!sealed)
		row->text = read_lenspan(r);
	return r->bad || flags > (sealed ? FLAGS_SEALED : FLAGS_YOUNG) || row->level >= LEVELS ? ERR_CORRUPT
											       : 0;
}

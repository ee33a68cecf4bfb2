#include "store/log/logpile.h"

#include <stdlib.h>

#include "store/base/log.h"

#define WHOLE_MAX (16 * 1024 * 1024) /* copies of a block's spans */

void logpile_init(struct logpile *p)
{
	*p = (struct logpile){ 0 };
	arena_init(&p->copies, WHOLE_MAX);
	buf_init(&p->body, WHOLE_MAX);
}

void logpile_release(struct logpile *p)
{
	arena_release(&p->copies);
	buf_release(&p->body);
	logblock_free(p->block);
	free(p->records);
	p->block = NULL;
	p->records = NULL;
}

int logpile_begin(struct logpile *p)
{
	if (!p->records)
		p->records = malloc(LOGBLOCK_SEALED_ROWS_MAX * sizeof(*p->records));
	if (!p->records || (!p->block && logblock_new(&p->block) < 0))
		return ERR_NOMEM;
	arena_reset(&p->copies);
	p->first = p->end = 0;
	p->blocks = p->bytes = p->weight = p->n = 0;
	return 0;
}

/* ---- taking blocks together ---- */

static bool copy_span(struct arena *a, struct span *s)
{
	uint8_t *p = arena_alloc(a, s->len);

	if (!p)
		return false;
	if (s->len)
		memcpy(p, s->data, s->len);
	*s = span_of(p, s->len);
	return true;
}

static bool copy_attrs(struct arena *a, struct log_record *r)
{
	struct label *attrs = r->n_attrs ? arena_alloc(a, r->n_attrs * sizeof(*attrs)) : NULL;

	if (r->n_attrs == 0)
		return true;
	if (!attrs)
		return false;
	for (size_t i = 0; i < r->n_attrs; i++) {
		attrs[i] = r->attrs[i];
		if (!copy_span(a, &attrs[i].key) || !copy_span(a, &attrs[i].value))
			return false;
	}
	r->attrs = attrs;
	return true;
}

static int add_records(struct logpile *p, struct logblock *b)
{
	for (size_t i = 0; i < logblock_count(b); i++) {
		struct log_record *r = &p->records[p->n];
		int err = logblock_get(b, i, r);

		if (err < 0)
			return err;
		if (p->n && span_equal(r->stream, r[-1].stream))
			r->stream = r[-1].stream;
		else if (!copy_span(&p->copies, &r->stream))
			return ERR_FULL;
		if (!copy_attrs(&p->copies, r) || !copy_span(&p->copies, &r->text))
			return ERR_FULL;
		p->weight += logblock_weight(r);
		p->n++;
	}
	return 0;
}

int logpile_add(struct logpile *p, const struct stored *s, uint64_t first_seq)
{
	size_t n = p->n, weight = p->weight;
	int err;

	if (p->n + s->count > LOGBLOCK_SEALED_ROWS_MAX || p->weight + s->raw_len > LOGBLOCK_SEALED_RAW_MAX)
		return 1;
	err = logblock_open(p->block, s, first_seq);
	if (err == 0)
		err = add_records(p, p->block);
	if (err == 0 && p->weight > LOGBLOCK_SEALED_RAW_MAX)
		err = ERR_FULL;
	if (err < 0) {
		p->n = n;
		p->weight = weight;
		return err == ERR_NOMEM ? err : 1;
	}
	p->first = p->blocks++ ? p->first : first_seq;
	p->end = first_seq + s->count;
	p->bytes += s->body.len;
	return 0;
}

/* ---- sealing ---- */

static bool same_record(const struct log_record *a, const struct log_record *b)
{
	if (a->t_ns != b->t_ns || a->observed_ns != b->observed_ns || a->level != b->level ||
	    a->rank != b->rank || a->flags != b->flags || !span_equal(a->stream, b->stream) ||
	    !span_equal(a->text, b->text) || a->n_attrs != b->n_attrs)
		return false;
	for (size_t i = 0; i < a->n_attrs; i++)
		if (!span_equal(a->attrs[i].key, b->attrs[i].key) ||
		    !span_equal(a->attrs[i].value, b->attrs[i].value))
			return false;
	return true;
}

/* What was made is read again, record for record. */
static int check(const struct logpile *p, uint32_t rid, bool *ret_good)
{
	struct stored s = logpile_stored(p);
	int err = logblock_open(p->block, &s, p->first);
	bool good = err == 0 && logblock_count(p->block) == p->n;
	struct log_record r;

	for (size_t i = 0; i < p->n && good; i++)
		good = (err = logblock_get(p->block, i, &r)) == 0 && same_record(&r, &p->records[i]);
	if (err == ERR_NOMEM)
		return err;
	if (!good)
		log_error("seal: a block of run %u from record %llu on reads otherwise when sealed; "
			  "its records stay as they are",
			  rid, (unsigned long long)p->first);
	*ret_good = good;
	return 0;
}

int logpile_seal(struct logpile *p, uint32_t rid, bool *ret_good)
{
	int err = logblock_seal(p->records, p->n, &p->body, &p->raw_len);

	*ret_good = false;
	if (err < 0 || p->body.len >= p->bytes)
		return err == ERR_NOMEM ? err : 0;
	return check(p, rid, ret_good);
}

struct stored logpile_stored(const struct logpile *p)
{
	return (struct stored){ CODEC_SEALED, (uint32_t)p->n, p->raw_len, buf_span(&p->body) };
}

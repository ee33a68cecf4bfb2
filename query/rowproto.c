/*
 * rowproto.c - astraml.v2.QueryResponse, as proto/astraml/v2/query.proto describes it: a column is
 * one packed field.
 *
 * A field that repeats may be written in pieces, so an answer is streamed as the others are: rows
 * are kept until there are PIECE_ROWS of a series, then they are written as one QuerySeries.
 */
#include <math.h>
#include <stdlib.h>

#include "proto/message.h"
#include "query/rowform.h"

#define PIECE_ROWS 1024

enum {
	RESPONSE_SERIES = 1,
	RESPONSE_TIER_NS,
	RESPONSE_EVERY_NS,
	RESPONSE_UNTIL_NS,
	RESPONSE_PARTIAL,
	RESPONSE_SAMPLES_SINCE
};
enum { QUERY_SERIES_RUN_ID = 1, QUERY_SERIES_METRIC, QUERY_SERIES_LABELS, QUERY_SERIES_CONTINUES };

static const uint32_t column_fields[COLUMNS_ALL] = {
	[AXIS_TIME] = 5,     [AXIS_STEP] = 6,         [AXIS_FIRST_STEP] = 7, [AGG_FIRST_STEP] = 7,
	[AGG_COUNT] = 8,     [AGG_NAN] = 9,           [AGG_POS_INF] = 10,    [AGG_NEG_INF] = 11,
	[AGG_SUM] = 12,      [AGG_MIN] = 13,          [AGG_MAX] = 14,        [AGG_MEAN] = 15,
	[AGG_FIRST] = 16,    [AGG_LAST] = 17,         [AGG_FIRST_TIME] = 18, [AGG_LAST_TIME] = 19,
	[AGG_BAD_TIME] = 20, [AGG_LAST_STEP] = 21,    [AGG_STEP_MIN] = 22,   [AGG_STEP_MAX] = 23,
	[AGG_BAD_STEP] = 24, [AXIS_SAMPLE_TIME] = 25, [AXIS_VALUE] = 26,
};

/* Rows of the open series that are not written yet, column by column, as the bits of their values. */
struct piece {
	size_t n;
	bool continues; /* a piece of this series was written */
	enum cell_kind kind[COLUMNS_ALL];
	uint64_t cell[COLUMNS_ALL][PIECE_ROWS];
};

static void check(struct out *o, int err)
{
	if (err < 0 && o->err == 0)
		o->err = err;
}

static void proto_name(struct out *o, const struct series_name *name)
{
	size_t mark;
	int err = message_put_bytes(&o->b, QUERY_SERIES_METRIC, name->metric);

	for (size_t i = 0; i < name->n_labels && err == 0; i++) {
		err = message_begin(&o->b, QUERY_SERIES_LABELS, &mark);
		if (err == 0)
			err = message_put_bytes(&o->b, LABEL_KEY, name->labels[i].key);
		if (err == 0)
			err = message_put_bytes(&o->b, LABEL_VALUE, name->labels[i].value);
		if (err == 0)
			err = message_end(&o->b, mark);
	}
	check(o, err);
}

static int proto_begin(struct row_writer *w)
{
	w->own = calloc(1, sizeof(struct piece));
	return w->own ? 0 : ERR_NOMEM;
}

static int put_varints(struct buf *b, uint32_t field, const uint64_t *v, size_t n, bool zigzags)
{
	size_t mark;
	int err = message_begin(b, field, &mark);

	if (err == 0)
		err = buf_reserve(b, n * VARINT_MAX);
	for (size_t i = 0; i < n && err == 0; i++)
		b->len =
		    (size_t)(put_varint(b->data + b->len, zigzags ? zigzag((int64_t)v[i]) : v[i]) - b->data);
	return err < 0 ? err : message_end(b, mark);
}

static int put_column(struct buf *b, uint32_t field, enum cell_kind kind, const uint64_t *v, size_t n)
{
	switch (kind) {
	case CELL_COUNT:
		return put_varints(b, field, v, n, false);
	case CELL_STEP:
		return put_varints(b, field, v, n, true);
	case CELL_WINDOW:
		return message_put_differences(b, field, (const int64_t *)v, n);
	default: /* fixed64 and double are the bits themselves, little-endian */
		return message_put_bytes(b, field, span_of(v, n * sizeof *v));
	}
}

static int piece_put(struct row_writer *w, struct piece *p)
{
	struct buf *b = &w->o->b;
	size_t mark;
	int err = message_begin(b, RESPONSE_SERIES, &mark);

	if (err == 0)
		err = message_put_bytes(b, QUERY_SERIES_RUN_ID, span_str(w->run_id));
	if (err == 0)
		err = buf_add(b, w->name.data, w->name.len);
	if (err == 0 && p->continues)
		err = message_put_varint(b, QUERY_SERIES_CONTINUES, 1);
	for (size_t i = 0; i < w->columns.n && p->n > 0 && err == 0; i++)
		err = put_column(b, column_fields[w->columns.list[i]], p->kind[i], p->cell[i], p->n);
	if (err == 0)
		err = message_end(b, mark);
	p->n = 0;
	p->continues = true;
	return err;
}

/* What is left of the open series; one without rows is written too. */
static void series_close(struct row_writer *w)
{
	struct piece *p = w->own;

	if (w->run_id && (p->n > 0 || !p->continues))
		check(w->o, piece_put(w, p));
	p->continues = false;
}

static void proto_series(struct row_writer *w, const char *run_id, struct span name)
{
	series_close(w);
	w->run_id = run_id;
	w->name = name;
}

static uint64_t cell_bits(const struct cell *c)
{
	switch (c->kind) {
	case CELL_COUNT:
		return c->u;
	case CELL_NUMBER:
		return double_bits(c->null ? NAN : c->v);
	case CELL_WINDOW:
		return (uint64_t)(c->i / NS_PER_MS);
	default: /* none is STEP_NONE, TIME_NONE */
		return (uint64_t)c->i;
	}
}

static void proto_row(struct row_writer *w, int64_t start_ns, const struct bucket *b)
{
	struct piece *p = w->own;

	for (size_t i = 0; i < w->columns.n; i++) {
		struct cell c = cell_of(w->columns.list[i], start_ns, b);

		p->kind[i] = c.kind;
		p->cell[i][p->n] = cell_bits(&c);
	}
	if (++p->n == PIECE_ROWS)
		check(w->o, piece_put(w, p));
}

static int proto_end(struct row_writer *w, const struct answer_about *about, struct fault *f)
{
	struct buf *b = &w->o->b;
	int err;

	(void)f;
	series_close(w);
	err = message_put_varint(b, RESPONSE_TIER_NS, (uint64_t)about->tier_ns);
	if (err == 0)
		err =
		    message_put_varint(b, RESPONSE_EVERY_NS, about->tier_ns ? (uint64_t)about->every_ns : 1);
	if (err == 0)
		err = message_put_fixed64(b, RESPONSE_UNTIL_NS, (uint64_t)about->complete_until_ns);
	if (err == 0 && about->samples_since_ns != INT64_MIN)
		err = message_put_fixed64(b, RESPONSE_SAMPLES_SINCE, (uint64_t)about->samples_since_ns);
	if (err == 0 && about->partial)
		err = message_put_varint(b, RESPONSE_PARTIAL, 1);
	check(w->o, err);
	return w->o->err;
}

static void proto_release(struct row_writer *w)
{
	free(w->own);
	w->own = NULL;
}

const struct row_form form_proto = {
	.content_type = "application/x-protobuf",
	.name = proto_name,
	.begin = proto_begin,
	.series = proto_series,
	.row = proto_row,
	.end = proto_end,
	.release = proto_release,
};

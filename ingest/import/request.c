#include "ingest/import/request.h"

#include <stdlib.h>

#include "astraml/v2/ingest.pb-c.h"
#include "proto/message.h"

/* Columns of one Samples message: int64_t each, and double or float. */
struct columns {
	struct buf series, times, steps, values;
};

/* Samples without a step, and with one: a difference of steps of the same sign fits 64 bits. */
enum { NO_STEP, STEP_NEGATIVE, STEP_POSITIVE, STEP_KINDS };
enum { DOUBLES, FLOATS, VALUE_KINDS };

struct request {
	struct buf series; /* repeated Series, encoded */
	struct buf logs;   /* repeated LogBatch, encoded; the last one is open */
	bool batch_is_open;
	size_t batch_mark;
	struct buf stream; /* of the open batch */
	int32_t rank;
	struct columns columns[VALUE_KINDS][STEP_KINDS];
	uint32_t n_series;
	size_t n_lines, n_samples;
};

static void columns_each(struct columns *c, void (*fn)(struct buf *b))
{
	fn(&c->series);
	fn(&c->times);
	fn(&c->steps);
	fn(&c->values);
}

static void request_each(struct request *q, void (*fn)(struct buf *b))
{
	fn(&q->series);
	fn(&q->logs);
	fn(&q->stream);
	for (int v = 0; v < VALUE_KINDS; v++)
		for (int i = 0; i < STEP_KINDS; i++)
			columns_each(&q->columns[v][i], fn);
}

static void limit(struct buf *b) { b->max = REQUEST_BYTES_MAX; }

static void empty(struct buf *b) { buf_clear(b); }

int request_new(struct request **ret)
{
	struct request *q = calloc(1, sizeof(*q));

	if (!q)
		return ERR_NOMEM;
	request_each(q, limit);
	*ret = q;
	return 0;
}

void request_free(struct request *q)
{
	if (!q)
		return;
	request_each(q, buf_release);
	free(q);
}

void request_clear(struct request *q)
{
	request_each(q, empty);
	q->batch_is_open = false;
	q->n_series = 0;
	q->n_lines = q->n_samples = 0;
}

static int end_batch(struct request *q)
{
	int err = q->batch_is_open ? message_end(&q->logs, q->batch_mark) : 0;

	q->batch_is_open = false;
	return err;
}

/* A batch holds records of one stream and rank. */
static int begin_batch(struct request *q, struct span stream, int32_t rank)
{
	int err;

	if (q->batch_is_open && rank == q->rank && span_equal(stream, buf_span(&q->stream)))
		return 0;
	buf_clear(&q->stream);
	q->rank = rank;
	if ((err = buf_add(&q->stream, stream.data, stream.len)) < 0 || (err = end_batch(q)) < 0 ||
	    (err = message_begin(&q->logs, REQUEST_LOGS, &q->batch_mark)) < 0 ||
	    (err = message_put_bytes(&q->logs, LOGS_STREAM, stream)) < 0 ||
	    (rank != RANK_NONE && (err = message_put_varint(&q->logs, LOGS_RANK, (uint64_t)rank)) < 0))
		return err;
	q->batch_is_open = true;
	return 0;
}

static int put_labels(struct buf *out, uint32_t field, const struct label *labels, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && err == 0; i++) {
		size_t mark;

		if ((err = message_begin(out, field, &mark)) == 0 &&
		    (err = message_put_bytes(out, LABEL_KEY, labels[i].key)) == 0 &&
		    (err = message_put_bytes(out, LABEL_VALUE, labels[i].value)) == 0)
			err = message_end(out, mark);
	}
	return err;
}

int request_add_log(struct request *q, const struct import_log *l, int64_t t_ns)
{
	/* 0 would stand for the time of receipt */
	uint64_t t = t_ns ? (uint64_t)t_ns : 1;
	size_t mark;
	int err = begin_batch(q, l->stream.len ? l->stream : span_str("console"), l->rank);

	if (err < 0 || (err = message_begin(&q->logs, LOGS_RECORDS, &mark)) < 0 ||
	    (err = message_put_bytes(&q->logs, RECORD_TEXT, l->text)) < 0 ||
	    (err = message_put_fixed64(&q->logs, RECORD_TIME_NS, t)) < 0 ||
	    (err = put_labels(&q->logs, RECORD_ATTRIBUTES, l->attrs, l->n_attrs)) < 0)
		return err;
	q->n_lines++;
	return message_end(&q->logs, mark);
}

int request_add_series(struct request *q, const struct import_sample *s, uint32_t *ret_index)
{
	size_t mark;
	int err = message_begin(&q->series, REQUEST_SERIES, &mark);

	if (err < 0 || (err = message_put_bytes(&q->series, SERIES_METRIC, s->metric)) < 0 ||
	    (s->unit.len > 0 && (err = message_put_bytes(&q->series, SERIES_UNIT, s->unit)) < 0) ||
	    (err = put_labels(&q->series, SERIES_LABELS, s->labels, s->n_labels)) < 0 ||
	    (err = message_end(&q->series, mark)) < 0)
		return err;
	*ret_index = q->n_series++;
	return 0;
}

int request_add_sample(struct request *q, uint32_t series, struct point p, bool is_float32)
{
	struct columns *c = &q->columns[is_float32 ? FLOATS : DOUBLES][p.step == STEP_NONE ? NO_STEP
								       : p.step < 0        ? STEP_NEGATIVE
											   : STEP_POSITIVE];
	float narrow = (float)p.value;
	int64_t wide = series;
	int err;

	if ((err = buf_add(&c->series, &wide, sizeof(wide))) < 0 ||
	    (err = buf_add(&c->times, &p.t_ns, sizeof(p.t_ns))) < 0 ||
	    (p.step != STEP_NONE && (err = buf_add(&c->steps, &p.step, sizeof(p.step))) < 0))
		return err;
	q->n_samples++;
	return is_float32 ? buf_add(&c->values, &narrow, sizeof(narrow))
			  : buf_add(&c->values, &p.value, sizeof(p.value));
}

bool request_is_full(const struct request *q)
{
	return q->logs.len + q->series.len >= REQUEST_FULL_BYTES || q->n_lines >= REQUEST_FULL_LINES ||
	       q->n_samples >= REQUEST_FULL_SAMPLES;
}

static int put_column(struct buf *out, uint32_t field, const struct buf *column)
{
	return message_put_differences(out, field, (const void *)column->data, column->len / sizeof(int64_t));
}

/* Times count from 1970: start_ns is left out. */
static int put_columns(struct buf *out, const struct columns *c, uint32_t values)
{
	size_t mark;
	int err;

	if (c->values.len == 0)
		return 0;
	if ((err = message_begin(out, REQUEST_SAMPLES, &mark)) < 0 ||
	    (err = put_column(out, SAMPLES_SERIES, &c->series)) < 0 ||
	    (err = put_column(out, SAMPLES_TIMES, &c->times)) < 0 ||
	    (c->steps.len > 0 && (err = put_column(out, SAMPLES_STEPS, &c->steps)) < 0) ||
	    (err = message_put_bytes(out, values, buf_span(&c->values))) < 0)
		return err;
	return message_end(out, mark);
}

static int put_producer(struct buf *out, const uint8_t *id, uint64_t sequence)
{
	size_t mark;
	int err = message_begin(out, REQUEST_PRODUCER, &mark);

	if (err < 0 || (err = message_put_bytes(out, PRODUCER_ID, span_of(id, PRODUCER_ID_BYTES))) < 0 ||
	    (err = message_put_varint(out, PRODUCER_SEQUENCE, sequence)) < 0)
		return err;
	return message_end(out, mark);
}

static int put_finished(struct buf *out)
{
	size_t mark;
	int err = message_begin(out, REQUEST_RUN, &mark);

	if (err < 0 || (err = message_put_varint(out, RUN_UPDATE_STATE, ASTRAML__V2__STATE__FINISHED)) < 0)
		return err;
	return message_end(out, mark);
}

int request_encode(struct request *q, const uint8_t producer[PRODUCER_ID_BYTES], uint64_t sequence,
		   bool finished, struct buf *out)
{
	int err;

	buf_clear(out);
	if ((err = put_producer(out, producer, sequence)) < 0 ||
	    (err = buf_add(out, q->series.data, q->series.len)) < 0)
		return err;
	for (int i = 0; i < STEP_KINDS; i++)
		if ((err = put_columns(out, &q->columns[DOUBLES][i], SAMPLES_VALUES)) < 0 ||
		    (err = put_columns(out, &q->columns[FLOATS][i], SAMPLES_VALUES_F32)) < 0)
			return err;
	if ((err = end_batch(q)) < 0 || (err = buf_add(out, q->logs.data, q->logs.len)) < 0 ||
	    (finished && (err = put_finished(out)) < 0))
		return err;
	return message_put_varint(out, REQUEST_IMPORTED, true);
}

#include "ingest/answer.h"

#include <inttypes.h>

#include "astraml/v2/ingest.pb-c.h"
#include "proto/message.h"

/* A repeated idempotency key gets the first answer again, to the byte; only a repeated sequence of
 * a producer is called a duplicate. */
static bool is_duplicate(const struct batch *b) { return b->duplicate && b->has_producer; }

static int put_ids(const struct batch *b, struct buf *out)
{
	size_t mark;
	int err = message_begin(out, RESPONSE_SERIES_IDS, &mark);

	for (size_t i = 0; i < b->n_series && err == 0; i++)
		err = buf_add_varint(out, b->series[i].sid);
	return err < 0 ? err : message_end(out, mark);
}

static int put_rejection(const struct rejection *r, struct buf *out)
{
	uint64_t kind =
	    r->kind == 's' ? ASTRAML__V2__REJECTED__KIND__SAMPLE : ASTRAML__V2__REJECTED__KIND__LOG_RECORD;
	size_t mark;
	int err = message_begin(out, RESPONSE_REJECTED, &mark);

	if (err == 0)
		err = message_put_varint(out, REJECTED_KIND, kind);
	if (err == 0)
		err = message_put_varint(out, REJECTED_INDEX, r->index);
	if (err == 0)
		err = message_put_bytes(out, REJECTED_CODE, span_str(reject_name((enum reject)r->code)));
	return err < 0 ? err : message_end(out, mark);
}

int answer_protobuf(const struct batch *b, struct buf *out)
{
	int err = is_duplicate(b) ? message_put_varint(out, RESPONSE_DUPLICATE, 1) : 0;

	if (err == 0 && b->last_seq)
		err = message_put_varint(out, RESPONSE_FIRST_SEQ, b->first_seq);
	if (err == 0 && b->last_seq)
		err = message_put_varint(out, RESPONSE_LAST_SEQ, b->last_seq);
	if (err == 0 && b->n_series)
		err = put_ids(b, out);
	for (size_t i = 0; i < b->n_rejected && err == 0; i++)
		err = put_rejection(&b->rejected[i], out);
	return err;
}

int answer_json(const struct batch *b, struct buf *out)
{
	int err =
	    buf_addf(out,
		     "{\"duplicate\":%s,\"first_seq\":%" PRIu64 ",\"last_seq\":%" PRIu64 ",\"series_ids\":[",
		     is_duplicate(b) ? "true" : "false", b->first_seq, b->last_seq);

	for (size_t i = 0; i < b->n_series && err == 0; i++)
		err = buf_addf(out, "%s%" PRIu32, i ? "," : "", b->series[i].sid);
	if (err == 0)
		err = buf_addstr(out, "],\"rejected\":[");
	for (size_t i = 0; i < b->n_rejected && err == 0; i++) {
		const struct rejection *r = &b->rejected[i];

		err = buf_addf(out, "%s{\"kind\":\"%s\",\"index\":%" PRIu64 ",\"code\":\"%s\"}", i ? "," : "",
			       r->kind == 's' ? "sample" : "log_record", r->index,
			       reject_name((enum reject)r->code));
	}
	return err < 0 ? err : buf_addstr(out, "],\"should_stop\":false}\n");
}

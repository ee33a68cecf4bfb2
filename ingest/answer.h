/*
 * answer.h - the answer to an ingest request, in its two forms (api 7: IngestResponse).
 *
 * JSON: {"duplicate":false,"first_seq":1,"last_seq":3,"series_ids":[7],"rejected":[{"kind":"sample",
 * "index":5,"code":"time_in_future"}],"should_stop":false}; kind is "sample" or "log_record".
 * Called on the writer's thread, so written by hand.
 */
#ifndef INGEST_ANSWER_H
#define INGEST_ANSWER_H

#include "store/write.h"

/* Of a batch that is done without error.  Appends to out; errors are those of buf_add. */
int answer_protobuf(const struct batch *b, struct buf *out);
int answer_json(const struct batch *b, struct buf *out);

#endif

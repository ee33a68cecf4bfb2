/*
 * decode.h - the bytes of an IngestRequest become a checked batch.
 *
 * Everything is validated here, on the I/O thread, so that the writer only has to commit.  Spans of
 * the batch point into the body, which must live until batch->done.
 */
#ifndef INGEST_DECODE_H
#define INGEST_DECODE_H

#include "ingest/intake.h"

/* Fills the batch of `in`, but for idempotency_key and done.  ERR_MALFORMED: no such message, or
 * columns that disagree or leave 64 bits.  ERR_REFUSED: names, series, producer or run update that
 * cannot be.  ERR_TOO_LARGE, ERR_NOMEM.  The fault is set. */
int decode_request(struct intake *in, struct span body);

#endif

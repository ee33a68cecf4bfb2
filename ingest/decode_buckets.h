/*
 * decode_buckets.h - the buckets of an IngestRequest.  Inside ingest/: a part of decode.c's walk.
 */
#ifndef INGEST_DECODE_BUCKETS_H
#define INGEST_DECODE_BUCKETS_H

#include "ingest/intake.h"

/* One Buckets message, which message_check has accepted.  refs: what samples of each series that the
 * request defines carry as their sid. */
int decode_buckets(struct intake *in, const uint32_t *refs, struct span message);

#endif

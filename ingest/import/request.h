/*
 * request.h - one ingest request of an import in the making: log records and samples.
 *
 * The same calls give the same bytes, on any machine and day: a repeated import is recognised by
 * that.  Encodes proto/astraml/v2/ingest.proto.  One thread.
 */
#ifndef INGEST_IMPORT_REQUEST_H
#define INGEST_IMPORT_REQUEST_H

#include "ingest/import/sink.h"
#include "store/write.h"

struct request;

int request_new(struct request **ret); /* ERR_NOMEM */
void request_free(struct request *q);  /* NULL is fine */
void request_clear(struct request *q);

/* The calls below return ERR_FULL past REQUEST_BYTES_MAX, ERR_NOMEM; the request is then of no use
 * until cleared. */
#define REQUEST_BYTES_MAX (32u << 20)

/* A record of a log stream; l->time is not looked at. */
int request_add_log(struct request *q, const struct import_log *l, int64_t t_ns);

/* Defines the series of a sample; its number in this request, from 0. */
int request_add_series(struct request *q, const struct import_sample *s, uint32_t *ret_index);

/* is_float32: its value was one, and travels as such. */
int request_add_sample(struct request *q, uint32_t series, struct point p, bool is_float32);

/* Whether it is time to send: about REQUEST_FULL_BYTES of text and names, or as many records as
 * keep a request well within the limits of a server. */
#define REQUEST_FULL_BYTES   (2u << 20)
#define REQUEST_FULL_LINES   16384
#define REQUEST_FULL_SAMPLES 65536
bool request_is_full(const struct request *q);

/* Replaces out by the message; the request is then to be cleared.  finished: the run's state becomes FINISHED
 * with it. */
int request_encode(struct request *q, const uint8_t producer[PRODUCER_ID_BYTES], uint64_t sequence,
		   bool finished, struct buf *out);

#endif

/*
 * ndjson.h - JSON lines become a checked batch: the lines of `push` (api 1, 6).
 *
 *   {"metric":"train/loss","value":0.5,"step":3,"time":"2025-07-06T12:00:00Z","labels":{"rank":"0"},"unit":"1"}
 *   {"log":"text","level":"info","stream":"stdout","time":1751803200000,"rank":0,"attrs":{"k":"v"}}
 *
 *   {"metric":"train/loss","labels":{"rank":"0"},"unit":"1","bucket":{...}}
 *
 * The last is a window of a series that samples are no longer kept of (bucket_line.h); it merges with
 * whatever the run has.  A request may begin with a line about all of it, each member as in IngestRequest
 * (proto/astraml/v2/ingest.proto): with a producer, sending it again changes nothing.
 *
 *   {"producer":{"id":"<32 hex digits>","sequence":7},"imported":true,
 *    "state":"finished","exit_code":0,"ended_at":"2025-07-06T12:00:00Z"}
 *
 * value: a number, or "NaN", "Infinity", "-Infinity" (Python's bare NaN and Infinity too); decimal
 * text becomes the nearest double, and one past the range of doubles is refused.  time: RFC 3339 or
 * integer milliseconds; left out, the time of receipt.  What may be left out may be null.  The text
 * of "log" may hold any bytes, and "text_base64" beside or instead of it gives them where JSON cannot;
 * "continues":true says that the next record goes on with the line.  Blank lines count as lines and say
 * nothing.
 *
 * A line that is not JSON makes the request malformed, one that is not of this shape (a member of
 * another type or name, a metric name that cannot be) makes it refused; both with its number.
 */
#ifndef INGEST_NDJSON_H
#define INGEST_NDJSON_H

#include "ingest/intake.h"

/* As decode_request. */
int ndjson_request(struct intake *in, struct span body);

/* Whether a line that ndjson_request has taken is a sample ('s'), a log record ('l') or blank (0).
 * For clients that want to know which line a rejection is about. */
char ndjson_kind(struct span line);

#endif

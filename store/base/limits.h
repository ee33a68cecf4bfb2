/*
 * limits.h - how much one request, one run, one answer may hold: the limits of api 5 that are not
 * the connection's (proto/http.h).  `astraml serve` sets them from its options before any thread
 * starts; after that they are constant.
 */
#ifndef STORE_BASE_LIMITS_H
#define STORE_BASE_LIMITS_H

#include <stdint.h>

struct limits {
	uint64_t samples;          /* of a request: 1,000,000 */
	uint64_t records;          /* log records of a request: 250,000 */
	uint64_t buckets;          /* of a request: 100,000 */
	uint64_t series;           /* of a run: 100,000 */
	uint64_t rows;             /* of a query's answer: 1,000,000 */
	uint64_t idempotency_keys; /* kept per project: 100,000 */
	int64_t future_ns;         /* how far ahead of the clock a time may lie: 10 min */
};

extern struct limits limits;

#endif

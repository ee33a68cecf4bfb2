#include "store/base/limits.h"

struct limits limits = {
	.samples = 1000000,
	.records = 250000,
	.buckets = 100000,
	.series = 100000,
	.rows = 1000000,
	.idempotency_keys = 100000,
	.future_ns = INT64_C(600000000000),
};

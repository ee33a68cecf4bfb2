/*
 * request_build.h - IngestRequests by hand, packed by protobuf-c, for tests of decode.c.
 */
#ifndef TESTS_REQUEST_BUILD_H
#define TESTS_REQUEST_BUILD_H

#include <stdlib.h>
#include <string.h>

#include "astraml/v2/ingest.pb-c.h"
#include "store/base/buf.h"

#define MANY 16

/* A request with room for a few of each; one at a time. */
static struct {
	Astraml__V2__IngestRequest m;
	Astraml__V2__Series series[MANY], *series_list[MANY];
	Astraml__V2__Samples samples[MANY], *samples_list[MANY];
	Astraml__V2__LogBatch logs, *logs_list[1];
	Astraml__V2__LogRecord records[MANY], *records_list[MANY];
	Astraml__V2__Producer producer;
	Astraml__V2__RunUpdate run;
	uint8_t *packed;
} rq;

static inline void begin(void)
{
	free(rq.packed);
	memset(&rq, 0, sizeof(rq));
	astraml__v2__ingest_request__init(&rq.m);
	astraml__v2__producer__init(&rq.producer);
	astraml__v2__run_update__init(&rq.run);
	astraml__v2__log_batch__init(&rq.logs);
	rq.m.series = rq.series_list;
	rq.m.samples = rq.samples_list;
	rq.m.logs = rq.logs_list;
	rq.logs_list[0] = &rq.logs;
	rq.logs.records = rq.records_list;
}

/* Borrowed until begin or packed. */
static inline struct span packed(void)
{
	size_t n = astraml__v2__ingest_request__get_packed_size(&rq.m);

	free(rq.packed);
	rq.packed = malloc(n + 1);
	astraml__v2__ingest_request__pack(&rq.m, rq.packed);
	return span_of(rq.packed, n);
}

static inline Astraml__V2__Series *add_series(const char *metric)
{
	Astraml__V2__Series *s = &rq.series[rq.m.n_series];

	astraml__v2__series__init(s);
	s->metric = (char *)(uintptr_t)metric;
	rq.series_list[rq.m.n_series++] = s;
	return s;
}

#define COUNT(array)          (sizeof(array) / sizeof(*(array)))
#define SET(s, column, array) ((s)->column = (array), (s)->n_##column = COUNT(array))

static inline Astraml__V2__Samples *add_samples(void)
{
	Astraml__V2__Samples *s = &rq.samples[rq.m.n_samples];

	astraml__v2__samples__init(s);
	s->start_ns = NOW;
	rq.samples_list[rq.m.n_samples++] = s;
	return s;
}

static inline Astraml__V2__LogRecord *add_record(const char *text)
{
	Astraml__V2__LogRecord *r = &rq.records[rq.logs.n_records];

	astraml__v2__log_record__init(r);
	r->text.data = (uint8_t *)(uintptr_t)text;
	r->text.len = strlen(text);
	rq.records_list[rq.logs.n_records++] = r;
	rq.m.n_logs = 1;
	return r;
}

/* Of at most 1999 bytes; one at a time. */
static inline char *repeat(const char *s, size_t n)
{
	static char text[2000];

	text[0] = 0;
	while (n-- > 0)
		strcat(text, s);
	return text;
}

#endif

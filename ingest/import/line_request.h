/*
 * line_request.h - one ingest request of an import in the making, of lines that go to the server as they
 * are (ingest/ndjson.h).  As with request.h, the same calls give the same bytes.  One thread.
 */
#ifndef INGEST_IMPORT_LINE_REQUEST_H
#define INGEST_IMPORT_LINE_REQUEST_H

#include "ingest/import/sink.h"
#include "store/write.h"

/* When it is time to send. */
#define LINE_REQUEST_FULL_BYTES (2u << 20)
#define LINE_REQUEST_FULL_LINES 16384

struct line_request {
	struct buf text;
	size_t n;
	uint64_t first, next; /* numbers in the file of its first line and of the one after its last */
	bool used;            /* a line was added, ever */
};

void line_request_init(struct line_request *q);
void line_request_release(struct line_request *q);
void line_request_clear(struct line_request *q);

/* t_ns: the time of a line that does not tell its own.  ERR_FULL: it is too long for any request. */
int line_request_add(struct line_request *q, const struct import_line *l, int64_t t_ns);
bool line_request_is_full(const struct line_request *q);

/* Replaces out by the request.  last: the run ends with it, as run says; NULL: as finished. */
int line_request_encode(const struct line_request *q, const uint8_t producer[PRODUCER_ID_BYTES],
			uint64_t sequence, const struct import_run *run, bool last, struct buf *out);

/* "line 3: ..." of the request becomes the line of the file. */
void line_request_renumber(const struct line_request *q, struct fault *f);

#endif

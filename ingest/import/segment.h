/*
 * segment.h - up to 1,024 consecutive records of an event file on their way to the server, each once
 * and only once, though the file grows between two imports and any of them may break off.
 *
 * A sequence of a producer never changes its content, and nobody tells an import how far the one
 * before it came.  So the content decides: a file is cut into segments, a segment into parts of 32
 * records, at places that depend on the records before them alone.  A segment and each part has a
 * producer of its own, made of the file's identity and its place, and sequence 1 of that producer
 * holds either
 *
 *   all samples of it: it was complete when it was first sent, and that is all; or
 *   nothing: it was not.  What is in it goes in smaller pieces: a segment's parts the same way, the
 *   records of a part each for itself, the i-th (from 0) as sequence i + 2 of the part.
 *
 * Which of the two it is was settled by who came first.  A later import offers the same and is told
 * "duplicate", or it offers the other and is told "conflict"; then it offers what must be there, and
 * only when that is a duplicate it goes on.  A conflict in both tells that the file was rewritten,
 * and nothing of it is sent.  The producers have at most 33 sequences, of which the server compares
 * every one (PRODUCER_WINDOW), so that no answer is a guess.
 *
 * In a file that does not grow a segment is one request, and the end of the file at most 64.
 * Knows nothing of files.  One thread.
 */
#ifndef INGEST_IMPORT_SEGMENT_H
#define INGEST_IMPORT_SEGMENT_H

#include "ingest/import/request.h"
#include "ingest/import/series_names.h"
#include "ingest/import/tfevents.h"
#include "ingest/import/transfer.h"

#define SEGMENT_RECORDS 1024
#define SEGMENT_PART    32
/* A segment also ends behind the record with which it has as many samples or bytes of tags. */
#define SEGMENT_SAMPLES   65536
#define SEGMENT_TAG_BYTES (2u << 20)

#define EVENT_FILE_ID_BYTES PRODUCER_ID_BYTES

/* Where segments of one run go, and what came of it. */
struct event_sender {
	struct upload *upload; /* borrowed; its run exists */
	struct request *request;
	struct series_names names; /* of all files of the run */
	uint64_t offers;           /* requests made */
	uint64_t added;            /* samples that were not there before */
	struct transfer_result result;
};

int event_sender_init(struct event_sender *k, struct upload *u); /* ERR_NOMEM */
void event_sender_release(struct event_sender *k);

enum settled { SETTLED_NOT, SETTLED_WHOLE, SETTLED_SPLIT };

struct segment {
	uint64_t number;                /* within the file, from 0 */
	struct buf samples, tags;       /* struct segment_sample; what they point into */
	uint32_t ends[SEGMENT_RECORDS]; /* number of samples up to the end of each record */
	size_t n_records;
	enum settled settled, part_settled; /* of the whole; of the part that is on its way */
	size_t part, next;                  /* that part; the next record of it */
};

void segment_init(struct segment *s);
void segment_release(struct segment *s);

/* A sample of the record in hand.  ERR_NOMEM, ERR_FULL: past any request. */
int segment_add(struct segment *s, int64_t t_ns, int64_t step, const struct event_scalar *v);

/* Ends the record in hand, or takes its samples back. */
void segment_end_record(struct segment *s);
void segment_drop_record(struct segment *s);

/* No record is to be added: send it, then go on with the next one. */
bool segment_is_complete(const struct segment *s);
void segment_next(struct segment *s);

/* Sends what the server does not have.  May be called again after more records, and repeated after
 * any error.  ERR_CONFLICT: the server has other records at this place of the file. */
int segment_send(struct segment *s, const uint8_t file[EVENT_FILE_ID_BYTES], struct event_sender *k,
		 struct fault *f);

#endif

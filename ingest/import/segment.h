/*
 * segment.h - up to 32,768 consecutive records of an event file on their way to the server, each once
 * and only once, though the file grows between two imports and any of them may break off.
 *
 * A sequence of a producer never changes its content, and nobody tells an import how far the one
 * before it came.  So the content decides: a file is cut into segments, a segment into 32 pieces of
 * 1,024 records, these into 32 of 32 records, all at places that depend on the records before them
 * alone.  A segment and each piece has a producer of its own, made of the file's identity and its
 * place, and sequence 1 of that producer holds either
 *
 *   all samples of it: it was complete when it was first sent, and that is all; or
 *   nothing: it was not, and what is in it goes in smaller pieces; the i-th record (from 0) of one of
 *   the smallest is sequence i + 2 of that one's producer.
 *
 * Which of the two it is was settled by who came first.  A later import offers the same and is told
 * "duplicate", or it offers the other and is told "conflict"; then it offers what must be there, and
 * only when that is a duplicate it goes on.  A conflict in both tells that the file was rewritten,
 * and nothing of it is sent.  The producers have at most 33 sequences, of which the server compares
 * every one (PRODUCER_WINDOW), so that no answer is a guess.
 *
 * In a file that does not grow a segment is one request, and the end of the file about a hundred at
 * most.  Knows nothing of files.  One thread.
 */
#ifndef INGEST_IMPORT_SEGMENT_H
#define INGEST_IMPORT_SEGMENT_H

#include "ingest/import/request.h"
#include "ingest/import/series_names.h"
#include "ingest/import/tfevents.h"
#include "ingest/import/transfer.h"

#define SEGMENT_LEVELS  3
#define SEGMENT_RECORDS 32768 /* 32 to the power of that */
/* A segment also ends behind the record with which it has as many samples or bytes of tags. */
#define SEGMENT_SAMPLES   65536
#define SEGMENT_TAG_BYTES (2u << 20)

#define EVENT_FILE_ID_BYTES PRODUCER_ID_BYTES

/* A part of a file's identity.  Rises when the same records are cut or encoded otherwise: a sequence
 * never changes. */
#define SEGMENT_LAYOUT "1"

/* Where segments of one run go, and what came of it. */
struct event_sender {
	struct upload *upload;     /* borrowed; its run exists */
	struct progress *progress; /* borrowed; NULL: none */
	struct request *request;
	struct series_names names; /* of all files of the run */
	uint64_t offers;           /* requests made */
	uint64_t added;            /* samples that were not there before */
	struct transfer_result result;
};

int event_sender_init(struct event_sender *k, struct upload *u); /* ERR_NOMEM */
void event_sender_release(struct event_sender *k);

struct segment {
	uint64_t number; /* within the file, from 0 */
	size_t n_records;
	size_t next;                /* all before it are on the server */
	bool split[SEGMENT_LEVELS]; /* on each level, the piece that `next` is in */

	/* Of the records from `first` on, which was `next` once: uint32_t number of samples up to the end
	 * of each; struct segment_sample; the tags.  Counted from the beginning of the segment. */
	size_t first;
	struct buf ends, samples, tags;
	uint32_t samples_before, tags_before; /* what the records before held */
};

void segment_init(struct segment *s);
void segment_release(struct segment *s);

/* A sample of the record in hand.  ERR_NOMEM, ERR_FULL: past any request. */
int segment_add(struct segment *s, int64_t t_ns, int64_t step, const struct event_scalar *v);

/* Ends the record in hand (ERR_NOMEM), or takes its samples back. */
int segment_end_record(struct segment *s);
void segment_drop_record(struct segment *s);

/* No record is to be added: send it, then go on with the next one. */
bool segment_is_complete(const struct segment *s);
void segment_next(struct segment *s);

/* Sends what the server does not have.  May be called again after more records, and repeated after
 * any error.  ERR_CONFLICT: the server has other records at this place of the file. */
int segment_send(struct segment *s, const uint8_t file[EVENT_FILE_ID_BYTES], struct event_sender *k,
		 struct fault *f);

#endif

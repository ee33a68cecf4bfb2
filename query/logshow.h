/*
 * logshow.h - prints the lines of a log answer (ndjson) as text, as raw bytes, or as they are.
 *
 * As text, what a progress bar overwrote is not shown: within a record, and across records of one
 * stream and rank where a bar writes each state as a record of its own.
 */
#ifndef QUERY_LOGSHOW_H
#define QUERY_LOGSHOW_H

#include "store/base/buf.h"

enum log_show_as { LOG_SHOW_TEXT, LOG_SHOW_RAW, LOG_SHOW_JSON };

struct log_show {
	enum log_show_as as;
	bool color;
	uint64_t last_seq; /* of what was seen, or what the answer's end said */
	bool ended;        /* the answer was complete */
	bool closed;       /* stdout is */
	/* its own */
	struct buf line, held, gathered;
	bool gather;
	char held_stream[80];
	long held_rank;
	struct fault fault; /* the answer's {"error":...} */
};

void log_show_init(struct log_show *l, enum log_show_as as, bool color);
void log_show_release(struct log_show *l);

/* The answer to come is newest first: it is kept and shown the other way round at its end. */
void log_show_gather(struct log_show *l);

/* For source_get; non-zero when stdout is closed. */
int log_show_piece(void *log_show, struct span piece);

/* At the end of an answer: err is what source_get said.  Shows what was gathered or held; returns
 * err, or the error that the answer ended with, or ERR_IO when it did not end at all. */
int log_show_end(struct log_show *l, int err, struct fault *f);

#endif

/*
 * logshow.h - prints the lines of a log answer (ndjson) as text, as raw bytes, or as they are.
 *
 * As text, what a progress bar overwrote is not shown: within a record, and across records of one
 * stream and rank where a bar writes each state as a record of its own.  Where whole events are asked
 * for (log_show_events), logevents.h chooses among the records of the answer.
 */
#ifndef QUERY_LOGSHOW_H
#define QUERY_LOGSHOW_H

#include "query/cli/logevents.h"

enum log_show_as { LOG_SHOW_TEXT, LOG_SHOW_RAW, LOG_SHOW_JSON };

struct log_show {
	enum log_show_as as;
	bool color;
	uint64_t last_seq;   /* of what was seen, or what the answer's end said */
	uint64_t last_found; /* of those that are no context */
	bool ended;          /* the answer was complete */
	bool more;           /* its limit left something out */
	bool closed;         /* stdout is */
	/* its own */
	struct buf line, held, gathered;
	struct log_events *events; /* NULL: every record */
	bool apart;                /* "--" stands between what does not follow each other */
	bool gather, live;
	uint64_t passed; /* records up to this one have been seen */
	char held_stream[80];
	long held_rank;
	struct fault fault; /* the answer's {"error":...} */
};

void log_show_init(struct log_show *l, enum log_show_as as, bool color);
void log_show_release(struct log_show *l);

/* Of the answers to come only what ask says is shown, with "--" where records were left out if apart; its
 * show and arg are not looked at. */
int log_show_events(struct log_show *l, const struct log_events_ask *ask, bool apart);

/* The answers to come go on from those before them: records seen already are passed over, events of
 * which a part was seen are gone on with, and nothing is held back any more. */
void log_show_live(struct log_show *l);

/* The number to go on behind with a context, so that what comes behind the last find still does. */
uint64_t log_show_resume(const struct log_show *l);

/* The answer to come is newest first: it is kept and shown the other way round at its end. */
void log_show_gather(struct log_show *l);

/* Looks into what was gathered: when it holds more than n events, or all that there are, log_show_end will
 * show the last n of them; else it is thrown away, and a longer answer is to be gathered. */
int log_show_tail(struct log_show *l, const struct log_events_ask *ask, bool apart, uint64_t n,
		  bool *ret_enough);

/* For source_get; non-zero when stdout is closed. */
int log_show_piece(void *log_show, struct span piece);

/* At the end of an answer: err is what source_get said.  Shows what was gathered or held; returns
 * err, or the error that the answer ended with, or ERR_IO when it did not end at all. */
int log_show_end(struct log_show *l, int err, struct fault *f);

#endif

/*
 * logevents.h - which records of a log answer are shown, where whole events are: an event is a record
 * with the lines that go on from it (logtrace.h).
 *
 * The answer comes in the order of the log, with what lies around what was found marked as context, at
 * least as far as an event may reach.  Shown are
 *
 *   events: each event that holds a record found, whole, and `around` events before and behind it;
 *   else:   each record found and `around` records before and behind it, and of tracebacks that are
 *           touched by those all of it, so that none is shown in part.
 *
 * An event is shown when it is over, in the order in which events began, so that those of ranks that ran
 * into each other come one after another; live, each line as soon as its event is one to show.  It is over
 * when its writer starts another, after LOG_EVENT_REACH records of others, or at LOG_EVENT_BYTES_MAX.
 * Memory: a few hundred records.  One thread.
 */
#ifndef QUERY_LOGEVENTS_H
#define QUERY_LOGEVENTS_H

#include <json-c/json.h>

#include "store/model.h"

#define LOG_EVENT_REACH     100
#define LOG_EVENT_BYTES_MAX (4u * 1024 * 1024)

struct log_events_ask {
	bool events;
	bool live;        /* may be set later */
	uint64_t around;  /* events, or records */
	uint64_t reach;   /* context that the answer has around what was found; 0: all records are found */
	enum level least; /* the greatest level of an event is at least this */
	uint64_t skip;    /* events found first that are passed over */
	/* Called for each record to show, with its line of the answer; apart: something lies between it and
	 * the one shown before.  NULL: events are counted only. */
	void (*show)(void *arg, struct span line, bool apart);
	void *arg;
};

struct log_events;

int log_events_new(const struct log_events_ask *ask, struct log_events **ret);
void log_events_free(struct log_events *e); /* NULL is fine; what was not shown is not */

/* The next record of the answer; both are borrowed during the call. */
int log_events_add(struct log_events *e, struct json_object *record, struct span line);

void log_events_live(struct log_events *e); /* from now on */
void log_events_end(struct log_events *e);  /* nothing more comes: all events are over */

uint64_t log_events_found(const struct log_events *e); /* until now */

#endif

/*
 * logtrace.h - whether a log record goes on with the one before it: tracebacks, stack traces, lines
 * that are set in.  Pure; one thread for a state.
 *
 * Records are told apart by who writes them (stream, rank, and the label that srun and torchrun put
 * before lines: "3: ", "[rank3]: "), and for each writer in their order:
 *
 *   ERROR:root:no such file                             starts an event
 *   Traceback (most recent call last):                  goes on with an error just before it, else starts
 *     File "a.py", line 1, in <module>                  goes on
 *   ValueError: bad                                     the exception of that traceback: goes on
 *   (empty) / During handling of the above exception    goes on, as the traceback behind it
 *   \tat com.x.Y(Z.java:1), Caused by: ..., frame #3:   Java's and C++'s: go on
 *   anything else that begins with a blank or tab       goes on, but is no trace
 *
 * A progress bar never goes on with anything.  What an exception says in further lines that are not set
 * in cannot be told from other output, and starts events of its own.
 */
#ifndef QUERY_LOGTRACE_H
#define QUERY_LOGTRACE_H

#include "store/model.h"

enum log_part {
	LOG_PART_STARTS,
	LOG_PART_GOES_ON, /* set in */
	LOG_PART_TRACE,   /* of a traceback, or the rest of a line that was split */
};

/* What was last heard of a writer; zeroed at first. */
struct log_trace {
	uint8_t phase;
	enum level level;
	bool any, split;
};

/* Bytes of the labels before a line. */
size_t log_label(struct span text);

/* text: without its label.  split: the record after it goes on in the middle of its line. */
enum log_part log_trace_next(struct log_trace *t, struct span text, enum level level, bool split);

#endif

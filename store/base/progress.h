/*
 * progress.h - how far a long work is, as one line on stderr that redraws itself; silent where
 * stderr is no terminal.  The work walks over the same bytes once or several times.
 */
#ifndef STORE_BASE_PROGRESS_H
#define STORE_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool terminal, shown;
	unsigned walks;  /* over each byte; 0: what is walked over are no bytes, and only the share is told */
	uint64_t all;    /* bytes to walk over, each that many times */
	uint64_t before; /* of them, those of the walks that are done */
	const char *what; /* "reading", "sending": borrowed */
	const char *name; /* of what is walked over: borrowed */
	int64_t start_ns, next_ns;
};

/* bytes: of all files, as they are on the disk; or steps of any kind, with walks 0.  p NULL is fine, here and
 * below. */
void progress_start(struct progress *p, uint64_t bytes, unsigned walks);

/* The walk that begins now. */
void progress_walk(struct progress *p, const char *what, const char *name);

/* done: bytes of this walk.  Cheap: draws ten times a second at most. */
void progress_show(struct progress *p, uint64_t done);

/* bytes were walked over, or are left out. */
void progress_add(struct progress *p, uint64_t bytes);

/* Takes the line away again, before anything else is said. */
void progress_clear(struct progress *p);

#endif

/*
 * progress.h - how far an import is, over all its files, as one line on stderr that redraws
 * itself; silent where stderr is no terminal.
 */
#ifndef INGEST_IMPORT_PROGRESS_H
#define INGEST_IMPORT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool terminal, shown;
	uint64_t all;     /* bytes to walk over, each file twice */
	uint64_t before;  /* of them, those of the walks that are done */
	const char *what; /* "reading", "sending": borrowed */
	const char *name; /* of the run's files: borrowed */
	int64_t start_ns, next_ns;
};

/* bytes: of all files, as they are on the disk. */
void progress_start(struct progress *p, uint64_t bytes);

/* The walk that begins now. */
void progress_walk(struct progress *p, const char *what, const char *name);

/* done: bytes of this walk's file.  Cheap: draws ten times a second at most. */
void progress_show(struct progress *p, uint64_t done);

/* bytes were walked over, or are left out. */
void progress_add(struct progress *p, uint64_t bytes);

/* Takes the line away again, before anything else is said. */
void progress_clear(struct progress *p);

#endif

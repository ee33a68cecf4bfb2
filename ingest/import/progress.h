/*
 * progress.h - how far a file is, as one line on stderr that redraws itself; silent where stderr is
 * no terminal.
 */
#ifndef INGEST_IMPORT_PROGRESS_H
#define INGEST_IMPORT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool terminal, shown;
	const char *what; /* "reading", "sending": borrowed */
	const char *name; /* of the file: borrowed */
	int64_t start_ns, next_ns;
};

void progress_start(struct progress *p, const char *what, const char *name);

/* Cheap: draws ten times a second at most. */
void progress_show(struct progress *p, uint64_t done, uint64_t all);

/* Takes the line away again, before anything else is said. */
void progress_clear(struct progress *p);

#endif

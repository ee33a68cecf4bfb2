/*
 * flushed.h - the flushes whose blocks are in the hot store, and which hours of which projects they hold.
 *
 * The blocks are asked, not the flush's row: that has ranges per run, and a run with one sample of 1970
 * would make fifty years of empty hours.  What belongs to runs that are gone is not counted.  One thread.
 */
#ifndef STORE_FLUSHED_H
#define STORE_FLUSHED_H

#include "store/compact/agenda.h"
#include "store/store.h"

struct flushed {
	uint64_t number;
	int64_t seen_ns;
	struct agenda_hour *hours; /* by rising (pid, from) */
	size_t n_hours, cap, hint;
	bool droppable; /* the journal no longer needs its row */
	bool damaged;   /* a block could not be read */
};

struct flushes {
	struct flushed *all; /* by rising number */
	size_t n, cap;
};

/* Learns of new flushes.  *stop ends it early. */
int flushes_look(struct flushes *f, struct store *s, atomic_bool *stop);
/* Reads again what the known ones hold: runs went. */
int flushes_learn_again(struct flushes *f, struct store *s);

void flushes_forget(struct flushes *f, size_t i);
void flushes_release(struct flushes *f);

/* As the agenda of a project wants them; the array is the caller's to free, hours are borrowed. */
int flushes_of(const struct flushes *f, uint32_t pid, struct agenda_flush **ret);

#endif

/*
 * pane.h - the open buckets of up to 64 neighbouring series in one window.
 *
 * Few open buckets need all that a struct bucket can say.  A pane keeps them as cells by rising
 * series, all in the narrowest form that holds each of them:
 *
 *   PANE_ONE     24 bytes   one finite sample
 *   PANE_SINGLE  48 bytes   finite float32 values whose sum is one double
 *   PANE_DOUBLE  72 bytes   finite doubles whose sum is two
 *
 * the latter two for samples whose step does not fall while time rises.  A sample that the form
 * cannot take widens the pane; a bucket that no form holds (NaN, steps that fall, a wide sum) lies
 * in memory of its own, and its cell points there.  What comes out is what bucket_add would have
 * made, bit for bit.
 *
 * Series come in order nearly always, so folding walks the cells in order, and so does a flush.
 * Not thread safe.  After ERR_NOMEM a pane is good for nothing: memory.c ends the process then.
 */
#ifndef STORE_PANE_H
#define STORE_PANE_H

#include "store/hot/journal.h"

#define PANE_SERIES 64

enum pane_form { PANE_ONE, PANE_SINGLE, PANE_DOUBLE };

struct pane {
	int64_t start_ns;
	uint32_t window_ms;
	uint32_t group;        /* sid / PANE_SERIES */
	uint64_t there, apart; /* bit sid % PANE_SERIES: it has a cell; that points to a bucket */
	uint8_t form, n, cap;  /* enum pane_form; cells, and room for them */
	void *cells;
};

void pane_init(struct pane *p, int64_t start_ns, uint32_t window_ms, uint32_t group);
void pane_release(struct pane *p);

/* Samples from <= i < to of the record, all of this window and group. */
int pane_fold(struct pane *p, const struct journal_record *rec, size_t from, size_t to);

/* One bucket of the window; what it owns is handed over. */
int pane_merge(struct pane *p, uint32_t sid, struct bucket *b);

static inline bool pane_has(const struct pane *p, uint32_t sid)
{
	return sid / PANE_SERIES == p->group && p->there >> sid % PANE_SERIES & 1;
}

/* The bucket of a series that the pane has: borrowed, or made in room, which then owns nothing. */
const struct bucket *pane_bucket(const struct pane *p, uint32_t sid, struct bucket *room);

size_t pane_bytes(const struct pane *p);

#endif

/*
 * samples.h - the columns of one Samples message, where nearly all bytes of a request are.
 *
 * A column may come packed, in several chunks, or entry by entry; all of it counts.  What reads
 * columns relies on samples_shape having accepted the bytes, and allocates nothing: the caller has
 * the room.  Pure; any thread.
 */
#ifndef PROTO_SAMPLES_H
#define PROTO_SAMPLES_H

#include "store/base/bytes.h"

struct samples_shape {
	size_t n;                          /* values */
	size_t n_series, n_times, n_steps; /* entries of these columns */
	size_t fields;                     /* of all kinds, unknown ones too */
	bool has_f64, has_f32;             /* where the values are */
	bool series_are_ids;
	int64_t start_ns;
	uint64_t time_unit_ns; /* 1 where the message says 0 */
};

/* Safe on any bytes.  ERR_MALFORMED: no message, a column cut off, or of another type.  Whether the
 * lengths agree is message_check's to see. */
int samples_shape(struct span samples, struct samples_shape *ret);

/* The running sums of a column of differences (SAMPLES_SERIES, SAMPLES_TIMES, SAMPLES_STEPS), into
 * room, which has at least as many places as the column entries.  False when a sum leaves 64 bits;
 * what is in room is then of no use. */
bool samples_sums(struct span samples, uint32_t field, int64_t *room);

/* The values as doubles, n of them.  Every bit is kept, of a NaN too: a signalling one that came as
 * a float stays signalling. */
void samples_values(struct span samples, double *room);

#endif

/*
 * intake.h - a batch in the making: what the decoders of both forms of a request share.
 *
 * Names of series become references, bad records become rejections, long texts are split.  A
 * malformed request is refused whole by its decoder; a well-formed record that cannot be kept is
 * left out here and told in batch->rejected, up to REJECTED_MAX of them, past which the request is
 * refused: its sender has a fault that no partial answer mends.  One thread.
 */
#ifndef INGEST_INTAKE_H
#define INGEST_INTAKE_H

#include "ingest/line_time.h"
#include "store/write.h"

#define REQUEST_ATTRIBUTES_MAX 1000000
#define REQUEST_FIELDS_MAX     16000000
#define REJECTED_MAX           100000

struct definition_slot {
	uint64_t hash;
	uint32_t index; /* of batch->series, plus 1; 0: free */
};

struct intake {
	struct store *store; /* borrowed, as batch and fault */
	struct batch *batch;
	struct fault *fault;
	int64_t now_ns;                /* of receipt: the time of records that have none */
	int64_t latest_ns;             /* the last time that is not in the future */
	uint64_t n_samples, n_records; /* of the request so far, rejected ones too */
	size_t n_attributes;           /* likewise; REQUEST_ATTRIBUTES_MAX bounds their memory */
	struct year_rule years;        /* of times in texts, which stand before their levels */
	bool goes_on;                  /* the last log record does, in the next one */
	size_t rejected_cap, logs_cap, buckets_cap;
	struct definition_slot *slots;
	size_t n_slots, n_defined;
};

/* b is new; its run is filled in. */
void intake_init(struct intake *in, struct store *s, const struct run_ref *run, int64_t now_ns,
		 struct batch *b, struct fault *f);
void intake_release(struct intake *in); /* the batch stays */

/* Kind 's' or 'l'; index of all samples (log records) of the request. */
int intake_reject(struct intake *in, uint8_t kind, uint64_t index, enum reject code);

/* 0: a good time. */
static inline enum reject intake_judge_time(const struct intake *in, int64_t t_ns)
{
	if (t_ns < 0)
		return REJECT_TIME_BEFORE_1970;
	return t_ns > in->latest_ns ? REJECT_TIME_IN_FUTURE : 0;
}

/* A bucket that was made elsewhere, its windows every_ns wide.  Taken over with what it owns, also on an
 * error.  ERR_REFUSED: samples of this run cannot have made it; ERR_TOO_LARGE: one too many. */
int intake_bucket(struct intake *in, struct bucket_record *r, int64_t every_ns);

/* Index in batch->series of an equal name that was indexed before; else `index`, which stands for
 * it from now on.  The name is checked (names.h) and stays where it is. */
int intake_index(struct intake *in, const struct series_name *name, uint32_t index, uint32_t *ret);

/* The next log record.  Its text may have any length, and code says what the caller found wrong with
 * it (0: nothing).  Spans are borrowed as long as the batch lives. */
int intake_record(struct intake *in, const struct log_record *r, enum reject code);

/* The level that the text of the next record tells (line_level.h), for one whose sender told none. */
enum level intake_level(const struct intake *in, struct span text);

#endif

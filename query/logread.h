/*
 * logread.h - reads the log of a run in slices and writes the lines that were asked for.
 *
 * The cursor is a sequence number, so a slice may stop anywhere and the next one, under another
 * view, goes on exactly there: nothing is lost and nothing comes twice.  A slice never blocks; it
 * stops after max_bytes of lines, LOG_SLICE_RECORDS records or LOG_SLICE_NS.  One thread.
 */
#ifndef QUERY_LOGREAD_H
#define QUERY_LOGREAD_H

#include "query/logask.h"
#include "query/out.h"
#include "store/read.h"

#define LOG_SLICE_RECORDS 20000
#define LOG_SLICE_NS      (200 * NS_PER_MS)

/* With context, a search goes in turns: records are searched for with all that is known of them; from one
 * that is found the walk goes back over `context` records that were selected, texts unread, and from there
 * on it reads all until context ends. */
enum log_turn { LOG_SEARCH, LOG_LOOK_BACK, LOG_GO_ON };

struct log_reader {
	const struct log_ask *ask; /* borrowed */
	uint32_t rid;
	uint64_t from_seq, to_seq; /* what is left to read: [from, to); to 0: no end */
	uint64_t first_kept; /* first sequence that is still there; slices look again, but a follower's */
	uint64_t found;      /* records that were asked for, without context */
	uint64_t last_found; /* its seq */
	bool limited;        /* the limit ended it */
	bool partial;
	struct log_effort effort; /* of all slices, where it is asked for */
	struct log_desk *desk;    /* owned; NULL: a follower, who reads what is young */
	/* of context */
	enum log_turn turn;
	uint64_t edge;       /* records up to it were written, or lie outside: its first that was not */
	uint64_t hit;        /* the record that LOG_LOOK_BACK comes from */
	uint64_t back, left; /* how far back it is; how many records more */
	uint64_t after;      /* context lines still to write */
	/* of the slice */
	struct out *out;
	struct fault *f;
	size_t max_bytes, scanned;
	int64_t until_ns;
	bool turned; /* the walk ended for another turn */
};

/* Begins at what ask says: [after_seq + 1, end of the log as v sees it], no end when following. */
int log_reader_init(struct log_reader *r, const struct log_ask *ask, uint32_t rid, struct view *v);
void log_reader_release(struct log_reader *r);

/* 1: there may be more; 0: all that this view has was read, or the limit is reached; ERR_REFUSED
 * for a regex that costs too much, ERR_NOT_FOUND when the run was deleted (f has the sentence), or an
 * error of the store. */
int log_slice(struct log_reader *r, struct view *v, struct out *o, size_t max_bytes, struct fault *f);

/* Where a follower without after_seq starts: before the last `limit` records that are asked for.
 * Opens views of its own. */
int log_tail_start(struct store *s, const struct log_ask *ask, uint32_t rid, uint64_t *ret_from_seq,
		   struct fault *f);

/* Members of a record: time, level, stream and rank; the text's value, with text_base64 where it is not
 * UTF-8; attrs, and continues where it does. */
void out_log_origin(struct out *o, const struct log_record *r);
void out_log_text(struct out *o, const struct log_record *r);
void out_log_attrs(struct out *o, const struct log_record *r);

#endif

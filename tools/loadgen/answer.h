/*
 * answer.h - reads one HTTP answer from its bytes as they come: the status, and the body without
 * its framing (Content-Length, chunks, or none).  One owner, no threads.
 */
#ifndef LOADGEN_ANSWER_H
#define LOADGEN_ANSWER_H

#include "store/base/buf.h"

enum answer_state {
	ANSWER_STATUS,
	ANSWER_HEAD,
	ANSWER_BODY,
	ANSWER_CHUNK_SIZE,
	ANSWER_CHUNK,
	ANSWER_CHUNK_END,
	ANSWER_TRAILER,
	ANSWER_COMPLETE
};

struct answer {
	int status;
	struct buf body; /* whoever follows a stream may consume it from the front */

	enum answer_state state;
	struct buf line;
	size_t left; /* of the body, or of the chunk */
	bool chunked;
};

void answer_init(struct answer *a, size_t body_max);
void answer_release(struct answer *a);
void answer_clear(struct answer *a); /* for the next answer; keeps the memory */

static inline bool answer_complete(const struct answer *a) { return a->state == ANSWER_COMPLETE; }

/* ERR_MALFORMED: this is no HTTP, or bytes follow a complete answer.  ERR_FULL, ERR_NOMEM. */
int answer_feed(struct answer *a, struct span in);

#endif

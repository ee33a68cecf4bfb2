/*
 * push.h - the verb that sends JSON lines from stdin to a run (api 1; the lines: ndjson.h).
 *
 * Lines go in requests of at most 1 MiB or 5,000 of them, each under an idempotency key K/1, K/2
 * ..., so that sending one again after a lost answer adds nothing.  What has been read goes out
 * when the input pauses for 200 ms, and within a second.  With a key of the user's own the input
 * alone decides what is in each request, not the time: so pushing the same input with the same key
 * again adds nothing either.
 *
 * Overload, a full disk and lost connections are waited out for 60 s without success.  Exit 0: all
 * lines are acknowledged as durable.  2: a line was refused (those of the requests before it are
 * stored, none after), or records were rejected (all others are stored); both are told with their
 * line numbers.
 */
#ifndef INGEST_PUSH_H
#define INGEST_PUSH_H

#include "proto/target.h"

/* argv[0] is "push".  Returns an exit status. */
int verb_push(const struct target *t, int argc, char **argv);

#endif

/*
 * control.h - protobuf-c behind a cap: for messages that are small and rare, where its
 * convenience is worth its cost.  What comes by the million goes through message.h.
 */
#ifndef PROTO_CONTROL_H
#define PROTO_CONTROL_H

#include "astraml/v2/ingest.pb-c.h"
#include "store/base/arena.h"
#include "store/base/buf.h"

/* What a server answered.  The message lives in the arena until that is reset.  ERR_FULL: it needs
 * more than the arena may hold; ERR_MALFORMED. */
int control_read_response(struct span bytes, struct arena *a, Astraml__V2__IngestResponse **ret);

#endif

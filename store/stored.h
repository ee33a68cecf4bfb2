/*
 * stored.h - values with the header and checksum of format.h.
 */
#ifndef STORE_STORED_H
#define STORE_STORED_H

#include "store/format.h"
#include "store/kv.h"

struct stored {
	enum codec codec;
	uint32_t count, raw_len;
	struct span body; /* as stored; borrowed like the value it came from */
};

/* Checks magic, kind, version, checksum.  ERR_CORRUPT, or ERR_VERSION for a newer version. */
int stored_open(struct span key, struct span value, enum kind kind, struct stored *ret);

/* The same without the checksum, so that the body stays unread: for what is on its way out. */
int stored_peek(struct span value, enum kind kind, struct stored *ret);

/* Writes the header for `body`, which lies at header + STORED_HEADER_BYTES already. */
void stored_seal(uint8_t *header, enum kind kind, enum codec codec, uint32_t count, uint32_t raw_len,
		 struct span key, size_t body_len);

/* Header and body in one put. */
int stored_put(struct kv_txn *t, enum kv_db db, enum kind kind, struct span key, struct span body);

/* Value with codec and counts of its own; append: the key is the greatest. */
int stored_put_as(struct kv_txn *t, enum kv_db db, enum kind kind, struct span key, struct stored s,
		  bool append);

/* kv_get and stored_open. */
int stored_get(struct kv_txn *t, enum kv_db db, enum kind kind, struct span key, struct stored *ret);

/* The greatest number of its kind ("parts", "raw", "logs") that was ever given; 0: none was. */
int stored_newest(struct kv_txn *t, const char *of, uint64_t *ret);
int stored_newest_raise(struct kv_txn *t, const char *of,
			uint64_t number); /* a smaller one changes nothing */

#endif

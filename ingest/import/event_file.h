/*
 * event_file.h - one TensorBoard event file, perhaps one that is still being written.
 *
 * Its identity is the hash of its name (without .gz and the like) and of its first record, which
 * holds the second it was begun: the same for a copy elsewhere, packed or longer.  A plain file is
 * opened for each look at it and read on from the first record that was not whole last time; a
 * packed one is read once.  One thread.
 */
#ifndef INGEST_IMPORT_EVENT_FILE_H
#define INGEST_IMPORT_EVENT_FILE_H

#include "ingest/import/segment.h"

struct event_file {
	char *path;       /* owned */
	const char *name; /* its last part: borrowed from path */

	bool has_id; /* its first record is there */
	uint8_t id[EVENT_FILE_ID_BYTES];
	int64_t first_ns; /* time of the first record; 0: it has none */

	struct segment segment; /* of records that end at `offset` */
	uint64_t offset;        /* of the first record that was not read yet */
	uint64_t size;          /* of the file, as far as all that can be done with it is done */
	bool is_cut;            /* it ends within a record */
	bool is_damaged;        /* it has a record that cannot be read */
	bool is_lost;           /* the caller's: more bytes do not mend what is wrong with it */

	/* what was left out: values of other kinds, records over TFRECORD_DATA_MAX, scalars without a time,
	 * scalars whose tag cannot be a metric's name; and SessionLog.START met */
	uint64_t others, large, timeless, nameless;
};

/* Takes the path over.  ERR_NOMEM frees it. */
int event_file_init(struct event_file *e, char *path);
void event_file_release(struct event_file *e);

/* Reads the first record.  1: it is not there yet.  ERR_MALFORMED: it is no event. */
int event_file_identify(struct event_file *e, struct fault *f);

/* Reads and sends what was added since the last call, which may be nothing.  ERR_MALFORMED: there is a
 * damaged record, and all before it is sent; told once while the file stays as long as it is.
 * ERR_CONFLICT: the file was cut or rewritten.  After any error it may be called again; is_lost makes
 * it and event_file_identify do nothing. */
int event_file_send(struct event_file *e, struct event_sender *k, struct fault *f);

#endif

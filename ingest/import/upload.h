/*
 * upload.h - what an import says to the server: make the run, take these requests.
 *
 * Overload, a full disk and a lost connection are waited out for UPLOAD_PATIENCE_NS from the first
 * failure, said once on stderr.  One thread.
 */
#ifndef INGEST_IMPORT_UPLOAD_H
#define INGEST_IMPORT_UPLOAD_H

#include "proto/client.h"
#include "store/model.h"

#define UPLOAD_PATIENCE_NS (60 * NS_PER_S)

struct upload {
	struct client *client; /* borrowed */
	const char *project;   /* borrowed */
	char run[ID_MAX + 1];
	struct buf body, packed, answer; /* owned; body is the caller's to fill */
};

void upload_init(struct upload *u, struct client *client, const char *project);
void upload_release(struct upload *u);

/* What the server keeps of a run that is there already. */
struct upload_run {
	bool created; /* just now */
	bool has_start;
	int64_t started_ns;
	char import_id[2 * 16 + 1]; /* of the import it was made by; "": not by one */
	char import_file[256];
};

/* Creates u->run with u->body, a JSON spec.  A run of that id that is there already is not an
 * error: it is read and described. */
int upload_create_run(struct upload *u, struct upload_run *ret, struct fault *f);

struct upload_answer {
	bool duplicate;
	uint64_t rejected_samples, rejected_lines;
	char reject_code[64]; /* of the first one */
};

/* Sends u->body, an ingest request that names its producer. */
int upload_send(struct upload *u, struct upload_answer *ret, struct fault *f);

#endif

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

/* What the server keeps of a run; the tags are those of import.c. */
struct upload_run {
	bool exists;
	bool has_times; /* of the import it was made by: */
	int64_t reference_ns, imported_ns;
	char import_id[2 * 16 + 1]; /* of the import it was made by; "": not by one */
	char import_file[256];
};

/* Reads what there is of u->run. */
int upload_find_run(struct upload *u, struct upload_run *ret, struct fault *f);

/* Creates u->run with u->body, a JSON spec.  ERR_CONFLICT: it is there already. */
int upload_create_run(struct upload *u, struct fault *f);

struct upload_answer {
	bool duplicate;
	uint64_t rejected_samples, rejected_lines;
	char reject_code[64]; /* of the first one */
};

/* Sends u->body, an ingest request that names its producer; JSON lines or a message. */
int upload_send(struct upload *u, bool is_lines, struct upload_answer *ret, struct fault *f);

#endif

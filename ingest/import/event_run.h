/*
 * event_run.h - a run made of the TensorBoard event files of one directory, or of one file.
 *
 * Files are read in the order of their names, which begin with the second they were made; more may
 * come while others grow.  The run keeps the identity of its first file as tag import_id: a later
 * import is of the same run when it still has that file.  One thread.
 */
#ifndef INGEST_IMPORT_EVENT_RUN_H
#define INGEST_IMPORT_EVENT_RUN_H

#include "ingest/import/event_file.h"

struct event_run {
	char id[ID_MAX + 1];
	char *name; /* owned; for people */
	struct event_file *files;
	size_t n, cap;
	bool exists;     /* on the server, and it is this one */
	bool is_new;     /* and we made it */
	bool is_refused; /* it is another one: nothing more is tried */
	struct event_sender sender;
};

/* ERR_NOMEM. */
int event_run_init(struct event_run *r, const char *id, const char *name, struct upload *u);
void event_run_release(struct event_run *r);

/* A file that is known already is not added again.  Copied.  ERR_NOMEM. */
int event_run_add(struct event_run *r, const char *path);

/* Sends what the files hold now and did not before.  What is wrong with a file or the run is told to
 * say(), once, and the other files are sent all the same.  Returns the last such error, or one that leaves no
 * hope for others, in f.  is_named: by --run, so that a run that no import made may be added to. */
typedef void (*event_run_say)(void *arg, const struct event_run *r, const struct event_file *e,
			      const struct fault *f);
int event_run_send(struct event_run *r, bool is_named, event_run_say say, void *arg, struct fault *f);

/* The run's state becomes finished, unless an import made it so before. */
int event_run_finish(struct event_run *r, struct fault *f);

/* Whether other runs would fare no better. */
bool event_run_is_final(int err);

#endif

/*
 * handler.h - what the handlers of the API share: the request taken apart, and the way to answer.
 * Inside query/ only.
 */
#ifndef QUERY_HANDLER_H
#define QUERY_HANDLER_H

#include "query/out.h"
#include "query/params.h"
#include "store/read.h"

struct ctx {
	struct store *store;
	const struct api_request *rq;
	struct params params;
	char project[ID_MAX + 1]; /* "" where the path names none */
	char run[ID_MAX + 1];
	const struct api_sink *sink;
	struct fault *f;
};

/* As api_call: an error before out_begin has its sentence in c->f. */
typedef int (*handler)(struct ctx *c);

int handle_run_create(struct ctx *c); /* runs.c */
int handle_runs(struct ctx *c);
int handle_run(struct ctx *c);
int handle_run_delete(struct ctx *c); /* runchange.c */
int handle_run_patch(struct ctx *c);
int handle_run_undelete(struct ctx *c);
int handle_metrics(struct ctx *c);   /* totals.c */
int handle_query(struct ctx *c);     /* rows.c; chooses by Accept itself */
int handle_logs(struct ctx *c);      /* logs.c */
int handle_histogram(struct ctx *c); /* histogram.c */
int handle_export(struct ctx *c);    /* export.c */
int handle_usage(struct ctx *c);     /* usage.c */
int handle_projects(struct ctx *c);  /* projects.c */
int handle_project_create(struct ctx *c);
int handle_policy(struct ctx *c);
int handle_policy_set(struct ctx *c);
int handle_verify(struct ctx *c);
int handle_healthz(struct ctx *c);
int handle_readyz(struct ctx *c);
int handle_version(struct ctx *c);
int handle_server_metrics(struct ctx *c); /* exposition.c */

/* "name":number,... of what is stored. */
void out_stored_numbers(struct out *o, const struct store_stats *stats); /* exposition.c */

/* Takes a request for logs apart and puts the reader at its start.  ask and r are to be released
 * (r first) whatever is returned. */
struct log_ask;
struct log_reader;
int logs_plan(struct ctx *c, struct log_ask *ask, struct log_reader *r);

/* The role check and everything else before the handler; c is to be released.  Returns the handler
 * in *ret. */
int ctx_init(struct ctx *c, struct store *s, const struct api_request *rq, const struct api_sink *sink,
	     handler *ret, struct fault *f);
void ctx_release(struct ctx *c);

/* ERR_REFUSED: the client's Accept has none of what there is. */
int accept_fault(const struct ctx *c, const char *have);

/* The body is JSON, or its type is not told; else ERR_UNSUPPORTED. */
int ctx_json(const struct ctx *c);

/* The request's Idempotency-Key and what belongs to it, for a change; borrowed from the request.
 * ERR_REFUSED. */
int ctx_once(const struct ctx *c, struct once *ret);

/* Begins the answer to a change; a repetition's says so.  extra as in struct api_sink. */
int ctx_begin_changed(struct out *o, int status, bool replayed, const char *extra);

/* The policy of the path's project; the default where there is no such project yet. */
int ctx_policy(const struct ctx *c, struct view *v, struct policy *ret); /* projects.c */

/* The policy of the path's project, which is there, as `default` always is; else ERR_NOT_FOUND, with the
 * sentence. */
int ctx_project(const struct ctx *c, struct policy *ret); /* projects.c */

/* The run of the path, or of this id in its project, as this view sees it; ERR_NOT_FOUND with the sentence,
 * which tells those who may give it back when it was deleted. */
int ctx_run(const struct ctx *c, struct view *v, struct run *ret);
int find_run(const struct ctx *c, struct view *v, struct span id, struct run *ret);

/* v, or null where there were no finite samples; the step, or null for STEP_NONE. */
void out_value(struct out *o, uint64_t count, double v); /* totals.c */
void out_step(struct out *o, int64_t step);

/* The key as it is, then the time, or null for 0. */
void out_time_or_null(struct out *o, const char *key, int64_t t_ns); /* runs.c */

/* One run as a JSON object; these two members of one. */
void out_run(struct out *o, const struct run *r);
void out_run_state(struct out *o, const struct run *r); /* ,"state":...,"exit_code":... */

/* The rest of an answer: the last bytes sent, the buffer freed.  Returns err, or what sending said. */
int ctx_finish(struct out *o, int err);

#endif

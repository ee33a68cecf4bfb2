/*
 * verbs.h - the verbs that inspect and tidy up (api 1, 4).  Each renders the answers of the read API, which
 * it gets over HTTP or, with --data, from a store opened beside the server: the same bytes.
 *
 * Data goes to stdout, talk to stderr.  --json prints the API's answer as it is.
 */
#ifndef QUERY_VERBS_H
#define QUERY_VERBS_H

#include "proto/target.h"

int verb_runs(const struct target *t, int argc, char **argv);
int verb_show(const struct target *t, int argc, char **argv);
int verb_metrics(const struct target *t, int argc, char **argv);
int verb_get(const struct target *t, int argc, char **argv);
int verb_plot(const struct target *t, int argc, char **argv);
int verb_compare(const struct target *t, int argc, char **argv);
int verb_logs(const struct target *t, int argc, char **argv);
int verb_tag(const struct target *t, int argc, char **argv);
int verb_wait(const struct target *t, int argc, char **argv);
int verb_rm(const struct target *t, int argc, char **argv);
int verb_undelete(const struct target *t, int argc, char **argv);
int verb_export(const struct target *t, int argc, char **argv);
int verb_stats(const struct target *t, int argc, char **argv);
int verb_project(const struct target *t, int argc, char **argv);
int verb_policy(const struct target *t, int argc, char **argv);
int verb_compact(const struct target *t, int argc, char **argv);
int verb_verify(const struct target *t, int argc, char **argv);
int verb_backup(const struct target *t, int argc, char **argv);
int verb_restore(const struct target *t, int argc, char **argv);

#endif

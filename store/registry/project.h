/*
 * project.h - rows of projects: number, birth, policy.
 *
 * Row (kind PROJECT), key name: created i64, pid u32, v fields set (POLICY_*), then those that are,
 * in the order of struct policy: i64 each, tiers as v count and (every i64, keep i64) each.
 *
 * pid numbers a project in this store, from 1, and is never given again: parts are a project's own.
 */
#ifndef STORE_PROJECT_H
#define STORE_PROJECT_H

#include "store/model.h"
#include "store/stored.h"

/* ERR_NOT_FOUND, ERR_CORRUPT. */
int project_get(struct kv_txn *t, const char *name, struct project *ret);
int project_put(struct kv_txn *t, const struct project *p);

/* The project's row, made when there is none. */
int project_ensure(struct kv_txn *t, const char *name, int64_t now_ns, struct project *ret);

/* All projects, by name. */
typedef int (*project_row_fn)(void *arg, const struct project *p);
int projects_read(struct kv_txn *t, project_row_fn fn, void *arg);

/* The longest grace that a project has chosen, at least least_ns. */
int projects_grace(struct kv_txn *t, int64_t least_ns, int64_t *ret_ns);

/* A row's body. */
int project_encode(const struct project *p, struct buf *out);
int project_decode(struct span name, struct span body, struct project *ret);

#endif

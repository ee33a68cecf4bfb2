/*
 * view.c - read.h: runs, series, logs.  Buckets are gather.c's, news news.c's.
 */
#include "store/view.h"

#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/log/logs.h"
#include "store/registry/project.h"

int view_open(struct store *s, struct view **ret)
{
	struct view *v = calloc(1, sizeof(*v));
	int err;

	if (!v)
		return ERR_NOMEM;
	v->store = s;
	v->bound = SIZE_MAX;
	err = kv_begin(s->kv, false, &v->txn);
	if (err < 0) {
		free(v);
		return err;
	}
	*ret = v;
	return 0;
}

void view_close(struct view *v)
{
	if (!v)
		return;
	kv_abort(v->txn);
	free(v);
}

void view_bound(struct view *v, size_t max, size_t *found)
{
	v->bound = max;
	v->found = found;
}

/* ---- runs and series ---- */

int view_project(struct view *v, const char *name, struct project *ret)
{
	return strlen(name) > ID_MAX ? ERR_NOT_FOUND : project_get(v->txn, name, ret);
}

int view_run(struct view *v, const char *project, const char *id, struct run *ret)
{
	uint32_t rid;
	int err;

	if (strlen(project) > ID_MAX || strlen(id) > ID_MAX)
		return ERR_NOT_FOUND;
	err = run_lookup(v->txn, project, id, &rid);
	if (err == 0)
		err = run_get(v->txn, rid, ret);
	if (err == 0)
		ret->state = run_state_at(ret, clock_now_ns());
	return err;
}

int view_deleted(struct view *v, uint32_t rid, int64_t *ret_ns)
{
	return run_get_deleted(v->txn, rid, ret_ns);
}

struct run_walk {
	const char *project;
	bool deleted;
	run_fn fn;
	void *arg;
};

/* Whether it is one of those asked for; a deleted one only while it can be had back. */
static bool is_wanted(const struct run_walk *w, const struct run *r)
{
	if (w->deleted != (r->deleted_ns != 0) || strcmp(r->project, w->project) != 0)
		return false;
	return !w->deleted || clock_now_ns() - r->deleted_ns < RUN_DELETED_KEEP_NS;
}

static int tell_run(struct span key, struct span value, const struct run_walk *w)
{
	struct stored s;
	struct run run;
	int err = key.len == 4 ? stored_open(key, value, KIND_RUN, &s) : ERR_CORRUPT;

	if (err == 0)
		err = run_decode(get_be32(key.data), s.body, &run);
	if (err < 0)
		return err;
	if (is_wanted(w, &run)) {
		run.state = run_state_at(&run, clock_now_ns());
		err = w->fn(w->arg, &run);
	}
	run_release(&run);
	return err;
}

static int walk_runs(struct view *v, uint32_t before, const struct run_walk *w)
{
	struct span key, value;
	struct kv_cursor *c;
	uint8_t at[4];
	int err = kv_cursor_open(v->txn, KV_RUN, &c), moved;

	if (err < 0)
		return err;
	put_be32(at, before);
	moved = before ? kv_seek_before(c, span_of(at, 4), &key, &value) : kv_last(c, &key, &value);
	while (moved == 0 && err == 0) {
		err = tell_run(key, value, w);
		if (err == 0)
			moved = kv_prev(c, &key, &value);
	}
	kv_cursor_close(c);
	return err == 0 && moved < 0 && moved != ERR_NOT_FOUND ? moved : err;
}

int view_runs(struct view *v, const char *project, uint32_t before, run_fn fn, void *arg)
{
	return walk_runs(v, before, &(struct run_walk){ project, false, fn, arg });
}

int view_deleted_runs(struct view *v, const char *project, uint32_t before, run_fn fn, void *arg)
{
	return walk_runs(v, before, &(struct run_walk){ project, true, fn, arg });
}

int view_projects(struct view *v, project_fn fn, void *arg) { return projects_read(v->txn, fn, arg); }

struct series_call {
	series_fn fn;
	void *arg;
};

static int tell_series(void *arg, uint32_t rid, uint32_t sid, const struct series_name *name)
{
	struct series_call *c = arg;

	(void)rid;
	return c->fn(c->arg, sid, name);
}

int view_series(struct view *v, uint32_t rid, series_fn fn, void *arg)
{
	struct series_call c = { fn, arg };

	return rid ? series_read(v->txn, rid, tell_series, &c) : 0;
}

struct some_series {
	const struct span *metrics;
	size_t n_metrics;
	wanted_fn wanted;
	series_fn fn;
	void *arg;
};

static int tell_some(void *arg, uint32_t sid, const struct series_name *name)
{
	const struct some_series *some = arg;

	for (size_t i = 0; i < some->n_metrics; i++)
		if (span_equal(some->metrics[i], name->metric))
			return some->wanted(some->arg, name) ? some->fn(some->arg, sid, name) : 0;
	return 0;
}

static int compare_sids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The registry may know of series that the view does not see. */
static int tell_found(struct view *v, uint32_t rid, struct sid_list *found, const struct some_series *some)
{
	int err = 0;

	if (found->n)
		qsort(found->sids, found->n, sizeof(*found->sids), compare_sids);
	for (size_t i = 0; i < found->n && err == 0; i++) {
		struct series_name name;

		if (i > 0 && found->sids[i] == found->sids[i - 1]) /* a metric that is asked for twice */
			continue;
		err = series_get(v->txn, rid, found->sids[i], &name);
		if (err == 0)
			err = some->fn(some->arg, found->sids[i], &name);
		else if (err == ERR_NOT_FOUND)
			err = 0;
	}
	return err;
}

int view_series_of(struct view *v, uint32_t rid, const struct span *metrics, size_t n_metrics,
		   wanted_fn wanted, series_fn fn, void *arg)
{
	struct some_series some = { metrics, n_metrics, wanted, fn, arg };
	struct sid_list found = { 0 };
	int err = 0;

	if (v->store->options.read_only)
		return view_series(v, rid, tell_some, &some);
	for (size_t i = 0; i < n_metrics && err == 0; i++)
		err = registry_collect(&v->store->series, rid, metrics[i], wanted, arg, &found);
	if (err == 0)
		err = tell_found(v, rid, &found, &some);
	free(found.sids);
	return err;
}

/* ---- logs ---- */

int view_logs(struct view *v, uint32_t rid, const struct log_range *range, log_fn fn, void *arg,
	      bool *ret_partial)
{
	struct log_range left = *range;
	struct kv_txn *newer;
	bool again = false;
	int err;

	do {
		err = logs_read(v->txn, v->store, rid, &left, fn, arg, ret_partial, &again);
		if (again) { /* a newer snapshot names the part's successor; without one the view stays good
			      */
			err = kv_begin(v->store->kv, false, &newer);
			if (err == 0) {
				kv_abort(v->txn);
				v->txn = newer;
			}
		}
	} while (again && err == 0);
	return err;
}

int view_last_seq(struct view *v, uint32_t rid, uint64_t *ret)
{
	uint64_t next;
	int err = logs_next_seq(v->txn, rid, &next);

	if (err == 0)
		*ret = next - 1;
	return err;
}

int view_first_seq(struct view *v, uint32_t rid, uint64_t *ret) { return logs_first_seq(v->txn, rid, ret); }

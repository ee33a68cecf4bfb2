/*
 * view.c - read.h: runs, series, logs.  Buckets are gather.c's, news news.c's.
 */
#include "store/view.h"

#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/logs.h"
#include "store/project.h"

int view_open(struct store *s, struct view **ret)
{
	struct view *v = calloc(1, sizeof(*v));
	int err;

	if (!v)
		return ERR_NOMEM;
	v->store = s;
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

static int tell_run(struct span key, struct span value, const char *project, run_fn fn, void *arg)
{
	struct stored s;
	struct run run;
	int err = key.len == 4 ? stored_open(key, value, KIND_RUN, &s) : ERR_CORRUPT;

	if (err == 0)
		err = run_decode(get_be32(key.data), s.body, &run);
	if (err < 0)
		return err;
	if (strcmp(run.project, project) == 0) {
		run.state = run_state_at(&run, clock_now_ns());
		err = fn(arg, &run);
	}
	run_release(&run);
	return err;
}

int view_runs(struct view *v, const char *project, uint32_t before, run_fn fn, void *arg)
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
		err = tell_run(key, value, project, fn, arg);
		if (err == 0)
			moved = kv_prev(c, &key, &value);
	}
	kv_cursor_close(c);
	return err == 0 && moved < 0 && moved != ERR_NOT_FOUND ? moved : err;
}

int view_projects(struct view *v, project_fn fn, void *arg)
{
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(v->txn, KV_PROJECT, &c), moved;

	if (err < 0)
		return err;
	for (moved = kv_first(c, &key, &value); moved == 0 && err == 0; moved = kv_next(c, &key, &value)) {
		char name[ID_MAX + 1];

		if (key.len > ID_MAX) {
			err = ERR_CORRUPT;
			break;
		}
		memcpy(name, key.data, key.len);
		name[key.len] = 0;
		err = fn(arg, name);
	}
	kv_cursor_close(c);
	return err;
}

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

/* ---- logs ---- */

int view_logs(struct view *v, uint32_t rid, const struct log_range *range, log_fn fn, void *arg,
	      bool *ret_partial)
{
	return logs_read(v->txn, rid, range, fn, arg, ret_partial);
}

int view_last_seq(struct view *v, uint32_t rid, uint64_t *ret)
{
	uint64_t next;
	int err = logs_next_seq(v->txn, rid, &next);

	if (err == 0)
		*ret = next - 1;
	return err;
}

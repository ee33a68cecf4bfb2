/*
 * runchange.c - DELETE and PATCH /runs/{run}, POST /runs/{run}:undelete (api 2).
 */
#include "query/handler.h"
#include "query/patch.h"
#include "store/write.h"

typedef int (*change_fn)(struct store *s, const char *project, const char *id, const struct once *once,
			 struct run *ret, bool *ret_replayed, struct fault *f);

static int answer(struct ctx *c, const struct run *run, bool replayed)
{
	struct out o;
	int err;

	out_init(&o, c->sink);
	err = ctx_begin_changed(&o, 200, replayed, NULL);
	out_run(&o, run);
	out_ch(&o, '\n');
	return ctx_finish(&o, err);
}

static int change(struct ctx *c, change_fn fn)
{
	static const char *const known[] = { NULL };
	bool replayed = false;
	struct once once;
	struct run run;
	int err;

	if ((err = params_check(&c->params, known, c->f)) < 0 || (err = ctx_once(c, &once)) < 0)
		return err;
	err = fn(c->store, c->project, c->run, &once, &run, &replayed, c->f);
	if (err < 0)
		return err;
	err = answer(c, &run, replayed);
	run_release(&run);
	return err;
}

int handle_run_delete(struct ctx *c) { return change(c, store_run_delete); }

int handle_run_undelete(struct ctx *c) { return change(c, store_run_undelete); }

/* ---- PATCH ---- */

static int edit(void *arg, struct span spec, struct buf *ret, struct fault *f)
{
	return patch_apply(arg, spec, ret, f);
}

static int patch_run(struct ctx *c, struct patch *p, const struct once *once)
{
	const struct run_change change = { .edit = edit, .arg = p, .state = p->state };
	bool replayed = false;
	struct run run;
	int err = store_run_change(c->store, c->project, c->run, &change, once, &run, &replayed, c->f);

	if (err < 0)
		return err;
	err = answer(c, &run, replayed);
	run_release(&run);
	return err;
}

int handle_run_patch(struct ctx *c)
{
	static const char *const known[] = { NULL };
	struct patch p = { 0 };
	struct once once;
	int err;

	if ((err = ctx_json(c)) < 0 || (err = params_check(&c->params, known, c->f)) < 0 ||
	    (err = ctx_once(c, &once)) < 0)
		return err;
	err = patch_parse(c->rq->body, &p, c->f);
	if (err == 0)
		err = patch_run(c, &p, &once);
	patch_release(&p);
	return err;
}

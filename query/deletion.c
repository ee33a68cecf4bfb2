/*
 * deletion.c - DELETE /runs/{run}, POST /runs/{run}:undelete (api 2).
 */
#include "query/handler.h"
#include "store/write.h"

typedef int (*change_fn)(struct store *s, const char *project, const char *id, const struct once *once,
			 struct run *ret, bool *ret_replayed, struct fault *f);

static int change(struct ctx *c, change_fn fn)
{
	static const char *const known[] = { NULL };
	bool replayed = false;
	struct once once;
	struct run run;
	struct out o;
	int err;

	if ((err = params_check(&c->params, known, c->f)) < 0 || (err = ctx_once(c, &once)) < 0)
		return err;
	err = fn(c->store, c->project, c->run, &once, &run, &replayed, c->f);
	if (err < 0)
		return err;
	out_init(&o, c->sink);
	err = ctx_begin_changed(&o, 200, replayed, NULL);
	out_run(&o, &run);
	out_ch(&o, '\n');
	run_release(&run);
	return ctx_finish(&o, err);
}

int handle_run_delete(struct ctx *c) { return change(c, store_run_delete); }

int handle_run_undelete(struct ctx *c) { return change(c, store_run_undelete); }

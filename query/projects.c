/*
 * projects.c - /v2/projects and /policy (api 2, 3): the projects there are, and how long each wants its
 * data kept.
 */
#include <json-c/json.h>
#include <stdio.h>

#include "query/handler.h"
#include "query/jsontext.h"
#include "query/policyjson.h"

/* ---- policy ---- */

static int answer_policy(struct ctx *c, const struct policy *p, bool replayed)
{
	struct out o;
	int err;

	out_init(&o, c->sink);
	err = ctx_begin_changed(&o, 200, replayed, NULL);
	out_policy(&o, p, store_grace(c->store, p));
	return ctx_finish(&o, err);
}

int ctx_policy(const struct ctx *c, struct view *v, struct policy *ret)
{
	struct project project;
	int err = view_project(v, c->project, &project);

	if (err < 0 && err != ERR_NOT_FOUND)
		return fault_default(c->f, err);
	*ret = err == 0 ? project.policy : policy_default;
	return 0;
}

int ctx_project(const struct ctx *c, struct policy *ret)
{
	struct project project = { .policy = policy_default };
	struct view *v;
	int err = view_open(c->store, &v);

	if (err < 0)
		return fault_default(c->f, err);
	err = view_project(v, c->project, &project);
	view_close(v);
	if (err == ERR_NOT_FOUND && strcmp(c->project, "default") != 0)
		return fault_set(c->f, err, "project",
				 "there is no project %s; `astraml project` lists those there are, and the "
				 "first run or policy of one makes it",
				 c->project);
	if (err < 0 && err != ERR_NOT_FOUND)
		return fault_default(c->f, err);
	*ret = project.policy;
	return 0;
}

int handle_policy(struct ctx *c)
{
	static const char *const known[] = { NULL };
	struct policy policy;
	int err = params_check(&c->params, known, c->f);

	if (err == 0)
		err = ctx_project(c, &policy);
	return err < 0 ? err : answer_policy(c, &policy, false);
}

int handle_policy_set(struct ctx *c)
{
	static const char *const known[] = { NULL };
	struct policy_change change = { 0 };
	struct project project;
	struct once once;
	bool replayed = false;
	int err;

	if ((err = ctx_json(c)) < 0 || (err = params_check(&c->params, known, c->f)) < 0 ||
	    (err = ctx_once(c, &once)) < 0 || (err = policy_parse(c->rq->body, &change, c->f)) < 0)
		return err;
	err = store_policy_set(c->store, c->project, &change, &once, &project, &replayed, c->f);
	return err < 0 ? fault_default(c->f, err) : answer_policy(c, &project.policy, replayed);
}

/* ---- projects ---- */

static void out_project(struct out *o, const struct project *p)
{
	out_raw(o, "{\"name\":");
	out_string(o, span_str(p->name));
	out_time_or_null(o, ",\"created_at\":", p->created_ns);
	out_ch(o, '}');
}

struct listed {
	struct out o;
	size_t n;
};

static int list_project(void *arg, const struct project *p)
{
	struct listed *l = arg;

	if (l->n++ > 0)
		out_ch(&l->o, ',');
	out_project(&l->o, p);
	return l->o.err;
}

int handle_projects(struct ctx *c)
{
	static const char *const known[] = { NULL };
	struct listed l = { 0 };
	struct view *v;
	int err = params_check(&c->params, known, c->f);

	if (err < 0)
		return err;
	if ((err = view_open(c->store, &v)) < 0)
		return fault_default(c->f, err);
	out_init(&l.o, c->sink);
	l.o.hold = true;
	err = out_begin(&l.o, 200, "application/json", NULL);
	out_raw(&l.o, "{\"projects\":[");
	if (err == 0)
		err = view_projects(v, list_project, &l);
	view_close(v);
	out_raw(&l.o, "]}\n");
	return ctx_finish(&l.o, err);
}

/* {"name":"NAME"} */
static int name_parse(struct span body, char ret[ID_MAX + 1], struct fault *f)
{
	struct json_object *tree, *name = NULL;
	int err = json_check(body, f);

	if (err < 0)
		return err;
	tree = json_tree(body);
	if (!json_object_is_type(tree, json_type_object) || json_object_object_length(tree) != 1 ||
	    !json_object_object_get_ex(tree, "name", &name) || !json_object_is_type(name, json_type_string))
		err =
		    fault_set(f, ERR_REFUSED, "name", "the body must be {\"name\":NAME}, the project's name");
	else
		err =
		    id_check("name",
			     span_of(json_object_get_string(name), (size_t)json_object_get_string_len(name)),
			     f);
	if (err == 0)
		snprintf(ret, ID_MAX + 1, "%s", json_object_get_string(name));
	json_object_put(tree);
	return err;
}

int handle_project_create(struct ctx *c)
{
	static const char *const known[] = { NULL };
	char name[ID_MAX + 1];
	struct project made;
	struct once once;
	bool replayed = false;
	struct out o;
	int err;

	if ((err = ctx_json(c)) < 0 || (err = params_check(&c->params, known, c->f)) < 0 ||
	    (err = ctx_once(c, &once)) < 0 || (err = name_parse(c->rq->body, name, c->f)) < 0)
		return err;
	err = store_project_create(c->store, name, &once, &made, &replayed, c->f);
	if (err < 0)
		return err;
	out_init(&o, c->sink);
	err = ctx_begin_changed(&o, 201, replayed, NULL);
	out_project(&o, &made);
	out_ch(&o, '\n');
	return ctx_finish(&o, err);
}

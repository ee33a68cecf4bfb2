/*
 * runs.c - POST /runs, GET /runs, GET /runs/{run} (api 2, 3).
 */
#include <stdio.h>
#include <sys/random.h>

#include "query/handler.h"
#include "query/spec.h"
#include "store/write.h"

#define PAGE_DEFAULT     100
#define PAGE_MAX         1000
#define SCANNED_PER_VIEW 500 /* runs looked at under one view */
#define TAGS_ASKED_MAX   16

/* Those who may give it back are told that they can. */
static int missing(const struct ctx *c, const char *id)
{
	int64_t deleted_ns;

	if (c->rq->caller->role >= ROLE_EDITOR &&
	    store_run_deleted(c->store, c->project, id, &deleted_ns) == 0)
		return run_deleted_fault(c->project, id, deleted_ns, c->f);
	return fault_set(c->f, ERR_NOT_FOUND, "run",
			 "there is no run %s in project %s; `astraml runs` lists those there are", id,
			 c->project);
}

int find_run(const struct ctx *c, struct view *v, struct span id, struct run *ret)
{
	char text[ID_MAX + 1];
	int err = id_check("run", id, c->f);

	if (err < 0)
		return err;
	snprintf(text, sizeof text, "%.*s", (int)id.len, (const char *)id.data);
	err = view_run(v, c->project, text, ret);
	if (err == ERR_NOT_FOUND)
		return missing(c, text);
	return err < 0 ? fault_default(c->f, err) : 0;
}

int ctx_run(const struct ctx *c, struct view *v, struct run *ret)
{
	return find_run(c, v, span_str(c->run), ret);
}

void out_time_or_null(struct out *o, const char *key, int64_t t_ns)
{
	out_raw(o, key);
	if (t_ns)
		out_time(o, t_ns);
	else
		out_raw(o, "null");
}

void out_run_state(struct out *o, const struct run *r)
{
	out_raw(o, ",\"state\":");
	out_string(o, span_str(run_state_name(r->state)));
	out_raw(o, ",\"exit_code\":");
	if (r->has_exit_code)
		out_i64(o, r->exit_code);
	else
		out_raw(o, "null");
}

void out_run(struct out *o, const struct run *r)
{
	char window[DURATION_TEXT_MAX];

	duration_print(r->window_ns, window);
	out_raw(o, "{\"id\":");
	out_string(o, span_str(r->id));
	out_raw(o, ",\"project_id\":");
	out_string(o, span_str(r->project));
	out_run_state(o, r);
	out_raw(o, ",\"imported\":");
	out_bool(o, r->imported);
	out_time_or_null(o, ",\"created_at\":", r->created_ns);
	out_time_or_null(o, ",\"started_at\":", r->started_ns);
	out_time_or_null(o, ",\"ended_at\":", r->ended_ns);
	out_time_or_null(o, ",\"heartbeat_at\":", r->heartbeat_ns);
	if (r->deleted_ns) {
		out_time_or_null(o, ",\"deleted_at\":", r->deleted_ns);
		out_time_or_null(o, ",\"undelete_until\":", r->deleted_ns + RUN_DELETED_KEEP_NS);
	}
	out_raw(o, ",\"window\":");
	out_string(o, span_str(window));
	out_raw(o, ",\"spec\":");
	if (r->spec_json.len > 0)
		out_bytes(o, r->spec_json.data, r->spec_json.len);
	else
		out_raw(o, "{}");
	out_raw(o, ",\"sources\":");
	if (r->sources_json.len > 0)
		out_bytes(o, r->sources_json.data, r->sources_json.len);
	else
		out_raw(o, "{}");
	out_ch(o, '}');
}

/* ---- creating ---- */

/* "calm-otter-3f9k2": easy to say and to tell apart; 2^35 of them. */
static int id_invent(char ret[ID_MAX + 1])
{
	static const char *const first[] = { "amber",  "bold",  "brisk", "calm",   "clear",  "crisp",
					     "deft",   "eager", "fair",  "fleet",  "gentle", "grand",
					     "keen",   "kind",  "lucid", "mellow", "merry",  "mild",
					     "nimble", "noble", "plain", "prime",  "quick",  "quiet",
					     "rapid",  "sharp", "sleek", "solid",  "steady", "sunny",
					     "vivid",  "warm" };
	static const char *const second[] = { "ant",    "bear",  "bison", "crane", "deer", "dove",  "eagle",
					      "falcon", "finch", "fox",   "gecko", "hare", "hawk",  "heron",
					      "ibis",   "jay",   "koala", "lark",  "lynx", "mole",  "newt",
					      "orca",   "otter", "owl",   "panda", "puma", "raven", "robin",
					      "seal",   "swan",  "tern",  "wren" };
	static const char digit[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* Crockford's base 32 */
	uint64_t r;

	if (getrandom(&r, sizeof r, 0) != sizeof r)
		return ERR_IO;
	snprintf(ret, ID_MAX + 1, "%s-%s-%c%c%c%c%c", first[r & 31], second[r >> 5 & 31], digit[r >> 10 & 31],
		 digit[r >> 15 & 31], digit[r >> 20 & 31], digit[r >> 25 & 31], digit[r >> 30 & 31]);
	return 0;
}

static int id_choose(struct store *s, struct run *r, struct fault *f)
{
	struct run_ref ref;
	int err;

	if (r->id[0])
		return 0;
	do {
		if ((err = id_invent(r->id)) < 0)
			return fault_default(f, err);
	} while ((err = store_run_find(s, r->project, r->id, &ref)) == 0);
	return err == ERR_NOT_FOUND ? 0 : fault_default(f, err);
}

static int created(struct ctx *c, const struct run *r, bool replayed)
{
	char location[256];
	struct out o;
	int err;

	snprintf(location, sizeof location, "Location: /v2/projects/%s/runs/%s\r\n", r->project, r->id);
	out_init(&o, c->sink);
	err = ctx_begin_changed(&o, 201, replayed, location);
	out_run(&o, r);
	out_ch(&o, '\n');
	return ctx_finish(&o, err);
}

static int policy_now(struct ctx *c, struct policy *ret)
{
	struct view *v;
	int err = view_open(c->store, &v);

	if (err < 0)
		return fault_default(c->f, err);
	err = ctx_policy(c, v, ret);
	view_close(v);
	return err;
}

int handle_run_create(struct ctx *c)
{
	struct run asked = { 0 }, made = { 0 };
	static const char *const known[] = { NULL };
	struct policy policy;
	struct once once;
	bool replayed = false;
	int err;

	if ((err = ctx_json(c)) < 0 || (err = params_check(&c->params, known, c->f)) < 0 ||
	    (err = ctx_once(c, &once)) < 0 || (err = policy_now(c, &policy)) < 0 ||
	    (err = spec_parse(c->rq->body, c->project, &policy, &asked, c->f)) < 0)
		return err;
	err = id_choose(c->store, &asked, c->f);
	if (err == 0)
		err = store_run_create(c->store, &asked, once.key, once.content_hash, &made, &replayed, c->f);
	err = err < 0 ? fault_default(c->f, err) : created(c, &made, replayed);
	run_release(&asked);
	run_release(&made);
	return err;
}

/* ---- reading ---- */

int handle_run(struct ctx *c)
{
	static const char *const known[] = { NULL };
	struct run r = { 0 };
	struct view *v;
	struct out o;
	int err = params_check(&c->params, known, c->f);

	if (err < 0)
		return err;
	if ((err = view_open(c->store, &v)) < 0)
		return fault_default(c->f, err);
	err = ctx_run(c, v, &r);
	view_close(v);
	if (err < 0)
		return err;
	out_init(&o, c->sink);
	err = out_begin(&o, 200, "application/json", NULL);
	out_run(&o, &r);
	out_ch(&o, '\n');
	run_release(&r);
	return ctx_finish(&o, err);
}

struct listing {
	struct out o;
	enum run_state state; /* 0: any */
	struct span name, tags[TAGS_ASKED_MAX];
	size_t n_tags;
	uint64_t left;     /* of the limit */
	unsigned scanned;  /* under this view */
	uint32_t last_rid; /* looked at */
	bool deleted;      /* those are asked for */
	bool any, more;
};

static int list_run(void *arg, const struct run *r)
{
	struct listing *l = arg;

	if (l->scanned++ == SCANNED_PER_VIEW)
		return 1;
	if ((l->state == 0 || l->state == r->state) &&
	    spec_matches(buf_span(&r->spec_json), l->name, l->tags, l->n_tags)) {
		if (l->left == 0) {
			l->more = true;
			return 1;
		}
		l->left--;
		if (l->any)
			out_ch(&l->o, ',');
		out_run(&l->o, r);
		l->any = true;
	}
	l->last_rid = r->rid;
	return l->o.err;
}

static int listing_parse(struct listing *l, struct ctx *c)
{
	static const char *const known[] = {
		"state", "tag*", "name", "limit", "page_token", "deleted", NULL
	};
	uint64_t before = 0;
	struct span s;
	int err = params_check(&c->params, known, c->f);

	*l = (struct listing){ .left = PAGE_DEFAULT };
	if (err < 0 || (err = params_u64(&c->params, "limit", 1, PAGE_MAX, &l->left, c->f)) < 0 ||
	    (err = params_u64(&c->params, "page_token", 1, UINT32_MAX, &before, c->f)) < 0 ||
	    (err = params_bool(&c->params, "deleted", &l->deleted, c->f)) < 0 ||
	    (l->deleted && (err = caller_may(c->rq->caller, c->project, ROLE_EDITOR, c->f)) < 0))
		return err;
	l->last_rid = (uint32_t)before;
	params_get(&c->params, "name", 0, &l->name);
	if (params_get(&c->params, "state", 0, &s) && (l->state = run_state_parse(s)) == 0)
		return fault_set(c->f, ERR_REFUSED, "state",
				 "state=%.*s is none of queued, running, preempted, finished, "
				 "failed, killed and lost",
				 (int)(s.len < 40 ? s.len : 40), (const char *)s.data);
	while (params_get(&c->params, "tag", l->n_tags, &s)) {
		if (l->n_tags == TAGS_ASKED_MAX)
			return fault_set(c->f, ERR_REFUSED, "tag", "more than %d tags are asked for",
					 TAGS_ASKED_MAX);
		l->tags[l->n_tags++] = s;
	}
	return 0;
}

/* Pages through the project, one view for SCANNED_PER_VIEW runs. */
static int list_all(struct listing *l, struct ctx *c)
{
	int err;

	do {
		struct view *v;

		l->scanned = 0;
		if ((err = view_open(c->store, &v)) < 0)
			return err;
		err = (l->deleted ? view_deleted_runs : view_runs)(v, c->project, l->last_rid, list_run, l);
		view_close(v);
		if (err >= 0 && out_flush(&l->o) < 0)
			err = l->o.err;
	} while (err == 1 && !l->more);
	return err < 0 ? err : 0;
}

int handle_runs(struct ctx *c)
{
	struct policy policy;
	struct listing l;
	int err = listing_parse(&l, c);

	if (err == 0)
		err = ctx_project(c, &policy);
	if (err < 0)
		return err;
	out_init(&l.o, c->sink);
	l.o.hold = true;
	err = out_begin(&l.o, 200, "application/json", NULL);
	out_raw(&l.o, "{\"runs\":[");
	if (err == 0)
		err = list_all(&l, c);
	out_raw(&l.o, "],\"next_page_token\":");
	if (l.more) {
		out_ch(&l.o, '"');
		out_u64(&l.o, l.last_rid);
		out_raw(&l.o, "\"}\n");
	} else {
		out_raw(&l.o, "null}\n");
	}
	return ctx_finish(&l.o, err);
}

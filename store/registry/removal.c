#include "store/registry/removal.h"

#include "store/base/bytes.h"
#include "store/registry/change.h"

#define OUTCOME_BYTES 12 /* rid u32, deleted i64: what a repetition is answered from */

/* ---- rows ---- */

struct span removal_key(const struct removal *r, uint8_t *ret)
{
	uint8_t *p = ret;

	memcpy(p, r->project, strlen(r->project) + 1);
	p += strlen(r->project) + 1;
	memcpy(p, r->id, strlen(r->id) + 1);
	p += strlen(r->id) + 1;
	put_be32(p, r->rid);
	return span_of(ret, (size_t)(p + 4 - ret));
}

int removal_put(struct kv_txn *t, const struct removal *r)
{
	uint8_t key[REMOVAL_KEY_MAX], body[9];

	put_le64(body, (uint64_t)r->deleted_ns);
	body[8] = r->purging;
	return stored_put(t, KV_DELETED, KIND_DELETED, removal_key(r, key), span_of(body, sizeof(body)));
}

/* The name at *at, which ends in a 0; false when it is none. */
static bool take_name(struct span key, size_t *at, char *ret)
{
	const uint8_t *from = key.data + *at, *end = memchr(from, 0, key.len - *at);

	if (!end || end == from || end - from > ID_MAX)
		return false;
	memcpy(ret, from, (size_t)(end - from) + 1);
	*at += (size_t)(end - from) + 1;
	return true;
}

int removal_decode(struct span key, struct span value, struct removal *ret)
{
	struct removal r;
	struct stored s;
	size_t at = 0;
	int err = stored_open(key, value, KIND_DELETED, &s);

	if (err < 0)
		return err;
	if (!take_name(key, &at, r.project) || !take_name(key, &at, r.id) || key.len - at != 4 ||
	    s.body.len != 9 || s.body.data[8] > 1)
		return ERR_CORRUPT;
	r.rid = get_be32(key.data + at);
	r.deleted_ns = (int64_t)get_le64(s.body.data);
	r.purging = s.body.data[8];
	*ret = r;
	return 0;
}

int removal_find(struct kv_txn *t, const char *project, const char *id, struct removal *ret)
{
	struct removal last = { .rid = UINT32_MAX };
	uint8_t at[REMOVAL_KEY_MAX];
	struct span wanted, key, value;
	struct kv_cursor *c;
	int err;

	if (strlen(project) > ID_MAX || strlen(id) > ID_MAX)
		return ERR_NOT_FOUND;
	err = kv_cursor_open(t, KV_DELETED, &c);
	if (err < 0)
		return err;
	memcpy(last.project, project, strlen(project) + 1);
	memcpy(last.id, id, strlen(id) + 1);
	wanted = removal_key(&last, at);
	err = kv_seek_before(c, wanted, &key, &value);
	if (err == 0 && (key.len != wanted.len || memcmp(key.data, wanted.data, wanted.len - 4) != 0))
		err = ERR_NOT_FOUND;
	if (err == 0)
		err = removal_decode(key, value, ret);
	kv_cursor_close(c);
	return err;
}

/* ---- changes of a run ---- */

struct alteration {
	struct store *store;
	const char *project, *id;
	const struct run_change *change; /* apply_change only */
};

static int keep_outcome(struct buf *outcome, const struct run *run)
{
	uint8_t bytes[OUTCOME_BYTES];

	put_le32(bytes, run->rid);
	put_le64(bytes + 4, (uint64_t)run->deleted_ns);
	return buf_add(outcome, bytes, sizeof(bytes));
}

static void tell_times(int64_t deleted_ns, char *ret_deleted, char *ret_until)
{
	int64_t until = deleted_ns + RUN_DELETED_KEEP_NS;

	clock_format(window_start(deleted_ns, NS_PER_S), ret_deleted);
	clock_format(window_start(until, NS_PER_S), ret_until);
}

int run_deleted_fault(const char *project, const char *id, int64_t deleted_ns, struct fault *f)
{
	char deleted[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX];

	tell_times(deleted_ns, deleted, until);
	return fault_set(f, ERR_NOT_FOUND, "run",
			 "run %s of project %s was deleted on %s; `astraml undelete %s` (POST "
			 "/v2/projects/%s/runs/%s:undelete) gives it back until %s",
			 id, project, deleted, id, project, id, until);
}

static bool can_be_had(const struct removal *r)
{
	return !r->purging && clock_now_ns() - r->deleted_ns < RUN_DELETED_KEEP_NS;
}

/* Refuses: nothing of that name is there. */
static int refuse_missing(const struct alteration *a, struct kv_txn *t, struct fault *f)
{
	struct removal r;
	int err = removal_find(t, a->project, a->id, &r);

	if (err < 0 && err != ERR_NOT_FOUND)
		return err;
	if (err == 0 && can_be_had(&r))
		run_deleted_fault(a->project, a->id, r.deleted_ns, f);
	else
		fault_set(f, ERR_NOT_FOUND, "run",
			  "there is no run %s in project %s; `astraml runs` lists those there are", a->id,
			  a->project);
	return 0;
}

/* The run that has the name.  f->err is set where there is none. */
static int find(const struct alteration *a, struct kv_txn *t, struct run *ret, struct fault *f)
{
	uint32_t rid;
	int err = run_lookup(t, a->project, a->id, &rid);

	if (err == ERR_NOT_FOUND)
		return refuse_missing(a, t, f);
	return err < 0 ? err : run_get(t, rid, ret);
}

static int remove_run(const struct alteration *a, struct kv_txn *t, struct run *run)
{
	struct removal r = { .rid = run->rid, .deleted_ns = clock_now_ns() };
	int err;

	memcpy(r.project, run->project, sizeof(r.project));
	memcpy(r.id, run->id, sizeof(r.id));
	run->deleted_ns = r.deleted_ns;
	err = run_put(t, run);
	if (err == 0)
		err = run_del_name(t, run);
	if (err == 0)
		err = removal_put(t, &r);
	if (err == 0)
		err = note_altered(a->store, run->rid);
	return err < 0 ? err : runs_set_deleted(&a->store->runs, run->rid, true);
}

static int apply_delete(void *arg, struct kv_txn *t, struct buf *outcome, struct fault *f)
{
	const struct alteration *a = arg;
	struct run run;
	int err = find(a, t, &run, f);

	if (err < 0 || f->err)
		return err;
	err = remove_run(a, t, &run);
	if (err == 0)
		err = keep_outcome(outcome, &run);
	run_release(&run);
	return err;
}

/* ---- changing ---- */

static int edit_spec(const struct run_change *c, struct run *run, struct fault *f)
{
	struct buf spec = { 0 };
	int err = c->edit(c->arg, buf_span(&run->spec_json), &spec, f);

	if (err < 0 || f->err) {
		buf_release(&spec);
		return err;
	}
	buf_release(&run->spec_json);
	run->spec_json = spec;
	return 0;
}

static int change_run(const struct run_change *c, struct run *run, struct fault *f)
{
	int64_t now_ns = clock_now_ns();

	if (c->state) {
		run_enter_state(run, c->state, now_ns, 0);
		if (c->state == RUN_RUNNING && !run->imported)
			run->heartbeat_ns = now_ns; /* else it would be lost at once */
	}
	return c->edit ? edit_spec(c, run, f) : 0;
}

static int put_changed(const struct alteration *a, struct kv_txn *t, const struct run *run)
{
	struct run_entry *e = runs_entry(&a->store->runs, run->rid);
	int err = run_put(t, run);

	if (err == 0)
		err = note_altered(a->store, run->rid);
	if (err < 0)
		return err;
	e->state = run->state;
	e->heartbeat_ns = run->heartbeat_ns;
	return 0;
}

static int apply_change(void *arg, struct kv_txn *t, struct buf *outcome, struct fault *f)
{
	const struct alteration *a = arg;
	struct run run;
	int err = find(a, t, &run, f);

	if (err < 0 || f->err)
		return err;
	err = change_run(a->change, &run, f);
	if (err == 0 && !f->err)
		err = put_changed(a, t, &run);
	if (err == 0 && !f->err)
		err = keep_outcome(outcome, &run);
	run_release(&run);
	return err;
}

/* ---- giving back ---- */

static int refuse_taken(const struct alteration *a, struct kv_txn *t, uint32_t rid, struct fault *f)
{
	char created[CLOCK_TEXT_MAX];
	struct removal r;
	struct run run;
	int err = removal_find(t, a->project, a->id, &r);
	bool deleted = err == 0 && can_be_had(&r);

	if (err == 0 || err == ERR_NOT_FOUND)
		err = run_get(t, rid, &run);
	if (err < 0)
		return err;
	clock_format(window_start(run.created_ns, NS_PER_S), created);
	run_release(&run);
	if (deleted)
		fault_set(f, ERR_CONFLICT, "run",
			  "the id %s was taken in project %s on %s by another run; the deleted one cannot "
			  "come back while that is there",
			  a->id, a->project, created);
	else
		fault_set(f, ERR_CONFLICT, "run",
			  "run %s of project %s is there, since %s; there is nothing to give back", a->id,
			  a->project, created);
	return 0;
}

static int find_deleted(const struct alteration *a, struct kv_txn *t, struct removal *ret, struct fault *f)
{
	char deleted[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX];
	uint32_t rid;
	int err = run_lookup(t, a->project, a->id, &rid);

	if (err == 0)
		return refuse_taken(a, t, rid, f);
	if (err != ERR_NOT_FOUND)
		return err;
	err = removal_find(t, a->project, a->id, ret);
	if (err == ERR_NOT_FOUND) {
		fault_set(f, err, "run", "no run %s was deleted in project %s in the last %d days", a->id,
			  a->project, (int)(RUN_DELETED_KEEP_NS / NS_PER_DAY));
		return 0;
	}
	if (err == 0 && !can_be_had(ret)) {
		tell_times(ret->deleted_ns, deleted, until);
		fault_set(f, ERR_NOT_FOUND, "run",
			  "run %s of project %s was deleted on %s and could be had back until %s; it is gone",
			  a->id, a->project, deleted, until);
	}
	return err;
}

static int give_back(const struct alteration *a, struct kv_txn *t, const struct removal *r, struct run *run)
{
	uint8_t key[REMOVAL_KEY_MAX];
	int err;

	run->deleted_ns = 0;
	err = run_put(t, run);
	if (err == 0)
		err = run_put_name(t, run);
	if (err == 0)
		err = kv_del(t, KV_DELETED, removal_key(r, key));
	if (err == 0)
		err = note_altered(a->store, run->rid);
	return err < 0 ? err : runs_set_deleted(&a->store->runs, run->rid, false);
}

static int apply_undelete(void *arg, struct kv_txn *t, struct buf *outcome, struct fault *f)
{
	const struct alteration *a = arg;
	struct removal r;
	struct run run;
	int err = find_deleted(a, t, &r, f);

	if (err < 0 || f->err)
		return err;
	err = run_get(t, r.rid, &run);
	if (err < 0)
		return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
	err = give_back(a, t, &r, &run);
	if (err == 0)
		err = keep_outcome(outcome, &run);
	run_release(&run);
	return err;
}

/* ---- on any thread ---- */

/* The run as the outcome has it. */
static int read_outcome(struct store *s, struct span outcome, struct run *ret)
{
	struct kv_txn *t;
	int err = outcome.len == OUTCOME_BYTES ? kv_begin(s->kv, false, &t) : ERR_CORRUPT;

	if (err < 0)
		return err;
	err = run_get(t, get_le32(outcome.data), ret);
	kv_abort(t);
	if (err < 0)
		return err;
	ret->deleted_ns = (int64_t)get_le64(outcome.data + 4);
	ret->state = run_state_at(ret, clock_now_ns());
	return 0;
}

static int alter(struct alteration *a,
		 int (*apply)(void *arg, struct kv_txn *t, struct buf *outcome, struct fault *f),
		 const struct once *once, struct run *ret, bool *ret_replayed, struct fault *f)
{
	struct change c = { .project = a->project, .once = once, .apply = apply, .arg = a };
	struct buf outcome;
	int err = change_make(a->store, &c, &outcome, ret_replayed, f);

	if (err < 0)
		return err;
	err = read_outcome(a->store, buf_span(&outcome), ret);
	buf_release(&outcome);
	return fault_default(f, err);
}

int store_run_delete(struct store *s, const char *project, const char *id, const struct once *once,
		     struct run *ret, bool *ret_replayed, struct fault *f)
{
	struct alteration a = { .store = s, .project = project, .id = id };

	return alter(&a, apply_delete, once, ret, ret_replayed, f);
}

int store_run_change(struct store *s, const char *project, const char *id, const struct run_change *c,
		     const struct once *once, struct run *ret, bool *ret_replayed, struct fault *f)
{
	struct alteration a = { .store = s, .project = project, .id = id, .change = c };

	return alter(&a, apply_change, once, ret, ret_replayed, f);
}

int store_run_undelete(struct store *s, const char *project, const char *id, const struct once *once,
		       struct run *ret, bool *ret_replayed, struct fault *f)
{
	struct alteration a = { .store = s, .project = project, .id = id };

	return alter(&a, apply_undelete, once, ret, ret_replayed, f);
}

int store_run_deleted(struct store *s, const char *project, const char *id, int64_t *ret_ns)
{
	struct removal r;
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = removal_find(t, project, id, &r);
	kv_abort(t);
	if (err == 0 && !can_be_had(&r))
		err = ERR_NOT_FOUND;
	if (err == 0)
		*ret_ns = r.deleted_ns;
	return err;
}

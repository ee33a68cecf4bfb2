#include "store/registry/run.h"

#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/base/bytes.h"

enum { FLAG_IMPORTED = 1, FLAG_EXIT_CODE = 2 };

#define FIXED_BYTES 58 /* before the names */
#define DELETED_AT  46

static int add_span(struct buf *out, struct span s)
{
	int err = buf_add_varint(out, s.len);

	return err < 0 ? err : buf_add(out, s.data, s.len);
}

/* Appends the row's body.  The stored state is never RUN_LOST. */
static int encode(const struct run *r, struct buf *out)
{
	uint8_t fixed[FIXED_BYTES];
	int err;

	fixed[0] = (uint8_t)r->state;
	fixed[1] = (uint8_t)((r->imported ? FLAG_IMPORTED : 0) | (r->has_exit_code ? FLAG_EXIT_CODE : 0));
	put_le32(fixed + 2, (uint32_t)r->exit_code);
	put_le64(fixed + 6, (uint64_t)r->window_ns);
	put_le64(fixed + 14, (uint64_t)r->created_ns);
	put_le64(fixed + 22, (uint64_t)r->started_ns);
	put_le64(fixed + 30, (uint64_t)r->ended_ns);
	put_le64(fixed + 38, (uint64_t)r->heartbeat_ns);
	put_le64(fixed + DELETED_AT, (uint64_t)r->deleted_ns);
	put_le32(fixed + 54, r->pid);
	err = buf_add(out, fixed, sizeof(fixed));
	if (err == 0)
		err = add_span(out, span_str(r->project));
	if (err == 0)
		err = add_span(out, span_str(r->id));
	if (err == 0)
		err = add_span(out, buf_span(&r->spec_json));
	return err < 0 ? err : add_span(out, buf_span(&r->sources_json));
}

static void read_id(struct reader *r, char *ret)
{
	struct span s = read_lenspan(r);

	if (s.len > ID_MAX) {
		r->bad = true;
		return;
	}
	memcpy(ret, s.data, s.len);
	ret[s.len] = 0;
}

int run_decode(uint32_t rid, struct span body, struct run *ret)
{
	struct reader r = reader_of(body);
	struct run run = { .rid = rid };
	struct span spec, sources;
	uint8_t flags;
	int err;

	run.state = (enum run_state)read_u8(&r);
	flags = read_u8(&r);
	run.imported = flags & FLAG_IMPORTED;
	run.has_exit_code = flags & FLAG_EXIT_CODE;
	run.exit_code = (int32_t)read_le32(&r);
	run.window_ns = (int64_t)read_le64(&r);
	run.created_ns = (int64_t)read_le64(&r);
	run.started_ns = (int64_t)read_le64(&r);
	run.ended_ns = (int64_t)read_le64(&r);
	run.heartbeat_ns = (int64_t)read_le64(&r);
	run.deleted_ns = (int64_t)read_le64(&r);
	run.pid = read_le32(&r);
	read_id(&r, run.project);
	read_id(&r, run.id);
	spec = read_lenspan(&r);
	sources = read_lenspan(&r);
	if (r.bad || run.state < RUN_QUEUED || run.state > RUN_KILLED || run.window_ns <= 0)
		return ERR_CORRUPT;
	buf_init(&run.spec_json, spec.len + 1);
	buf_init(&run.sources_json, sources.len + 1);
	err = buf_add(&run.spec_json, spec.data, spec.len);
	if (err == 0)
		err = buf_add(&run.sources_json, sources.data, sources.len);
	if (err < 0) {
		run_release(&run);
		return err;
	}
	*ret = run;
	return 0;
}

static struct span rid_key(uint32_t rid, uint8_t *ret)
{
	put_be32(ret, rid);
	return span_of(ret, 4);
}

int run_get(struct kv_txn *t, uint32_t rid, struct run *ret)
{
	uint8_t key[4];
	struct stored s;
	int err = stored_get(t, KV_RUN, KIND_RUN, rid_key(rid, key), &s);

	return err < 0 ? err : run_decode(rid, s.body, ret);
}

int run_owner(struct kv_txn *t, uint32_t rid, uint32_t *ret_pid, int64_t *ret_window_ns)
{
	uint8_t key[4];
	struct stored s;
	int err = stored_get(t, KV_RUN, KIND_RUN, rid_key(rid, key), &s);

	if (err < 0)
		return err;
	if (s.body.len < FIXED_BYTES)
		return ERR_CORRUPT;
	*ret_window_ns = (int64_t)get_le64(s.body.data + 6);
	*ret_pid = get_le32(s.body.data + 54);
	return 0;
}

int run_put(struct kv_txn *t, const struct run *r)
{
	uint8_t key[4];
	struct buf body;
	int err;

	buf_init(&body, r->spec_json.len + r->sources_json.len + 512);
	err = encode(r, &body);
	if (err == 0)
		err = stored_put(t, KV_RUN, KIND_RUN, rid_key(r->rid, key), buf_span(&body));
	buf_release(&body);
	return err;
}

static struct span name_key(const char *project, const char *id, char *ret)
{
	int n = snprintf(ret, 2 * ID_MAX + 2, "%s", project);

	n += 1 + snprintf(ret + n + 1, ID_MAX + 1, "%s", id);
	return span_of(ret, (size_t)n);
}

int run_lookup(struct kv_txn *t, const char *project, const char *id, uint32_t *ret_rid)
{
	char key[2 * ID_MAX + 2];
	struct stored s;
	int err = stored_get(t, KV_RUNID, KIND_RUNID, name_key(project, id, key), &s);

	if (err < 0)
		return err;
	if (s.body.len != 4)
		return ERR_CORRUPT;
	*ret_rid = get_le32(s.body.data);
	return 0;
}

int run_put_name(struct kv_txn *t, const struct run *r)
{
	char key[2 * ID_MAX + 2];
	uint8_t rid[4];

	put_le32(rid, r->rid);
	return stored_put(t, KV_RUNID, KIND_RUNID, name_key(r->project, r->id, key), span_of(rid, 4));
}

int run_del_name(struct kv_txn *t, const struct run *r)
{
	char key[2 * ID_MAX + 2];

	return kv_del(t, KV_RUNID, name_key(r->project, r->id, key));
}

int run_get_deleted(struct kv_txn *t, uint32_t rid, int64_t *ret_ns)
{
	uint8_t key[4];
	struct stored s;
	int err = stored_get(t, KV_RUN, KIND_RUN, rid_key(rid, key), &s);

	if (err == 0 && s.body.len < FIXED_BYTES)
		err = ERR_CORRUPT;
	if (err == 0)
		*ret_ns = (int64_t)get_le64(s.body.data + DELETED_AT);
	return err;
}

void run_enter_state(struct run *r, enum run_state state, int64_t now_ns, int64_t ended_ns)
{
	r->state = state;
	if (state == RUN_RUNNING && !r->started_ns)
		r->started_ns = now_ns;
	r->ended_ns = state <= RUN_PREEMPTED ? 0 : ended_ns ? ended_ns : now_ns;
}

enum run_state run_state_at(const struct run *r, int64_t now_ns)
{
	if (r->state != RUN_RUNNING || r->imported || now_ns - r->heartbeat_ns <= RUN_LOST_AFTER_NS)
		return r->state;
	return RUN_LOST;
}

/* ---- in memory ---- */

int runs_init(struct runs *rs)
{
	*rs = (struct runs){ .mask = 255 };
	pthread_rwlock_init(&rs->lock, NULL);
	rs->slots = calloc(rs->mask + 1, sizeof(*rs->slots));
	return rs->slots ? 0 : ERR_NOMEM;
}

void runs_release(struct runs *rs)
{
	for (size_t i = 0; i < rs->n_rids; i++)
		free(rs->by_rid[i]);
	free(rs->by_rid);
	free(rs->slots);
	pthread_rwlock_destroy(&rs->lock);
}

static size_t home_of(const struct runs *rs, const char *project, const char *id)
{
	char key[2 * ID_MAX + 2];
	struct span s = name_key(project, id, key);

	return XXH3_64bits(s.data, s.len) & rs->mask;
}

/* Slot of the name, or the empty one where it belongs. */
static size_t probe(const struct runs *rs, const char *project, const char *id)
{
	size_t at = home_of(rs, project, id);

	while (rs->slots[at]) {
		const struct run_entry *e = rs->by_rid[rs->slots[at]];

		if (strcmp(e->id, id) == 0 && strcmp(e->project, project) == 0)
			break;
		at = (at + 1) & rs->mask;
	}
	return at;
}

static int rehash(struct runs *rs, size_t mask)
{
	uint32_t *slots = calloc(mask + 1, sizeof(*slots));

	if (!slots)
		return ERR_NOMEM;
	free(rs->slots);
	rs->slots = slots;
	rs->mask = mask;
	for (size_t i = 0; i < rs->n_rids; i++)
		if (rs->by_rid[i] && !rs->by_rid[i]->deleted)
			rs->slots[probe(rs, rs->by_rid[i]->project, rs->by_rid[i]->id)] = (uint32_t)i;
	return 0;
}

static int put_slot(struct runs *rs, const struct run_entry *e)
{
	int err = rs->used > rs->mask / 2 ? rehash(rs, rs->mask * 2 + 1) : 0;

	if (err < 0)
		return err;
	rs->slots[probe(rs, e->project, e->id)] = e->rid;
	rs->used++;
	return 0;
}

/* What follows moves up, so that no chain is broken. */
static void clear_slot(struct runs *rs, size_t at)
{
	for (size_t next = (at + 1) & rs->mask; rs->slots[next]; next = (next + 1) & rs->mask) {
		const struct run_entry *e = rs->by_rid[rs->slots[next]];

		if (((next - home_of(rs, e->project, e->id)) & rs->mask) < ((next - at) & rs->mask))
			continue;
		rs->slots[at] = rs->slots[next];
		at = next;
	}
	rs->slots[at] = 0;
	rs->used--;
}

static int grow_rids(struct runs *rs, uint32_t rid)
{
	size_t n = rs->n_rids ? rs->n_rids : 64;
	struct run_entry **p;

	if (rid < rs->n_rids)
		return 0;
	while (n <= rid)
		n *= 2;
	p = realloc(rs->by_rid, n * sizeof(*p));
	if (!p)
		return ERR_NOMEM;
	memset(p + rs->n_rids, 0, (n - rs->n_rids) * sizeof(*p));
	rs->by_rid = p;
	rs->n_rids = n;
	return 0;
}

static int set_deleted(struct runs *rs, struct run_entry *e, bool deleted)
{
	int err = 0;

	if (e->deleted == deleted)
		return 0;
	if (deleted)
		clear_slot(rs, probe(rs, e->project, e->id));
	else
		err = put_slot(rs, e);
	if (err == 0)
		e->deleted = deleted;
	return err;
}

int runs_add(struct runs *rs, const struct run *r)
{
	struct run_entry *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return ERR_NOMEM;
	e->rid = r->rid;
	e->pid = r->pid;
	e->window_ns = r->window_ns;
	e->heartbeat_ns = r->heartbeat_ns;
	e->state = r->state;
	e->deleted = true; /* until it has its name */
	memcpy(e->project, r->project, sizeof(e->project));
	memcpy(e->id, r->id, sizeof(e->id));
	pthread_rwlock_wrlock(&rs->lock);
	err = grow_rids(rs, r->rid);
	if (err == 0)
		err = set_deleted(rs, e, r->deleted_ns != 0);
	if (err == 0)
		rs->by_rid[r->rid] = e;
	else
		free(e);
	pthread_rwlock_unlock(&rs->lock);
	return err;
}

int runs_set_deleted(struct runs *rs, uint32_t rid, bool deleted)
{
	int err;

	pthread_rwlock_wrlock(&rs->lock);
	err = set_deleted(rs, rs->by_rid[rid], deleted);
	pthread_rwlock_unlock(&rs->lock);
	return err;
}

void runs_remove(struct runs *rs, uint32_t rid)
{
	pthread_rwlock_wrlock(&rs->lock);
	set_deleted(rs, rs->by_rid[rid], true);
	free(rs->by_rid[rid]);
	rs->by_rid[rid] = NULL;
	pthread_rwlock_unlock(&rs->lock);
}

int runs_find(struct runs *rs, const char *project, const char *id, struct run_ref *ret)
{
	uint32_t rid;

	if (strlen(project) > ID_MAX || strlen(id) > ID_MAX)
		return ERR_NOT_FOUND;
	pthread_rwlock_rdlock(&rs->lock);
	rid = rs->slots[probe(rs, project, id)];
	if (rid)
		*ret = (struct run_ref){ rid, rs->by_rid[rid]->window_ns };
	pthread_rwlock_unlock(&rs->lock);
	return rid ? 0 : ERR_NOT_FOUND;
}

bool runs_known(struct runs *rs, uint32_t rid)
{
	bool known;

	pthread_rwlock_rdlock(&rs->lock);
	known = rid < rs->n_rids && rs->by_rid[rid];
	pthread_rwlock_unlock(&rs->lock);
	return known;
}

bool runs_project(struct runs *rs, uint32_t rid, char *ret)
{
	const struct run_entry *e;
	bool there;

	pthread_rwlock_rdlock(&rs->lock);
	e = rid < rs->n_rids ? rs->by_rid[rid] : NULL;
	there = e && !e->deleted;
	if (there)
		memcpy(ret, e->project, sizeof(e->project));
	pthread_rwlock_unlock(&rs->lock);
	return there;
}

struct run_entry *runs_entry(struct runs *rs, uint32_t rid)
{
	return rid < rs->n_rids ? rs->by_rid[rid] : NULL;
}

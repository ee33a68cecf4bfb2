#include "store/compact/purge.h"

#include "store/base/bytes.h"
#include "store/base/log.h"
#include "store/part/manifest.h"
#include "store/registry/removal.h"
#include "store/turn.h"

/* What one errand takes at most: ingest waits for no more than that. */
#define ROWS_AT_ONCE   1000
#define BLOCKS_AT_ONCE 64 /* of log, which may be 1 MiB each */

struct purge {
	struct store *store;
	struct removal run;
	uint32_t sids[ROWS_AT_ONCE]; /* series whose rows went with this errand */
	size_t n_sids;
	bool done;
};

/* Deletes at most max rows whose keys begin with the rid; *left is what remains of max.  The second half
 * of a series' key is kept. */
static int delete_rows(struct purge *p, struct kv_txn *t, enum kv_db db, size_t max, size_t *left)
{
	struct span key, value;
	struct kv_cursor *c;
	uint8_t rid[4];
	int err = kv_cursor_open(t, db, &c), moved = 0;

	if (err < 0)
		return err;
	put_be32(rid, p->run.rid);
	for (*left = max; *left && err == 0; --*left) {
		moved = kv_seek(c, span_of(rid, 4), &key, &value);
		if (moved < 0 || key.len < 4 || memcmp(key.data, rid, 4) != 0)
			break;
		if (db == KV_SERIES && key.len == 8)
			p->sids[p->n_sids++] = get_be32(key.data + 4);
		err = kv_cursor_del(c);
	}
	kv_cursor_close(c);
	return err < 0 ? err : moved < 0 && moved != ERR_NOT_FOUND ? moved : 0;
}

/* The last of it: from here on there never was such a run. */
static int delete_run(struct purge *p, struct kv_txn *t)
{
	uint8_t key[REMOVAL_KEY_MAX], rid[4];
	int err;

	put_be32(rid, p->run.rid);
	err = kv_del(t, KV_LOGSEAL, span_of(rid, 4)); /* the sealer may have put it until now */
	if (err == 0 || err == ERR_NOT_FOUND)
		err = kv_del(t, KV_RUN, span_of(rid, 4));
	if (err == 0 || err == ERR_NOT_FOUND)
		err = kv_del(t, KV_DELETED, removal_key(&p->run, key));
	if (err < 0)
		return err;
	if (runs_entry(&p->store->runs, p->run.rid))
		runs_remove(&p->store->runs, p->run.rid);
	p->done = true;
	return 0;
}

/* An errand; its first marks the run. */
static int purge_some(void *arg, struct kv_txn *t)
{
	static const enum kv_db dbs[] = { KV_LOG, KV_LOGSEQ, KV_PRODUCER, KV_REJECT, KV_RAWGONE, KV_SERIES };
	struct purge *p = arg;
	int err = 0;

	p->n_sids = 0;
	if (!p->run.purging) {
		p->run.purging = true;
		return removal_put(t, &p->run);
	}
	for (size_t i = 0; i < sizeof(dbs) / sizeof(*dbs); i++) {
		size_t left, max = dbs[i] == KV_LOG ? BLOCKS_AT_ONCE : ROWS_AT_ONCE;

		err = delete_rows(p, t, dbs[i], max, &left);
		if (err < 0 || left < max)
			return err;
	}
	return delete_run(p, t);
}

static int purge_run(struct purge *p, const atomic_bool *stop)
{
	int err = 0;

	for (p->done = false; err == 0 && !p->done && !atomic_load(stop);) {
		err = writer_errand(p->store, purge_some, p);
		if (err == 0)
			registry_forget(&p->store->series, p->sids, p->n_sids);
	}
	return err;
}

/* The first run whose time is over.  ERR_NOT_FOUND. */
static int find_due(struct store *s, int64_t now_ns, struct removal *ret)
{
	struct span key, value;
	struct kv_cursor *c;
	struct kv_txn *t;
	struct removal r;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = kv_cursor_open(t, KV_DELETED, &c);
	if (err < 0) {
		kv_abort(t);
		return err;
	}
	for (err = kv_first(c, &key, &value); err == 0; err = kv_next(c, &key, &value)) {
		err = removal_decode(key, value, &r);
		if (err < 0 || r.purging || now_ns - r.deleted_ns >= RUN_DELETED_KEEP_NS)
			break;
	}
	kv_cursor_close(c);
	kv_abort(t);
	if (err == 0)
		*ret = r;
	return err;
}

int purge_runs(struct store *s, const atomic_bool *stop, uint64_t *runs)
{
	struct purge p = { .store = s };
	int err = 0;

	while (err == 0 && !atomic_load(stop)) {
		err = find_due(s, clock_now_ns(), &p.run);
		if (err < 0)
			break;
		err = purge_run(&p, stop);
		if (err == 0 && p.done) {
			++*runs;
			log_info("purge: run %s of project %s, deleted %d days ago, is gone", p.run.id,
				 p.run.project, (int)(RUN_DELETED_KEEP_NS / NS_PER_DAY));
		}
	}
	return err == ERR_NOT_FOUND ? 0 : err;
}

/* ---- what is left of it ---- */

struct gone {
	struct runs *runs;
	bool any;
};

static int note_gone(void *arg, const struct run_range *r)
{
	struct gone *g = arg;

	g->any = !runs_known(g->runs, r->rid);
	return g->any;
}

bool runs_any_gone(struct runs *rs, struct span runs)
{
	struct gone g = { .runs = rs };

	run_ranges_read(runs, note_gone, &g);
	return g.any;
}

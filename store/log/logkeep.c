#include "store/log/logkeep.h"

#include "store/base/bytes.h"
#include "store/log/logblock.h"
#include "store/log/logs.h"
#include "store/registry/project.h"
#include "store/turn.h"

#define LOOK_BLOCKS 4096 /* in one snapshot */
#define DROP_BLOCKS 64   /* in one errand: a block may have 1 MiB */

/* ---- how far the old reaches ---- */

/* A damaged block has no age: it goes with what follows it. */
static bool is_old(struct span key, struct span value, int64_t before_ns, bool *ret_known)
{
	struct logblock_prefix p;
	struct stored s;

	*ret_known = stored_open(key, value, KIND_LOG, &s) == 0 && logblock_prefix(s.body, &p) == 0;
	return *ret_known && p.t_max_ns < before_ns && p.latest_ns < before_ns;
}

/* Of a damaged one: that is behind its first. */
static uint64_t end_of(struct span key, struct span value)
{
	struct stored s;

	return get_be64(key.data + 4) + (stored_open(key, value, KIND_LOG, &s) == 0 ? s.count : 1);
}

/* Blocks before *ret_end are old; *ret_end 0: none.  Looks at LOOK_BLOCKS at most. */
static int find_end(struct kv_txn *t, uint32_t rid, int64_t before_ns, uint64_t *ret_end)
{
	uint64_t first, database;
	struct span key, value;
	struct kv_cursor *c;
	int err = logs_first_seq(t, rid, &first), moved;

	*ret_end = 0;
	if (err == 0)
		err = logs_first_in_database(t, rid, &database);
	if (err == 0 && first < database)
		return 0; /* what is in parts goes before */
	if (err == 0)
		err = kv_cursor_open(t, KV_LOG, &c);
	if (err < 0)
		return err;
	moved = logs_seek(c, rid, 0, &key, &value);
	for (size_t n = 0; moved == 0 && n < LOOK_BLOCKS; n++) {
		bool known;

		if (is_old(key, value, before_ns, &known))
			*ret_end = end_of(key, value);
		else if (known)
			break;
		moved = logs_next(c, rid, &key, &value);
	}
	kv_cursor_close(c);
	return moved == ERR_NOT_FOUND ? 0 : moved;
}

/* ---- dropping ---- */

struct drop {
	uint32_t rid;
	uint64_t end;
	uint64_t records; /* that went with this errand */
	bool more;
};

/* Sealing may have put one block in the place of several since the end was found: what reaches beyond it
 * stays. */
static int drop_some(void *arg, struct kv_txn *t)
{
	struct drop *d = arg;
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_LOG, &c);

	if (err < 0)
		return err;
	d->records = 0;
	d->more = true;
	for (size_t n = 0; n < DROP_BLOCKS && err == 0; n++) {
		uint64_t end;

		err = logs_seek(c, d->rid, 0, &key, &value);
		end = err == 0 ? end_of(key, value) : 0;
		d->more = err == 0 && end <= d->end;
		if (!d->more)
			break;
		d->records += end - get_be64(key.data + 4);
		err = kv_cursor_del(c);
	}
	kv_cursor_close(c);
	return err == ERR_NOT_FOUND ? 0 : err;
}

static int keep_run(struct store *s, uint32_t rid, int64_t before_ns, const atomic_bool *stop,
		    uint64_t *records)
{
	struct drop d = { .rid = rid };
	int err;

	do {
		struct kv_txn *t;

		err = kv_begin(s->kv, false, &t);
		if (err < 0)
			return err;
		err = find_end(t, rid, before_ns, &d.end);
		kv_abort(t);
		for (d.more = d.end != 0; d.more && err == 0 && !atomic_load(stop);) {
			err = writer_errand(s, drop_some, &d);
			if (err == 0)
				*records += d.records;
		}
	} while (err == 0 && d.end && !atomic_load(stop));
	return err;
}

/* ---- run by run ---- */

/* The next run with a log, and since when its project wants its log; *ret_rid 0: no more. */
static int next_run(struct store *s, uint32_t after, int64_t now_ns, uint32_t *ret_rid,
		    int64_t *ret_before_ns)
{
	char project[ID_MAX + 1];
	struct span key, value;
	struct kv_cursor *c;
	struct project row;
	struct kv_txn *t;
	uint8_t at[4];
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	*ret_rid = 0;
	put_be32(at, after + 1);
	err = kv_cursor_open(t, KV_LOGSEQ, &c);
	if (err == 0) {
		err = kv_seek(c, span_of(at, 4), &key, &value);
		if (err == 0)
			*ret_rid = get_be32(key.data);
		kv_cursor_close(c);
	}
	*ret_before_ns = INT64_MIN;
	if (err == 0 && runs_project(&s->runs, *ret_rid, project)) {
		err = project_get(t, project, &row);
		if (err == 0 && row.policy.log_keep_ns < now_ns)
			*ret_before_ns = now_ns - row.policy.log_keep_ns;
	}
	kv_abort(t);
	return err == ERR_NOT_FOUND ? 0 : err;
}

int logkeep_sweep(struct store *s, const atomic_bool *stop, uint64_t *records)
{
	int64_t now_ns = clock_now_ns(), before_ns;
	uint32_t rid = 0;
	int err;

	do {
		err = next_run(s, rid, now_ns, &rid, &before_ns);
		if (err == 0 && rid && before_ns != INT64_MIN)
			err = keep_run(s, rid, before_ns, stop, records);
	} while (err == 0 && rid && !atomic_load(stop));
	return err;
}

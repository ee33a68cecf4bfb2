/*
 * verify.c - walks every page, then every value: header, checksum, form, and what belongs together.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/care/pages.h"
#include "store/care/rowname.h"
#include "store/care/tiercheck.h"
#include "store/compact/quarantine.h"
#include "store/hot/flush.h"
#include "store/log/logblock.h"
#include "store/log/logcheck.h"
#include "store/log/logs.h"
#include "store/part/parts.h"
#include "store/raw/rawmake.h"
#include "store/registry/producer.h"
#include "store/registry/project.h"
#include "store/registry/removal.h"

#define SNAPSHOT_TRIES 1000

struct verify {
	struct store *store;
	struct kv_txn *txn;
	verify_fn fn;
	progress_fn progress;
	void *arg;
	struct verify_counts counts;
	struct state state;
	struct logblock *block;
	struct block_key last; /* newest bucket of the flush being walked */
	uint64_t flush, all;
	struct quarantine quarantine;
	struct tiercheck_damaged damaged;
	uint32_t owner; /* run of the row before */
	bool orphans;   /* it is not there */
	struct logcheck logs;
	int troubles;
};

static void tell(struct verify *v, const char *name, const char *what)
{
	char text[ROW_NAME_MAX + 128];

	snprintf(text, sizeof(text), "%s: %s", name, what);
	v->troubles++;
	v->fn(v->arg, text);
}

static void trouble(struct verify *v, enum kv_db db, struct span key, struct span value, const char *what)
{
	char name[ROW_NAME_MAX];

	row_name(v->txn, db, key, value, name);
	tell(v, name, what);
}

static int check_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	struct verify *v = arg;
	bool rises = key.sid > v->last.sid || (key.sid == v->last.sid && key.start_ns > v->last.start_ns);

	if (!rises || key.window_ns <= 0 || bucket_samples(b) == 0 || b->first.t_ns < key.start_ns ||
	    b->last.t_ns >= key.start_ns + key.window_ns)
		return ERR_CORRUPT;
	v->last = key;
	v->counts.buckets++;
	return 0;
}

static int check_block(struct verify *v, struct span key, const struct stored *s)
{
	uint64_t flush = key.len == BLOCK_KEY_BYTES ? get_be64(key.data) : 0;

	if (flush > v->state.flush)
		return 0; /* of a flush under way: it does not count yet */
	if (flush != v->flush)
		v->last = (struct block_key){ 0 };
	v->flush = flush;
	v->counts.blocks++;
	return flush ? block_read(s->body, s->count, check_bucket, v) : ERR_CORRUPT;
}

/* ---- parts: every block of the file, and what the row says of it ---- */

struct part_walk {
	const struct part_row *row;
	const struct quarantine *known;
	struct block_key last;
	uint64_t buckets;
	bool lacks; /* something that is in quarantine, and so is known */
};

static int check_part_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	struct part_walk *w = arg;
	bool rises = key.sid > w->last.sid || (key.sid == w->last.sid && key.start_ns > w->last.start_ns);

	if (!rises || bucket_samples(b) == 0 || key.start_ns < w->row->id.from_ns ||
	    key.start_ns >= w->row->id.to_ns)
		return ERR_CORRUPT;
	w->last = key;
	w->buckets++;
	return 0;
}

static int check_damage(void *arg, const struct part *part, size_t i, int err, struct buf *room)
{
	struct part_walk *w = arg;

	(void)room;
	if (!quarantine_knows(w->known, w->row->id.number, part_block(part, i).offset))
		return err;
	w->lacks = true;
	return 0;
}

static int check_part_file(struct verify *v, struct part_walk *w)
{
	struct part *part;
	int err = parts_get(v->store->parts, w->row, &part);

	if (err == ERR_NOT_FOUND && !manifest_counts(v->store->kv, &w->row->id))
		return 0; /* its successor was published while we walk */
	if (err < 0) {
		w->lacks = quarantine_knows(&v->quarantine, w->row->id.number, QUARANTINE_WHOLE);
		return w->lacks ? 0 : err;
	}
	err = part_read_all(part, check_part_bucket, check_damage, w);
	if (err == 0 && !w->lacks && w->buckets != w->row->summary.buckets)
		err = ERR_CORRUPT;
	parts_put(v->store->parts, part);
	v->counts.parts++;
	v->counts.buckets += w->buckets;
	return err;
}

static int check_part(struct verify *v, struct span key, struct span value)
{
	struct part_row row;
	struct part_walk w = { .row = &row, .known = &v->quarantine };
	int err = manifest_row_decode(key, value, &row), noted;

	if (err < 0)
		return err;
	err = check_part_file(v, &w);
	noted = err < 0 || w.lacks ? tiercheck_damaged_add(&v->damaged, row.id.number) : 0;
	return noted < 0 ? noted : err;
}

/* Whether the newest snapshot names the raw part too. */
static bool raw_still_there(struct verify *v, const struct raw_row *row)
{
	struct raw_rows rows = { 0 };
	bool there = false;
	struct kv_txn *t;

	if (kv_begin(v->store->kv, false, &t) < 0)
		return true;
	if (raw_rows_read(t, row->id.pid, &rows) == 0)
		for (size_t i = 0; i < rows.n; i++)
			there |= rows.rows[i].id.number == row->id.number;
	raw_rows_release(&rows);
	kv_abort(t);
	return there;
}

static int check_raw(struct verify *v, struct span key, struct span value)
{
	struct rawpart_summary found;
	struct rawpart *part;
	struct raw_row row;
	int err = raw_row_decode(key, value, &row);

	if (err == 0 && row.id.upto > v->state.sealed)
		return ERR_CORRUPT;
	if (err == 0)
		err = raw_open(v->store->dir, &row, &part);
	if (err == ERR_NOT_FOUND && !raw_still_there(v, &row))
		return 0;
	if (err < 0)
		return err;
	err = rawpart_check(part, &found);
	rawpart_close(part);
	v->counts.parts++;
	v->counts.samples += row.summary.samples;
	return err;
}

static int check_log(struct verify *v, struct span key, const struct stored *s)
{
	uint64_t first = key.len == 12 ? get_be64(key.data + 4) : 0, next;
	int err = first ? logblock_open(v->block, s, first) : ERR_CORRUPT;

	if (err == 0)
		err = logs_next_seq(v->txn, get_be32(key.data), &next);
	if (err < 0)
		return err;
	for (size_t i = 0; i < logblock_count(v->block); i++) {
		struct log_record r;

		err = logblock_get(v->block, i, &r);
		if (err < 0)
			return err;
	}
	v->counts.log_blocks++;
	v->counts.log_records += logblock_count(v->block);
	return first + logblock_count(v->block) > next ? ERR_CORRUPT : 0;
}

/* A deleted run has no name, and a row that lets it be found. */
static int check_deleted(struct verify *v, const struct run *run)
{
	struct removal r = { .rid = run->rid }, found;
	uint8_t at[REMOVAL_KEY_MAX];
	struct span key, value;
	int err;

	memcpy(r.project, run->project, sizeof(r.project));
	memcpy(r.id, run->id, sizeof(r.id));
	key = removal_key(&r, at);
	err = kv_get(v->txn, KV_DELETED, key, &value);
	if (err == 0)
		err = removal_decode(key, value, &found);
	return err == 0 && found.deleted_ns != run->deleted_ns ? ERR_CORRUPT : err;
}

static int check_run(struct verify *v, struct span key, const struct stored *s)
{
	struct run run;
	uint32_t rid;
	int err = key.len == 4 ? run_decode(get_be32(key.data), s->body, &run) : ERR_CORRUPT;

	if (err < 0)
		return err;
	err = run.deleted_ns ? check_deleted(v, &run) : run_lookup(v->txn, run.project, run.id, &rid);
	if (err == 0 && !run.deleted_ns && rid != run.rid)
		err = ERR_CORRUPT;
	run_release(&run);
	v->counts.runs++;
	return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

static int check_series(struct verify *v, struct span key, const struct stored *s)
{
	struct series_name name;

	v->counts.series++;
	return key.len == 8 ? series_decode(s->body, &name) : ERR_CORRUPT;
}

static int check_producer(struct verify *v, struct span key)
{
	struct producer p;

	if (key.len != 4 + PRODUCER_ID_BYTES)
		return ERR_CORRUPT;
	return producer_get(v->txn, get_be32(key.data), key.data + 4, &p);
}

static int check_flush(struct span key, struct span value)
{
	struct flush_row row;

	return flush_row_decode(key, value, &row);
}

static int check_quarantine(struct verify *v, struct span key, struct span value)
{
	struct quarantined row;

	v->counts.quarantined++;
	return quarantine_decode(key, value, &row);
}

static const enum kind kinds[KV_DBS] = {
	[KV_META] = KIND_STATE,       [KV_PROJECT] = KIND_PROJECT,  [KV_RUN] = KIND_RUN,
	[KV_RUNID] = KIND_RUNID,      [KV_SERIES] = KIND_SERIES,    [KV_PRODUCER] = KIND_PRODUCER,
	[KV_REJECT] = KIND_REJECT,    [KV_IDEM] = KIND_IDEM,        [KV_IDEMAGE] = KIND_IDEM,
	[KV_JOURNAL] = KIND_JOURNAL,  [KV_FLUSH] = KIND_FLUSH,      [KV_BLOCK] = KIND_BLOCK,
	[KV_LOG] = KIND_LOG,          [KV_LOGSEQ] = KIND_LOGSEQ,    [KV_LOGSEAL] = KIND_LOGSEAL,
	[KV_TOKEN] = KIND_TOKEN,      [KV_PART] = KIND_PART,        [KV_DELETED] = KIND_DELETED,
	[KV_RAW] = KIND_RAW,          [KV_RAWGONE] = KIND_RAW_GONE, [KV_QUARANTINE] = KIND_QUARANTINE,
	[KV_LOGPART] = KIND_LOG_PART,
};

/* Rows whose keys begin with the run that they are of.  ERR_GONE: there is no such run. */
static int check_owner(struct verify *v, enum kv_db db, struct span key)
{
	static const enum kv_db of_runs[] = { KV_SERIES, KV_PRODUCER, KV_REJECT, KV_LOG,
					      KV_LOGSEQ, KV_LOGSEAL,  KV_RAWGONE };
	uint32_t rid = key.len >= 4 ? get_be32(key.data) : 0;
	int64_t deleted_ns;
	bool is = false;

	for (size_t i = 0; i < sizeof(of_runs) / sizeof(*of_runs); i++)
		is |= of_runs[i] == db;
	if (!is || rid == 0)
		return 0;
	if (rid != v->owner)
		v->orphans = run_get_deleted(v->txn, rid, &deleted_ns) == ERR_NOT_FOUND;
	v->owner = rid;
	return v->orphans ? ERR_GONE : 0;
}

static int check_value(struct verify *v, enum kv_db db, struct span key, struct span value)
{
	struct removal removal;
	struct project project;
	struct stored s;
	int err = stored_open(key, value, kinds[db], &s);

	if (err == 0)
		err = check_owner(v, db, key);
	if (err < 0)
		return err;
	switch (db) {
	case KV_PROJECT:
		return project_decode(key, s.body, &project);
	case KV_RUN:
		return check_run(v, key, &s);
	case KV_DELETED:
		return removal_decode(key, value, &removal);
	case KV_SERIES:
		return check_series(v, key, &s);
	case KV_PRODUCER:
		return check_producer(v, key);
	case KV_FLUSH:
		return check_flush(key, value);
	case KV_BLOCK:
		return check_block(v, key, &s);
	case KV_PART:
		return check_part(v, key, value);
	case KV_RAW:
		return check_raw(v, key, value);
	case KV_LOG:
		return check_log(v, key, &s);
	case KV_LOGPART:
		return logcheck_row(&v->logs, key, value);
	case KV_QUARANTINE:
		return check_quarantine(v, key, value);
	default:
		return 0;
	}
}

static const char *sentence_of(int err)
{
	if (err == ERR_NOT_FOUND)
		return "its file is not in parts/";
	if (err == ERR_GONE)
		return "of a run that is not there";
	return err == ERR_VERSION ? "written by a newer version of astraml"
				  : "damaged: its checksum or form is wrong";
}

static int walk(struct verify *v, enum kv_db db)
{
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(v->txn, db, &c), moved;

	if (err < 0)
		return err;
	for (moved = kv_first(c, &key, &value); moved == 0; moved = kv_next(c, &key, &value)) {
		err = check_value(v, db, key, value);
		if (err < 0)
			trouble(v, db, key, value, sentence_of(err));
		if (++v->counts.values % 1024 == 0 && v->progress)
			v->progress(v->arg, v->counts.values, v->all);
	}
	kv_cursor_close(c);
	if (moved != ERR_NOT_FOUND)
		tell(v, kv_db_name(db), "LMDB's tree is damaged");
	return 0;
}

static int count_entry(void *arg, uint64_t batch, const struct journal_record *rec)
{
	struct verify *v = arg;

	(void)rec;
	(void)batch;
	v->counts.journal_entries++;
	return 0;
}

static void tell_part(void *arg, const char *file, const char *what)
{
	char name[ROW_NAME_MAX];

	snprintf(name, sizeof(name), "part %s", file);
	tell(arg, name, what);
}

/* ---- all ---- */

static void tell_page(void *arg, const char *sentence)
{
	struct verify *v = arg;

	v->fn(v->arg, sentence);
}

/* A snapshot whose pages are as LMDB believes them to be; else v->troubles.  Beside a fast writer the
 * page that heads a snapshot may be gone at once, so another is taken. */
static int begin(struct verify *v)
{
	int err = ERR_BUSY;

	for (int tries = 0; tries < SNAPSHOT_TRIES && err == ERR_BUSY; tries++) {
		kv_abort(v->txn);
		v->txn = NULL;
		err = kv_begin(v->store->kv, false, &v->txn);
		if (err == 0)
			err = pages_check(v->store->kv, v->txn, tell_page, v);
	}
	if (err <= 0)
		return err;
	v->troubles += err;
	v->counts.bad_pages += (uint64_t)err;
	tell_page(
	    v, "hot/data.mdb: its structure is damaged, so nothing else in it was checked; answers may lack "
	       "what those pages held: restore a backup");
	return 0;
}

static int walk_all(struct verify *v)
{
	struct kv_stat stat;
	int err = kv_stat(v->txn, &stat);

	if (err == 0)
		err = state_get(v->txn, &v->state);
	if (err < 0) {
		tell(v, "meta state", sentence_of(err));
		return 0;
	}
	err = quarantine_read(v->txn, 0, &v->quarantine);
	if (err < 0) {
		tell(v, kv_db_name(KV_QUARANTINE), sentence_of(err));
		err = 0;
	}
	for (int db = 0; db < KV_DBS; db++)
		v->all += stat.entries[db];
	v->logs = (struct logcheck){
		.store = v->store, .txn = v->txn, .block = v->block, .fn = v->fn, .arg = v->arg
	};
	for (int db = 0; db < KV_DBS && err == 0; db++)
		err = walk(v, (enum kv_db)db);
	v->counts.parts += v->logs.parts;
	v->counts.log_blocks += v->logs.blocks;
	v->counts.log_records += v->logs.records;
	v->troubles += v->logs.troubles;
	if (err == 0 &&
	    journal_read(v->txn, &(struct journal_range){ .after = v->state.sealed }, count_entry, v) < 0)
		tell(v, kv_db_name(KV_JOURNAL), "an entry is damaged or lacks a chunk");
	return err < 0 ? err : tiercheck(v->store, v->txn, &v->damaged, tell_part, v);
}

int store_verify(struct store *s, verify_fn fn, progress_fn progress, void *arg, struct verify_counts *ret)
{
	struct verify v = { .store = s, .fn = fn, .progress = progress, .arg = arg };
	int err = logblock_new(&v.block);

	if (err == 0)
		err = begin(&v);
	if (err == 0 && v.troubles == 0)
		err = walk_all(&v);
	kv_abort(v.txn);
	quarantine_release(&v.quarantine);
	free(v.damaged.numbers);
	logcheck_release(&v.logs);
	logblock_free(v.block);
	if (err < 0)
		return err;
	*ret = v.counts;
	return v.troubles;
}

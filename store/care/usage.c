/*
 * usage.c - what a project has stored, by kind and tier (admin.h).
 */
#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/bytes.h"
#include "store/log/logs.h"
#include "store/part/manifest.h"
#include "store/part/parts.h"
#include "store/raw/rawrow.h"
#include "store/registry/project.h"
#include "store/registry/run.h"
#include "store/registry/series.h"
#include "store/store.h"

struct counting {
	struct kv_txn *txn;
	uint32_t pid;
	struct kv_cursor *series, *logs;
	struct usage *ret;
};

/* ---- parts ---- */

static struct usage_row *tier_row(struct usage *u, int64_t tier_ns)
{
	for (size_t i = 0; i < u->n_tiers; i++)
		if (u->tiers[i].every_ns == tier_ns)
			return &u->tiers[i];
	if (u->n_tiers == USAGE_TIERS_MAX)
		return NULL;
	u->tiers[u->n_tiers] = (struct usage_row){ .every_ns = tier_ns };
	return &u->tiers[u->n_tiers++];
}

static int count_parts(struct counting *c)
{
	struct manifest m;
	int err = manifest_read_all(c->txn, &m);

	for (size_t i = 0; err == 0 && i < m.n; i++) {
		const struct part_row *part = &m.rows[i];
		struct usage_row *row;

		if (part->id.pid != c->pid)
			continue;
		row = tier_row(c->ret, part->id.tier_ns);
		if (!row) {
			err = ERR_CORRUPT; /* more widths than divide a day */
			break;
		}
		row->pieces++;
		row->records += part->summary.buckets;
		row->bytes += part->summary.bytes;
	}
	manifest_release(&m);
	return err;
}

static int count_raw(struct counting *c)
{
	struct usage_row *row = &c->ret->samples;
	struct raw_rows raw;
	int err = raw_rows_read(c->txn, c->pid, &raw);

	if (err < 0)
		return err;
	row->pieces = raw.n;
	for (size_t i = 0; i < raw.n; i++) {
		row->records += raw.rows[i].summary.samples;
		row->bytes += raw.rows[i].summary.bytes;
	}
	raw_rows_release(&raw);
	return 0;
}

static int count_log_parts(struct counting *c)
{
	struct usage_row *row = &c->ret->part_logs;
	struct logpart_rows logs;
	int err = logpart_rows_read(c->txn, c->pid, &logs);

	if (err < 0)
		return err;
	for (size_t i = 0; i < logs.n; i++) {
		row->pieces += logs.rows[i].summary.blocks;
		row->records += logs.rows[i].summary.records;
		row->bytes += logs.rows[i].summary.bytes;
	}
	logpart_rows_release(&logs);
	return 0;
}

/* ---- runs ---- */

static bool is_of(struct span key, uint32_t rid) { return key.len >= 4 && get_be32(key.data) == rid; }

static int count_series(struct counting *c, uint32_t rid)
{
	struct span key, value;
	uint8_t at[4];
	int moved;

	put_be32(at, rid);
	moved = kv_seek(c->series, span_of(at, sizeof(at)), &key, &value);
	for (; moved == 0 && is_of(key, rid); moved = kv_next(c->series, &key, &value))
		c->ret->series++;
	return moved == ERR_NOT_FOUND ? 0 : moved;
}

static int count_logs(struct counting *c, uint32_t rid)
{
	struct span key, value;
	int moved = logs_seek(c->logs, rid, 0, &key, &value);

	for (; moved == 0; moved = logs_next(c->logs, rid, &key, &value)) {
		struct usage_row *row;
		struct stored s;
		int err = stored_peek(value, KIND_LOG, &s);

		if (err < 0)
			return err;
		row = s.codec == CODEC_SEALED ? &c->ret->sealed_logs : &c->ret->young_logs;
		row->pieces++;
		row->records += s.count;
		row->bytes += value.len;
	}
	return moved == ERR_NOT_FOUND ? 0 : moved;
}

static int count_run(struct counting *c, struct span key, struct span value)
{
	struct stored s;
	struct run run;
	int err = key.len == 4 ? stored_open(key, value, KIND_RUN, &s) : ERR_CORRUPT;

	if (err == 0)
		err = run_decode(get_be32(key.data), s.body, &run);
	if (err < 0)
		return err;
	if (run.pid == c->pid) {
		*(run.deleted_ns ? &c->ret->deleted_runs : &c->ret->runs) += 1;
		err = count_series(c, run.rid);
		if (err == 0)
			err = count_logs(c, run.rid);
	}
	run_release(&run);
	return err;
}

static int count_runs(struct counting *c)
{
	struct kv_cursor *runs = NULL;
	struct span key, value;
	int err = kv_cursor_open(c->txn, KV_RUN, &runs), moved;

	if (err == 0)
		err = kv_cursor_open(c->txn, KV_SERIES, &c->series);
	if (err == 0)
		err = kv_cursor_open(c->txn, KV_LOG, &c->logs);
	for (moved = err ? err : kv_first(runs, &key, &value); moved == 0 && err == 0;
	     moved = kv_next(runs, &key, &value))
		err = count_run(c, key, value);
	kv_cursor_close(c->logs);
	kv_cursor_close(c->series);
	kv_cursor_close(runs);
	return err == 0 && moved < 0 && moved != ERR_NOT_FOUND ? moved : err;
}

/* ---- columns ---- */

struct column_count {
	struct usage_column *list;
	size_t n, cap;
	int64_t tier_ns;
	int err;
};

/* The row of a tier, column and codec, made when there is none; NULL: out of memory. */
static struct usage_column *column_row(struct column_count *c, const char *name, const char *codec)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->list[i].every_ns == c->tier_ns && strcmp(c->list[i].name, name) == 0 &&
		    strcmp(c->list[i].codec, codec) == 0)
			return &c->list[i];
	if (array_grow(c->list, c->n, c->cap) < 0)
		return NULL;
	c->list[c->n] = (struct usage_column){ .every_ns = c->tier_ns, .name = name, .codec = codec };
	return &c->list[c->n++];
}

static void count_column(void *arg, const char *name, const char *codec, size_t n, double bytes)
{
	struct column_count *c = arg;
	struct usage_column *row = column_row(c, name, codec);

	if (row) {
		row->items += n;
		row->bytes += bytes;
	} else {
		c->err = ERR_NOMEM;
	}
}

static int pass_over(void *arg, struct block_key key, const struct bucket *b)
{
	(void)arg, (void)key, (void)b;
	return 0;
}

/* A part that went meanwhile is passed over; what is damaged counts as "names, index". */
static int count_part_columns(struct store *s, struct partblock_reader *r, struct buf *room,
			      const struct part_row *row, struct column_count *c)
{
	double blocks = 0;
	struct part *part;
	int err = parts_get(s->parts, row, &part);

	if (err == ERR_NOT_FOUND || err == ERR_CORRUPT || err == ERR_IO)
		return 0;
	if (err < 0)
		return err;
	c->tier_ns = row->id.tier_ns;
	for (size_t i = 0; i < row->summary.blocks && err == 0; i++) {
		err = part_read(part, i, r, room, &block_want_all, pass_over, NULL);
		blocks += err == 0 ? part_block(part, i).bytes : 0;
		if (err == ERR_CORRUPT || err == ERR_IO)
			err = 0;
	}
	count_column(c, "names, index", "none", row->summary.blocks, (double)row->summary.bytes - blocks);
	parts_put(s->parts, part);
	return err < 0 ? err : c->err;
}

static int parts_of(struct store *s, const char *project, struct manifest *ret)
{
	struct project p;
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = project_get(t, project, &p);
	if (err == 0)
		err = manifest_read(t, p.pid, INT64_MIN, INT64_MAX, ret);
	if (err == 0)
		manifest_detach(ret);
	kv_abort(t);
	return err == ERR_NOT_FOUND ? 0 : err;
}

static int by_tier_and_bytes(const void *a, const void *b)
{
	const struct usage_column *x = a, *y = b;

	if (x->every_ns != y->every_ns)
		return x->every_ns < y->every_ns ? -1 : 1;
	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

int store_columns(struct store *s, const char *project, struct usage_column **ret, size_t *ret_n)
{
	struct partblock_reader *r = NULL;
	struct column_count c = { 0 };
	struct manifest m = { 0 };
	struct buf room;
	int err = parts_of(s, project, &m);

	buf_init(&room, PARTBLOCK_BYTES_MAX);
	if (err == 0)
		err = partblock_reader_new(&r);
	if (err == 0)
		partblock_watch(r, count_column, &c);
	for (size_t i = 0; i < m.n && err == 0; i++)
		err = count_part_columns(s, r, &room, &m.rows[i], &c);
	partblock_reader_free(r);
	buf_release(&room);
	manifest_release(&m);
	if (err < 0) {
		free(c.list);
		return err;
	}
	if (c.n)
		qsort(c.list, c.n, sizeof(*c.list), by_tier_and_bytes);
	*ret = c.list;
	*ret_n = c.n;
	return 0;
}

/* ---- all ---- */

static int by_width(const void *a, const void *b)
{
	const struct usage_row *x = a, *y = b;

	return (x->every_ns > y->every_ns) - (x->every_ns < y->every_ns);
}

int store_usage(struct store *s, const char *project, struct usage *ret)
{
	struct usage u = { 0 };
	struct counting c = { .ret = &u };
	struct project p;
	int err = kv_begin(s->kv, false, &c.txn);

	if (err < 0)
		return err;
	err = project_get(c.txn, project, &p);
	c.pid = p.pid;
	if (err == 0)
		err = count_parts(&c);
	if (err == 0)
		err = count_raw(&c);
	if (err == 0)
		err = count_log_parts(&c);
	if (err == 0)
		err = count_runs(&c);
	kv_abort(c.txn);
	if (err < 0 && err != ERR_NOT_FOUND)
		return err;
	qsort(u.tiers, u.n_tiers, sizeof(*u.tiers), by_width);
	*ret = u;
	return 0;
}

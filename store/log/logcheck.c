#include "store/log/logcheck.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/log/logs.h"
#include "store/part/parts.h"

void logcheck_release(struct logcheck *c) { free(c->ends); }

/* ---- the blocks of a file ---- */

struct walk {
	struct logcheck *c;
	const struct logpart_row *row;
	struct logpart *part;
	struct buf room;
};

static void tell_log_block(const struct walk *w, const struct logpart_block *b)
{
	struct span project = { 0 }, id = { 0 };
	char text[512], file[LOGPART_FILE_MAX];

	logpart_file(&w->row->id, file);
	logpart_name(w->part, b->rid, &project, &id);
	snprintf(text, sizeof(text),
		 "part %s: run %.*s of project %.*s: a block is damaged, so %llu log records, %llu to %llu, "
		 "cannot be read",
		 file, (int)id.len, id.data, (int)project.len, project.data, (unsigned long long)b->count,
		 (unsigned long long)b->first_seq, (unsigned long long)(b->first_seq + b->count - 1));
	w->c->troubles++;
	w->c->fn(w->c->arg, text);
}

static int check_part_log(struct walk *w, size_t i)
{
	const struct logpart_block *b = logpart_block(w->part, i);
	struct logblock *block = w->c->block;
	struct logblock_prefix prefix;
	struct log_record r;
	struct stored s;
	int err = logpart_open_block(w->part, i, &w->room, &s);

	if (err == 0)
		err = logblock_prefix(s.body, &prefix);
	if (err == 0 && (prefix.t_min_ns != b->least_ns || prefix.t_max_ns != b->greatest_ns ||
			 prefix.latest_ns != b->arrived_ns || prefix.levels != b->levels))
		err = ERR_CORRUPT;
	if (err == 0)
		err = logblock_open(block, &s, b->first_seq);
	for (size_t n = 0; err == 0 && n < logblock_count(block); n++)
		err = logblock_get(block, n, &r);
	w->c->blocks++;
	w->c->records += err == 0 ? b->count : 0;
	return err;
}

static int walk_log_part(struct walk *w)
{
	size_t n = logpart_summary(w->part).blocks;
	int err = 0;

	buf_init(&w->room, LOGPART_BLOCK_MAX);
	for (size_t i = 0; i < n && err == 0; i++) {
		err = check_part_log(w, i);
		if (err == ERR_CORRUPT || err == ERR_IO) {
			tell_log_block(w, logpart_block(w->part, i));
			err = 0;
		}
	}
	buf_release(&w->room);
	return err;
}

/* ---- rows ---- */

/* A run's sequences rise from part to part, and then in the database. */
static int check_order(void *arg, const struct logpart_run *r)
{
	struct logcheck *c = arg;
	uint64_t database = UINT64_MAX;
	int64_t deleted_ns;
	int err = 0;

	if (r->rid >= c->ends_cap) {
		size_t cap = r->rid + (size_t)1024;
		uint64_t *all = realloc(c->ends, cap * sizeof(*all));

		if (!all)
			return ERR_NOMEM;
		memset(all + c->ends_cap, 0, (cap - c->ends_cap) * sizeof(*all));
		c->ends = all;
		c->ends_cap = cap;
	}
	if (run_get_deleted(c->txn, r->rid, &deleted_ns) == 0 && !deleted_ns) /* else it may be half gone */
		err = logs_first_in_database(c->txn, r->rid, &database);
	if (err == 0 && (r->first_seq < c->ends[r->rid] || r->end_seq > database))
		err = ERR_CORRUPT;
	c->ends[r->rid] = r->end_seq;
	return err;
}

/* Of a part that cannot be read at all. */
static int tell_lost_run(void *arg, const struct logpart_run *r)
{
	const struct walk *w = arg;
	char text[512], file[LOGPART_FILE_MAX];
	struct run run = { 0 };

	if (run_get(w->c->txn, r->rid, &run) < 0)
		return 0; /* nobody can ask for it */
	logpart_file(&w->row->id, file);
	snprintf(text, sizeof(text),
		 "part %s: run %s of project %s: the file cannot be read, so %llu log records, %llu to %llu, "
		 "cannot be read",
		 file, run.id, run.project, (unsigned long long)(r->end_seq - r->first_seq),
		 (unsigned long long)r->first_seq, (unsigned long long)(r->end_seq - 1));
	run_release(&run);
	w->c->fn(w->c->arg, text);
	return 0;
}

int logcheck_row(struct logcheck *c, struct span key, struct span value)
{
	struct logpart_row row;
	struct walk w = { .c = c, .row = &row };
	int err = logpart_row_decode(key, value, &row);

	if (err == 0)
		err = logpart_row_runs(&row, check_order, c);
	if (err < 0)
		return err;
	err = parts_get_log(c->store->parts, &row, &w.part);
	if (err == ERR_NOT_FOUND && !logpart_counts(c->store->kv, &row.id))
		return 0; /* its successor was published while we walk */
	if (err == ERR_CORRUPT || err == ERR_NOT_FOUND || err == ERR_IO)
		logpart_row_runs(&row, tell_lost_run, &w);
	if (err < 0)
		return err;
	err = walk_log_part(&w);
	parts_put_log(c->store->parts, w.part);
	c->parts++;
	return err;
}

/*
 * compact_quarantine.c - what cannot be read is set aside, so that slots are sealed without it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/base/log.h"
#include "store/compact/compactor.h"
#include "store/compact/quarantine.h"
#include "store/file.h"
#include "store/hot/flush.h"
#include "store/part/parts.h"
#include "store/turn.h"

/* What is to be set aside in one transaction. */
struct aside {
	struct store *store;
	struct kv_txn *txn; /* it is found in */
	struct quarantine found;
	uint64_t newest; /* part */
	/* blocks of a flush, which leave the hot store with it */
	uint64_t flush;
	uint8_t (*keys)[BLOCK_KEY_BYTES];
	size_t n_keys;
};

static int begin(struct aside *a, struct store *s)
{
	int err;

	*a = (struct aside){ .store = s };
	err = kv_begin(s->kv, false, &a->txn);
	return err < 0 ? err : manifest_newest(a->txn, &a->newest);
}

static void tell(const struct aside *a, const struct quarantined *row)
{
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	struct run run;

	if (run_get(a->txn, row->rid, &run) < 0)
		return;
	clock_format(row->least_start, from);
	clock_format(row->greatest_start, to);
	log_warn("compact: windows of run %s of project %s from %s to %s may be missing: what holds them is "
		 "damaged "
		 "and in quarantine/%s; answers there are marked partial; a backup may have them",
		 run.id, run.project, from, to, row->file[0] ? row->file : " (nothing could be read)");
	run_release(&run);
}

/* Nothing is missing of a run that is gone. */
static int add_row(struct aside *a, struct quarantined row)
{
	int64_t window_ns;
	int err = run_owner(a->txn, row.rid, &row.pid, &window_ns);

	if (err < 0)
		return err == ERR_NOT_FOUND ? 0 : err;
	row.newest = a->newest;
	tell(a, &row);
	return quarantine_add(&a->found, &row);
}

static int put_aside(void *arg, struct kv_txn *t)
{
	const struct aside *a = arg;
	int err = quarantine_put(t, &a->found);

	for (size_t i = 0; i < a->n_keys && err == 0; i++)
		err = kv_del(t, KV_BLOCK, span_of(a->keys[i], BLOCK_KEY_BYTES));
	return err;
}

static int finish(struct aside *a, int err)
{
	kv_abort(a->txn);
	if (err == 0 && (a->found.n || a->n_keys))
		err = writer_errand(a->store, put_aside, a);
	quarantine_release(&a->found);
	free(a->keys);
	return err;
}

/* ---- a flush ---- */

/* Whether parts have all of a flush in that time already: what it has there is not needed. */
static int is_folded(struct aside *a, uint32_t pid, uint64_t flush, int64_t from_ns, int64_t to_ns, bool *ret)
{
	struct manifest m = { 0 };
	int err = manifest_read(a->txn, pid, from_ns, to_ns + 1, &m);

	*ret = err == 0;
	while (err == 0 && *ret && from_ns <= to_ns) {
		const struct part_row *row = cover_finest(&m, from_ns);

		*ret = row && row->upto >= flush;
		from_ns = *ret ? row->id.to_ns : from_ns;
	}
	manifest_release(&m);
	return err;
}

static int add_flushed(struct aside *a, uint32_t rid, int64_t least, int64_t greatest, const char *file)
{
	struct quarantined row = {
		.rid = rid, .least_start = least, .greatest_start = greatest, .flush = a->flush
	};
	int64_t window_ns;
	bool folded = false;
	int err = run_owner(a->txn, rid, &row.pid, &window_ns);

	if (err == 0)
		err = is_folded(a, row.pid, a->flush, least, greatest, &folded);
	if (err < 0 || folded)
		return err == ERR_NOT_FOUND ? 0 : err;
	snprintf(row.file, sizeof(row.file), "%s", file);
	return add_row(a, row);
}

/* Runs of series [first, last], each over all that the flush has of it. */
static int add_runs(struct aside *a, const struct flush_row *flush, uint32_t first, uint32_t last,
		    const char *file)
{
	uint32_t before = 0;
	int err = 0;

	for (uint64_t sid = first; sid <= last && err == 0; sid++) {
		uint32_t rid = registry_run(&a->store->series, (uint32_t)sid);
		int64_t least, greatest;

		if (rid == before)
			continue;
		before = rid;
		if (rid && flush_row_run(flush, rid, &least, &greatest))
			err = add_flushed(a, rid, least, greatest, file);
	}
	return err;
}

/* Which windows a block has had, as its key and the next one's say (empty: it was the flush's last). */
static int add_block(struct aside *a, const struct flush_row *flush, struct span key, struct span next,
		     const char *file)
{
	uint32_t sid = get_be32(key.data + 8), last;
	int64_t start = get_be64i(key.data + 12);
	struct state state;
	int err = state_get(a->txn, &state);

	if (err < 0)
		return err;
	last = next.len ? get_be32(next.data + 8) : state.next_sid - 1;
	if (last != sid)
		return add_runs(a, flush, sid, last, file);
	return add_flushed(a, registry_run(&a->store->series, sid), start,
			   next.len ? get_be64i(next.data + 12) - 1 : flush->greatest_start, file);
}

static int set_block_aside(struct aside *a, const struct flush_row *flush, struct span key, struct span value,
			   struct span next)
{
	uint8_t(*keys)[BLOCK_KEY_BYTES] = realloc(a->keys, (a->n_keys + 1) * sizeof(*keys));
	char file[QUARANTINE_FILE_MAX];
	int err;

	if (!keys)
		return ERR_NOMEM;
	a->keys = keys;
	memcpy(keys[a->n_keys++], key.data, BLOCK_KEY_BYTES);
	snprintf(file, sizeof(file), "flush-%llu-series-%u-%lld.block", (unsigned long long)a->flush,
		 get_be32(key.data + 8), (long long)get_be64i(key.data + 12));
	err = quarantine_keep(a->store->dir, file, value);
	return err < 0 ? err : add_block(a, flush, key, next, file);
}

static int any_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	(void)arg;
	(void)key;
	(void)b;
	return 0;
}

static bool is_sound(struct span key, struct span value)
{
	struct stored s;

	return stored_open(key, value, KIND_BLOCK, &s) != ERR_CORRUPT &&
	       block_read(s.body, s.count, any_bucket, NULL) != ERR_CORRUPT;
}

static bool of_flush(const struct aside *a, int moved, struct span key)
{
	return moved == 0 && key.len == BLOCK_KEY_BYTES && get_be64(key.data) == a->flush;
}

static int walk_blocks(struct aside *a, const struct flush_row *flush)
{
	uint8_t at[BLOCK_KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(a->txn, KV_BLOCK, &c), moved;

	if (err < 0)
		return err;
	moved = kv_seek(c, block_key_of(a->flush, 0, INT64_MIN, at), &key, &value);
	while (of_flush(a, moved, key) && err == 0) {
		struct span this_key = key, this_value = value;

		moved = kv_next(c, &key, &value);
		if (!is_sound(this_key, this_value))
			err = set_block_aside(a, flush, this_key, this_value,
					      of_flush(a, moved, key) ? key : span_of(NULL, 0));
	}
	kv_cursor_close(c);
	return err;
}

static int quarantine_flush(struct store *s, uint64_t number)
{
	struct flush_row row;
	struct span value;
	struct aside a;
	uint8_t key[8];
	int err = begin(&a, s);

	a.flush = number;
	put_be64(key, number);
	if (err == 0)
		err = kv_get(a.txn, KV_FLUSH, span_of(key, 8), &value);
	if (err == 0)
		err = flush_row_decode(span_of(key, 8), value, &row);
	if (err == 0)
		err = walk_blocks(&a, &row);
	return finish(&a, err);
}

int compact_quarantine_flushes(struct compactor *c)
{
	int err = 0;

	for (size_t i = c->flushes.n; i-- > 0 && err == 0;)
		if (c->flushes.all[i].damaged) {
			err = quarantine_flush(c->store, c->flushes.all[i].number);
			if (err == 0)
				flushes_forget(&c->flushes, i);
		}
	return err;
}

/* ---- parts ---- */

/* A part of which something is damaged, or a block of it. */
struct damage {
	struct aside *aside;
	const struct quarantine *known;
	const struct part_row *part;
	struct part_block block;
	struct quarantined row; /* what is the same for all runs */
	uint32_t before;        /* run */
};

static int add_part_run(void *arg, const struct run_range *r)
{
	struct damage *d = arg;

	d->row.rid = r->rid;
	d->row.least_start = r->least;
	d->row.greatest_start = r->greatest;
	return add_row(d->aside, d->row);
}

static int add_block_series(void *arg, const struct part_series *s)
{
	struct damage *d = arg;

	if (s->sid < d->block.first_sid || s->sid > d->block.last_sid || s->rid == d->before)
		return 0;
	d->before = d->row.rid = s->rid;
	return add_row(d->aside, d->row);
}

/* One row says at least that this is known, also where no run is left that misses something. */
static int add_empty(struct damage *d, size_t before)
{
	d->row.pid = d->part->id.pid;
	d->row.rid = 0;
	d->row.least_start = INT64_MAX;
	d->row.greatest_start = INT64_MIN;
	d->row.newest = d->aside->newest;
	return d->aside->found.n > before ? 0 : quarantine_add(&d->aside->found, &d->row);
}

/* The file as it is.  One that is lost has no name there. */
static int keep_part(struct damage *d)
{
	struct store *s = d->aside->store;
	char path[FILE_PATH_MAX];
	int err = parts_path(s->parts, &d->part->id, path);

	manifest_file(&d->part->id, d->row.file);
	if (err == 0)
		err = quarantine_keep_file(s->dir, d->row.file, path);
	if (err != ERR_NOT_FOUND)
		return err;
	d->row.file[0] = 0;
	return 0;
}

static int set_part_aside(struct damage *d)
{
	size_t before = d->aside->found.n;
	int err = keep_part(d);

	d->row.offset = QUARANTINE_WHOLE;
	if (err == 0)
		err = run_ranges_read(d->part->runs, add_part_run, d);
	return err < 0 ? err : add_empty(d, before);
}

/* Its bytes; where the disk gives none now, the part, which may give them another time. */
static int keep_block(struct damage *d, const struct part *part, size_t i, struct buf *room)
{
	char name[MANIFEST_FILE_MAX];
	int err = part_bytes(part, i, room);

	if (err == ERR_IO || err == ERR_CORRUPT)
		return keep_part(d);
	if (err < 0)
		return err;
	manifest_file(&d->part->id, name);
	snprintf(d->row.file, sizeof(d->row.file), "%s-%llu.block", name,
		 (unsigned long long)d->block.offset);
	return quarantine_keep(d->aside->store->dir, d->row.file, buf_span(room));
}

static int set_part_block_aside(void *arg, const struct part *part, size_t i, int damage, struct buf *room)
{
	struct damage *d = arg;
	size_t before = d->aside->found.n;
	int err;

	(void)damage;
	if (quarantine_knows(d->known, d->part->id.number, part_block(part, i).offset))
		return 0;
	d->block = part_block(part, i);
	d->before = 0;
	d->row.offset = d->block.offset;
	d->row.least_start = d->block.least_ns;
	d->row.greatest_start = d->block.greatest_ns;
	err = keep_block(d, part, i, room);
	if (err == 0)
		err = part_series(part, add_block_series, d);
	return err < 0 ? err : add_empty(d, before);
}

static int look_at_part(struct aside *a, const struct quarantine *known, const struct part_row *row)
{
	struct damage d = { .aside = a, .known = known, .part = row, .row = { .part = row->id.number } };
	struct part *part;
	int err = parts_get(a->store->parts, row, &part);

	if (err == ERR_CORRUPT || err == ERR_NOT_FOUND || err == ERR_IO)
		return quarantine_knows(known, row->id.number, QUARANTINE_WHOLE) ? 0 : set_part_aside(&d);
	if (err < 0)
		return err;
	err = part_read_all(part, any_bucket, set_part_block_aside, &d);
	parts_put(a->store->parts, part);
	return err;
}

static int look_at_totals(struct aside *a, const struct quarantine *known, uint32_t pid)
{
	struct part_row row;
	int err = manifest_totals(a->txn, pid, &row);

	return err == 0 ? look_at_part(a, known, &row) : err == ERR_NOT_FOUND ? 0 : err;
}

int compact_quarantine_parts(struct compactor *c, const struct part_id *slot, bool totals, bool *ret_any)
{
	struct quarantine known = { 0 };
	struct manifest m = { 0 };
	struct aside a;
	int err = begin(&a, c->store);

	if (err == 0)
		err = manifest_read(a.txn, slot->pid, slot->from_ns, slot->to_ns, &m);
	if (err == 0)
		err = quarantine_read(a.txn, slot->pid, &known);
	for (size_t i = 0; i < m.n && m.rows[i].id.tier_ns <= slot->tier_ns && err == 0; i++)
		err = look_at_part(&a, &known, &m.rows[i]);
	if (err == 0 && totals)
		err = look_at_totals(&a, &known, slot->pid);
	*ret_any = a.found.n > 0;
	manifest_release(&m);
	quarantine_release(&known);
	return finish(&a, err);
}

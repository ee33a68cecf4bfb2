#include "store/log/logmake.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/base/array.h"
#include "store/file.h"
#include "store/log/logpile.h"
#include "store/part/parts.h"

#define KEPT_MAX ((size_t)64 * 1024 * 1024)
#define SMALL    4 /* a block with less than such a share of what one may have is sealed again */

struct logmaker {
	struct store *store;
	struct progress *progress;
	struct logpart_id id;
	char tmp[FILE_PATH_MAX];
	struct logpart_writer *writer;
	uint32_t rid;
	bool any;
	struct logpile pile;
	struct logpart_block *blocks; /* that are in the pile, */
	size_t n, cap;
	struct buf values; /* as they are stored */
	struct buf sealed; /* the value that takes their place */
};

/* ---- beginning ---- */

static int choose_number(struct store *s, struct logpart_id *id)
{
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = logpart_newest(t, &id->number);
	kv_abort(t);
	id->number++;
	id->first = id->first ? id->first : id->number;
	id->upto = id->upto ? id->upto : id->number;
	return err;
}

static int begin_file(struct logmaker *m)
{
	char name[LOGPART_FILE_MAX + sizeof("tmp/")] = "tmp/";
	int err = choose_number(m->store, &m->id);

	logpart_file(&m->id, name + strlen(name));
	if (err == 0)
		err = file_path(m->store->dir, name, m->tmp);
	if (err < 0)
		return err;
	unlink(m->tmp); /* of an attempt that failed */
	return logpart_create(m->tmp, m->id, &m->writer);
}

int logmake_begin(struct store *s, struct logpart_id id, struct progress *progress, struct logmaker **ret)
{
	struct logmaker *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return ERR_NOMEM;
	m->store = s;
	m->id = id;
	m->progress = progress;
	logpile_init(&m->pile);
	buf_init(&m->values, KEPT_MAX);
	buf_init(&m->sealed, LOGPART_BLOCK_MAX);
	err = logpile_begin(&m->pile);
	if (err == 0)
		err = begin_file(m);
	if (err < 0) {
		logmake_abandon(m);
		return err;
	}
	*ret = m;
	return 0;
}

static void release(struct logmaker *m)
{
	logpile_release(&m->pile);
	buf_release(&m->values);
	buf_release(&m->sealed);
	free(m->blocks);
	free(m);
}

void logmake_abandon(struct logmaker *m)
{
	if (!m)
		return;
	logpart_abandon(m->writer);
	if (m->tmp[0])
		unlink(m->tmp);
	release(m);
}

/* ---- the pile ---- */

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

static int put_pile(struct logmaker *m)
{
	struct stored s = logpile_stored(&m->pile);
	struct logpart_block all = m->blocks[0];
	uint8_t key[LOG_KEY_BYTES];
	int err;

	for (size_t i = 1; i < m->n; i++) {
		const struct logpart_block *b = &m->blocks[i];

		all.least_ns = b->least_ns < all.least_ns ? b->least_ns : all.least_ns;
		all.greatest_ns = later(all.greatest_ns, b->greatest_ns);
		all.arrived_ns = later(all.arrived_ns, b->arrived_ns);
		all.levels |= b->levels;
		all.count += b->count;
	}
	buf_clear(&m->sealed);
	err = buf_reserve(&m->sealed, STORED_HEADER_BYTES + s.body.len);
	if (err < 0)
		return err;
	memcpy(m->sealed.data + STORED_HEADER_BYTES, s.body.data, s.body.len);
	stored_seal(m->sealed.data, KIND_LOG, s.codec, s.count, s.raw_len,
		    log_key(m->rid, all.first_seq, key), s.body.len);
	m->sealed.len = STORED_HEADER_BYTES + s.body.len;
	return logpart_add(m->writer, &all, buf_span(&m->sealed));
}

static int put_as_they_are(struct logmaker *m)
{
	size_t at = 0;
	int err = 0;

	for (size_t i = 0; i < m->n && err == 0; i++) {
		err = logpart_add(m->writer, &m->blocks[i], span_of(m->values.data + at, m->blocks[i].bytes));
		at += m->blocks[i].bytes;
	}
	return err;
}

static int end_pile(struct logmaker *m)
{
	bool good = false;
	int err = m->n > 1 ? logpile_seal(&m->pile, m->rid, &good) : 0;

	if (err == 0)
		err = good ? put_pile(m) : put_as_they_are(m);
	m->n = 0;
	buf_clear(&m->values);
	return err < 0 ? err : logpile_begin(&m->pile);
}

/* 1: it cannot be sealed with others. */
static int add_to_pile(struct logmaker *m, const struct logpart_block *b, const struct stored *s,
		       struct span value)
{
	int err = m->n && m->pile.end != b->first_seq ? end_pile(m) : 0;

	if (err == 0 && array_grow(m->blocks, m->n, m->cap) < 0)
		err = ERR_NOMEM;
	if (err == 0)
		err = logpile_add(&m->pile, s, b->first_seq);
	if (err == 1 && m->n) { /* too much together */
		err = end_pile(m);
		if (err == 0)
			err = logpile_add(&m->pile, s, b->first_seq);
	}
	if (err == 0)
		err = buf_add(&m->values, value.data, value.len);
	if (err != 0)
		return err;
	m->blocks[m->n] = *b;
	m->blocks[m->n++].bytes = (uint32_t)value.len;
	return m->pile.weight >= m->store->options.log_block_bytes ? end_pile(m) : 0;
}

static bool is_small(const struct logmaker *m, const struct stored *s)
{
	return s->raw_len < m->store->options.log_block_bytes / SMALL &&
	       s->count < LOGBLOCK_SEALED_ROWS_MAX / SMALL;
}

/* ---- adding ---- */

static int begin_run(struct logmaker *m, uint32_t rid)
{
	struct kv_txn *t;
	struct run run;
	int err = end_pile(m);

	if (err == 0)
		err = kv_begin(m->store->kv, false, &t);
	if (err < 0)
		return err;
	err = run_get(t, rid, &run);
	kv_abort(t);
	if (err < 0)
		return err == ERR_NOT_FOUND ? ERR_GONE : err;
	err = logpart_run(m->writer, rid, run.project, run.id);
	run_release(&run);
	m->rid = rid;
	return err;
}

int logmake_add(struct logmaker *m, const struct logpart_block *b, struct span value)
{
	uint8_t key[LOG_KEY_BYTES];
	struct stored s;
	int err = b->rid == m->rid ? 0 : begin_run(m, b->rid);

	if (err < 0)
		return err;
	m->any = true;
	progress_add(m->progress, value.len);
	err = stored_open(log_key(b->rid, b->first_seq, key), value, KIND_LOG, &s);
	if (err == 0 && s.count == b->count && is_small(m, &s))
		err = add_to_pile(m, b, &s, value);
	else
		err = 1;
	if (err != 1)
		return err;
	err = end_pile(m);
	return err < 0 ? err : logpart_add(m->writer, b, value);
}

/* ---- the end ---- */

/* Is the file what was added? */
static int compare(const char *path, const struct logpart_summary *written, uint32_t digest)
{
	struct logpart_summary found;
	struct logpart *part;
	uint32_t read = 0;
	int err = logpart_open(path, &part);

	if (err < 0)
		return err;
	found = logpart_summary(part);
	err = logpart_digest(part, &read);
	logpart_close(part);
	if (err < 0)
		return err;
	return read == digest && found.records == written->records && found.blocks == written->blocks &&
		       found.crc == written->crc && found.bytes == written->bytes &&
		       found.arrived_ns == written->arrived_ns
		   ? 0
		   : ERR_CORRUPT;
}

static int sync_folder(const struct store *s, const char *name)
{
	char path[FILE_PATH_MAX];
	int err = file_path(s->dir, name, path);

	return err < 0 ? err : file_sync_path(path);
}

static int put_in_place(const struct logmaker *m)
{
	char path[FILE_PATH_MAX];
	int err = parts_log_file(m->store->dir, &m->id, path);

	if (err == 0 && rename(m->tmp, path) != 0)
		err = file_error();
	if (err == 0)
		err = sync_folder(m->store, "tmp");
	return err < 0 ? err : sync_folder(m->store, "parts");
}

int logmake_end(struct logmaker *m, struct logmade *ret)
{
	uint32_t digest = 0;
	int err = m->any ? end_pile(m) : 1;

	*ret = (struct logmade){ .row = { .id = m->id } };
	buf_init(&ret->runs, PARTFILE_INDEX_MAX);
	if (err) {
		logmake_abandon(m);
		return err;
	}
	err = logpart_finish(m->writer, &ret->row.summary, &digest, &ret->runs);
	if (err == 0)
		err = compare(m->tmp, &ret->row.summary, digest);
	if (err == 0)
		err = put_in_place(m);
	if (err < 0)
		unlink(m->tmp);
	ret->row.runs = buf_span(&ret->runs);
	release(m);
	return err;
}

void logmade_release(struct logmade *m) { buf_release(&m->runs); }

#include "store/raw/rawmake.h"

#include <stdio.h>
#include <unistd.h>

#include "store/base/bytes.h"
#include "store/file.h"

/* ---- names ---- */

struct names {
	struct store *store;
	struct part_name last; /* of the series named last; rid 0: none yet */
	bool any;
};

static int name_run(struct names *n, struct kv_txn *t, uint32_t rid)
{
	struct run run;
	int err;

	if (n->last.rid == rid)
		return 0;
	err = run_get(t, rid, &run);
	if (err < 0)
		return err;
	n->last.rid = rid;
	memcpy(n->last.project, run.project, sizeof(n->last.project));
	memcpy(n->last.id, run.id, sizeof(n->last.id));
	run_release(&run);
	return 0;
}

static int name_series(void *arg, uint32_t sid, struct part_name *ret, struct buf *row)
{
	struct names *n = arg;
	struct stored stored;
	struct kv_txn *t;
	uint8_t key[8];
	int err = kv_begin(n->store->kv, false, &t);

	if (err < 0)
		return err;
	n->any = true;
	put_be32(key, ret->rid);
	put_be32(key + 4, sid);
	err = name_run(n, t, ret->rid);
	if (err == 0)
		err = stored_get(t, KV_SERIES, KIND_SERIES, span_of(key, 8), &stored);
	if (err == 0)
		err = buf_add(row, stored.body.data, stored.body.len);
	kv_abort(t);
	*ret = n->last;
	return err == ERR_NOT_FOUND ? ERR_GONE : err; /* the run was removed meanwhile: another time */
}

/* ---- files ---- */

static int path_in(const char *dir, const char *folder, const struct rawpart_id *id, char *ret)
{
	char name[RAW_FILE_MAX + sizeof("parts/")];
	size_t n = (size_t)snprintf(name, sizeof(name), "%s/", folder);

	raw_file(id, name + n);
	return file_path(dir, name, ret);
}

int raw_path(const char *dir, const struct rawpart_id *id, char *ret)
{
	return path_in(dir, "parts", id, ret);
}

static int sync_folder(const struct store *s, const char *name)
{
	char path[FILE_PATH_MAX];
	int err = file_path(s->dir, name, path);

	return err < 0 ? err : file_sync_path(path);
}

static int put_in_place(const struct store *s, const char *tmp, const struct rawpart_id *id)
{
	char path[FILE_PATH_MAX];
	int err = raw_path(s->dir, id, path);

	if (err == 0 && rename(tmp, path) != 0)
		err = file_error();
	if (err == 0)
		err = sync_folder(s, "tmp");
	return err < 0 ? err : sync_folder(s, "parts");
}

int raw_open(const char *dir, const struct raw_row *row, struct rawpart **ret)
{
	char path[FILE_PATH_MAX];
	struct rawpart_summary sum;
	struct rawpart_id id;
	struct rawpart *part;
	int err = raw_path(dir, &row->id, path);

	if (err == 0)
		err = rawpart_open(path, &part);
	if (err < 0)
		return err;
	id = rawpart_id(part);
	sum = rawpart_summary(part);
	if (id.pid != row->id.pid || id.first != row->id.first || id.upto != row->id.upto ||
	    id.number != row->id.number || sum.crc != row->summary.crc || sum.bytes != row->summary.bytes) {
		rawpart_close(part);
		return ERR_CORRUPT;
	}
	*ret = part;
	return 0;
}

/* ---- the whole ---- */

static int write_part(const char *path, const struct rawpart_id *id, raw_fill_fn fill, void *arg,
		      struct names *names, struct raw_made *ret)
{
	struct rawpart_writer *w;
	int err = rawpart_create(path, *id, name_series, names, &w);

	if (err < 0)
		return err;
	err = fill(arg, w);
	if (err == 0 && !names->any)
		err = 1;
	if (err == 0)
		return rawpart_finish(w, &ret->row.summary, &ret->runs);
	rawpart_abandon(w);
	return err;
}

/* Is the file what was added? */
static int compare_part(const char *path, const struct rawpart_summary *written)
{
	struct rawpart_summary found;
	struct rawpart *part;
	int err = rawpart_open(path, &part);

	if (err < 0)
		return err;
	err = rawpart_check(part, &found);
	rawpart_close(part);
	if (err < 0)
		return err;
	return found.digest == written->digest && found.samples == written->samples &&
		       found.crc == written->crc && found.bytes == written->bytes
		   ? 0
		   : ERR_CORRUPT;
}

int raw_make(struct store *s, struct rawpart_id id, int64_t arrived_ns, raw_fill_fn fill, void *arg,
	     struct raw_made *ret)
{
	struct names names = { .store = s };
	char tmp[FILE_PATH_MAX];
	int err = path_in(s->dir, "tmp", &id, tmp);

	*ret = (struct raw_made){ .row = { .id = id, .arrived_ns = arrived_ns } };
	buf_init(&ret->runs, (size_t)64 * 1024 * 1024);
	if (err < 0)
		return err;
	unlink(tmp); /* of an attempt that failed */
	err = write_part(tmp, &id, fill, arg, &names, ret);
	if (err == 0)
		err = compare_part(tmp, &ret->row.summary);
	if (err == 0)
		err = put_in_place(s, tmp, &id);
	if (err)
		unlink(tmp);
	ret->row.runs = buf_span(&ret->runs);
	return err;
}

void raw_made_release(struct raw_made *m) { buf_release(&m->runs); }

#include "store/compact/quarantine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/array.h"
#include "store/base/bytes.h"
#include "store/file.h"
#include "store/stored.h"

#define KEY_BYTES 8
#define ROW_FIXED 60

/* ---- rows ---- */

int quarantine_decode(struct span key, struct span value, struct quarantined *ret)
{
	struct quarantined row = { 0 };
	struct stored s;
	struct reader r;
	struct span file;
	int err = key.len == KEY_BYTES ? stored_open(key, value, KIND_QUARANTINE, &s) : ERR_CORRUPT;

	if (err < 0)
		return err;
	r = reader_of(s.body);
	row.pid = get_be32(key.data);
	row.rid = read_le32(&r);
	row.least_start = (int64_t)read_le64(&r);
	row.greatest_start = (int64_t)read_le64(&r);
	row.newest = read_le64(&r);
	row.flush = read_le64(&r);
	row.part = read_le64(&r);
	row.offset = read_le64(&r);
	row.batch = read_le64(&r);
	file = read_lenspan(&r);
	if (r.bad || reader_left(&r) || file.len >= QUARANTINE_FILE_MAX)
		return ERR_CORRUPT;
	memcpy(row.file, file.data, file.len);
	*ret = row;
	return 0;
}

static int encode(const struct quarantined *row, struct buf *out)
{
	uint8_t body[ROW_FIXED];
	size_t len = strlen(row->file);
	int err;

	put_le32(body, row->rid);
	put_le64(body + 4, (uint64_t)row->least_start);
	put_le64(body + 12, (uint64_t)row->greatest_start);
	put_le64(body + 20, row->newest);
	put_le64(body + 28, row->flush);
	put_le64(body + 36, row->part);
	put_le64(body + 44, row->offset);
	put_le64(body + 52, row->batch);
	err = buf_add(out, body, sizeof(body));
	if (err == 0)
		err = buf_add_varint(out, len);
	return err < 0 ? err : buf_add(out, row->file, len);
}

int quarantine_add(struct quarantine *q, const struct quarantined *row)
{
	if (array_grow(q->rows, q->n, q->cap) < 0)
		return ERR_NOMEM;
	q->rows[q->n++] = *row;
	return 0;
}

void quarantine_release(struct quarantine *q)
{
	free(q->rows);
	*q = (struct quarantine){ 0 };
}

int quarantine_read(struct kv_txn *t, uint32_t pid, struct quarantine *ret)
{
	uint8_t at[KEY_BYTES] = { 0 };
	struct span key, value;
	struct kv_cursor *c;
	int err, moved;

	if (kv_entries(t, KV_QUARANTINE) == 0)
		return 0;
	err = kv_cursor_open(t, KV_QUARANTINE, &c);
	if (err < 0)
		return err;
	put_be32(at, pid);
	for (moved = kv_seek(c, span_of(at, KEY_BYTES), &key, &value); moved == 0 && err == 0;
	     moved = kv_next(c, &key, &value)) {
		struct quarantined row;

		err = quarantine_decode(key, value, &row);
		if (err < 0 || (pid && row.pid != pid))
			break;
		err = quarantine_add(ret, &row);
	}
	kv_cursor_close(c);
	return err < 0 ? err : moved == ERR_NOT_FOUND ? 0 : moved;
}

/* The number after the project's last; its keys only rise. */
static int next_number(struct kv_txn *t, uint32_t pid, uint32_t *ret)
{
	uint8_t at[KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_QUARANTINE, &c);

	if (err < 0)
		return err;
	put_be32(at, pid + 1);
	put_be32(at + 4, 0);
	err = kv_seek_before(c, span_of(at, KEY_BYTES), &key, &value);
	*ret = err == 0 && key.len == KEY_BYTES && get_be32(key.data) == pid ? get_be32(key.data + 4) + 1 : 1;
	kv_cursor_close(c);
	return err == ERR_NOT_FOUND ? 0 : err;
}

static int put_row(struct kv_txn *t, const struct quarantined *row)
{
	uint8_t key[KEY_BYTES];
	struct buf body;
	uint32_t number;
	int err = next_number(t, row->pid, &number);

	if (err < 0)
		return err;
	put_be32(key, row->pid);
	put_be32(key + 4, number);
	buf_init(&body, 1024);
	err = encode(row, &body);
	if (err == 0)
		err = stored_put(t, KV_QUARANTINE, KIND_QUARANTINE, span_of(key, KEY_BYTES), buf_span(&body));
	buf_release(&body);
	return err;
}

int quarantine_put(struct kv_txn *t, const struct quarantine *q)
{
	int err = 0;

	for (size_t i = 0; i < q->n && err == 0; i++)
		err = put_row(t, &q->rows[i]);
	return err;
}

/* ---- what is missing ---- */

bool quarantine_knows(const struct quarantine *q, uint64_t part, uint64_t offset)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->rows[i].part == part &&
		    (q->rows[i].offset == offset || q->rows[i].offset == QUARANTINE_WHOLE))
			return true;
	return false;
}

static bool meets(const struct quarantined *row, uint32_t rid, int64_t from_ns, int64_t to_ns)
{
	return (rid == 0 || row->rid == rid) && row->least_start < to_ns && row->greatest_start >= from_ns;
}

bool quarantine_hides(const struct quarantine *q, const struct part_id *part, uint32_t rid, int64_t from_ns,
		      int64_t to_ns)
{
	for (size_t i = 0; i < q->n; i++)
		if (!q->rows[i].batch && part->number > q->rows[i].newest &&
		    meets(&q->rows[i], rid, from_ns, to_ns))
			return true;
	return false;
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

bool quarantine_hides_flushed(const struct quarantine *q, const struct manifest *parts, uint32_t rid,
			      int64_t from_ns, int64_t to_ns)
{
	for (size_t i = 0; i < q->n; i++) {
		const struct quarantined *row = &q->rows[i];
		int64_t t = later(row->least_start, from_ns);

		if (row->flush == 0 || !meets(row, rid, from_ns, to_ns))
			continue;
		while (t < to_ns && t <= row->greatest_start) {
			const struct part_row *part = cover_finest(parts, t);

			if (!part || part->upto < row->flush)
				return true;
			t = part->id.to_ns;
		}
	}
	return false;
}

int quarantine_hides_samples(struct kv_txn *t, uint32_t rid, int64_t from_ns, int64_t to_ns, bool *ret)
{
	struct quarantine q = { 0 };
	int err = quarantine_read(t, 0, &q);

	for (size_t i = 0; i < q.n && err == 0; i++) {
		const struct quarantined *row = &q.rows[i];

		*ret |= row->batch && (row->pid ? meets(row, rid, from_ns, to_ns) : rid <= row->rid);
	}
	quarantine_release(&q);
	return err;
}

/* ---- files ---- */

static int place_of(const char *dir, const char *file, char *ret_folder, char *ret_path)
{
	int err = file_path(dir, "quarantine", ret_folder);

	if (err == 0)
		err = file_path(ret_folder, file, ret_path);
	if (err == 0 && mkdir(ret_folder, 0755) != 0 && errno != EEXIST)
		err = file_error();
	return err < 0 ? err : file_sync_path(dir);
}

static int write_synced(const char *path, struct span bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640), err;

	if (fd < 0)
		return file_error();
	err = file_write(fd, bytes);
	if (err == 0 && fsync(fd) != 0)
		err = ERR_IO;
	close(fd);
	return err;
}

/* Made in tmp/: what has its name is whole, whenever the power went. */
int quarantine_keep(const char *dir, const char *file, struct span bytes)
{
	char folder[FILE_PATH_MAX], path[FILE_PATH_MAX], tmp[FILE_PATH_MAX], made[FILE_PATH_MAX];
	int err = place_of(dir, file, folder, path);

	if (err == 0)
		err = file_path(dir, "tmp", tmp);
	if (err == 0)
		err = file_path(tmp, file, made);
	if (err < 0)
		return err;
	if (access(path, F_OK) == 0)
		return file_sync_path(folder);
	err = write_synced(made, bytes);
	if (err == 0 && rename(made, path) != 0)
		err = file_error();
	if (err < 0)
		unlink(made);
	return err < 0 ? err : file_sync_path(folder);
}

int quarantine_keep_file(const char *dir, const char *file, const char *path)
{
	char folder[FILE_PATH_MAX], target[FILE_PATH_MAX];
	int err = place_of(dir, file, folder, target);

	if (err < 0)
		return err;
	if (link(path, target) != 0 && errno != EEXIST)
		return file_error();
	return file_sync_path(folder);
}

/*
 * backup.c - a copy of the store that is whole, and back.
 *
 * A copy is made in DIR.new: one snapshot of LMDB, and the files of the parts that it names.  Parts
 * never change; when one was replaced before it was copied, a new snapshot names its successor.  It is
 * synced, opened and verified there, and only then renamed to DIR, so that DIR is always a whole one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/bytes.h"
#include "store/dir.h"
#include "store/parts.h"
#include "store/store.h"

#define PATH_BYTES 4096
#define TRIES      20 /* snapshots whose parts went away before they were copied */

struct copy {
	const char *dir;                        /* where it goes */
	char made[PATH_BYTES], old[PATH_BYTES]; /* where it is made; where what it replaces goes */
	char data[PATH_BYTES + 32];             /* its data file */
	struct verify_counts *counts;
	struct fault *f;
};

static int trouble_of(struct copy *c, const char *what, const char *path)
{
	int err = errno == ENOSPC || errno == EDQUOT  ? ERR_DISK_FULL
		  : errno == EACCES || errno == EROFS ? ERR_DENIED
						      : ERR_IO;

	return fault_set(c->f, err, "data", "cannot %s %s: %s", what, path, strerror(errno));
}

/* Removes a copy, or the backup that one replaced: the files we make there and nothing else. */
static void remove_copy(const char *dir)
{
	static const char *const files[] = { "hot/data.mdb", "hot/lock.mdb", "VERSION", "BACKUP", "LOCK" };
	static const char *const folders[] = { "hot", "parts", "tmp" };
	char path[PATH_BYTES + 32];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	parts_sweep(NULL, dir);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
		rmdir(path);
	}
	rmdir(dir);
}

/* Nothing, an empty directory, or (replace) a backup may be where the copy goes. */
static int check_place(struct copy *c, bool replace)
{
	if (rmdir(c->dir) == 0 || errno == ENOENT || (replace && dir_is_backup(c->dir)))
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
		return trouble_of(c, "use", c->dir);
	return fault_set(c->f, ERR_REFUSED, "data", "%s holds something%s; choose a new directory", c->dir,
			 replace ? " that is no backup" : "");
}

static int begin(struct copy *c, bool replace)
{
	char dir[PATH_BYTES];
	size_t n = strlen(c->dir);
	int err;

	while (n > 1 && c->dir[n - 1] == '/')
		n--;
	if (n == 0 || n + 8 > sizeof(dir))
		return fault_set(c->f, ERR_REFUSED, "data", "a path has 1 to %d bytes", PATH_BYTES - 8);
	snprintf(c->made, sizeof(c->made), "%.*s.new", (int)n, c->dir);
	snprintf(c->old, sizeof(c->old), "%.*s.old", (int)n, c->dir);
	snprintf(c->data, sizeof(c->data), "%s/hot/data.mdb", c->made);
	err = check_place(c, replace);
	if (err < 0)
		return err;
	remove_copy(c->made); /* of one that was broken off */
	err = dir_make(c->made, c->f);
	if (err < 0)
		remove_copy(c->made);
	return err;
}

static int copy_data(struct copy *c, struct kv *kv)
{
	int fd = open(c->data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660), err;

	if (fd < 0)
		return trouble_of(c, "create", c->data);
	errno = 0;
	err = kv_copy(kv, fd);
	if (err < 0)
		err = errno ? trouble_of(c, "write", c->data)
			    : fault_set(c->f, err, "data",
					"the data file cannot be copied (%s); run astraml verify",
					err_name(err));
	else if (fsync(fd) != 0)
		err = trouble_of(c, "sync", c->data);
	close(fd);
	return err;
}

static int copy_parts(struct copy *c, const char *from)
{
	char hot[PATH_BYTES + 8];
	struct kv *kv;
	int err;

	snprintf(hot, sizeof(hot), "%s/hot", c->made);
	err = kv_open(hot, true, 0, &kv, c->f);
	if (err < 0)
		return err;
	errno = 0;
	err = parts_copy(kv, from, c->made);
	if (err == 0)
		err = parts_sweep(kv, c->made);
	kv_close(kv);
	if (err == 0 || err == ERR_GONE)
		return err;
	return errno ? trouble_of(c, "copy parts into", c->made) : fault_default(c->f, err);
}

/* The data file, and the parts that it names. */
static int copy_all(struct copy *c, struct kv *kv, const char *from)
{
	int err = ERR_GONE;

	for (int i = 0; i < TRIES && err == ERR_GONE; i++) {
		unlink(c->data);
		err = copy_data(c, kv);
		if (err == 0)
			err = copy_parts(c, from);
	}
	if (err == ERR_GONE)
		return fault_set(c->f, ERR_CORRUPT, "data",
				 "a part that %s names is not in its parts/; run astraml verify", from);
	return err;
}

static void count_trouble(void *arg, const char *sentence)
{
	struct copy *c = arg;

	if (!c->f->err)
		fault_set(c->f, ERR_CORRUPT, "data", "%s: %s; run astraml verify on what was copied", c->made,
			  sentence);
}

/* What is not read again is no backup. */
static int check(struct copy *c)
{
	struct store_options o = { .read_only = true };
	struct store *s;
	int err = store_open(c->made, &o, &s, c->f);

	if (err < 0)
		return err;
	err = store_verify(s, count_trouble, NULL, c, c->counts);
	store_close(s);
	return err > 0 ? ERR_CORRUPT : fault_default(c->f, err);
}

/* The copy takes its place; what was there before goes last. */
static int finish(struct copy *c)
{
	int err = dir_sync(c->made);
	bool replaces = dir_is_backup(c->dir);

	if (err < 0)
		return trouble_of(c, "sync", c->made);
	if (replaces) {
		remove_copy(c->old);
		if (rename(c->dir, c->old) != 0)
			return trouble_of(c, "rename", c->dir);
	}
	if (rename(c->made, c->dir) != 0)
		return trouble_of(c, "rename", c->made);
	dir_sync_parent(c->dir);
	if (replaces)
		remove_copy(c->old);
	return 0;
}

static int end(struct copy *c, int err)
{
	if (err == 0)
		err = finish(c);
	if (err < 0)
		remove_copy(c->made);
	return err;
}

int store_backup(struct store *s, const char *to, struct verify_counts *ret, struct fault *f)
{
	struct copy c = { .dir = to, .counts = ret, .f = f };
	char text[CLOCK_TEXT_MAX + 1];
	int err = begin(&c, true);

	if (err < 0)
		return err;
	clock_format(clock_now_ns(), text);
	strcat(text, "\n");
	err = dir_write_secret(c.made, "BACKUP", text);
	if (err < 0)
		err = trouble_of(&c, "write BACKUP in", c.made);
	if (err == 0)
		err = copy_all(&c, s->kv, s->dir);
	if (err == 0)
		err = check(&c);
	return end(&c, err);
}

/* ---- restore ---- */

static int forget_owners(struct kv *kv)
{
	struct span key, value;
	struct kv_cursor *c = NULL;
	struct kv_txn *t;
	int err = kv_begin(kv, true, &t), moved;

	if (err < 0)
		return err;
	err = kv_cursor_open(t, KV_TOKEN, &c);
	for (moved = err ? err : kv_first(c, &key, &value); moved == 0 && err == 0;
	     moved = kv_next(c, &key, &value)) {
		struct stored row;

		err = stored_open(key, value, KIND_TOKEN, &row);
		if (err == 0 && row.body.len && row.body.data[0] == ROLE_OWNER)
			err = kv_cursor_del(c);
	}
	kv_cursor_close(c);
	if (err < 0) {
		kv_abort(t);
		return err;
	}
	return kv_commit(t);
}

static int forget_owners_of(struct copy *c)
{
	char hot[PATH_BYTES + 8];
	struct kv *kv;
	int err;

	snprintf(hot, sizeof(hot), "%s/hot", c->made);
	err = kv_open(hot, false, 0, &kv, c->f); /* the map as it was */
	if (err < 0)
		return err;
	err = forget_owners(kv);
	kv_close(kv);
	return fault_default(c->f, err);
}

int store_restore(const char *from, const char *dir, struct verify_counts *ret, struct fault *f)
{
	struct copy c = { .dir = dir, .counts = ret, .f = f };
	struct store_options o = { .read_only = true };
	struct store *s;
	int err;

	if (!dir_is_backup(from))
		return fault_set(f, ERR_NOT_FOUND, "from", "%s is no backup; `astraml backup DIR` makes one",
				 from);
	err = store_open(from, &o, &s, f);
	if (err < 0)
		return err;
	err = begin(&c, false);
	if (err == 0) {
		err = copy_all(&c, s->kv, from);
		if (err == 0)
			err = forget_owners_of(&c);
		if (err == 0)
			err = check(&c);
		err = end(&c, err);
	}
	store_close(s);
	return err;
}

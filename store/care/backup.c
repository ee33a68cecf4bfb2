/*
 * backup.c - a copy of the store that is whole, and back.
 *
 * A copy (copy.h) is made aside: one snapshot of LMDB, and the parts that it names, which never change; so
 * those that an earlier backup has are linked and not copied.  It is opened and verified there, summed,
 * and only then takes its place.  As an archive it is packed when it was verified, and read back.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/bytes.h"
#include "store/care/sums.h"
#include "store/care/tarball.h"
#include "store/dir.h"
#include "store/part/parts.h"
#include "store/store.h"

/* ---- is it whole? ---- */

struct check {
	struct copy *copy;
	uint64_t bytes; /* of it, for the progress */
};

static void tell_trouble(void *arg, const char *sentence)
{
	struct check *k = arg;

	if (!k->copy->f->err)
		fault_set(k->copy->f, ERR_CORRUPT, "data", "%s: %s; run astraml verify on what was copied",
			  k->copy->made, sentence);
}

static void tell_progress(void *arg, uint64_t done, uint64_t all)
{
	const struct check *k = arg;

	progress_show(k->copy->progress, all ? (uint64_t)((double)k->bytes * (double)done / (double)all) : 0);
}

/* What is not read again is no backup. */
static int check(struct copy *c, uint64_t bytes, struct verify_counts *ret)
{
	struct store_options o = { .read_only = true };
	struct check k = { c, bytes };
	struct store *s;
	int err = store_open(c->made, &o, &s, c->f);

	if (err < 0)
		return err;
	progress_walk(c->progress, "verifying", c->place);
	err = store_verify(s, tell_trouble, tell_progress, &k, ret);
	store_close(s);
	progress_add(c->progress, bytes);
	return err > 0 ? ERR_CORRUPT : fault_default(c->f, err);
}

/* ---- backup ---- */

/* Nothing, an empty directory, or a backup of the same form may be where the copy goes. */
static int check_place(const char *place, struct fault *f)
{
	bool archive = tarball_named(place);
	struct stat st;

	if (lstat(place, &st) != 0)
		return errno == ENOENT
			   ? 0
			   : fault_set(f, file_error(), "data", "cannot use %s: %s", place, strerror(errno));
	if (archive ? S_ISREG(st.st_mode) && tarball_is_backup(place)
		    : S_ISDIR(st.st_mode) && (dir_is_backup(place) || rmdir(place) == 0))
		return 0;
	return fault_set(f, ERR_REFUSED, "data", "%s holds something that is no backup; choose a new %s",
			 place, archive ? "file" : "directory");
}

/* A backup that could not be exchanged with its successor in one step, and was interrupted then. */
static void put_back(const char *place)
{
	char old[FILE_PATH_MAX];
	size_t n = strlen(place);

	while (n > 1 && place[n - 1] == '/')
		n--;
	if (n + sizeof(".old") > sizeof(old) || access(place, F_OK) == 0)
		return;
	snprintf(old, sizeof(old), "%.*s.old", (int)n, place);
	if (dir_is_backup(old))
		rename(old, place);
}

static int write_mark(struct copy *c)
{
	char text[CLOCK_TEXT_MAX + 1];

	clock_format(clock_now_ns(), text);
	strcat(text, "\n");
	return dir_write_file(c->made, "BACKUP", text) < 0 ? copy_trouble(c, "write BACKUP in", c->made) : 0;
}

/* About how much there is to walk over. */
static uint64_t bytes_of(struct store *s)
{
	struct store_stats stats;

	return store_stats(s, &stats) < 0
		   ? 0
		   : stats.file_bytes + stats.part_bytes + stats.raw_bytes + stats.log_part_bytes;
}

static int copy_once(struct copy *c, struct store *s, const char *earlier, uint64_t bytes,
		     struct verify_counts *ret)
{
	int err = write_mark(c);

	progress_walk(c->progress, "copying", c->place);
	if (err == 0)
		err = copy_store(c, s->kv, s->dir, earlier, tarball_named(c->place));
	return err < 0 ? err : check(c, bytes, ret);
}

/* What an earlier backup has is kept where it is sound: what has rotted there must not live on. */
static int make_copy(struct copy *c, struct store *s, const char *to, struct progress *p, uint64_t bytes,
		     struct verify_counts *ret, struct fault *f)
{
	const char *earlier = dir_is_backup(to) ? to : NULL;
	int err;

	for (;;) {
		err = copy_begin(c, to, p, f);
		if (err < 0)
			return err;
		err = copy_once(c, s, earlier, bytes, ret);
		if (err == 0)
			err = sums_write(c);
		if (err == 0)
			return 0;
		copy_remove(c->made);
		if (err != ERR_CORRUPT || !c->parts_kept)
			return err;
		earlier = NULL;
		*f = (struct fault){ 0 };
	}
}

/* The archive of the copy, read back, takes its place. */
static int finish_archive(struct copy *c)
{
	char path[FILE_PATH_MAX];
	int err = file_path(c->made, "archive", path);

	progress_walk(c->progress, "packing", c->place);
	if (err == 0)
		err = tarball_pack(c, path);
	progress_walk(c->progress, "reading back", c->place);
	if (err == 0)
		err = tarball_compare(c, path);
	if (err == 0 && rename(path, c->place) != 0)
		err = copy_trouble(c, "rename", path);
	if (err == 0)
		copy_sync_parent(c->place);
	copy_remove(c->made);
	return fault_default(c->f, err);
}

static int finish(struct copy *c, int err)
{
	if (err == 0)
		err = copy_take_place(c);
	if (err < 0)
		copy_remove(c->made);
	return err;
}

int store_backup(struct store *s, const char *to, struct progress *p, struct backup_report *ret,
		 struct fault *f)
{
	bool archive = tarball_named(to);
	uint64_t bytes = bytes_of(s);
	struct copy c;
	int err;

	put_back(to);
	err = check_place(to, f);
	if (err < 0)
		return err;
	progress_start(p, bytes, archive ? 5 : 3); /* copied, verified, summed; packed, read back */
	err = make_copy(&c, s, to, p, bytes, &ret->counts, f);
	if (err == 0)
		err = archive ? finish_archive(&c) : finish(&c, 0);
	progress_clear(p);
	if (err < 0)
		return err;
	ret->parts = c.parts;
	ret->parts_kept = c.parts_kept;
	ret->bytes = c.written;
	return 0;
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
	char hot[FILE_PATH_MAX];
	struct kv *kv;
	int err = file_path(c->made, "hot", hot);

	if (err == 0)
		err = kv_open(hot, false, 0, &kv, c->f); /* the map as it was */
	if (err < 0)
		return fault_default(c->f, err);
	err = forget_owners(kv);
	kv_close(kv);
	return fault_default(c->f, err);
}

static int refuse_source(const char *from, struct fault *f)
{
	return fault_set(
	    f, ERR_NOT_FOUND, "from",
	    "%s is no backup; `astraml backup` makes one: a directory, or an archive whose name ends in "
	    ".tar or .tar.zst",
	    from);
}

/* The files of the backup, each as it was summed when it was made; backups of old had no sums. */
static int take_files(struct copy *c, const char *from, bool archive)
{
	int err;

	progress_walk(c->progress, archive ? "unpacking" : "copying", from);
	err = archive ? tarball_unpack(c, from) : copy_files_of(c, from);
	if (err < 0)
		return err;
	progress_walk(c->progress, "checking", from);
	err = sums_check(c, from);
	return err == ERR_NOT_FOUND && !archive ? 0 : err;
}

/* What marks it as a backup goes. */
static int unmark(struct copy *c)
{
	static const char *const marks[] = { "BACKUP", "SHA256SUMS" };
	char path[FILE_PATH_MAX];

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (file_path(c->made, marks[i], path) < 0 || (unlink(path) != 0 && errno != ENOENT))
			return copy_trouble(c, "remove", path);
	return 0;
}

static int check_empty(const char *dir, struct fault *f)
{
	if (rmdir(dir) == 0 || errno == ENOENT)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
		return fault_set(f, file_error(), "data", "cannot use %s: %s", dir, strerror(errno));
	return fault_set(f, ERR_REFUSED, "data", "%s holds something; choose a new directory", dir);
}

int store_restore(const char *from, const char *dir, struct progress *p, struct verify_counts *ret,
		  struct fault *f)
{
	struct stat st;
	struct copy c;
	bool archive;
	int err;

	if (stat(from, &st) != 0)
		return refuse_source(from, f);
	archive = S_ISREG(st.st_mode);
	if (!archive && !dir_is_backup(from))
		return refuse_source(from, f);
	err = check_empty(dir, f);
	if (err == 0)
		err = copy_begin(&c, dir, p, f);
	if (err < 0)
		return err;
	progress_start(p, (uint64_t)st.st_size, 3);
	err = take_files(&c, from, archive);
	if (err == 0)
		err = unmark(&c);
	if (err == 0)
		err = forget_owners_of(&c);
	if (err == 0)
		err = check(&c, (uint64_t)st.st_size, ret);
	err = finish(&c, err);
	progress_clear(p);
	return err;
}

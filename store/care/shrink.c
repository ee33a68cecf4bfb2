/*
 * shrink.c - the data file written anew without its free pages.
 *
 * LMDB never gives a page back: what is deleted leaves free pages, which are used again.  When more than
 * half of the file is free, and nobody has it open, its used pages are copied into DIR/tmp; the copy is
 * synced and opened, and every database must have as many entries as before; then it is renamed over the
 * file.  The directory is whole at every moment: a crash leaves the one file or the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/file.h"
#include "store/store.h"

struct shrink {
	const char *dir;
	char hot[FILE_PATH_MAX], data[FILE_PATH_MAX];       /* folder and file as they are */
	char made[FILE_PATH_MAX], made_data[FILE_PATH_MAX]; /* and anew */
	char made_lock[FILE_PATH_MAX];                      /* that LMDB leaves there */
	struct shrink_report report;
	struct fault *f;
};

static int paths(struct shrink *s)
{
	if (file_path(s->dir, "hot", s->hot) < 0 || file_path(s->dir, "hot/data.mdb", s->data) < 0 ||
	    file_path(s->dir, "tmp/hot", s->made) < 0 ||
	    file_path(s->dir, "tmp/hot/data.mdb", s->made_data) < 0 ||
	    file_path(s->dir, "tmp/hot/lock.mdb", s->made_lock) < 0)
		return fault_set(s->f, ERR_TOO_LARGE, "data", "the path of the directory is over %d bytes",
				 FILE_PATH_MAX - 32);
	return 0;
}

static int stat_of(const char *hot, struct kv_stat *ret, struct fault *f)
{
	struct kv_txn *t;
	struct kv *kv;
	int err = kv_open(hot, true, 0, &kv, f);

	if (err < 0)
		return err;
	err = kv_begin(kv, false, &t);
	if (err == 0) {
		err = kv_stat(t, ret);
		kv_abort(t);
	}
	kv_close(kv);
	return fault_default(f, err);
}

static uint64_t file_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Who could open the file can open the new one, whoever makes it. */
static int own_alike(int fd, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0 || fchmod(fd, st.st_mode & 0777) != 0)
		return file_error();
	return fchown(fd, st.st_uid, st.st_gid) == 0 || errno == EPERM ? 0 : file_error();
}

static int copy(struct shrink *s)
{
	struct kv *kv;
	int fd, err = kv_open(s->hot, true, 0, &kv, s->f);

	if (err < 0)
		return err;
	fd = open(s->made_data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
	err = fd < 0 ? file_error() : own_alike(fd, s->data);
	if (err == 0)
		err = kv_copy(kv, fd);
	if (err == 0 && fsync(fd) != 0)
		err = file_error();
	if (fd >= 0)
		close(fd);
	kv_close(kv);
	return err;
}

static int compare(struct shrink *s, const struct kv_stat *was)
{
	struct kv_stat is;
	int err = stat_of(s->made, &is, s->f);

	for (int db = 0; err == 0 && db < KV_DBS; db++)
		if (is.entries[db] != was->entries[db])
			err = fault_set(s->f, ERR_CORRUPT, "data",
					"the copy of %s lacks entries; it stays as it is, run astraml verify",
					s->data);
	return err;
}

static void clean(struct shrink *s)
{
	unlink(s->made_data);
	unlink(s->made_lock);
	rmdir(s->made);
}

static int replace(struct shrink *s, const struct kv_stat *was)
{
	int err;

	clean(s); /* what an attempt that was cut off has left */
	if (mkdir(s->made, 0755) != 0)
		return file_error();
	err = copy(s);
	if (err == 0)
		err = compare(s, was);
	if (err == 0)
		err = kv_replace(s->hot, s->made_data);
	if (err == ERR_BUSY)
		return fault_set(s->f, err, "data",
				 "another process reads %s; %llu MiB of the data file stay free until "
				 "`astraml compact` runs without one",
				 s->dir, (unsigned long long)(was->free_pages * was->page_bytes >> 20));
	return err < 0 ? err : file_sync_path(s->hot);
}

static int shrink(struct shrink *s)
{
	struct kv_stat was;
	int err = stat_of(s->hot, &was, s->f);

	s->report.before_bytes = s->report.after_bytes = file_bytes(s->data);
	if (err < 0 || was.free_pages <= was.used_pages)
		return err;
	err = replace(s, &was);
	clean(s);
	s->report.after_bytes = file_bytes(s->data);
	return err;
}

int store_shrink(const char *dir, struct shrink_report *ret, struct fault *f)
{
	struct shrink s = { .dir = dir, .f = f };
	int lock_fd, err = dir_open_writer(dir, &lock_fd, f);

	if (err < 0)
		return err;
	err = paths(&s);
	if (err == 0)
		err = shrink(&s);
	close(lock_fd);
	*ret = s.report;
	if (err < 0 && !f->err)
		return fault_set(f, err, "data",
				 "the data file of %s could not be written anew (%s); it is as it was", dir,
				 err_name(err));
	return err;
}

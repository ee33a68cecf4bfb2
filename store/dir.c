#include "store/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/admin.h"
#include "store/file.h"
#include "store/format.h"

static int fail(struct fault *f, const char *dir, const char *what)
{
	int err = file_error();

	return fault_set(f, err, "data", "cannot %s in %s: %s; choose a directory this user may write to",
			 what, dir, strerror(errno));
}

int dir_sync(const char *dir)
{
	char path[FILE_PATH_MAX];
	int err = file_path(dir, "hot", path);

	if (err == 0)
		err = file_sync_path(path);
	return err < 0 ? err : file_sync_path(dir);
}

/* The name stands in the parent: that must reach the disk too. */
static void sync_parent(const char *dir)
{
	char path[FILE_PATH_MAX];

	if (file_path(dir, "..", path) == 0)
		(void)file_sync_path(path); /* a parent we may not read is not ours to sync */
}

static int write_file(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[FILE_PATH_MAX], tmp[FILE_PATH_MAX];
	size_t len = strlen(text);
	int fd, err = 0;

	if (file_path(dir, name, path) < 0 ||
	    snprintf(tmp, sizeof(tmp), "%s/%s.tmp", dir, name) >= FILE_PATH_MAX)
		return ERR_TOO_LARGE;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0)
		return file_error();
	if (write(fd, text, len) != (ssize_t)len || fsync(fd) != 0)
		err = errno == ENOSPC ? ERR_DISK_FULL : ERR_IO;
	close(fd);
	if (err == 0 && rename(tmp, path) != 0)
		err = file_error();
	if (err < 0)
		unlink(tmp);
	return err < 0 ? err : file_sync_path(dir);
}

int dir_write_file(const char *dir, const char *name, const char *text)
{
	return write_file(dir, name, text, 0644);
}

int dir_write_secret(const char *dir, const char *name, const char *text)
{
	return write_file(dir, name, text, 0600);
}

static ssize_t read_file(const char *dir, const char *name, char *ret, size_t max)
{
	char path[FILE_PATH_MAX];
	ssize_t n;
	int fd;

	if (file_path(dir, name, path) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, ret, max - 1);
	close(fd);
	if (n >= 0)
		ret[n] = 0;
	return n;
}

int owner_token_read(const char *dir, char *ret, size_t max)
{
	ssize_t n = read_file(dir, "owner.token", ret, max);

	if (n < 0)
		return file_error();
	ret[strcspn(ret, "\r\n")] = 0;
	return 0;
}

/* 0, ERR_NOT_FOUND without the file, ERR_VERSION, ERR_CORRUPT. */
static int check_version(const char *dir, struct fault *f)
{
	char text[128];
	int major, minor, page;

	if (read_file(dir, "VERSION", text, sizeof(text)) < 0)
		return file_error();
	if (sscanf(text, "astraml-data %d.%d page %d", &major, &minor, &page) != 3)
		return fault_set(f, ERR_CORRUPT, "data",
				 "%s/VERSION is not one of ours; is this the right directory?", dir);
	if (major > FORMAT_MAJOR)
		return fault_set(
		    f, ERR_VERSION, "data",
		    "%s has format %d.%d and this program reads up to %d.x; use the newer program", dir,
		    major, minor, FORMAT_MAJOR);
	if (page != getpagesize())
		return fault_set(f, ERR_VERSION, "data",
				 "%s was written on a machine with pages of %d bytes, this one has %d; "
				 "export and import instead",
				 dir, page, getpagesize());
	return 0;
}

/* Files a first start may have left behind, or that a fresh file system has. */
static bool may_be_there(const char *name)
{
	static const char *const known[] = { ".", "..", "LOCK", "VERSION.tmp", "lost+found" };

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

static int refuse_strangers(const char *dir, struct fault *f)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	int err = 0;

	if (!d)
		return fail(f, dir, "read");
	while (err == 0 && (e = readdir(d)))
		if (!may_be_there(e->d_name))
			err = fault_set(
			    f, ERR_REFUSED, "data",
			    "%s is no data directory and holds %s; choose an empty or a new directory", dir,
			    e->d_name);
	closedir(d);
	return err;
}

static int make_version(const char *dir, struct fault *f)
{
	char text[64];
	int err = refuse_strangers(dir, f);

	if (err < 0)
		return err;
	snprintf(text, sizeof(text), "astraml-data %d.%d page %d\n", FORMAT_MAJOR, FORMAT_MINOR,
		 getpagesize());
	err = write_file(dir, "VERSION", text, 0644);
	sync_parent(dir);
	return err < 0 ? fail(f, dir, "write VERSION") : 0;
}

static int refuse_held(const char *dir, struct fault *f)
{
	char url[256] = "";
	long pid = 0;

	store_holder(dir, &pid, url, sizeof(url));
	return fault_set(f, ERR_HELD, "data",
			 "%s is held by process %ld%s%s; stop it, or talk to it with --server", dir, pid,
			 url[0] ? ", which serves " : "", url);
}

/* The lock on LOCK as a whole.  It belongs to the open file, not to the process. */
static struct flock whole_file(void) { return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET }; }

static int take_lock(const char *dir, int *ret_fd, struct fault *f)
{
	struct flock lock = whole_file();
	char path[FILE_PATH_MAX];
	int fd;

	if (file_path(dir, "LOCK", path) < 0)
		return fault_set(f, ERR_TOO_LARGE, "data", "the path of the directory is over %d bytes",
				 FILE_PATH_MAX);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return fail(f, dir, "create LOCK");
	if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
		close(fd);
		return refuse_held(dir, f);
	}
	*ret_fd = fd;
	return 0;
}

/* What is missing of the directory, VERSION and the folders. */
static int make_all(const char *dir, struct fault *f)
{
	static const char *const folders[] = { "hot", "parts", "tmp" };
	char path[FILE_PATH_MAX];
	int err;

	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		return fail(f, dir, "make the directory, or anything");
	err = check_version(dir, f);
	if (err == ERR_NOT_FOUND)
		err = make_version(dir, f);
	for (size_t i = 0; err == 0 && i < sizeof(folders) / sizeof(*folders); i++) {
		err = file_path(dir, folders[i], path);
		if (err == 0 && mkdir(path, 0755) != 0 && errno != EEXIST)
			err = fail(f, dir, "make hot/, parts/ or tmp/");
	}
	return fault_default(f, err);
}

bool dir_is_backup(const char *dir)
{
	char path[FILE_PATH_MAX];

	return file_path(dir, "BACKUP", path) == 0 && access(path, F_OK) == 0;
}

int dir_open_writer(const char *dir, int *ret_lock_fd, struct fault *f)
{
	int fd = -1, err;

	if (dir_is_backup(dir))
		return fault_set(
		    f, ERR_REFUSED, "data",
		    "%s is a backup, which is only read; `astraml restore %s --data DIR` makes a "
		    "directory of it that can be served",
		    dir, dir);
	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		return fail(f, dir, "make the directory, or anything");
	err = take_lock(dir, &fd, f);
	if (err < 0)
		return err;
	err = dir_announce(fd, "");
	if (err == 0)
		err = make_all(dir, f);
	if (err < 0) {
		close(fd);
		return fault_default(f, err);
	}
	*ret_lock_fd = fd;
	return 0;
}

int dir_open_reader(const char *dir, struct fault *f)
{
	int err = check_version(dir, f);

	if (err == ERR_NOT_FOUND)
		return fault_set(f, err, "data",
				 "%s is not a data directory; `astraml serve --data %s` makes one", dir, dir);
	if (err == ERR_DENIED)
		return fault_set(f, err, "data", "%s may not be read by this user", dir);
	return err;
}

int dir_announce(int lock_fd, const char *url)
{
	char text[320];
	int n = snprintf(text, sizeof(text), "pid %ld url %s\n", (long)getpid(), url);

	if (n >= (int)sizeof(text))
		return ERR_TOO_LARGE;
	if (pwrite(lock_fd, text, (size_t)n, 0) != n || ftruncate(lock_fd, n) != 0)
		return errno == ENOSPC ? ERR_DISK_FULL : ERR_IO;
	return 0;
}

int store_holder(const char *dir, long *ret_pid, char *ret_url, size_t url_max)
{
	char path[FILE_PATH_MAX], text[320] = "", url[256] = "";
	struct flock lock = whole_file();
	long pid = 0;
	bool held;
	int fd;

	if (file_path(dir, "LOCK", path) < 0)
		return ERR_TOO_LARGE;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return file_error();
	/* asks without taking, so that a server starting at this instant does not find it taken */
	held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	close(fd);
	if (!held)
		return ERR_NOT_FOUND;
	if (read_file(dir, "LOCK", text, sizeof(text)) < 0)
		return ERR_IO;
	sscanf(text, "pid %ld url %255s", &pid, url);
	*ret_pid = pid;
	snprintf(ret_url, url_max, "%s", url);
	return 0;
}

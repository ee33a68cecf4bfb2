/*
 * recorder.c - writes down what a process does to the files under one directory, for power cuts.
 *
 * Loaded with LD_PRELOAD.  Every change (create, mkdir, rename, unlink, write, truncate) and every
 * sync of a file or directory under RECORDER_DIR becomes one record of RECORDER_LOG, in one global
 * order; calls are serialized, so a record's place in the log is its place in time.  RECORDER_COUNTER
 * is a file of 8 bytes, mapped shared, that holds the number of records so far: an acknowledgement
 * that somebody sees while it says n came after the first n of them.  replay.py reads the log.
 *
 * RECORDER_SYNC=off: syncs of files are neither done nor recorded, O_SYNC and O_DSYNC are taken
 * away.  Directories are still synced, so that what is lost is lost for want of the file's.
 *
 * Not seen: stores through mmap (LMDB's lock file needs none after a crash), stdio, and links.
 * replay.py compares the whole log with the directory at the end, which would show them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { CREATE = 1, MKDIR, RENAME, UNLINK, WRITE, TRUNCATE, SYNC, SYNC_DIR };

/* Followed by `length` bytes: the data of a WRITE, or paths relative to the directory; those of a
 * RENAME are both there, with a NUL between. */
struct record {
	uint32_t kind;
	uint32_t durable; /* WRITE: it was durable when it returned */
	uint64_t file;
	uint64_t offset; /* TRUNCATE: the size */
	uint64_t length;
};

#define FDS   65536
#define FILES 4096

static struct {
	uint32_t file; /* 0: none of ours */
	bool durable;
	char *dir; /* of a directory: its relative path, on the heap */
} fds[FDS];

static struct {
	dev_t dev;
	ino_t ino;
} files[FILES]; /* file number - 1 */
static uint32_t n_files;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_len;
static int log_fd = -1;
static uint64_t *counter;
static bool sync_off;

static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static int (*real_renameat)(int, const char *, int, const char *);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_mkdirat)(int, const char *, mode_t);

static void give_up(const char *why)
{
	dprintf(2, "recorder: %s: %s\n", why, strerror(errno));
	_exit(99);
}

static void resolve(void *ret, const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);
	if (!f)
		give_up(name);
	memcpy(ret, &f, sizeof(f));
}

static void resolve_all(void)
{
	resolve(&real_openat, "openat");
	resolve(&real_close, "close");
	resolve(&real_write, "write");
	resolve(&real_pwrite, "pwrite");
	resolve(&real_writev, "writev");
	resolve(&real_pwritev, "pwritev");
	resolve(&real_fsync, "fsync");
	resolve(&real_fdatasync, "fdatasync");
	resolve(&real_ftruncate, "ftruncate");
	resolve(&real_fallocate, "fallocate");
	resolve(&real_renameat, "renameat");
	resolve(&real_unlinkat, "unlinkat");
	resolve(&real_mkdirat, "mkdirat");
}

__attribute__((constructor)) static void start(void)
{
	const char *dir = getenv("RECORDER_DIR"), *log = getenv("RECORDER_LOG"),
		   *count = getenv("RECORDER_COUNTER");
	const char *sync = getenv("RECORDER_SYNC");
	resolve_all();
	if (!dir || !log || !count)
		return;
	root_len = strlen(dir);
	if (root_len >= sizeof(root))
		give_up("RECORDER_DIR");
	memcpy(root, dir, root_len);
	sync_off = sync && strcmp(sync, "off") == 0;
	int fd = real_openat(AT_FDCWD, count, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || real_ftruncate(fd, sizeof(*counter)) < 0)
		give_up(count);
	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	real_close(fd);
	if (counter == MAP_FAILED)
		give_up(count);
	fd = real_openat(AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		give_up(log);
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 1000);
	real_close(fd);
	if (log_fd < 0)
		give_up(log);
}

/* ---- the log ---- */

static void record(struct record r, const struct iovec *v, int n)
{
	struct iovec out[IOV_MAX];
	if (n >= IOV_MAX)
		give_up("too many pieces");
	out[0] = (struct iovec){ &r, sizeof(r) };
	size_t left = r.length, all = sizeof(r) + r.length;
	int k = 1;
	for (int i = 0; i < n && left; i++) {
		out[k] = v[i];
		if (out[k].iov_len > left)
			out[k].iov_len = left;
		left -= out[k++].iov_len;
	}
	if (real_writev(log_fd, out, k) != (ssize_t)all)
		give_up("the log");
	__atomic_store_n(counter, *counter + 1, __ATOMIC_SEQ_CST);
}

static void record_path(enum kind kind, uint64_t file, const char *path)
{
	struct iovec v = { (char *)path, strlen(path) };
	record((struct record){ .kind = kind, .file = file, .length = v.iov_len }, &v, 1);
}

/* ---- files of ours ---- */

/* The path relative to the directory; NULL when it lies elsewhere.  The result points into room. */
static const char *ours(int at, const char *path, char room[static PATH_MAX])
{
	char base[PATH_MAX] = "";
	if (log_fd < 0)
		return NULL;
	if (path[0] != '/') {
		char link[64];
		snprintf(link, sizeof(link), at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
		ssize_t n = readlink(link, base, sizeof(base) - 2);
		if (n < 0)
			return NULL;
		memcpy(base + n, "/", 2);
	}
	size_t n = strlen(base), m = strlen(path);
	if (n + m >= PATH_MAX)
		return NULL;
	memcpy(room, base, n);
	memcpy(room + n, path, m + 1);
	if (strncmp(room, root, root_len) != 0 || (room[root_len] != '/' && room[root_len] != '\0'))
		return NULL;
	const char *rest = room + root_len;
	while (*rest == '/')
		rest++;
	return rest;
}

static uint32_t file_number(int fd, bool created)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		give_up("fstat");
	for (uint32_t i = n_files; i > 0 && !created; i--)
		if (files[i - 1].dev == st.st_dev && files[i - 1].ino == st.st_ino)
			return i;
	if (n_files == FILES)
		give_up("too many files");
	files[n_files].dev = st.st_dev;
	files[n_files].ino = st.st_ino;
	return ++n_files;
}

static bool is_ours(int fd) { return fd >= 0 && fd < FDS && fds[fd].file != 0; }

static void remember(int fd, const char *path, int flags, bool existed)
{
	struct stat st;
	if (fd >= FDS || fstat(fd, &st) < 0)
		give_up("open");
	fds[fd].file = file_number(fd, !existed);
	fds[fd].durable = flags & O_DSYNC; /* O_SYNC has this bit too */
	if (S_ISDIR(st.st_mode))
		fds[fd].dir = strdup(path);
	else if (!existed)
		record_path(CREATE, fds[fd].file, path);
	else if (flags & O_TRUNC)
		record((struct record){ .kind = TRUNCATE, .file = fds[fd].file }, NULL, 0);
}

static int open_any(int at, const char *path, int flags, mode_t mode)
{
	char room[PATH_MAX];
	const char *rest = ours(at, path, room);
	if (!rest)
		return real_openat(at, path, flags, mode);
	pthread_mutex_lock(&lock);
	bool existed = faccessat(at, path, F_OK, 0) == 0;
	if (sync_off)
		flags &= ~(O_SYNC | O_DSYNC);
	int fd = real_openat(at, path, flags, mode);
	int e = errno;
	if (fd >= 0)
		remember(fd, rest, flags, existed);
	pthread_mutex_unlock(&lock);
	errno = e;
	return fd;
}

/* ---- the calls that are taken over ---- */

#define TAKEN __attribute__((visibility("default")))

#define WITH_MODE(flags, mode)                                                                               \
	if ((flags) & (O_CREAT | O_TMPFILE)) {                                                               \
		va_list ap;                                                                                  \
		va_start(ap, flags);                                                                         \
		mode = va_arg(ap, mode_t);                                                                   \
		va_end(ap);                                                                                  \
	}

TAKEN int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	WITH_MODE(flags, mode)
	return open_any(AT_FDCWD, path, flags, mode);
}

TAKEN int openat(int at, const char *path, int flags, ...)
{
	mode_t mode = 0;
	WITH_MODE(flags, mode)
	return open_any(at, path, flags, mode);
}

TAKEN int open64(const char *path, int flags, ...) __attribute__((alias("open")));
TAKEN int openat64(int at, const char *path, int flags, ...) __attribute__((alias("openat")));

TAKEN int creat(const char *path, mode_t mode)
{
	return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

TAKEN int close(int fd)
{
	if (!is_ours(fd))
		return real_close(fd);
	pthread_mutex_lock(&lock);
	free(fds[fd].dir);
	memset(&fds[fd], 0, sizeof(fds[fd]));
	int r = real_close(fd);
	pthread_mutex_unlock(&lock);
	return r;
}

/* offset -1: at the descriptor's place. */
static ssize_t write_any(int fd, const struct iovec *v, int n, off_t offset)
{
	pthread_mutex_lock(&lock);
	off_t at = offset;
	if (offset < 0)
		at = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
	ssize_t done = offset < 0 ? real_writev(fd, v, n) : real_pwritev(fd, v, n, offset);
	int e = errno;
	if (done > 0)
		record((struct record){ .kind = WRITE,
					.durable = fds[fd].durable,
					.file = fds[fd].file,
					.offset = at,
					.length = done },
		       v, n);
	pthread_mutex_unlock(&lock);
	errno = e;
	return done;
}

TAKEN ssize_t write(int fd, const void *data, size_t n)
{
	struct iovec v = { (void *)data, n };
	return is_ours(fd) ? write_any(fd, &v, 1, -1) : real_write(fd, data, n);
}

TAKEN ssize_t pwrite(int fd, const void *data, size_t n, off_t offset)
{
	struct iovec v = { (void *)data, n };
	return is_ours(fd) ? write_any(fd, &v, 1, offset) : real_pwrite(fd, data, n, offset);
}

TAKEN ssize_t writev(int fd, const struct iovec *v, int n)
{
	return is_ours(fd) ? write_any(fd, v, n, -1) : real_writev(fd, v, n);
}

TAKEN ssize_t pwritev(int fd, const struct iovec *v, int n, off_t offset)
{
	return is_ours(fd) ? write_any(fd, v, n, offset) : real_pwritev(fd, v, n, offset);
}

TAKEN ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) __attribute__((alias("pwrite")));
TAKEN ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at) __attribute__((alias("pwritev")));

static int sync_any(int fd, int (*call)(int))
{
	if (!is_ours(fd))
		return call(fd);
	if (sync_off && !fds[fd].dir)
		return 0;
	pthread_mutex_lock(&lock);
	int r = call(fd), e = errno;
	if (r == 0 && fds[fd].dir)
		record_path(SYNC_DIR, 0, fds[fd].dir);
	else if (r == 0)
		record((struct record){ .kind = SYNC, .file = fds[fd].file }, NULL, 0);
	pthread_mutex_unlock(&lock);
	errno = e;
	return r;
}

TAKEN int fsync(int fd) { return sync_any(fd, real_fsync); }
TAKEN int fdatasync(int fd) { return sync_any(fd, real_fdatasync); }

TAKEN int ftruncate(int fd, off_t size)
{
	if (!is_ours(fd))
		return real_ftruncate(fd, size);
	pthread_mutex_lock(&lock);
	int r = real_ftruncate(fd, size), e = errno;
	if (r == 0)
		record((struct record){ .kind = TRUNCATE, .file = fds[fd].file, .offset = size }, NULL, 0);
	pthread_mutex_unlock(&lock);
	errno = e;
	return r;
}

TAKEN int ftruncate64(int fd, off64_t size) __attribute__((alias("ftruncate")));

TAKEN int fallocate(int fd, int mode, off_t offset, off_t len)
{
	if (!is_ours(fd))
		return real_fallocate(fd, mode, offset, len);
	if (mode != FALLOC_FL_KEEP_SIZE)
		give_up("fallocate of a kind the replay does not know");
	return real_fallocate(fd, mode, offset, len);
}

TAKEN int fallocate64(int fd, int mode, off64_t offset, off64_t len) __attribute__((alias("fallocate")));

TAKEN int renameat(int from_at, const char *from, int to_at, const char *to)
{
	char room[2 * PATH_MAX], to_room[PATH_MAX];
	const char *a = ours(from_at, from, room), *b = ours(to_at, to, to_room);
	if (!a && !b)
		return real_renameat(from_at, from, to_at, to);
	if (!a || !b)
		give_up("a rename into or out of the directory");
	pthread_mutex_lock(&lock);
	int r = real_renameat(from_at, from, to_at, to), e = errno;
	struct iovec v[2] = { { (char *)a, strlen(a) + 1 }, { (char *)b, strlen(b) } };
	if (r == 0)
		record((struct record){ .kind = RENAME, .length = v[0].iov_len + v[1].iov_len }, v, 2);
	pthread_mutex_unlock(&lock);
	errno = e;
	return r;
}

TAKEN int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

TAKEN int unlinkat(int at, const char *path, int flags)
{
	char room[PATH_MAX];
	const char *rest = ours(at, path, room);
	if (!rest)
		return real_unlinkat(at, path, flags);
	pthread_mutex_lock(&lock);
	int r = real_unlinkat(at, path, flags), e = errno;
	if (r == 0)
		record_path(UNLINK, 0, rest);
	pthread_mutex_unlock(&lock);
	errno = e;
	return r;
}

TAKEN int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
TAKEN int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

TAKEN int mkdirat(int at, const char *path, mode_t mode)
{
	char room[PATH_MAX];
	const char *rest = ours(at, path, room);
	if (!rest)
		return real_mkdirat(at, path, mode);
	pthread_mutex_lock(&lock);
	int r = real_mkdirat(at, path, mode), e = errno;
	if (r == 0)
		record_path(MKDIR, 0, rest);
	pthread_mutex_unlock(&lock);
	errno = e;
	return r;
}

TAKEN int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

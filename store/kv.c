#include "store/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/care/pages.h"
#include "store/file.h"

#define READERS_MAX 512
#define PATH_BYTES  4096

struct kv {
	MDB_env *env;
	MDB_dbi dbi[KV_DBS];
	int fd;                 /* LMDB's own, of data.mdb */
	uint64_t reserved_upto; /* file offset up to which blocks are known to be allocated */
};

struct kv_txn {
	struct kv *kv;
	MDB_txn *txn;
};

static const char *const names[KV_DBS] = {
	"meta",    "project", "run",   "runid",   "series",     "producer", "reject",  "idem",
	"idemage", "journal", "flush", "block",   "log",        "logseq",   "logseal", "token",
	"part",    "deleted", "raw",   "rawgone", "quarantine", "logpart",
};

const char *kv_db_name(enum kv_db db) { return names[db]; }

static int error_of(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return ERR_NOT_FOUND;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
		return ERR_DISK_FULL;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_PANIC:
		return ERR_CORRUPT;
	case MDB_READERS_FULL:
	case EAGAIN:
		return ERR_BUSY;
	case MDB_VERSION_MISMATCH:
		return ERR_VERSION;
	case ENOMEM:
		return ERR_NOMEM;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_DENIED;
	default:
		return ERR_IO;
	}
}

static MDB_val val_of(struct span s) { return (MDB_val){ s.len, (void *)(uintptr_t)s.data }; }

static struct span span_of_val(MDB_val v) { return (struct span){ v.mv_data, v.mv_size }; }

static int open_dbs(struct kv *kv, bool read_only)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(kv->env, NULL, read_only ? MDB_RDONLY : 0, &txn);

	for (int i = 0; rc == 0 && i < KV_DBS; i++) {
		rc = mdb_dbi_open(txn, names[i], read_only ? 0 : MDB_CREATE, &kv->dbi[i]);
		if (rc != 0)
			mdb_txn_abort(txn);
	}
	return rc != 0 ? rc : mdb_txn_commit(txn);
}

/* A reader opens the data file before it waits for the lock file: by then another may have been put in its
 * place (kv_replace). */
static bool is_current(const struct kv *kv, const char *dir)
{
	struct stat opened, named;
	char path[PATH_BYTES];
	int fd;

	return snprintf(path, sizeof(path), "%s/data.mdb", dir) < (int)sizeof(path) &&
	       mdb_env_get_fd(kv->env, &fd) == 0 && fstat(fd, &opened) == 0 && stat(path, &named) == 0 &&
	       opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/* LMDB may fail to open while another process is opening or closing at that instant: try again. */
static int open_env(struct kv *kv, const char *dir, bool read_only, size_t map_max_bytes)
{
	int rc = EINVAL;

	for (int tries = 0; tries < 5; tries++) {
		rc = mdb_env_create(&kv->env);
		if (rc != 0)
			return rc;
		mdb_env_set_maxdbs(kv->env, KV_DBS);
		mdb_env_set_maxreaders(kv->env, READERS_MAX);
		if (!read_only)
			mdb_env_set_mapsize(kv->env, map_max_bytes);
		rc = mdb_env_open(kv->env, dir, MDB_NOTLS | (read_only ? MDB_RDONLY : 0), 0660);
		if (rc == 0 && is_current(kv, dir))
			return 0;
		mdb_env_close(kv->env);
		kv->env = NULL;
		rc = rc ? rc : EAGAIN;
		if (rc != EAGAIN && rc != EBUSY && rc != EINTR)
			break;
	}
	return rc;
}

struct names_check {
	const char *dir;
	struct fault *f;
};

static void tell_names(void *arg, const char *sentence)
{
	const struct names_check *n = arg;

	fault_set(n->f, ERR_CORRUPT, "data", "%s: the structure of data.mdb is damaged: %s; restore a backup",
		  n->dir, sentence);
}

/* Before any tree is opened, or made.  Beside a writer that is always faster it is let go. */
static int check_names(struct kv *kv, const char *dir, struct fault *f)
{
	struct names_check n = { dir, f };
	struct kv_txn *t;
	int err = ERR_BUSY;

	for (int tries = 0; tries < 20 && err == ERR_BUSY; tries++) {
		err = kv_begin(kv, false, &t);
		if (err < 0)
			return err;
		err = pages_check_names(kv, t, tell_names, &n);
		kv_abort(t);
	}
	return err > 0 ? ERR_CORRUPT : err == ERR_BUSY ? 0 : err;
}

int kv_open(const char *dir, bool read_only, size_t map_max_bytes, struct kv **ret, struct fault *f)
{
	struct kv *kv = calloc(1, sizeof(*kv));
	int rc, err;

	if (!kv)
		return ERR_NOMEM;
	rc = open_env(kv, dir, read_only, map_max_bytes);
	if (rc == 0)
		rc = mdb_env_get_fd(kv->env, &kv->fd);
	err = rc == 0 ? check_names(kv, dir, f) : 0;
	if (err < 0) {
		kv_close(kv);
		return fault_default(f, err);
	}
	if (rc == 0)
		rc = open_dbs(kv, read_only);
	if (rc == 0) {
		*ret = kv;
		return 0;
	}
	err = rc == MDB_NOTFOUND ? ERR_VERSION : error_of(rc);
	if (rc == MDB_NOTFOUND)
		fault_set(f, err, "data",
			  "%s was made by an older version of astraml; let `astraml serve` open it once",
			  dir);
	else if (err == ERR_DENIED)
		fault_set(f, err, "data",
			  "%s: %s; the directory and its lock.mdb must be writable, also for a reader", dir,
			  mdb_strerror(rc));
	else
		fault_set(f, err, "data", "%s: %s", dir, mdb_strerror(rc));
	kv_close(kv);
	return err;
}

void kv_close(struct kv *kv)
{
	if (!kv)
		return;
	if (kv->env)
		mdb_env_close(kv->env);
	free(kv);
}

int kv_begin(struct kv *kv, bool write, struct kv_txn **ret)
{
	struct kv_txn *t = malloc(sizeof(*t));
	int rc;

	if (!t)
		return ERR_NOMEM;
	t->kv = kv;
	rc = mdb_txn_begin(kv->env, NULL, write ? 0 : MDB_RDONLY, &t->txn);
	if (rc == MDB_MAP_RESIZED && mdb_env_set_mapsize(kv->env, 0) == 0)
		rc = mdb_txn_begin(kv->env, NULL, write ? 0 : MDB_RDONLY, &t->txn);
	if (rc != 0) {
		free(t);
		return error_of(rc);
	}
	*ret = t;
	return 0;
}

int kv_commit(struct kv_txn *t)
{
	int rc = mdb_txn_commit(t->txn);

	free(t);
	return error_of(rc);
}

void kv_abort(struct kv_txn *t)
{
	if (!t)
		return;
	mdb_txn_abort(t->txn);
	free(t);
}

int kv_get(struct kv_txn *t, enum kv_db db, struct span key, struct span *ret)
{
	MDB_val k = val_of(key), v;
	int rc = mdb_get(t->txn, t->kv->dbi[db], &k, &v);

	if (rc == 0)
		*ret = span_of_val(v);
	return error_of(rc);
}

int kv_reserve(struct kv_txn *t, enum kv_db db, struct span key, size_t len, bool append, uint8_t **ret)
{
	MDB_val k = val_of(key), v = { len, NULL };
	int rc = mdb_put(t->txn, t->kv->dbi[db], &k, &v, MDB_RESERVE | (append ? MDB_APPEND : 0));

	if (rc == 0)
		*ret = v.mv_data;
	return error_of(rc);
}

int kv_del(struct kv_txn *t, enum kv_db db, struct span key)
{
	MDB_val k = val_of(key);

	return error_of(mdb_del(t->txn, t->kv->dbi[db], &k, NULL));
}

/* A struct kv_cursor is an MDB_cursor under another name. */
static MDB_cursor *raw(struct kv_cursor *c) { return (MDB_cursor *)c; }

int kv_cursor_open(struct kv_txn *t, enum kv_db db, struct kv_cursor **ret)
{
	MDB_cursor *c;
	int rc = mdb_cursor_open(t->txn, t->kv->dbi[db], &c);

	if (rc == 0)
		*ret = (struct kv_cursor *)c;
	return error_of(rc);
}

void kv_cursor_close(struct kv_cursor *c)
{
	if (c)
		mdb_cursor_close(raw(c));
}

static int move(struct kv_cursor *c, MDB_val k, MDB_cursor_op op, struct span *ret_key,
		struct span *ret_value)
{
	MDB_val v;
	int rc = mdb_cursor_get(raw(c), &k, &v, op);

	if (rc == 0) {
		*ret_key = span_of_val(k);
		*ret_value = span_of_val(v);
	}
	return error_of(rc);
}

int kv_seek(struct kv_cursor *c, struct span key, struct span *ret_key, struct span *ret_value)
{
	return move(c, val_of(key), MDB_SET_RANGE, ret_key, ret_value);
}

int kv_next(struct kv_cursor *c, struct span *ret_key, struct span *ret_value)
{
	return move(c, (MDB_val){ 0 }, MDB_NEXT, ret_key, ret_value);
}

int kv_prev(struct kv_cursor *c, struct span *ret_key, struct span *ret_value)
{
	return move(c, (MDB_val){ 0 }, MDB_PREV, ret_key, ret_value);
}

int kv_first(struct kv_cursor *c, struct span *ret_key, struct span *ret_value)
{
	return move(c, (MDB_val){ 0 }, MDB_FIRST, ret_key, ret_value);
}

int kv_last(struct kv_cursor *c, struct span *ret_key, struct span *ret_value)
{
	return move(c, (MDB_val){ 0 }, MDB_LAST, ret_key, ret_value);
}

int kv_seek_before(struct kv_cursor *c, struct span key, struct span *ret_key, struct span *ret_value)
{
	int err = kv_seek(c, key, ret_key, ret_value);

	if (err == ERR_NOT_FOUND)
		return kv_last(c, ret_key, ret_value);
	return err < 0 ? err : kv_prev(c, ret_key, ret_value);
}

int kv_cursor_del(struct kv_cursor *c) { return error_of(mdb_cursor_del(raw(c), 0)); }

uint64_t kv_txn_id(struct kv_txn *t) { return mdb_txn_id(t->txn); }

uint64_t kv_entries(struct kv_txn *t, enum kv_db db)
{
	MDB_stat st;

	return mdb_stat(t->txn, t->kv->dbi[db], &st) == 0 ? st.ms_entries : 0;
}

static uint64_t pages_of(const MDB_stat *st)
{
	return st->ms_branch_pages + st->ms_leaf_pages + st->ms_overflow_pages;
}

/* Pages of all free lists: each value starts with its number of pages. */
static int count_free(struct kv_txn *t, uint64_t *ret)
{
	MDB_cursor *c;
	MDB_val k, v;
	uint64_t n = 0;
	int rc = mdb_cursor_open(t->txn, 0, &c);

	if (rc != 0)
		return error_of(rc);
	while ((rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) == 0) {
		size_t count;

		memcpy(&count, v.mv_data, sizeof(count));
		n += count;
	}
	mdb_cursor_close(c);
	*ret = n;
	return rc == MDB_NOTFOUND ? 0 : error_of(rc);
}

int kv_stat(struct kv_txn *t, struct kv_stat *ret)
{
	struct kv_stat s = { 0 };
	MDB_envinfo info;
	MDB_stat st;
	int err;

	for (int i = 0; i < KV_DBS; i++) {
		int rc = mdb_stat(t->txn, t->kv->dbi[i], &st);

		if (rc != 0)
			return error_of(rc);
		s.entries[i] = st.ms_entries;
		s.bytes[i] = pages_of(&st) * st.ms_psize;
		s.used_pages += pages_of(&st);
		s.page_bytes = st.ms_psize;
	}
	err = count_free(t, &s.free_pages);
	if (err < 0)
		return err;
	mdb_env_info(t->kv->env, &info);
	s.map_bytes = info.me_mapsize;
	*ret = s;
	return 0;
}

size_t kv_page_bytes(struct kv *kv)
{
	MDB_stat st;

	mdb_env_stat(kv->env, &st);
	return st.ms_psize;
}

int kv_read_file(struct kv *kv, uint64_t offset, uint8_t *ret, size_t len)
{
	return file_read(kv->fd, offset, ret, len);
}

bool kv_room(struct kv *kv, size_t least, size_t more)
{
	MDB_envinfo info;
	MDB_stat st;
	uint64_t end;

	mdb_env_info(kv->env, &info);
	mdb_env_stat(kv->env, &st);
	end = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
	if (kv->reserved_upto >= end + least)
		return true;
	if (end + least > info.me_mapsize)
		return false;
	if (fallocate(kv->fd, FALLOC_FL_KEEP_SIZE, (off_t)end, (off_t)more) != 0)
		return errno == EOPNOTSUPP; /* nothing can be reserved there; a commit will tell */
	kv->reserved_upto = end + more;
	return true;
}

int kv_copy(struct kv *kv, int fd) { return error_of(mdb_env_copyfd2(kv->env, fd, MDB_CP_COMPACT)); }

/* LMDB's sign that somebody has the environment open is a lock on the first byte of its lock file. */
static int lock_alone(const char *dir, int *ret_fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
	char path[PATH_BYTES];
	int fd;

	if (snprintf(path, sizeof(path), "%s/lock.mdb", dir) >= (int)sizeof(path))
		return ERR_TOO_LARGE;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return error_of(errno);
	if (fcntl(fd, F_OFD_SETLK, &l) != 0) {
		int err = errno == EAGAIN || errno == EACCES ? ERR_BUSY : ERR_IO;

		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int kv_replace(const char *dir, const char *by)
{
	char path[PATH_BYTES];
	int fd = -1, err = lock_alone(dir, &fd);

	if (err < 0)
		return err;
	if (snprintf(path, sizeof(path), "%s/data.mdb", dir) >= (int)sizeof(path))
		err = ERR_TOO_LARGE;
	else if (rename(by, path) != 0)
		err = error_of(errno);
	close(fd);
	return err;
}

int kv_reap_readers(struct kv *kv)
{
	int dead = 0;

	mdb_reader_check(kv->env, &dead);
	return dead;
}

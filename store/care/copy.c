#include "store/care/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/array.h"
#include "store/compact/quarantine.h"
#include "store/dir.h"
#include "store/part/parts.h"
#include "store/raw/rawmake.h"

#define TRIES 20 /* snapshots whose parts went away before they were copied */

static const char *const folders[] = { "hot", "parts", "tmp" };
#define FOLDERS (sizeof(folders) / sizeof(*folders))

int copy_trouble(struct copy *c, const char *what, const char *path)
{
	return fault_set(c->f, file_error(), "data", "cannot %s %s: %s", what, path, strerror(errno));
}

/* ---- aside ---- */

void copy_remove(const char *dir)
{
	static const char *const files[] = { "hot/data.mdb",    "hot/lock.mdb", "VERSION",        "BACKUP",
					     "BACKUP.tmp",      "SHA256SUMS",   "SHA256SUMS.tmp", "LOCK",
					     "owner.token.tmp", "archive" };
	char path[FILE_PATH_MAX];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (file_path(dir, files[i], path) == 0)
			unlink(path);
	parts_sweep(NULL, dir, NULL);
	for (size_t i = 0; i < FOLDERS; i++)
		if (file_path(dir, folders[i], path) == 0)
			rmdir(path);
	rmdir(dir);
}

static int make_folders(struct copy *c)
{
	char path[FILE_PATH_MAX];

	if (mkdir(c->made, 0755) != 0)
		return copy_trouble(c, "make", c->made);
	for (size_t i = 0; i < FOLDERS; i++)
		if (file_path(c->made, folders[i], path) < 0 || mkdir(path, 0755) != 0)
			return copy_trouble(c, "make the folders of", c->made);
	return 0;
}

int copy_begin(struct copy *c, const char *place, struct progress *progress, struct fault *f)
{
	size_t n = strlen(place);
	int err;

	*c = (struct copy){ .progress = progress, .f = f };
	while (n > 1 && place[n - 1] == '/')
		n--;
	if (n == 0 || n + sizeof(".new") > FILE_PATH_MAX)
		return fault_set(f, ERR_REFUSED, "data", "a path has 1 to %zu bytes",
				 FILE_PATH_MAX - sizeof(".new"));
	snprintf(c->place, sizeof(c->place), "%.*s", (int)n, place);
	snprintf(c->made, sizeof(c->made), "%.*s.new", (int)n, place);
	snprintf(c->old, sizeof(c->old), "%.*s.old", (int)n, place);
	copy_remove(c->made); /* of one that was broken off */
	err = make_folders(c);
	if (err < 0)
		copy_remove(c->made);
	return err;
}

/* ---- bytes ---- */

static int copy_bytes(struct copy *c, int from, int to)
{
	uint8_t room[65536];
	uint64_t done = 0;
	ssize_t n;
	int err = 0;

	while (err == 0 && (n = read(from, room, sizeof(room))) != 0) {
		err = n < 0 ? file_error() : file_write(to, span_of(room, (size_t)n));
		if (err == 0)
			progress_show(c->progress, done += (uint64_t)n);
	}
	if (err == 0 && fsync(to) != 0)
		err = file_error();
	if (err == 0) {
		progress_add(c->progress, done);
		c->written += done;
	}
	return err;
}

/* ERR_GONE: there is no such file to copy.  Other errors are told. */
static int copy_file(struct copy *c, const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out, err;

	if (in < 0)
		return errno == ENOENT ? ERR_GONE : copy_trouble(c, "read", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (out < 0) {
		err = copy_trouble(c, "create", to);
		close(in);
		return err;
	}
	if (copy_bytes(c, in, out) < 0)
		err = copy_trouble(c, "copy into", to);
	else
		err = 0;
	close(in);
	close(out);
	if (err < 0)
		unlink(to);
	return err;
}

static int copy_named(struct copy *c, const char *from, const char *name)
{
	char source[FILE_PATH_MAX], target[FILE_PATH_MAX];
	int err;

	if (file_path(from, name, source) < 0 || file_path(c->made, name, target) < 0)
		return fault_set(c->f, ERR_TOO_LARGE, "data", "the path of %s in %s is too long", name, from);
	err = copy_file(c, source, target);
	return err == ERR_GONE ? fault_set(c->f, ERR_NOT_FOUND, "data", "%s is not there", source) : err;
}

/* ---- of a store ---- */

static int copy_data(struct copy *c, struct kv *kv)
{
	char data[FILE_PATH_MAX];
	struct stat st;
	int fd, err;

	if (file_path(c->made, "hot/data.mdb", data) < 0)
		return ERR_TOO_LARGE;
	unlink(data); /* of the try before */
	fd = open(data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
	if (fd < 0)
		return copy_trouble(c, "create", data);
	errno = 0;
	err = kv_copy(kv, fd);
	if (err < 0)
		err = errno ? copy_trouble(c, "write", data)
			    : fault_set(c->f, err, "data",
					"the data file cannot be copied (%s); run astraml verify",
					err_name(err));
	else if (fsync(fd) != 0 || fstat(fd, &st) != 0)
		err = copy_trouble(c, "sync", data);
	close(fd);
	if (err == 0) {
		c->written += (uint64_t)st.st_size;
		progress_add(c->progress, (uint64_t)st.st_size);
	}
	return err;
}

/* A part of any kind, as a row of the copied snapshot names it. */
struct named {
	const struct part_row *part; /* or */
	const struct raw_row *raw;   /* or */
	const struct logpart_row *logs;
};

static uint64_t named_bytes(const struct named *n)
{
	return n->part ? n->part->summary.bytes : n->raw ? n->raw->summary.bytes : n->logs->summary.bytes;
}

static int named_path(const struct named *n, const char *dir, char *ret)
{
	if (n->logs)
		return parts_log_file(dir, &n->logs->id, ret);
	return n->part ? parts_file(dir, &n->part->id, ret) : raw_path(dir, &n->raw->id, ret);
}

/* Whether the file is the part that the row tells of; its blocks are read when the copy is verified. */
static bool named_fits(const struct named *n, const char *dir, const char *path)
{
	struct rawpart *raw;
	struct logpart *logs;
	struct part *part;
	bool fits = false;

	if (n->raw && raw_open(dir, n->raw, &raw) == 0) {
		rawpart_close(raw);
		return true;
	}
	if (n->part && part_open(path, &part) == 0) {
		fits = parts_fits(part, n->part);
		part_close(part);
	}
	if (n->logs && logpart_open(path, &logs) == 0) {
		fits = parts_log_fits(logs, n->logs);
		logpart_close(logs);
	}
	return fits;
}

/* One file of the earlier copy, or of the source, under a second name. */
static bool link_part(const struct named *n, const char *dir, const char *target)
{
	char path[FILE_PATH_MAX];

	return dir && named_path(n, dir, path) == 0 && named_fits(n, dir, path) && link(path, target) == 0;
}

/* A part of which the quarantine says that nothing is left. */
static bool is_lost(struct kv *kv, const struct part_row *row)
{
	struct quarantine q = { 0 };
	struct kv_txn *t;
	bool lost = false;

	if (kv_begin(kv, false, &t) < 0)
		return false;
	if (quarantine_read(t, row->id.pid, &q) == 0)
		lost = quarantine_knows(&q, row->id.number, QUARANTINE_WHOLE);
	quarantine_release(&q);
	kv_abort(t);
	return lost;
}

static int copy_part(struct copy *c, const struct named *n, const char *from, const char *earlier, bool link)
{
	char source[FILE_PATH_MAX], target[FILE_PATH_MAX];
	int err = named_path(n, from, source);

	if (err == 0)
		err = named_path(n, c->made, target);
	if (err < 0)
		return fault_set(c->f, err, "data", "the path of a part in %s is too long", from);
	c->parts++;
	if (access(target, F_OK) == 0)
		return 0; /* since the try before */
	if (link_part(n, earlier, target)) {
		c->parts_kept++;
	} else if (!link || !link_part(n, from, target)) {
		return copy_file(c, source, target);
	}
	progress_add(c->progress, named_bytes(n));
	return 0;
}

/* The parts that the copied snapshot names, and no others. */
static int copy_parts(struct copy *c, const char *from, const char *earlier, bool link)
{
	char path[FILE_PATH_MAX];
	struct logpart_rows logs = { 0 };
	struct raw_rows raw = { 0 };
	struct manifest m = { 0 };
	struct kv *kv;
	int err = file_path(c->made, "hot", path);

	if (err == 0)
		err = kv_open(path, true, 0, &kv, c->f);
	if (err < 0)
		return fault_default(c->f, err);
	c->parts = 0;
	err = parts_rows(kv, &m);
	if (err == 0)
		err = parts_raw_rows(kv, &raw);
	if (err == 0)
		err = logpart_rows_now(kv, 0, &logs);
	for (size_t i = 0; i < m.n && err == 0; i++) {
		err = copy_part(c, &(struct named){ .part = &m.rows[i] }, from, earlier, link);
		if (err == ERR_GONE && is_lost(kv, &m.rows[i]))
			err = 0;
	}
	for (size_t i = 0; i < raw.n && err == 0; i++)
		err = copy_part(c, &(struct named){ .raw = &raw.rows[i] }, from, earlier, link);
	for (size_t i = 0; i < logs.n && err == 0; i++)
		err = copy_part(c, &(struct named){ .logs = &logs.rows[i] }, from, earlier, link);
	if (err == 0)
		err = parts_sweep(kv, c->made, NULL);
	if (err == 0 && file_path(c->made, "parts", path) == 0)
		err = file_sync_path(path);
	manifest_release(&m);
	raw_rows_release(&raw);
	logpart_rows_release(&logs);
	kv_close(kv);
	return err == ERR_GONE ? err : fault_default(c->f, err);
}

int copy_store(struct copy *c, struct kv *kv, const char *from, const char *earlier, bool link)
{
	int err = copy_named(c, from, "VERSION"), tries = TRIES;

	do {
		if (err == 0)
			err = copy_data(c, kv);
		if (err == 0)
			err = copy_parts(c, from, earlier, link);
		if (err != ERR_GONE)
			return err;
		err = 0; /* a part was replaced: a new snapshot names its successor */
	} while (--tries > 0);
	return fault_set(c->f, ERR_CORRUPT, "data",
			 "a part that %s names is not in its parts/; run astraml verify", from);
}

/* ---- of a copy ---- */

int copy_files_of(struct copy *c, const char *from)
{
	struct copy_names n = { 0 };
	int err = copy_names(from, &n);

	for (size_t i = 0; i < n.n && err == 0; i++)
		err = copy_named(c, from, n.names[i]);
	copy_names_release(&n);
	return fault_default(c->f, err);
}

/* ---- in its place ---- */

void copy_sync_parent(const char *path)
{
	char parent[FILE_PATH_MAX];
	const char *slash = strrchr(path, '/');

	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	(void)file_sync_path(parent); /* a parent we may not read is not ours to sync */
}

/* At once where the file system can exchange two names; else there is a moment with PLACE.old alone. */
static int replace(struct copy *c)
{
	if (renameat2(AT_FDCWD, c->made, AT_FDCWD, c->place, RENAME_EXCHANGE) == 0) {
		copy_sync_parent(c->place);
		copy_remove(c->made);
		return 0;
	}
	copy_remove(c->old);
	if (rename(c->place, c->old) != 0)
		return copy_trouble(c, "rename", c->place);
	if (rename(c->made, c->place) != 0)
		return copy_trouble(c, "rename", c->made);
	copy_sync_parent(c->place);
	copy_remove(c->old);
	return 0;
}

int copy_take_place(struct copy *c)
{
	char path[FILE_PATH_MAX];
	int err = file_path(c->made, "parts", path);

	if (err == 0)
		err = file_sync_path(path);
	if (err == 0)
		err = dir_sync(c->made);
	if (err < 0)
		return copy_trouble(c, "sync", c->made);
	if (dir_is_backup(c->place))
		return replace(c);
	if (rename(c->made, c->place) != 0)
		return copy_trouble(c, "rename", c->made);
	copy_sync_parent(c->place);
	return 0;
}

/* ---- which files ---- */

static const char *const singles[] = { "BACKUP", "VERSION", "hot/data.mdb" };

static bool is_part(const char *name)
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-.";
	size_t n = strlen(name), end = sizeof(".part") - 1;

	return n > end && n < MANIFEST_FILE_MAX && name[0] != '.' && strspn(name, letters) == n &&
	       strcmp(name + n - end, ".part") == 0;
}

bool copy_name_known(const char *name)
{
	static const char parts[] = "parts/";

	for (size_t i = 0; i < sizeof(singles) / sizeof(*singles); i++)
		if (strcmp(name, singles[i]) == 0)
			return true;
	return strcmp(name, "SHA256SUMS") == 0 ||
	       (strncmp(name, parts, sizeof(parts) - 1) == 0 && is_part(name + sizeof(parts) - 1));
}

static int add_name(struct copy_names *n, const char *folder, const char *name)
{
	if (array_grow(n->names, n->n, n->cap) < 0)
		return ERR_NOMEM;
	snprintf(n->names[n->n++], COPY_NAME_MAX, "%s%s", folder, name);
	return 0;
}

static int compare_names(const void *a, const void *b) { return strcmp(a, b); }

static int add_parts(struct copy_names *n, const char *dir)
{
	char path[FILE_PATH_MAX];
	size_t first = n->n;
	struct dirent *e;
	int err = file_path(dir, "parts", path);
	DIR *d = err < 0 ? NULL : opendir(path);

	if (!d)
		return err < 0 ? err : errno == ENOENT ? 0 : file_error(); /* format 1.0 had no parts */
	while (err == 0 && (e = readdir(d)))
		if (is_part(e->d_name))
			err = add_name(n, "parts/", e->d_name);
	closedir(d);
	qsort(n->names[first], n->n - first, sizeof(*n->names), compare_names);
	return err;
}

int copy_names(const char *dir, struct copy_names *ret)
{
	char path[FILE_PATH_MAX];
	int err = 0;

	for (size_t i = 0; i < sizeof(singles) / sizeof(*singles) && err == 0; i++) {
		err = file_path(dir, singles[i], path);
		if (err == 0 && access(path, F_OK) == 0)
			err = add_name(ret, "", singles[i]);
	}
	return err < 0 ? err : add_parts(ret, dir);
}

void copy_names_release(struct copy_names *n)
{
	free(n->names);
	*n = (struct copy_names){ 0 };
}

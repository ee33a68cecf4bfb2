#include "store/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/file.h"

#define OPEN_MAX 64

struct handle {
	struct part *part; /* NULL: free */
	uint64_t number, used;
	unsigned held;
};

struct parts {
	const char *dir;
	pthread_mutex_t lock;
	uint64_t clock; /* counts uses */
	struct handle handles[OPEN_MAX];
};

int parts_new(const char *dir, struct parts **ret)
{
	struct parts *p = calloc(1, sizeof(*p));

	if (!p)
		return ERR_NOMEM;
	p->dir = dir;
	pthread_mutex_init(&p->lock, NULL);
	*ret = p;
	return 0;
}

void parts_free(struct parts *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < OPEN_MAX; i++)
		part_close(p->handles[i].part);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static int path_in(const char *dir, const struct part_id *id, char *ret)
{
	char name[MANIFEST_FILE_MAX + sizeof("parts/")] = "parts/";

	manifest_file(id, name + strlen(name));
	return file_path(dir, name, ret);
}

int parts_path(const struct parts *p, const struct part_id *id, char *ret)
{
	return path_in(p->dir, id, ret);
}

static int open_row(struct parts *p, const struct part_row *row, struct part **ret)
{
	char path[FILE_PATH_MAX];
	struct part_id id;
	struct part *part;
	int err = parts_path(p, &row->id, path);

	if (err == 0)
		err = part_open(path, &part);
	if (err < 0)
		return err;
	id = part_id(part);
	if (id.number != row->id.number || id.pid != row->id.pid || id.tier_ns != row->id.tier_ns ||
	    id.from_ns != row->id.from_ns || id.to_ns != row->id.to_ns ||
	    part_summary(part).crc != row->summary.crc || part_summary(part).bytes != row->summary.bytes) {
		part_close(part);
		return ERR_CORRUPT;
	}
	*ret = part;
	return 0;
}

static struct handle *find(struct parts *p, uint64_t number)
{
	for (size_t i = 0; i < OPEN_MAX; i++)
		if (p->handles[i].part && p->handles[i].number == number)
			return &p->handles[i];
	return NULL;
}

/* A free handle, or the one that nobody holds and was used longest ago; NULL: all are held. */
static struct handle *oldest(struct parts *p)
{
	struct handle *best = NULL;

	for (size_t i = 0; i < OPEN_MAX; i++) {
		struct handle *h = &p->handles[i];

		if (!h->held && (!best || !h->part || (best->part && h->used < best->used)))
			best = h;
	}
	return best;
}

static struct part *hold(struct parts *p, struct handle *h)
{
	h->held++;
	h->used = ++p->clock;
	return h->part;
}

/* Keeps a part just opened, when there is room; another thread may have been faster. */
static struct part *keep(struct parts *p, struct part *part, uint64_t number)
{
	struct handle *h = find(p, number);

	if (h) {
		part_close(part);
		return hold(p, h);
	}
	h = oldest(p);
	if (!h)
		return part; /* parts_put closes it */
	part_close(h->part);
	*h = (struct handle){ .part = part, .number = number };
	return hold(p, h);
}

int parts_get(struct parts *p, const struct part_row *row, struct part **ret)
{
	struct handle *h;
	struct part *part;
	int err;

	pthread_mutex_lock(&p->lock);
	h = find(p, row->id.number);
	part = h ? hold(p, h) : NULL;
	pthread_mutex_unlock(&p->lock);
	if (!part) {
		err = open_row(p, row, &part);
		if (err < 0)
			return err;
		pthread_mutex_lock(&p->lock);
		part = keep(p, part, row->id.number);
		pthread_mutex_unlock(&p->lock);
	}
	*ret = part;
	return 0;
}

void parts_put(struct parts *p, struct part *part)
{
	bool kept = false;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < OPEN_MAX && !kept; i++)
		if (p->handles[i].part == part) {
			p->handles[i].held--;
			kept = true;
		}
	pthread_mutex_unlock(&p->lock);
	if (!kept)
		part_close(part);
}

/* ---- files ---- */

static int copy_bytes(int from, int to)
{
	uint8_t room[65536];
	ssize_t n;
	int err = 0;

	while (err == 0 && (n = read(from, room, sizeof(room))) != 0)
		err = n < 0 ? file_error() : file_write(to, span_of(room, (size_t)n));
	return err == 0 && fsync(to) != 0 ? ERR_IO : err;
}

static int copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out, err;

	if (in < 0)
		return errno == ENOENT ? ERR_GONE : file_error();
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (out < 0) {
		err = errno == EEXIST ? 0 : file_error();
		close(in);
		return err;
	}
	err = copy_bytes(in, out);
	close(in);
	close(out);
	if (err < 0)
		unlink(to);
	return err;
}

static int copy_rows(const struct manifest *m, const char *from, const char *to)
{
	char source[FILE_PATH_MAX], target[FILE_PATH_MAX];
	int err = 0;

	for (size_t i = 0; i < m->n && err == 0; i++) {
		err = path_in(from, &m->rows[i].id, source);
		if (err == 0)
			err = path_in(to, &m->rows[i].id, target);
		if (err == 0)
			err = copy_file(source, target);
	}
	if (err == 0)
		err = file_path(to, "parts", target);
	return err < 0 ? err : file_sync_path(target);
}

static int rows_of(struct kv *kv, struct manifest *ret)
{
	struct kv_txn *t;
	int err = kv_begin(kv, false, &t);

	if (err < 0)
		return err;
	err = manifest_read_all(t, ret);
	if (err == 0)
		manifest_detach(ret);
	kv_abort(t);
	return err;
}

int parts_copy(struct kv *kv, const char *from, const char *to)
{
	struct manifest m = { 0 };
	int err = rows_of(kv, &m);

	if (err == 0)
		err = copy_rows(&m, from, to);
	manifest_release(&m);
	return err;
}

static bool is_named(const struct manifest *m, const char *name)
{
	char file[MANIFEST_FILE_MAX];

	for (size_t i = 0; i < m->n; i++) {
		manifest_file(&m->rows[i].id, file);
		if (strcmp(file, name) == 0)
			return true;
	}
	return false;
}

static int sweep_directory(const char *in, const char *name, const struct manifest *keep)
{
	char dir[FILE_PATH_MAX], path[FILE_PATH_MAX];
	struct dirent *e;
	int err = file_path(in, name, dir);
	DIR *d = err < 0 ? NULL : opendir(dir);

	if (!d)
		return err < 0 ? err : file_error();
	while (err == 0 && (e = readdir(d))) {
		if (e->d_name[0] == '.' || is_named(keep, e->d_name))
			continue;
		err = file_path(dir, e->d_name, path);
		if (err == 0 && unlink(path) != 0 && errno != ENOENT)
			err = file_error();
	}
	closedir(d);
	return err;
}

int parts_sweep(struct kv *kv, const char *dir)
{
	struct manifest m = { 0 }, none = { 0 };
	int err = kv ? rows_of(kv, &m) : 0;

	if (err == 0)
		err = sweep_directory(dir, "parts", &m);
	if (err == 0)
		err = sweep_directory(dir, "tmp", &none);
	manifest_release(&m);
	return err;
}

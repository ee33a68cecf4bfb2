#include "store/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/file.h"
#include "store/rawmake.h"

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

int parts_file(const char *dir, const struct part_id *id, char *ret)
{
	char name[MANIFEST_FILE_MAX + sizeof("parts/")] = "parts/";

	manifest_file(id, name + strlen(name));
	return file_path(dir, name, ret);
}

int parts_path(const struct parts *p, const struct part_id *id, char *ret)
{
	return parts_file(p->dir, id, ret);
}

bool parts_fits(const struct part *part, const struct part_row *row)
{
	struct part_id id = part_id(part);
	struct part_summary summary = part_summary(part);

	return id.number == row->id.number && id.pid == row->id.pid && id.tier_ns == row->id.tier_ns &&
	       id.from_ns == row->id.from_ns && id.to_ns == row->id.to_ns &&
	       summary.crc == row->summary.crc && summary.bytes == row->summary.bytes;
}

static int open_row(struct parts *p, const struct part_row *row, struct part **ret)
{
	char path[FILE_PATH_MAX];
	struct part *part;
	int err = parts_path(p, &row->id, path);

	if (err == 0)
		err = part_open(path, &part);
	if (err < 0)
		return err;
	if (!parts_fits(part, row)) {
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

int parts_rows(struct kv *kv, struct manifest *ret)
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

int parts_raw_rows(struct kv *kv, struct raw_rows *ret)
{
	struct kv_txn *t;
	int err = kv_begin(kv, false, &t);

	if (err < 0)
		return err;
	err = raw_rows_read(t, 0, ret);
	for (size_t i = 0; err == 0 && i < ret->n; i++)
		ret->rows[i].runs = span_of(NULL, 0); /* the transaction ends */
	kv_abort(t);
	return err;
}

/* What is to stay in a folder. */
struct named {
	struct manifest metrics;
	struct raw_rows raw;
};

static bool is_named(const struct named *n, const char *name)
{
	char file[MANIFEST_FILE_MAX];

	for (size_t i = 0; i < n->metrics.n; i++) {
		manifest_file(&n->metrics.rows[i].id, file);
		if (strcmp(file, name) == 0)
			return true;
	}
	for (size_t i = 0; i < n->raw.n; i++) {
		raw_file(&n->raw.rows[i].id, file);
		if (strcmp(file, name) == 0)
			return true;
	}
	return false;
}

static int sweep_directory(const char *in, const char *name, const struct named *keep, uint64_t *n)
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
		if (err == 0 && unlink(path) == 0)
			++*n;
		else if (err == 0 && errno != ENOENT)
			err = file_error();
	}
	closedir(d);
	return err;
}

int parts_sweep(struct kv *kv, const char *dir, uint64_t *ret_n)
{
	struct named named = { 0 }, none = { 0 };
	uint64_t n = 0;
	int err = kv ? parts_rows(kv, &named.metrics) : 0;

	if (err == 0 && kv)
		err = parts_raw_rows(kv, &named.raw);
	if (err == 0)
		err = sweep_directory(dir, "parts", &named, &n);
	if (err == 0)
		err = sweep_directory(dir, "tmp", &none, &n);
	manifest_release(&named.metrics);
	raw_rows_release(&named.raw);
	if (ret_n)
		*ret_n = n;
	return err;
}

#include "store/part/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/file.h"
#include "store/raw/rawmake.h"

#define OPEN_MAX 128 /* a search may hold LOGPINS_MAX of them */

struct handle {
	void *file;          /* NULL: free */
	enum part_kind kind; /* what it is: struct part, struct logpart */
	uint64_t number, used;
	unsigned held;
	bool gone; /* it is closed as soon as nobody holds it */
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

static void close_file(enum part_kind kind, void *file)
{
	if (kind == PART_LOGS)
		logpart_close(file);
	else
		part_close(file);
}

void parts_free(struct parts *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < OPEN_MAX; i++)
		close_file(p->handles[i].kind, p->handles[i].file);
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

int parts_log_file(const char *dir, const struct logpart_id *id, char *ret)
{
	char name[LOGPART_FILE_MAX + sizeof("parts/")] = "parts/";

	logpart_file(id, name + strlen(name));
	return file_path(dir, name, ret);
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

bool parts_log_fits(const struct logpart *part, const struct logpart_row *row)
{
	struct logpart_id id = logpart_id(part);
	struct logpart_summary sum = logpart_summary(part);

	return id.pid == row->id.pid && id.first == row->id.first && id.upto == row->id.upto &&
	       id.number == row->id.number && sum.crc == row->summary.crc && sum.bytes == row->summary.bytes;
}

static int open_log_row(struct parts *p, const struct logpart_row *row, struct logpart **ret)
{
	char path[FILE_PATH_MAX];
	struct logpart *part;
	int err = parts_log_file(p->dir, &row->id, path);

	if (err == 0)
		err = logpart_open(path, &part);
	if (err < 0)
		return err;
	if (!parts_log_fits(part, row)) {
		logpart_close(part);
		return ERR_CORRUPT;
	}
	*ret = part;
	return 0;
}

/* ---- handles ---- */

static struct handle *find(struct parts *p, enum part_kind kind, uint64_t number)
{
	for (size_t i = 0; i < OPEN_MAX; i++) {
		struct handle *h = &p->handles[i];

		if (h->file && h->kind == kind && h->number == number && !h->gone)
			return h;
	}
	return NULL;
}

/* A free handle, or the one that nobody holds and was used longest ago; NULL: all are held. */
static struct handle *oldest(struct parts *p)
{
	struct handle *best = NULL;

	for (size_t i = 0; i < OPEN_MAX; i++) {
		struct handle *h = &p->handles[i];

		if (!h->held && (!best || !h->file || (best->file && h->used < best->used)))
			best = h;
	}
	return best;
}

static void *hold(struct parts *p, struct handle *h)
{
	h->held++;
	h->used = ++p->clock;
	return h->file;
}

/* NULL: it is not open. */
static void *get_open(struct parts *p, enum part_kind kind, uint64_t number)
{
	struct handle *h;
	void *file;

	pthread_mutex_lock(&p->lock);
	h = find(p, kind, number);
	file = h ? hold(p, h) : NULL;
	pthread_mutex_unlock(&p->lock);
	return file;
}

/* Keeps a file just opened, when there is room; another thread may have been faster. */
static void *keep(struct parts *p, enum part_kind kind, uint64_t number, void *file)
{
	struct handle *h;
	void *kept = file;

	pthread_mutex_lock(&p->lock);
	h = find(p, kind, number);
	if (h) {
		close_file(kind, file);
		kept = hold(p, h);
	} else if ((h = oldest(p))) { /* else put_back closes it */
		close_file(h->kind, h->file);
		*h = (struct handle){ .file = file, .kind = kind, .number = number };
		hold(p, h);
	}
	pthread_mutex_unlock(&p->lock);
	return kept;
}

static void put_back(struct parts *p, enum part_kind kind, void *file)
{
	bool kept = false;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < OPEN_MAX && !kept; i++) {
		struct handle *h = &p->handles[i];

		if (h->file != file)
			continue;
		kept = --h->held > 0 || !h->gone;
		if (!kept)
			*h = (struct handle){ 0 };
		break;
	}
	pthread_mutex_unlock(&p->lock);
	if (!kept)
		close_file(kind, file);
}

int parts_get(struct parts *p, const struct part_row *row, struct part **ret)
{
	struct part *part = get_open(p, PART_METRICS, row->id.number);
	int err = 0;

	if (!part) {
		err = open_row(p, row, &part);
		if (err == 0)
			part = keep(p, PART_METRICS, row->id.number, part);
	}
	if (err == 0)
		*ret = part;
	return err;
}

void parts_put(struct parts *p, struct part *part) { put_back(p, PART_METRICS, part); }

int parts_get_log(struct parts *p, const struct logpart_row *row, struct logpart **ret)
{
	struct logpart *part = get_open(p, PART_LOGS, row->id.number);
	int err = 0;

	if (!part) {
		err = open_log_row(p, row, &part);
		if (err == 0)
			part = keep(p, PART_LOGS, row->id.number, part);
	}
	if (err == 0)
		*ret = part;
	return err;
}

void parts_put_log(struct parts *p, struct logpart *part) { put_back(p, PART_LOGS, part); }

/* Closed as soon as nobody has it. */
static void close_gone(struct parts *p, enum part_kind kind, uint64_t number)
{
	void *file = NULL;
	struct handle *h;

	pthread_mutex_lock(&p->lock);
	h = find(p, kind, number);
	if (h && h->held) {
		h->gone = true;
	} else if (h) {
		file = h->file;
		*h = (struct handle){ 0 };
	}
	pthread_mutex_unlock(&p->lock);
	close_file(kind, file);
}

void parts_remove(struct parts *p, const struct part_id *id)
{
	char path[FILE_PATH_MAX];

	if (parts_path(p, id, path) == 0)
		unlink(path);
	close_gone(p, PART_METRICS, id->number);
}

void parts_remove_log(struct parts *p, const struct logpart_id *id)
{
	char path[FILE_PATH_MAX];

	if (parts_log_file(p->dir, id, path) == 0)
		unlink(path);
	close_gone(p, PART_LOGS, id->number);
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
	struct logpart_rows logs;
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
	for (size_t i = 0; i < n->logs.n; i++) {
		logpart_file(&n->logs.rows[i].id, file);
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
	if (err == 0 && kv)
		err = logpart_rows_now(kv, 0, &named.logs);
	if (err == 0)
		err = sweep_directory(dir, "parts", &named, &n);
	if (err == 0)
		err = sweep_directory(dir, "tmp", &none, &n);
	manifest_release(&named.metrics);
	raw_rows_release(&named.raw);
	logpart_rows_release(&named.logs);
	if (ret_n)
		*ret_n = n;
	return err;
}

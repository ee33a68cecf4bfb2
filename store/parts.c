#include "store/parts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

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

int parts_path(const struct parts *p, const struct part_id *id, char *ret)
{
	char name[MANIFEST_FILE_MAX + sizeof("parts/")] = "parts/";

	manifest_file(id, name + strlen(name));
	return file_path(p->dir, name, ret);
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
	if (id.number != row->id.number || id.from_ns != row->id.from_ns || id.to_ns != row->id.to_ns ||
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

#include "ingest/import/file_list.h"

#include <errno.h>
#include <fts.h>
#include <sodium/crypto_generichash.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/base/array.h"

#define HASH_BYTES   16 /* the least that BLAKE2b of libsodium gives; 4 of them are used */
#define KEPT_OF_LONG (ID_MAX - 9)

/* Length of the name without one known extension; the same when it has none. */
static size_t without_extension(const char *name, size_t len)
{
	static const char *const known[] = { ".gz",    ".zst", ".zstd", ".txt",  ".log",   ".out",
					     ".mllog", ".csv", ".tsv",  ".json", ".jsonl", ".ndjson" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t n = strlen(known[i]);

		if (len > n && memcmp(name + len - n, known[i], n) == 0)
			return len - n;
	}
	return len;
}

static bool is_id_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
	       c == '_' || c == '-';
}

static bool is_dots(const char *id) { return strcmp(id, ".") == 0 || strcmp(id, "..") == 0; }

bool run_id_ok(const char *id)
{
	size_t len = strlen(id);

	for (size_t i = 0; i < len; i++)
		if (!is_id_char(id[i]))
			return false;
	return len >= 1 && len <= ID_MAX && !is_dots(id);
}

void run_id_of_name(const char *name, char ret[ID_MAX + 1])
{
	size_t len = strlen(name), shorter, kept;
	uint8_t hash[HASH_BYTES];

	while ((shorter = without_extension(name, len)) < len)
		len = shorter;
	kept = len > ID_MAX ? KEPT_OF_LONG : len;
	for (size_t i = 0; i < kept; i++)
		ret[i] = is_id_char(name[i]) ? name[i] : '-';
	ret[kept] = 0;
	if (is_dots(ret)) /* a URL would lose them */
		memset(ret, '-', kept);
	if (kept == len)
		return;
	crypto_generichash(hash, sizeof(hash), (const uint8_t *)name, len, NULL, 0);
	snprintf(ret + kept, ID_MAX + 1 - kept, "-%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
}

static struct import_item *add_item(struct file_list *l, const char *name)
{
	struct import_item *p;

	if (array_grow(l->items, l->n, l->cap) < 0)
		return NULL;
	p = &l->items[l->n];
	*p = (struct import_item){ .name = strdup(name) };
	if (!p->name)
		return NULL;
	run_id_of_name(name, p->run);
	l->n++;
	return p;
}

static int add_path(struct import_item *item, const char *path, const struct stat *st)
{
	char **paths = reallocarray(item->paths, item->n_paths + 1, sizeof(*paths));
	uint64_t *sizes;
	int64_t mtime_ns = st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec;

	if (!paths)
		return ERR_NOMEM;
	item->paths = paths;
	sizes = reallocarray(item->sizes, item->n_paths + 1, sizeof(*sizes));
	if (!sizes)
		return ERR_NOMEM;
	item->sizes = sizes;
	paths[item->n_paths] = strdup(path);
	if (!paths[item->n_paths])
		return ERR_NOMEM;
	sizes[item->n_paths++] = (uint64_t)st->st_size;
	item->bytes += (uint64_t)st->st_size;
	if (mtime_ns > item->mtime_ns)
		item->mtime_ns = mtime_ns;
	return 0;
}

/* The last part of a path that names something: of ".", too. */
static char *last_part(const char *path)
{
	char *real = realpath(path, NULL), *slash, *name;

	if (!real)
		return strdup(path);
	slash = strrchr(real, '/');
	name = strdup(slash && slash[1] ? slash + 1 : real);
	free(real);
	return name;
}

/* One directory that was named, or a file. */
struct tree {
	struct file_list *list;
	const struct import_format *format;
	const char *root;
	size_t before; /* items of the list that are not of this tree */
};

/* The directory an entry lies in, as the name of a run: its path below the root, or the root's own. */
static char *directory_name(const struct tree *t, const FTSENT *e)
{
	size_t root = strlen(t->root);
	const char *below = e->fts_path + root;
	size_t len = e->fts_pathlen - root - e->fts_namelen;

	if (e->fts_level == 1)
		return last_part(t->root);
	while (len > 0 && below[0] == '/') {
		below++;
		len--;
	}
	return strndup(below, len > 0 ? len - 1 : 0);
}

static char *file_name(const struct tree *t, const FTSENT *e)
{
	const char *below = e->fts_path + strlen(t->root), *slash = strrchr(e->fts_path, '/');

	if (e->fts_level == 0)
		return strdup(slash ? slash + 1 : e->fts_path);
	return strdup(below + strspn(below, "/"));
}

/* Files of one directory come one after another (by_name). */
static int add_file(const struct tree *t, const FTSENT *e)
{
	bool joins = t->format->run_is_directory && e->fts_level > 0;
	struct file_list *l = t->list;
	struct import_item *item = NULL;
	char *name;

	if (e->fts_level > 0 && t->format->takes && !t->format->takes(e->fts_name))
		return 0;
	name = joins ? directory_name(t, e) : file_name(t, e);
	if (!name)
		return ERR_NOMEM;
	if (joins && l->n > t->before && strcmp(l->items[l->n - 1].name, name) == 0)
		item = &l->items[l->n - 1];
	else
		item = add_item(l, name);
	free(name);
	return item ? add_path(item, e->fts_path, e->fts_statp) : ERR_NOMEM;
}

static int entry_error(const FTSENT *e, struct fault *f)
{
	int err = e->fts_errno == ENOENT ? ERR_NOT_FOUND : e->fts_errno == EACCES ? ERR_DENIED : ERR_IO;

	return fault_set(f, err, "file", "%.300s cannot be read: %s", e->fts_path, strerror(e->fts_errno));
}

static int add_entry(const struct tree *t, FTS *fts, FTSENT *e, struct fault *f)
{
	if (e->fts_level > 0 && e->fts_name[0] == '.') {
		fts_set(fts, e, FTS_SKIP);
		return 0;
	}
	switch (e->fts_info) {
	case FTS_NS:
	case FTS_DNR:
	case FTS_ERR:
	case FTS_SLNONE:
		return entry_error(e, f);
	case FTS_F:
		return fault_default(f, add_file(t, e));
	case FTS_DEFAULT: /* a pipe or device: refused when opened if it was named, else left out */
		return e->fts_level > 0 ? 0 : fault_default(f, add_file(t, e));
	default:
		return 0;
	}
}

/* Files before directories. */
static int by_name(const FTSENT **a, const FTSENT **b)
{
	int a_is_dir = (*a)->fts_info == FTS_D, b_is_dir = (*b)->fts_info == FTS_D;

	return a_is_dir != b_is_dir ? a_is_dir - b_is_dir : strcmp((*a)->fts_name, (*b)->fts_name);
}

int file_list_add(struct file_list *l, const char *path, const struct import_format *format, struct fault *f)
{
	struct tree t = { .list = l, .format = format, .root = path, .before = l->n };
	char *const paths[] = { (char *)path, NULL };
	FTS *fts = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	FTSENT *e;
	int err = 0;

	if (!fts)
		return fault_set(f, ERR_IO, "file", "%.300s cannot be read: %s", path, strerror(errno));
	while (err == 0 && (e = fts_read(fts)))
		err = add_entry(&t, fts, e, f);
	fts_close(fts);
	return err;
}

static int by_run(const void *a, const void *b)
{
	return strcmp((*(const struct import_item *const *)a)->run,
		      (*(const struct import_item *const *)b)->run);
}

int file_list_check(const struct file_list *l, struct fault *f)
{
	const struct import_item **sorted = calloc(l->n + 1, sizeof(*sorted));
	int err = 0;

	if (!sorted)
		return fault_default(f, ERR_NOMEM);
	for (size_t i = 0; i < l->n; i++)
		sorted[i] = &l->items[i];
	qsort(sorted, l->n, sizeof(*sorted), by_run);
	for (size_t i = 1; i < l->n && err == 0; i++)
		if (by_run(&sorted[i - 1], &sorted[i]) == 0)
			err = fault_set(f, ERR_REFUSED, "file",
					"%.120s and %.120s would both become run %s: import one of them "
					"by itself with --run",
					sorted[i - 1]->paths[0], sorted[i]->paths[0], sorted[i]->run);
	free(sorted);
	return err;
}

void file_list_release(struct file_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct import_item *item = &l->items[i];

		for (size_t j = 0; j < item->n_paths; j++)
			free(item->paths[j]);
		free(item->paths);
		free(item->sizes);
		free(item->name);
	}
	free(l->items);
	*l = (struct file_list){ 0 };
}

#include "ingest/import/file_list.h"

#include <errno.h>
#include <fts.h>
#include <sodium/crypto_generichash.h>
#include <stdio.h>
#include <stdlib.h>

#define HASH_BYTES   16 /* the least that BLAKE2b of libsodium gives; 4 of them are used */
#define KEPT_OF_LONG (ID_MAX - 9)

/* Length of the name without one known extension; the same when it has none. */
static size_t without_extension(const char *name, size_t len)
{
	static const char *const known[] = { ".gz", ".zst", ".zstd", ".txt", ".log", ".out", ".mllog" };

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

static int add_file(struct file_list *l, const char *path)
{
	struct import_file file = { .path = strdup(path) };
	const char *slash;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct import_file *p = reallocarray(l->files, cap, sizeof(*p));

		if (p) {
			l->files = p;
			l->cap = cap;
		}
	}
	if (!file.path || l->n == l->cap) {
		free(file.path);
		return ERR_NOMEM;
	}
	slash = strrchr(file.path, '/');
	file.name = slash ? slash + 1 : file.path;
	run_id_of_name(file.name, file.run);
	l->files[l->n++] = file;
	return 0;
}

static int entry_error(const FTSENT *e, struct fault *f)
{
	int err = e->fts_errno == ENOENT ? ERR_NOT_FOUND : e->fts_errno == EACCES ? ERR_DENIED : ERR_IO;

	return fault_set(f, err, "file", "%.300s cannot be read: %s", e->fts_path, strerror(e->fts_errno));
}

static int add_entry(struct file_list *l, FTS *tree, FTSENT *e, struct fault *f)
{
	if (e->fts_level > 0 && e->fts_name[0] == '.') {
		fts_set(tree, e, FTS_SKIP);
		return 0;
	}
	switch (e->fts_info) {
	case FTS_NS:
	case FTS_DNR:
	case FTS_ERR:
	case FTS_SLNONE:
		return entry_error(e, f);
	case FTS_F:
		return fault_default(f, add_file(l, e->fts_path));
	case FTS_DEFAULT: /* a pipe or device: refused when opened if it was named, else left out */
		return e->fts_level > 0 ? 0 : fault_default(f, add_file(l, e->fts_path));
	default:
		return 0;
	}
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

int file_list_add(struct file_list *l, const char *path, struct fault *f)
{
	char *const paths[] = { (char *)path, NULL };
	FTS *tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	FTSENT *e;
	int err = 0;

	if (!tree)
		return fault_set(f, ERR_IO, "file", "%.300s cannot be read: %s", path, strerror(errno));
	while (err == 0 && (e = fts_read(tree)))
		err = add_entry(l, tree, e, f);
	fts_close(tree);
	return err;
}

static int by_run(const void *a, const void *b)
{
	return strcmp((*(const struct import_file *const *)a)->run,
		      (*(const struct import_file *const *)b)->run);
}

int file_list_check(const struct file_list *l, struct fault *f)
{
	const struct import_file **sorted = calloc(l->n + 1, sizeof(*sorted));
	int err = 0;

	if (!sorted)
		return fault_default(f, ERR_NOMEM);
	for (size_t i = 0; i < l->n; i++)
		sorted[i] = &l->files[i];
	qsort(sorted, l->n, sizeof(*sorted), by_run);
	for (size_t i = 1; i < l->n && err == 0; i++)
		if (by_run(&sorted[i - 1], &sorted[i]) == 0)
			err = fault_set(f, ERR_REFUSED, "file",
					"%.120s and %.120s would both become run %s: import one of them "
					"by itself with --run",
					sorted[i - 1]->path, sorted[i]->path, sorted[i]->run);
	free(sorted);
	return err;
}

void file_list_release(struct file_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->files[i].path);
	free(l->files);
	*l = (struct file_list){ 0 };
}

#include "store/care/tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES 65536
#define LAST        "SHA256SUMS"

static bool ends_in(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n > m && strcmp(path + n - m, end) == 0;
}

bool tarball_named(const char *path) { return ends_in(path, ".tar") || ends_in(path, ".tar.zst"); }

/* ---- writing ---- */

struct packing {
	struct copy *copy;
	struct archive *archive;
	struct archive_entry *entry;
	const char *path;
};

static int write_trouble(struct packing *p)
{
	errno = archive_errno(p->archive);
	return copy_trouble(p->copy, "write", p->path);
}

static int write_bytes(struct packing *p, int fd)
{
	uint8_t room[PIECE_BYTES];
	uint64_t done = 0;
	ssize_t n;

	while ((n = read(fd, room, sizeof(room))) > 0) {
		if (archive_write_data(p->archive, room, (size_t)n) != n)
			return write_trouble(p);
		progress_show(p->copy->progress, done += (uint64_t)n);
	}
	progress_add(p->copy->progress, done);
	return n < 0 ? copy_trouble(p->copy, "read a file of", p->copy->made) : 0;
}

static int write_member(struct packing *p, const char *name)
{
	char path[FILE_PATH_MAX];
	struct stat st;
	int err = file_path(p->copy->made, name, path), fd;

	if (err < 0)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		err = copy_trouble(p->copy, "read", path);
		if (fd >= 0)
			close(fd);
		return err;
	}
	archive_entry_clear(p->entry);
	archive_entry_set_pathname(p->entry, name);
	archive_entry_set_filetype(p->entry, AE_IFREG);
	archive_entry_set_perm(p->entry, 0640);
	archive_entry_set_size(p->entry, st.st_size);
	archive_entry_set_mtime(p->entry, st.st_mtime, 0);
	err =
	    archive_write_header(p->archive, p->entry) == ARCHIVE_OK ? write_bytes(p, fd) : write_trouble(p);
	close(fd);
	return err;
}

static int write_members(struct packing *p)
{
	struct copy_names n = { 0 };
	int err = copy_names(p->copy->made, &n);

	for (size_t i = 0; i < n.n && err == 0; i++)
		err = write_member(p, n.names[i]);
	copy_names_release(&n);
	if (err == 0)
		err = write_member(p, LAST);
	if (err == 0 && archive_write_close(p->archive) != ARCHIVE_OK)
		err = write_trouble(p);
	return err;
}

static int pack_into(struct copy *c, const char *path, int fd)
{
	struct packing p = { c, archive_write_new(), archive_entry_new(), path };
	int err = p.archive && p.entry ? 0 : ERR_NOMEM;

	if (err == 0 &&
	    (archive_write_set_format_pax_restricted(p.archive) != ARCHIVE_OK ||
	     (ends_in(c->place, ".zst") && archive_write_add_filter_zstd(p.archive) != ARCHIVE_OK) ||
	     archive_write_open_fd(p.archive, fd) != ARCHIVE_OK))
		err = write_trouble(&p);
	if (err == 0)
		err = write_members(&p);
	archive_entry_free(p.entry);
	archive_write_free(p.archive);
	return fault_default(c->f, err);
}

int tarball_pack(struct copy *c, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640), err;
	struct stat st;

	if (fd < 0)
		return copy_trouble(c, "create", path);
	err = pack_into(c, path, fd);
	if (err == 0 && (fsync(fd) != 0 || fstat(fd, &st) != 0))
		err = copy_trouble(c, "sync", path);
	if (err == 0)
		c->written += (uint64_t)st.st_size;
	close(fd);
	return err;
}

/* ---- reading ---- */

/* The file of c->made that a member is written into, or is compared with. */
typedef int (*member_fn)(struct copy *c, struct archive *a, const char *from, int fd);

struct reading {
	struct copy *copy;
	struct archive *archive;
	const char *path; /* of the archive */
	int flags;        /* to open a member's file with */
	member_fn fn;
	uint64_t members;
	bool last; /* SHA256SUMS was read */
};

static int read_trouble(struct copy *c, struct archive *a, const char *path)
{
	const char *words = archive_error_string(a);

	return fault_set(
	    c->f, ERR_CORRUPT, "from",
	    "%s cannot be read as an archive: it is damaged or cut short (%s); use another backup", path,
	    words ? words : "no reason is given");
}

static int read_member(struct reading *r, struct archive_entry *e)
{
	const char *name = archive_entry_pathname(e);
	char path[FILE_PATH_MAX];
	int err, fd;

	if (!name || !copy_name_known(name) || archive_entry_filetype(e) != AE_IFREG ||
	    archive_entry_hardlink(e) || r->last)
		return fault_set(r->copy->f, ERR_CORRUPT, "from",
				 "%s is no archive that `astraml backup` has written: it holds other files",
				 r->path);
	err = file_path(r->copy->made, name, path);
	if (err < 0)
		return fault_default(r->copy->f, err);
	fd = open(path, r->flags | O_CLOEXEC, 0640);
	if (fd < 0)
		return copy_trouble(r->copy, "open", path);
	err = r->fn(r->copy, r->archive, r->path, fd);
	close(fd);
	r->last = strcmp(name, LAST) == 0;
	r->members++;
	return err;
}

static int read_members(struct reading *r)
{
	struct archive_entry *e;
	int rc, err = 0;

	while (err == 0 && (rc = archive_read_next_header(r->archive, &e)) != ARCHIVE_EOF)
		err = rc == ARCHIVE_OK ? read_member(r, e) : read_trouble(r->copy, r->archive, r->path);
	if (err == 0 && !r->last)
		return fault_set(r->copy->f, ERR_CORRUPT, "from",
				 "%s is cut short: it does not end with " LAST "; use another backup",
				 r->path);
	return err;
}

static struct archive *reader_new(const char *path)
{
	struct archive *a = archive_read_new();

	if (a && archive_read_support_format_tar(a) == ARCHIVE_OK &&
	    archive_read_support_filter_zstd(a) == ARCHIVE_OK)
		(void)archive_read_open_filename(a, path, PIECE_BYTES); /* the first header tells */
	return a;
}

static int read_all(struct copy *c, const char *path, int flags, member_fn fn, uint64_t *ret_members)
{
	struct reading r = { .copy = c, .archive = reader_new(path), .path = path, .flags = flags, .fn = fn };
	int err = r.archive ? read_members(&r) : fault_default(c->f, ERR_NOMEM);

	archive_read_free(r.archive);
	*ret_members = r.members;
	return err;
}

/* ---- the members ---- */

static int unpack_member(struct copy *c, struct archive *a, const char *from, int fd)
{
	uint8_t room[PIECE_BYTES];
	uint64_t done = 0;
	la_ssize_t n;

	while ((n = archive_read_data(a, room, sizeof(room))) > 0) {
		if (file_write(fd, span_of(room, (size_t)n)) < 0)
			return copy_trouble(c, "write a file of", c->made);
		progress_show(c->progress, done += (uint64_t)n);
	}
	if (n < 0)
		return read_trouble(c, a, from);
	progress_add(c->progress, done);
	c->written += done;
	return fsync(fd) == 0 ? 0 : copy_trouble(c, "sync a file of", c->made);
}

int tarball_unpack(struct copy *c, const char *path)
{
	uint64_t members;

	return read_all(c, path, O_WRONLY | O_CREAT | O_EXCL, unpack_member, &members);
}

static int compare_member(struct copy *c, struct archive *a, const char *from, int fd)
{
	uint8_t got[PIECE_BYTES], want[PIECE_BYTES];
	struct stat st;
	uint64_t at = 0;
	la_ssize_t n;

	while ((n = archive_read_data(a, got, sizeof(got))) > 0) {
		if (file_read(fd, at, want, (size_t)n) < 0 || memcmp(got, want, (size_t)n) != 0)
			break;
		progress_show(c->progress, at += (uint64_t)n);
	}
	progress_add(c->progress, at);
	if (n < 0)
		return read_trouble(c, a, from);
	if (n > 0 || fstat(fd, &st) != 0 || (uint64_t)st.st_size != at)
		return fault_set(c->f, ERR_CORRUPT, "data",
				 "%s does not read back as it was written: is that disk sound?", from);
	return 0;
}

int tarball_compare(struct copy *c, const char *path)
{
	struct copy_names n = { 0 };
	uint64_t members = 0;
	int err = read_all(c, path, O_RDONLY, compare_member, &members);

	if (err == 0)
		err = copy_names(c->made, &n);
	if (err == 0 && members != n.n + 1)
		err = fault_set(c->f, ERR_CORRUPT, "data", "%s holds %llu files of %zu: is that disk sound?",
				path, (unsigned long long)members, n.n + 1);
	copy_names_release(&n);
	return fault_default(c->f, err);
}

bool tarball_is_backup(const char *path)
{
	struct archive *a = reader_new(path);
	struct archive_entry *e;
	const char *name;
	bool is = false;

	if (a && archive_read_next_header(a, &e) == ARCHIVE_OK) {
		name = archive_entry_pathname(e);
		is = name && strcmp(name, "BACKUP") == 0;
	}
	archive_read_free(a);
	return is;
}

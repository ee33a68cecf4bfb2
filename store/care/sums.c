#include "store/care/sums.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "store/dir.h"

#define SUMS_MAX ((size_t)64 * 1024 * 1024)

static int hash_file(struct copy *c, const char *path, uint8_t *ret)
{
	crypto_hash_sha256_state state;
	uint8_t room[65536];
	uint64_t done = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return copy_trouble(c, "read", path);
	crypto_hash_sha256_init(&state);
	while ((n = read(fd, room, sizeof(room))) > 0) {
		crypto_hash_sha256_update(&state, room, (size_t)n);
		progress_show(c->progress, done += (uint64_t)n);
	}
	progress_add(c->progress, done);
	if (n < 0)
		err = copy_trouble(c, "read", path);
	close(fd);
	crypto_hash_sha256_final(&state, ret);
	return err;
}

static int add_line(struct copy *c, const char *name, struct buf *out)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(hash) + 1], path[FILE_PATH_MAX];
	int err = file_path(c->made, name, path);

	if (err == 0)
		err = hash_file(c, path, hash);
	if (err < 0)
		return err;
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	return buf_addf(out, "%s  %s\n", hex, name);
}

/* The text that the files as they are now would have. */
static int sums_text(struct copy *c, struct buf *out)
{
	struct copy_names n = { 0 };
	int err = copy_names(c->made, &n);

	for (size_t i = 0; i < n.n && err == 0; i++)
		err = add_line(c, n.names[i], out);
	copy_names_release(&n);
	return err;
}

int sums_write(struct copy *c)
{
	struct buf text;
	int err;

	buf_init(&text, SUMS_MAX);
	err = sums_text(c, &text);
	if (err == 0 && dir_write_file(c->made, "SHA256SUMS", buf_cstr(&text)) < 0)
		err = copy_trouble(c, "write SHA256SUMS in", c->made);
	buf_release(&text);
	return fault_default(c->f, err);
}

static int read_text(struct copy *c, struct buf *out)
{
	char path[FILE_PATH_MAX];
	ssize_t n = 0;
	int err = file_path(c->made, "SHA256SUMS", path), fd;

	if (err < 0)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? ERR_NOT_FOUND : copy_trouble(c, "read", path);
	while (err == 0 && (err = buf_reserve(out, 65536)) == 0 &&
	       (n = read(fd, out->data + out->len, 65536)) > 0)
		out->len += (size_t)n;
	if (err == 0 && n < 0)
		err = copy_trouble(c, "read", path);
	close(fd);
	return err;
}

/* The name in the first line of `is` that `was` has not; their lines are in the same order. */
static void first_difference(struct span was, struct span is, char *ret, size_t max)
{
	const size_t hash = 2 * crypto_hash_sha256_BYTES + 2;
	size_t at = 0, line = 0, end;

	for (; at < is.len && at < was.len && is.data[at] == was.data[at]; at++)
		if (is.data[at] == '\n')
			line = at + 1;
	for (end = line; end < is.len && is.data[end] != '\n';)
		end++;
	if (end - line > hash)
		snprintf(ret, max, "%.*s", (int)(end - line - hash), (const char *)is.data + line + hash);
	else
		snprintf(ret, max, "a file that is missing");
}

int sums_check(struct copy *c, const char *from)
{
	char name[COPY_NAME_MAX];
	struct buf was, is;
	int err;

	buf_init(&was, SUMS_MAX);
	buf_init(&is, SUMS_MAX);
	err = read_text(c, &was);
	if (err == 0)
		err = sums_text(c, &is);
	if (err == 0 && !span_equal(buf_span(&was), buf_span(&is))) {
		first_difference(buf_span(&was), buf_span(&is), name, sizeof(name));
		err = fault_set(c->f, ERR_CORRUPT, "from",
				"%s is damaged: %s is not what its SHA256SUMS says; use another backup", from,
				name);
	}
	buf_release(&was);
	buf_release(&is);
	return err == ERR_NOT_FOUND ? err : fault_default(c->f, err);
}

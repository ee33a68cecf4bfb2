#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int file_error(void)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_DENIED;
	case ENOSPC:
	case EDQUOT:
		return ERR_DISK_FULL;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return ERR_NOMEM; /* not the file's fault: another time */
	default:
		return ERR_IO;
	}
}

int file_path(const char *dir, const char *name, char *ret)
{
	int n = snprintf(ret, FILE_PATH_MAX, "%s/%s", dir, name);

	return n < FILE_PATH_MAX ? 0 : ERR_TOO_LARGE;
}

int file_write(int fd, struct span bytes)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.data, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? file_error() : ERR_IO;
		bytes = span_of(bytes.data + n, bytes.len - (size_t)n);
	}
	return 0;
}

int file_read(int fd, uint64_t offset, uint8_t *ret, size_t len)
{
	while (len) {
		ssize_t n = pread(fd, ret, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? file_error() : ERR_CORRUPT;
		ret += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int file_sync_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return file_error();
	rc = fsync(fd);
	close(fd);
	return rc == 0 ? 0 : ERR_IO;
}

/*
 * An archive to restore from.  Whatever it says, files are made in the one directory alone, under the names
 * of a copy, so that removing these leaves nothing; and what passes its sums says the same again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/care/sums.h"
#include "store/care/tarball.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char place[64];

static void must(bool what)
{
	if (!what)
		abort();
}

static void make_place(void)
{
	/* in memory where there is such a place: each file is synced */
	snprintf(place, sizeof(place), "%s/astraml-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	must(mkdtemp(place) && rmdir(place) == 0);
}

static void unpack(const char *archive)
{
	struct fault f = { 0 };
	struct copy c;
	int err;

	must(copy_begin(&c, place, NULL, &f) == 0);
	err = tarball_unpack(&c, archive);
	must((err == 0) == (f.err == 0));
	if (err == 0 && sums_check(&c, archive) == 0)
		must(sums_write(&c) == 0 && sums_check(&c, archive) == 0);
	copy_remove(c.made);
	must(access(c.made, F_OK) != 0 && access(place, F_OK) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	int fd = memfd_create("archive", MFD_CLOEXEC);

	if (!place[0])
		make_place();
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	tarball_is_backup(path);
	unpack(path);
	close(fd);
	return 0;
}

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "tools/loadgen/load.h"

static int sync_once(int fd, const void *bytes, size_t n, int64_t *ret_ns)
{
	int64_t start_ns = clock_mono_ns();

	if (write(fd, bytes, n) != (ssize_t)n || fdatasync(fd) < 0)
		return ERR_IO;
	*ret_ns = clock_mono_ns() - start_ns;
	return 0;
}

static int sync_all(const struct load *l, int fd, const void *bytes, int64_t *latency_ns)
{
	int64_t start_ns = clock_mono_ns();
	int err = 0;

	for (size_t i = 0; i < l->count && err == 0; i++) {
		int64_t due_ns = start_ns + (int64_t)((double)i * 1e9 / l->rate);
		struct timespec due = { due_ns / NS_PER_S, due_ns % NS_PER_S };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
		err = sync_once(fd, bytes, l->bytes, &latency_ns[i]);
	}
	return err;
}

/* Appends to a file, as a log would; timed from the write to the return of fdatasync. */
int load_sync(struct load *l, struct fault *f)
{
	char path[4096];
	int64_t *latency_ns = calloc(l->count, sizeof(*latency_ns));
	void *bytes = calloc(1, l->bytes);
	int fd = -1, err = latency_ns && bytes ? 0 : ERR_NOMEM;

	snprintf(path, sizeof(path), "%s/loadgen.sync", l->dir);
	if (err == 0)
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (err == 0 && fd < 0)
		err = fault_set(f, ERR_IO, "dir", "%s: %s", path, strerror(errno));
	if (err < 0)
		goto done;
	load_wait_for_go();
	err = sync_all(l, fd, bytes, latency_ns);
	if (err < 0) {
		fault_set(f, err, "", "%s: %s", path, strerror(errno));
		goto done;
	}
	printf("{\"requests\":%zu", l->count);
	load_print_latency("", latency_ns, l->count);
	printf("}\n");
done:
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	free(latency_ns);
	free(bytes);
	return err;
}

/*
 * clock_shift.c - another time of day for one program, for tests of what takes days.
 *
 * Loaded with LD_PRELOAD.  CLOCK_REALTIME is ahead by what the file ASTRAML_CLOCK_SHIFT holds, an
 * int64 of nanoseconds that the test may change at any time.  Waits until a time of that clock are
 * moved back by as much, as the kernel knows nothing of it.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NS     1000000000LL
#define EXPORT __attribute__((visibility("default")))

static int64_t shift_ns(void)
{
	static _Atomic int64_t *_Atomic shift;
	_Atomic int64_t *p = atomic_load(&shift);

	if (!p) {
		int fd = open(getenv("ASTRAML_CLOCK_SHIFT"), O_RDONLY);

		p = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
		close(fd);
		if (p == MAP_FAILED)
			abort();
		atomic_store(&shift, p);
	}
	return atomic_load(p);
}

static void move(struct timespec *t, int64_t by_ns)
{
	int64_t ns = t->tv_sec * NS + t->tv_nsec + by_ns;

	t->tv_sec = ns / NS;
	t->tv_nsec = ns % NS;
}

EXPORT int clock_gettime(clockid_t id, struct timespec *ret)
{
	static int (*real)(clockid_t, struct timespec *);
	int rc;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	rc = real(id, ret);
	if (rc == 0 && id == CLOCK_REALTIME)
		move(ret, shift_ns());
	return rc;
}

EXPORT time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
	static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
	struct timespec then = *until;

	if (!real)
		real = (int (*)(pthread_cond_t *, pthread_mutex_t *,
				const struct timespec *))dlsym(RTLD_NEXT, "pthread_cond_timedwait");
	move(&then, -shift_ns());
	return real(c, m, &then);
}

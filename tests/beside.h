/*
 * beside.h - a check in a process of its own, beside the one that writes: LMDB must not have one file open
 * twice in a process (its locks and its table of readers are the process's).
 */
#ifndef TESTS_BESIDE_H
#define TESTS_BESIDE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether fn came to its end there.  A check that fails leaves fn, and ends in some other status. */
static inline bool beside(void (*fn)(void *arg), void *arg)
{
	int status = -1;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		fn(arg);
		_exit(0);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

#endif

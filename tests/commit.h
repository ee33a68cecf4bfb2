/*
 * commit.h - hands a batch to a store's writer and waits for what becomes of it, for tests in C.
 */
#ifndef TESTS_COMMIT_H
#define TESTS_COMMIT_H

#include <pthread.h>

#include "store/write.h"

struct commit_answer {
	pthread_mutex_t lock;
	pthread_cond_t news;
	bool done;
};

static inline void commit_done(struct batch *b, void *arg)
{
	struct commit_answer *a = arg;

	(void)b;
	pthread_mutex_lock(&a->lock);
	a->done = true;
	pthread_cond_signal(&a->news);
	pthread_mutex_unlock(&a->lock);
}

/* b->err; what batch_seal or store_submit returned where the writer was not reached.  b stays the caller's.
 */
static inline int commit_batch(struct store *s, struct batch *b)
{
	struct commit_answer a = { .lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER };
	int err = batch_seal(s, b);

	b->done = commit_done;
	b->arg = &a;
	if (err == 0)
		err = store_submit(s, b);
	if (err < 0)
		return err;
	pthread_mutex_lock(&a.lock);
	while (!a.done)
		pthread_cond_wait(&a.news, &a.lock);
	pthread_mutex_unlock(&a.lock);
	return b->err;
}

#endif

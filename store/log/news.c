/*
 * news.c - who waits for log records learns of commits.
 */
#include <time.h>

#include "store/read.h"
#include "store/store.h"

#define NEWS_POLL_MS 50

/* A process beside the server sees news as the id of the newest transaction. */
static uint64_t polled_news(struct store *s)
{
	struct kv_txn *t;
	uint64_t id = 0;

	if (kv_begin(s->kv, false, &t) == 0) {
		id = kv_txn_id(t);
		kv_abort(t);
	}
	return id;
}

uint64_t store_log_news(struct store *s)
{
	uint64_t news;

	if (s->options.read_only)
		return polled_news(s);
	pthread_mutex_lock(&s->news_lock);
	news = s->log_news;
	pthread_mutex_unlock(&s->news_lock);
	return news;
}

static struct timespec after_ms(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * NS_PER_MS;
	t.tv_sec += t.tv_nsec / NS_PER_S;
	t.tv_nsec %= NS_PER_S;
	return t;
}

static uint64_t poll_news(struct store *s, uint64_t seen, int timeout_ms)
{
	uint64_t now = polled_news(s);

	for (int waited = 0; now == seen && waited < timeout_ms; waited += NEWS_POLL_MS) {
		struct timespec pause = { 0, NEWS_POLL_MS * NS_PER_MS };

		nanosleep(&pause, NULL);
		now = polled_news(s);
	}
	return now;
}

uint64_t store_log_wait(struct store *s, uint64_t seen, int timeout_ms)
{
	struct timespec until = after_ms(timeout_ms);
	uint64_t news;
	int rc = 0;

	if (s->options.read_only)
		return poll_news(s, seen, timeout_ms);
	pthread_mutex_lock(&s->news_lock);
	while (s->log_news == seen && rc == 0)
		rc = pthread_cond_timedwait(&s->news, &s->news_lock, &until);
	news = s->log_news;
	pthread_mutex_unlock(&s->news_lock);
	return news;
}

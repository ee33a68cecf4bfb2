/*
 * writer.c - the one thread that changes the store.
 *
 * It takes a turn at a time (turn.h): one transaction, committed with LMDB's full durability.  Then
 * the samples are folded into memory, and everybody is told.  In between it begins flushes.
 */
#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/log.h"
#include "store/batch.h"
#include "store/compact/compact.h"
#include "store/hot/flush.h"
#include "store/log/seal.h"
#include "store/turn.h"

#define TURN_BYTES        (16 * 1024 * 1024) /* journal and logs of one transaction, about */
#define TURN_BATCHES      4096
#define JOURNAL_ENTRY_MAX ((size_t)512 * 1024 * 1024)
#define LATE_SHARE        16 /* of the memory for open buckets, that late data may fill */
#define IDLE_NS           (250 * NS_PER_MS)

/* ---- after the commit ---- */

int note_journal(struct store *s, uint64_t batch, uint64_t bytes)
{
	if (array_grow(s->journal, s->n_journal, s->journal_cap) < 0)
		return ERR_NOMEM;
	s->journal[s->n_journal++] = (struct journal_size){ batch, bytes };
	atomic_fetch_add(&s->journal_bytes, bytes);
	return 0;
}

int note_altered(struct store *s, uint32_t rid)
{
	if (array_grow(s->altered, s->n_altered, s->altered_cap) < 0)
		return ERR_NOMEM;
	s->altered[s->n_altered++] = rid;
	return 0;
}

/* They wait for their samples to be sealed now (rawcare.h). */
static void forget_journal(struct store *s)
{
	uint64_t flushed = 0, before;
	size_t n = 0;

	while (n < s->n_journal && s->journal[n].batch <= s->state.trimmed)
		flushed += s->journal[n++].bytes;
	atomic_fetch_sub(&s->journal_bytes, flushed);
	before = atomic_fetch_add(&s->raw_bytes, flushed);
	if (before < s->options.raw_max_bytes && before + flushed >= s->options.raw_max_bytes)
		compactor_call(s->compactor);
	s->n_journal -= n;
	if (n)
		memmove(s->journal, s->journal + n, s->n_journal * sizeof(*s->journal));
}

/* What is durable becomes what memory stands for. */
static void fold(struct store *s, struct turn *t)
{
	int64_t began = clock_mono_ns();

	pthread_mutex_lock(&s->memory_lock);
	for (struct batch *b = t->batches; b; b = b->next) {
		struct journal_record rec = batch_journal(b);

		if (b->err == 0 && !b->duplicate && b->n_samples + b->n_buckets)
			memory_fold(&s->memory, s->state.batch, &rec, INT64_MIN);
	}
	if (t->flush_done)
		memory_drop_frozen(&s->memory);
	s->applied = s->state;
	pthread_cond_broadcast(&s->memory_news);
	pthread_mutex_unlock(&s->memory_lock);
	atomic_fetch_add(&s->counters.fold_ns, (uint64_t)(clock_mono_ns() - began));
}

/* The error that everybody of the turn gets. */
static int diagnose(struct store *s, int err, struct fault *f)
{
	if ((err == ERR_IO || err == ERR_DISK_FULL) &&
	    (err == ERR_DISK_FULL || !kv_room(s->kv, s->room_least, s->room_more))) {
		if (!atomic_exchange(&s->disk_full, true))
			log_warn("disk: no room in %s; data is refused with 507, reading goes on", s->dir);
		return fault_set(f, ERR_DISK_FULL, "",
				 "the data directory %s has no room; free some space and retry", s->dir);
	}
	if (err == ERR_NOMEM)
		return fault_default(f, err);
	if (!atomic_exchange(&s->broken, true))
		log_error(
		    "store: a commit failed (%s); nothing more is accepted, restart and run astraml verify",
		    err_name(err));
	return fault_set(f, ERR_IO, "", "the store failed to commit; nothing of this request was kept");
}

static void finish(struct store *s, struct turn *t, int err, const struct fault *f)
{
	for (struct batch *b = t->batches, *next; b; b = next) {
		next = b->next;
		if (err < 0) {
			b->err = err;
			b->fault = *f;
		}
		b->done(b, b->arg);
	}
	if (!t->creations && !t->errands)
		return;
	pthread_mutex_lock(&s->queue_lock);
	for (struct errand *e = t->errands, *next; e; e = next) {
		next = e->next;
		e->err = err;
		e->done = true;
	}
	for (struct creation *c = t->creations, *next; c; c = next) {
		next = c->next;
		if (err < 0) {
			c->err = err;
			c->fault = *f;
		}
		c->done = true;
	}
	pthread_cond_broadcast(&s->creation_done);
	pthread_mutex_unlock(&s->queue_lock);
}

static void count(struct store *s, struct turn *t, int64_t commit_ns)
{
	struct counters *c = &s->counters;
	uint64_t batches = 0;

	for (struct batch *b = t->batches; b; b = b->next)
		batches += b->err == 0;
	atomic_fetch_add(&c->batches, batches);
	atomic_fetch_add(&c->samples, t->samples);
	atomic_fetch_add(&c->log_records, t->logs);
	atomic_fetch_add(&c->duplicates, t->duplicates);
	atomic_fetch_add(&c->commits, 1);
	atomic_fetch_add(&c->commit_ns, (uint64_t)commit_ns);
}

static void tell_news(struct store *s, const struct turn *t)
{
	for (const struct batch *b = t->batches; b; b = b->next)
		if (b->err == 0 && !b->duplicate && b->n_logs)
			seal_note(s->seal, b->rid, b->log_bytes, t->now_ns);
	pthread_mutex_lock(&s->news_lock);
	s->log_news++;
	pthread_cond_broadcast(&s->news);
	pthread_mutex_unlock(&s->news_lock);
}

static int commit(struct store *s, struct turn *t)
{
	int err = kv_begin(s->kv, true, &t->txn);

	if (err < 0)
		return err;
	err = turn_fill(s, t);
	if (err < 0) {
		kv_abort(t->txn);
		return err;
	}
	return kv_commit(t->txn);
}

/* With the disk full only flushes, trims and errands go on, in the blocks reserved for them. */
static int check_room(struct store *s, struct turn *t, struct fault *f)
{
	if (atomic_load(&s->broken))
		return fault_set(f, ERR_IO, "", "an earlier commit failed; restart the server");
	if (!kv_room(s->kv, s->room_least, s->room_more)) {
		struct errand *errands = t->errands;
		int err = diagnose(s, ERR_DISK_FULL, f);

		t->errands = NULL;
		finish(s, t, err, f);
		t->batches = NULL;
		t->creations = NULL;
		t->errands = errands;
	} else if (atomic_exchange(&s->disk_full, false)) {
		log_info("disk: there is room again in %s", s->dir);
	}
	return 0;
}

static void run_turn(struct store *s, struct turn *t)
{
	struct fault f = { 0 };
	int64_t began = clock_mono_ns();
	int err = check_room(s, t, &f);

	t->before = s->state;
	t->journal = s->turn_journal; /* its memory is kept from turn to turn */
	if (err == 0)
		err = commit(s, t);
	if (err < 0) {
		turn_undo(s, t);
		if (!f.err)
			err = diagnose(s, err, &f);
	} else {
		count(s, t, clock_mono_ns() - began);
		if (t->journal.len && note_journal(s, s->state.batch, t->journal.len) < 0)
			log_warn("store: out of memory while counting the journal");
		if (t->flush_done)
			forget_journal(s);
		fold(s, t);
		if (t->piece_put)
			flush_taken(s->flush);
		if (t->seal_put)
			seal_taken(s->seal);
		if (t->logged || s->n_altered)
			tell_news(s, t);
	}
	s->n_altered = 0;
	s->stuck = err < 0; /* do not try the same flush again at once */
	s->turn_journal = t->journal;
	buf_clear(&s->turn_journal);
	finish(s, t, err, &f);
}

/* ---- flushing ---- */

/* What is to be frozen: epochs up to *ret_floor.  All, when a cap is reached or somebody wants it; late data
 * alone when there is much of it, while it is still in the processor's cache; what is due, by the clock. */
static bool choose_flush(struct store *s, int64_t since_last_ns, int64_t due_ns, int64_t *ret_floor)
{
	const struct memory *m = &s->memory;

	if (atomic_exchange(&s->flush_wanted, false) || memory_bytes(m) > s->options.memory_max_bytes ||
	    atomic_load(&s->journal_bytes) > s->options.journal_max_bytes)
		*ret_floor = INT64_MAX;
	else if (since_last_ns >= s->options.flush_every_ns && memory_due(m, due_ns))
		*ret_floor = due_ns;
	else if (memory_late_bytes(m) > s->options.memory_max_bytes / LATE_SHARE)
		*ret_floor = m->floor_ns;
	else
		return false;
	return m->n_open > 0;
}

static void begin_flush(struct store *s, int64_t *last_ns)
{
	int64_t now = clock_now_ns(), due = now - atomic_load(&s->grace_ns), floor;
	bool begun;

	if (flush_active(s->flush))
		return;
	pthread_mutex_lock(&s->memory_lock);
	if (due < s->memory.floor_ns)
		due = s->memory.floor_ns; /* a longer grace, or a clock set back: late is what was late */
	begun = choose_flush(s, now - *last_ns, due, &floor);
	if (begun)
		memory_freeze(&s->memory, floor);
	begun &= s->memory.n_frozen > 0;
	pthread_mutex_unlock(&s->memory_lock);
	if (!begun)
		return;
	*last_ns = now;
	flush_begin(s->flush, s->state.flush + 1, s->state.batch, floor);
}

/* A cap is reached again before the last flush is done: taking more would only grow memory. */
static bool overloaded(struct store *s)
{
	bool over;

	if (!flush_active(s->flush) || atomic_load(&s->broken))
		return false;
	pthread_mutex_lock(&s->memory_lock);
	over = memory_bytes(&s->memory) > s->options.memory_max_bytes ||
	       memory_late_bytes(&s->memory) > s->options.memory_max_bytes / LATE_SHARE ||
	       atomic_load(&s->journal_bytes) > 3 * s->options.journal_max_bytes;
	pthread_mutex_unlock(&s->memory_lock);
	return over;
}

/* ---- the queue ---- */

int store_run_create(struct store *s, const struct run *run, struct span key, uint64_t content_hash,
		     struct run *ret, bool *ret_replayed, struct fault *f)
{
	struct run made = { 0 };
	struct creation c = { .run = run, .key = key, .content_hash = content_hash, .ret = &made };

	pthread_mutex_lock(&s->queue_lock);
	if (s->closing || !s->writer_started) {
		pthread_mutex_unlock(&s->queue_lock);
		return fault_set(f, ERR_BUSY, "",
				 "the store is closing, or open for reading only; retry with the server");
	}
	c.next = s->creations;
	s->creations = &c; /* cppcheck-suppress autoVariables ; we wait until it is done with */
	pthread_cond_signal(&s->queue_news);
	while (!c.done)
		pthread_cond_wait(&s->creation_done, &s->queue_lock);
	pthread_mutex_unlock(&s->queue_lock);
	if (c.err < 0) {
		run_release(&made);
		if (f)
			*f = c.fault;
		return fault_default(f, c.err);
	}
	*ret = made;
	*ret_replayed = c.replayed;
	return 0;
}

int writer_errand(struct store *s, int (*fn)(void *arg, struct kv_txn *t), void *arg)
{
	struct errand e = { .fn = fn, .arg = arg };

	pthread_mutex_lock(&s->queue_lock);
	if (s->closing || !s->writer_started) {
		pthread_mutex_unlock(&s->queue_lock);
		return ERR_BUSY;
	}
	e.next = s->errands;
	s->errands = &e; /* cppcheck-suppress autoVariables ; we wait until it is done with */
	pthread_cond_signal(&s->queue_news);
	while (!e.done)
		pthread_cond_wait(&s->creation_done, &s->queue_lock);
	pthread_mutex_unlock(&s->queue_lock);
	return e.err;
}

int store_submit(struct store *s, struct batch *b)
{
	int err = 0;

	b->next = NULL;
	pthread_mutex_lock(&s->queue_lock);
	if (s->closing || !s->writer_started || s->queued >= s->options.queue_max_batches) {
		err = ERR_BUSY;
	} else {
		*s->queue_tail = b;
		s->queue_tail = &b->next;
		if (s->queued++ == 0)
			pthread_cond_signal(&s->queue_news);
	}
	pthread_mutex_unlock(&s->queue_lock);
	return err;
}

static size_t weight(const struct batch *b) { return b->journal_record.len + b->log_blocks.len + 64; }

/* Takes the head of the queue, up to what one transaction should hold. */
static void take(struct store *s, struct turn *t)
{
	struct batch **end = &t->batches;
	size_t bytes = 0, n = 0;

	while (s->queue_head && bytes < TURN_BYTES && n < TURN_BATCHES) {
		struct batch *b = s->queue_head;

		bytes += weight(b);
		n++;
		s->queue_head = b->next;
		b->next = NULL;
		*end = b;
		end = &b->next;
	}
	s->queued -= n;
	if (!s->queue_head)
		s->queue_tail = &s->queue_head;
}

/* Sealing is left for later while the disk is full: it needs room before it gives some. */
static bool seal_waits(struct store *s) { return seal_ready(s->seal) && !atomic_load(&s->disk_full); }

static bool has_work(struct store *s, bool hold)
{
	return (!hold && s->queue_head) || s->creations || s->errands ||
	       (!s->stuck && (flush_ready(s->flush) || seal_waits(s)));
}

/* False: closing, and nothing is left that could be done. */
static bool wait_for_work(struct store *s, struct turn *t)
{
	bool hold = overloaded(s) || (atomic_load(&s->raw_behind) && !s->options.no_compactor), go_on;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += IDLE_NS;
	until.tv_sec += until.tv_nsec / NS_PER_S;
	until.tv_nsec %= NS_PER_S;
	pthread_mutex_lock(&s->queue_lock);
	if (!has_work(s, hold) && !s->closing)
		pthread_cond_timedwait(&s->queue_news, &s->queue_lock, &until);
	go_on = !s->closing || has_work(s, hold);
	t->creations = s->creations;
	s->creations = NULL;
	t->errands = s->errands;
	s->errands = NULL;
	if (!hold || s->closing)
		take(s, t);
	pthread_mutex_unlock(&s->queue_lock);
	return go_on;
}

static void *writer_main(void *arg)
{
	struct store *s = arg;
	int64_t last_flush_ns = clock_now_ns(), reaped_ns = clock_mono_ns();

	for (;;) {
		struct turn t = { .now_ns = clock_now_ns() };

		if (!wait_for_work(s, &t))
			return NULL;
		t.now_ns = clock_now_ns();
		if (t.batches || t.creations || t.errands || flush_ready(s->flush) || seal_waits(s))
			run_turn(s, &t);
		begin_flush(s, &last_flush_ns);
		if (clock_mono_ns() - reaped_ns > 10 * NS_PER_S) {
			kv_reap_readers(s->kv);
			reaped_ns = clock_mono_ns();
		}
	}
}

void writer_wake(struct store *s)
{
	pthread_mutex_lock(&s->queue_lock);
	pthread_cond_signal(&s->queue_news);
	pthread_mutex_unlock(&s->queue_lock);
}

int writer_start(struct store *s)
{
	buf_init(&s->turn_journal, JOURNAL_ENTRY_MAX);
	if (flush_new(s, &s->flush) < 0 || seal_new(s, &s->seal) < 0)
		return ERR_NOMEM;
	s->writer_started = pthread_create(&s->writer, NULL, writer_main, s) == 0;
	s->flusher_started =
	    s->writer_started && pthread_create(&s->flusher, NULL, flush_main, s->flush) == 0;
	s->sealer_started = s->flusher_started && pthread_create(&s->sealer, NULL, seal_main, s->seal) == 0;
	return s->sealer_started ? 0 : ERR_NOMEM;
}

void writer_stop(struct store *s)
{
	pthread_mutex_lock(&s->queue_lock);
	s->closing = true;
	pthread_cond_signal(&s->queue_news);
	pthread_mutex_unlock(&s->queue_lock);
	if (s->writer_started)
		pthread_join(s->writer, NULL);
	if (s->flush)
		flush_stop(s->flush);
	if (s->flusher_started)
		pthread_join(s->flusher, NULL);
	if (s->seal)
		seal_stop(s->seal);
	if (s->sealer_started)
		pthread_join(s->sealer, NULL);
	flush_free(s->flush);
	seal_free(s->seal);
	buf_release(&s->turn_journal);
}

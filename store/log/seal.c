#include "store/log/seal.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "store/base/bytes.h"
#include "store/base/log.h"
#include "store/log/logpile.h"
#include "store/log/logs.h"

#define LOOK_EVERY_NS (10 * NS_PER_S)
#define NICE          10

/* What a run has that was not sealed. */
struct young {
	uint64_t bytes;
	int64_t changed_ns; /* 0: nothing to do */
};

/* Young blocks taken together, and what they become. */
struct piece {
	uint32_t rid;
	uint64_t first, end; /* sequences */
	struct logpile pile;
	bool keep; /* nothing is put in their place: they stay */
	bool gone; /* some of them, or the run, went meanwhile */
};

struct seal {
	struct store *store;
	pthread_mutex_t lock;
	pthread_cond_t news;
	bool ready, stopping;
	struct young *young; /* by rid */
	size_t young_cap;
	struct piece piece;
};

int seal_new(struct store *s, struct seal **ret)
{
	struct seal *l = calloc(1, sizeof(*l));

	if (!l)
		return ERR_NOMEM;
	l->store = s;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->news, NULL);
	logpile_init(&l->piece.pile);
	*ret = l;
	return 0;
}

void seal_free(struct seal *l)
{
	if (!l)
		return;
	logpile_release(&l->piece.pile);
	free(l->young);
	pthread_cond_destroy(&l->news);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* ---- which run ---- */

/* Under the lock.  Out of memory: this run is sealed after the next start. */
static struct young *young_of(struct seal *l, uint32_t rid)
{
	if (rid >= l->young_cap) {
		size_t cap = l->young_cap ? l->young_cap : 256;
		struct young *p;

		while (cap <= rid)
			cap *= 2;
		p = realloc(l->young, cap * sizeof(*p));
		if (!p)
			return NULL;
		memset(p + l->young_cap, 0, (cap - l->young_cap) * sizeof(*p));
		l->young = p;
		l->young_cap = cap;
	}
	return &l->young[rid];
}

void seal_note(struct seal *l, uint32_t rid, size_t bytes, int64_t now_ns)
{
	struct young *y;

	pthread_mutex_lock(&l->lock);
	y = young_of(l, rid);
	if (y) {
		y->bytes += bytes;
		y->changed_ns = now_ns;
		if (y->bytes >= l->store->options.log_block_bytes)
			pthread_cond_signal(&l->news);
	}
	pthread_mutex_unlock(&l->lock);
}

/* Under the lock: a run with enough, else one that is quiet; 0: none. */
static uint32_t choose(const struct seal *l, int64_t now_ns, bool *ret_quiet)
{
	uint32_t quiet = 0;

	for (uint32_t rid = 1; rid < l->young_cap; rid++) {
		const struct young *y = &l->young[rid];

		if (y->changed_ns && y->bytes >= l->store->options.log_block_bytes) {
			*ret_quiet = false;
			return rid;
		}
		if (y->changed_ns && y->changed_ns <= now_ns - SEAL_IDLE_NS)
			quiet = rid;
	}
	*ret_quiet = true;
	return quiet;
}

/* What earlier processes left: how much it is shows when it is read. */
static int find_left(struct seal *l)
{
	struct span key, value;
	struct kv_cursor *c = NULL;
	struct kv_txn *t;
	int64_t now = clock_now_ns();
	int err = kv_begin(l->store->kv, false, &t), moved;

	if (err < 0)
		return err;
	err = kv_cursor_open(t, KV_LOGSEQ, &c);
	for (moved = err ? err : kv_first(c, &key, &value); moved == 0; moved = kv_next(c, &key, &value)) {
		uint32_t rid = key.len == 4 ? get_be32(key.data) : 0;
		uint64_t next, sealed;

		if (rid && logs_next_seq(t, rid, &next) == 0 && logs_sealed_seq(t, rid, &sealed) == 0 &&
		    sealed < next)
			seal_note(l, rid, 1, now);
	}
	kv_cursor_close(c);
	kv_abort(t);
	return err;
}

/* ---- taking blocks together ---- */

/* Adds a stored block when it fits.  1: it ends the piece, which does not have it. */
static int add_block(struct piece *p, struct span key, struct span value)
{
	struct stored s;
	int err = stored_open(key, value, KIND_LOG, &s);

	if (err < 0 || s.codec == CODEC_SEALED)
		return 1;
	err = logpile_add(&p->pile, &s, get_be64(key.data + 4));
	if (err == 0)
		p->end = p->pile.end;
	return err;
}

/* The young blocks of the run from where sealing stands on; *ret_all: there is nothing behind them. */
static int gather(struct seal *l, struct kv_txn *t, bool *ret_all)
{
	struct piece *p = &l->piece;
	struct kv_cursor *c = NULL;
	struct span key, value;
	uint64_t from;
	int err = logs_sealed_seq(t, p->rid, &from), moved;

	if (err == 0)
		err = kv_cursor_open(t, KV_LOG, &c);
	moved = err ? err : logs_seek(c, p->rid, from, &key, &value);
	p->first = moved == 0 ? get_be64(key.data + 4) : from;
	p->end = p->first;
	while (moved == 0 && err == 0 && p->pile.weight < l->store->options.log_block_bytes &&
	       p->pile.blocks < SEAL_BLOCKS_MAX) {
		err = add_block(p, key, value);
		if (err == 0)
			moved = logs_next(c, p->rid, &key, &value);
	}
	*ret_all = err == 0 && moved == ERR_NOT_FOUND;
	if (err == 1 && p->pile.n == 0) { /* this one cannot be sealed, or is: on behind it */
		moved = logs_next(c, p->rid, &key, &value);
		p->end = moved == 0 ? get_be64(key.data + 4) : p->first;
		p->keep = true;
		*ret_all = moved == ERR_NOT_FOUND;
	}
	kv_cursor_close(c);
	return err < 0 ? err : moved < 0 && moved != ERR_NOT_FOUND ? moved : 0;
}

/* *ret_left: the run has more to seal now. */
static int make_piece(struct seal *l, uint32_t rid, bool quiet, bool *ret_made, bool *ret_left)
{
	struct piece *p = &l->piece;
	bool all = true, good = false;
	struct kv_txn *t;
	int err = logpile_begin(&p->pile);

	p->rid = rid;
	p->keep = false;
	*ret_made = *ret_left = false;
	if (err == 0)
		err = kv_begin(l->store->kv, false, &t);
	if (err < 0)
		return err;
	err = gather(l, t, &all);
	kv_abort(t);
	if (err < 0 || p->end == p->first ||
	    (all && !quiet && p->pile.weight < l->store->options.log_block_bytes))
		return err;
	*ret_left = !all;
	*ret_made = true;
	if (!p->keep && p->pile.blocks >= 2)
		err = logpile_seal(&p->pile, rid, &good);
	p->keep = !good;
	return err;
}

/* ---- the writer's side ---- */

bool seal_ready(struct seal *l)
{
	bool ready;

	pthread_mutex_lock(&l->lock);
	ready = l->ready;
	pthread_mutex_unlock(&l->lock);
	return ready;
}

int seal_put(struct seal *l, struct kv_txn *t)
{
	struct piece *p = &l->piece;
	struct stored s = logpile_stored(&p->pile);
	int err = 0;

	p->gone = !runs_entry(&l->store->runs, p->rid);
	if (p->gone)
		return 0;
	if (!p->keep)
		err = logs_replace(t, p->rid, p->first, p->end, p->pile.blocks, &s);
	p->gone = err == ERR_GONE;
	if (p->gone) {
		seal_note(l, p->rid, 1, clock_now_ns()); /* what is left of them: another time */
		return 0;
	}
	return err < 0 ? err : logs_put_sealed_seq(t, p->rid, p->end);
}

void seal_taken(struct seal *l)
{
	if (!l->piece.keep && !l->piece.gone)
		atomic_fetch_add(&l->store->counters.sealed_logs, l->piece.pile.n);
	pthread_mutex_lock(&l->lock);
	l->ready = false;
	pthread_cond_broadcast(&l->news);
	pthread_mutex_unlock(&l->lock);
}

/* Waits until the writer has put the piece.  False: stopping. */
static bool hand_over(struct seal *l)
{
	bool go_on;

	pthread_mutex_lock(&l->lock);
	l->ready = true;
	pthread_mutex_unlock(&l->lock);
	writer_wake(l->store);
	pthread_mutex_lock(&l->lock);
	while (l->ready && !l->stopping)
		pthread_cond_wait(&l->news, &l->lock);
	go_on = !l->stopping;
	pthread_mutex_unlock(&l->lock);
	return go_on;
}

/* ---- the thread ---- */

/* False: stopping. */
static bool wait_for_run(struct seal *l, uint32_t *ret_rid, bool *ret_quiet)
{
	struct timespec until;
	bool go_on;

	*ret_rid = 0;
	*ret_quiet = false;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LOOK_EVERY_NS / NS_PER_S;
	pthread_mutex_lock(&l->lock);
	while (!l->stopping && !(*ret_rid = choose(l, clock_now_ns(), ret_quiet)))
		if (pthread_cond_timedwait(&l->news, &l->lock, &until) != 0)
			break;
	if (*ret_rid)
		l->young[*ret_rid] = (struct young){ 0 };
	go_on = !l->stopping;
	pthread_mutex_unlock(&l->lock);
	return go_on;
}

static bool run_seal(struct seal *l, uint32_t rid, bool quiet)
{
	bool made, left, go_on = true;
	int err;

	do {
		err = make_piece(l, rid, quiet, &made, &left);
		if (err == 0 && made)
			go_on = hand_over(l);
	} while (err == 0 && left && go_on);
	if (go_on) /* else the writer may still look at it */
		logpile_release(&l->piece.pile);
	if (err < 0)
		log_warn("seal: run %u waits (%s)", rid, err_name(err));
	if (err < 0 || (!made && !quiet))
		seal_note(l, rid,
			  l->piece.pile.weight < l->store->options.log_block_bytes ? l->piece.pile.weight : 1,
			  clock_now_ns());
	return go_on;
}

void *seal_main(void *arg)
{
	struct seal *l = arg;
	uint32_t rid;
	bool quiet;

	pthread_setname_np(pthread_self(), "seal"); /* so that its CPU time can be told apart */
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	if (find_left(l) < 0)
		log_warn("seal: what was left unsealed cannot be read");
	while (wait_for_run(l, &rid, &quiet))
		if (rid && !run_seal(l, rid, quiet))
			break;
	return NULL;
}

void seal_stop(struct seal *l)
{
	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	pthread_cond_broadcast(&l->news);
	pthread_mutex_unlock(&l->lock);
}

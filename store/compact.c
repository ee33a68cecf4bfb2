#include "store/compact.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/base/log.h"
#include "store/file.h"
#include "store/flush.h"
#include "store/parts.h"
#include "store/rawcare.h"
#include "store/slot.h"
#include "store/turn.h"

#define DROP_BLOCKS 1000
#define NICE        10

/* A flush whose blocks are there, and what is in them. */
struct known {
	uint64_t number;
	int64_t seen_ns;
	struct agenda_hour *hours; /* by rising from */
	size_t n_hours, cap;
	bool droppable; /* the journal no longer needs its row */
	bool damaged;   /* a block could not be read: it stays */
};

struct compactor {
	struct store *store;
	pthread_t thread;
	bool started;
	atomic_bool stop;
	pthread_mutex_t lock; /* one at a time seals and drops */
	pthread_mutex_t nap_lock;
	pthread_cond_t nap;
	bool called; /* nap_lock */
	struct rawcare *raw;
	struct known *known; /* by rising number */
	size_t n_known, known_cap;
	int64_t *bad; /* slots that cannot be sealed */
	size_t n_bad;
};

/* ---- what is flushed ---- */

static int add_hour(struct known *k, int64_t start_ns)
{
	int64_t from = window_start(start_ns, AGENDA_HOUR_NS);
	size_t at = k->n_hours;

	while (at > 0 && k->hours[at - 1].from_ns > from)
		at--;
	if (at > 0 && k->hours[at - 1].from_ns == from) {
		k->hours[at - 1].buckets++;
		return 0;
	}
	if (k->n_hours == k->cap) {
		size_t cap = k->cap ? k->cap * 2 : 4;
		struct agenda_hour *p = realloc(k->hours, cap * sizeof(*p));

		if (!p)
			return ERR_NOMEM;
		k->hours = p;
		k->cap = cap;
	}
	memmove(k->hours + at + 1, k->hours + at, (k->n_hours - at) * sizeof(*k->hours));
	k->hours[at] = (struct agenda_hour){ from, 1 };
	k->n_hours++;
	return 0;
}

static int hour_of_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	(void)b;
	return add_hour(arg, key.start_ns);
}

static int read_block(struct known *k, struct span key, struct span value)
{
	struct stored s;
	int err = stored_open(key, value, KIND_BLOCK, &s);

	if (err == 0)
		err = block_read(s.body, s.count, hour_of_bucket, k);
	if (err == ERR_CORRUPT) {
		k->damaged = true;
		return 0;
	}
	return err;
}

/* Which hours the flush has buckets of. */
static int read_hours(struct kv_txn *t, struct known *k)
{
	uint8_t at[BLOCK_KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_BLOCK, &c), moved;

	if (err < 0)
		return err;
	moved = kv_seek(c, block_key_of(k->number, 0, INT64_MIN, at), &key, &value);
	for (; moved == 0 && err == 0 && key.len == BLOCK_KEY_BYTES && get_be64(key.data) == k->number;
	     moved = kv_next(c, &key, &value))
		err = read_block(k, key, value);
	kv_cursor_close(c);
	return err;
}

static struct known *find_known(struct compactor *c, uint64_t number)
{
	for (size_t i = 0; i < c->n_known; i++)
		if (c->known[i].number == number)
			return &c->known[i];
	return NULL;
}

static int learn(struct compactor *c, struct kv_txn *t, uint64_t number, struct known **ret)
{
	struct known k = { .number = number, .seen_ns = clock_now_ns() };
	int err = read_hours(t, &k);

	if (err == 0 && c->n_known == c->known_cap) {
		size_t cap = c->known_cap ? c->known_cap * 2 : 64;
		struct known *p = realloc(c->known, cap * sizeof(*p));

		err = p ? 0 : ERR_NOMEM;
		if (p) {
			c->known = p;
			c->known_cap = cap;
		}
	}
	if (err < 0) {
		free(k.hours);
		return err;
	}
	if (k.damaged)
		log_warn("compact: a block of flush %llu is damaged; the flush stays in the hot store",
			 (unsigned long long)number);
	c->known[c->n_known] = k;
	*ret = &c->known[c->n_known++];
	return 0;
}

/* One flush after the one numbered after; *ret_number 0: no more.  A snapshot each: to read all the blocks
 * of one takes some time. */
static int look_at_flush(struct compactor *c, uint64_t after, uint64_t *ret_number)
{
	struct span key, value;
	struct kv_cursor *cursor;
	struct flush_row row;
	struct state state;
	struct known *k;
	struct kv_txn *t;
	uint8_t at[8];
	int err = kv_begin(c->store->kv, false, &t);

	if (err < 0)
		return err;
	*ret_number = 0;
	put_be64(at, after + 1);
	err = state_get(t, &state);
	if (err == 0)
		err = kv_cursor_open(t, KV_FLUSH, &cursor);
	if (err == 0) {
		err = kv_seek(cursor, span_of(at, 8), &key, &value);
		if (err == 0)
			err = flush_row_decode(key, value, &row);
		kv_cursor_close(cursor);
	}
	if (err == 0 && row.number <= state.flush) {
		k = find_known(c, row.number);
		err = k ? 0 : learn(c, t, row.number, &k);
		if (err == 0) {
			k->droppable = row.upto <= state.trimmed;
			*ret_number = row.number;
		}
	}
	kv_abort(t);
	return err == ERR_NOT_FOUND ? 0 : err;
}

static int look(struct compactor *c)
{
	uint64_t number = 0;
	int err = 0;

	do
		err = look_at_flush(c, number, &number);
	while (err == 0 && number && !atomic_load(&c->stop));
	return err;
}

/* ---- the plan ---- */

struct picture {
	struct agenda_part *parts;
	struct agenda_flush *flushes;
	struct agenda_state state;
};

static void picture_release(struct picture *p)
{
	free(p->parts);
	free(p->flushes);
}

static int picture_parts(struct compactor *c, struct picture *p)
{
	struct manifest m = { 0 };
	struct kv_txn *t;
	int err = kv_begin(c->store->kv, false, &t);

	if (err < 0)
		return err;
	err = manifest_read(t, 0, INT64_MIN, INT64_MAX, &m);
	if (err == 0) {
		p->parts = malloc((m.n + 1) * sizeof(*p->parts));
		err = p->parts ? 0 : ERR_NOMEM;
	}
	for (size_t i = 0; err == 0 && i < m.n; i++)
		p->parts[i] = (struct agenda_part){ m.rows[i].id.from_ns, m.rows[i].id.to_ns, m.rows[i].upto,
						    m.rows[i].summary.buckets };
	p->state.parts = p->parts;
	p->state.n_parts = m.n;
	manifest_release(&m);
	kv_abort(t);
	return err;
}

static int take_picture(struct compactor *c, struct picture *p)
{
	int err;

	*p = (struct picture){ 0 };
	err = picture_parts(c, p);
	if (err == 0) {
		p->flushes = malloc((c->n_known + 1) * sizeof(*p->flushes));
		err = p->flushes ? 0 : ERR_NOMEM;
	}
	for (size_t i = 0; err == 0 && i < c->n_known; i++) {
		const struct known *k = &c->known[i];

		p->flushes[i] = (struct agenda_flush){ k->number, k->seen_ns, k->hours, k->n_hours };
	}
	p->state.flushes = p->flushes;
	p->state.n_flushes = c->n_known;
	if (err < 0)
		picture_release(p);
	return err;
}

/* ---- sealing ---- */

static int publish(void *arg, struct kv_txn *t) { return manifest_replace(t, arg); }

/* The files of parts that were taken in; readers that have them open keep them. */
static void unlink_old(struct store *s, const struct part_id *ids, size_t n)
{
	char path[FILE_PATH_MAX];

	for (size_t i = 0; i < n; i++)
		if (parts_path(s->parts, &ids[i], path) == 0)
			unlink(path);
}

static int ids_in_slot(struct store *s, const struct agenda_job *job, struct part_id **ret, size_t *ret_n)
{
	struct manifest m = { 0 };
	struct part_id *ids = NULL;
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = manifest_read(t, 0, job->from_ns, job->to_ns, &m);
	if (err == 0) {
		ids = malloc((m.n + 1) * sizeof(*ids));
		err = ids ? 0 : ERR_NOMEM;
	}
	for (size_t i = 0; err == 0 && i < m.n; i++)
		ids[i] = m.rows[i].id;
	*ret = ids;
	*ret_n = m.n;
	manifest_release(&m);
	kv_abort(t);
	return err;
}

static int seal_and_publish(struct compactor *c, const struct agenda_job *job, struct compact_report *report)
{
	struct store *s = c->store;
	struct part_id *old = NULL;
	struct part_row row;
	struct buf runs;
	size_t n_old = 0;
	int err;

	buf_init(&runs, (size_t)64 * 1024 * 1024);
	err = ids_in_slot(s, job, &old, &n_old);
	if (err == 0)
		err = slot_seal(s, job, &c->stop, &row, &runs);
	if (err == 0)
		err = writer_errand(s, publish, &row);
	if (err == 0) {
		unlink_old(s, old, n_old);
		report->parts++;
		report->replaced += n_old;
		report->buckets += row.summary.buckets;
		report->bytes += row.summary.bytes;
	}
	free(old);
	buf_release(&runs);
	return err;
}

static void slot_text(const struct agenda_job *j, char *ret, size_t max)
{
	char from[CLOCK_TEXT_MAX];

	clock_format(j->from_ns, from);
	snprintf(ret, max, "%s from %s", j->to_ns - j->from_ns == AGENDA_DAY_NS ? "the day" : "the hour",
		 from);
}

static bool is_bad(const struct compactor *c, const struct agenda_job *job)
{
	for (size_t i = 0; i < c->n_bad; i++)
		if (c->bad[i] == job->from_ns)
			return true;
	return false;
}

static void note_bad(struct compactor *c, const struct agenda_job *job)
{
	int64_t *p = realloc(c->bad, (c->n_bad + 1) * sizeof(*p));
	char slot[80];

	slot_text(job, slot, sizeof(slot));
	log_warn("compact: %s stays as it is, something in it is damaged; run astraml verify", slot);
	if (!p)
		return;
	c->bad = p;
	c->bad[c->n_bad++] = job->from_ns;
}

struct task {
	const struct agenda_policy *policy;
	int64_t now_ns;
	bool dry_run;
	compact_fn tell;
	void *arg;
	struct compact_report *report;
};

static void tell_job(const struct task *task, const struct agenda_job *job)
{
	char slot[80], text[200];

	if (!task->tell)
		return;
	slot_text(job, slot, sizeof(slot));
	snprintf(text, sizeof(text), "%s: %llu buckets, %llu parts", slot, (unsigned long long)job->pending,
		 (unsigned long long)job->parts);
	task->tell(task->arg, text);
}

static int do_job(struct compactor *c, const struct task *task, const struct agenda_job *job)
{
	int err;

	if (is_bad(c, job))
		return 0;
	tell_job(task, job);
	if (task->dry_run)
		return 0;
	err = seal_and_publish(c, job, task->report);
	if (err == ERR_CORRUPT) {
		note_bad(c, job);
		task->report->failed++;
		return 0;
	}
	return err;
}

static int do_jobs(struct compactor *c, const struct task *task)
{
	struct agenda_job *jobs = NULL;
	struct picture p;
	size_t n = 0;
	int err = take_picture(c, &p);

	if (err < 0)
		return err;
	err = agenda_jobs(&p.state, task->policy, task->now_ns, &jobs, &n);
	for (size_t i = 0; i < n && err == 0; i++)
		err = do_job(c, task, &jobs[i]);
	free(jobs);
	picture_release(&p);
	return err;
}

/* ---- dropping ---- */

struct drop {
	uint64_t number;
	bool more;
};

/* Some blocks of a flush, and its row with the last. */
static int drop_some(void *arg, struct kv_txn *t)
{
	struct drop *d = arg;
	uint8_t at[BLOCK_KEY_BYTES];
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_BLOCK, &c), moved = 0;

	if (err < 0)
		return err;
	d->more = true;
	for (size_t n = 0; n < DROP_BLOCKS && err == 0 && d->more; n++) {
		moved = kv_seek(c, block_key_of(d->number, 0, INT64_MIN, at), &key, &value);
		d->more = moved == 0 && get_be64(key.data) == d->number;
		if (d->more)
			err = kv_cursor_del(c);
	}
	kv_cursor_close(c);
	if (err == 0 && moved < 0 && moved != ERR_NOT_FOUND)
		err = moved;
	if (err < 0 || d->more)
		return err;
	put_be64(at, d->number);
	err = kv_del(t, KV_FLUSH, span_of(at, 8));
	return err == ERR_NOT_FOUND ? 0 : err;
}

static void forget(struct compactor *c, size_t i)
{
	free(c->known[i].hours);
	memmove(c->known + i, c->known + i + 1, (c->n_known - i - 1) * sizeof(*c->known));
	c->n_known--;
}

static int drop_folded(struct compactor *c, struct compact_report *report)
{
	struct picture p;
	int err = take_picture(c, &p);

	if (err < 0)
		return err;
	for (size_t i = c->n_known; i-- > 0 && err == 0 && !atomic_load(&c->stop);) {
		struct drop d = { .number = c->known[i].number, .more = true };

		if (!c->known[i].droppable || c->known[i].damaged || !agenda_folded(&p.state, &p.flushes[i]))
			continue;
		while (err == 0 && d.more)
			err = writer_errand(c->store, drop_some, &d);
		if (err == 0) {
			forget(c, i);
			report->flushes++;
		}
	}
	picture_release(&p);
	return err;
}

/* ---- life ---- */

static int compact(struct compactor *c, const struct task *task)
{
	int err;

	pthread_mutex_lock(&c->lock);
	err = look(c);
	if (err == 0)
		err = do_jobs(c, task);
	if (err == 0 && !task->dry_run)
		err = drop_folded(c, task->report);
	pthread_mutex_unlock(&c->lock);
	return err;
}

static void compact_by_clock(struct compactor *c)
{
	const struct store_options *o = &c->store->options;
	struct agenda_policy policy = { o->settle_ns, o->late_ns };
	struct compact_report report = { 0 };
	struct task task = { .policy = &policy, .now_ns = clock_now_ns(), .report = &report };
	int err = compact(c, &task);

	if (err < 0 && err != ERR_GONE && err != ERR_BUSY)
		log_warn("compact: %s; it is tried again later", err_name(err));
}

static void care_for_raw(struct compactor *c)
{
	struct raw_report report = { 0 };

	rawcare_run(c->raw, clock_now_ns(), false, &c->stop, &report);
}

/* Until it is time to look again, or somebody calls. */
static void take_nap(struct compactor *c)
{
	int64_t wake = clock_now_ns() + c->store->options.compact_every_ns;
	struct timespec until = { wake / NS_PER_S, wake % NS_PER_S };
	int rc = 0;

	pthread_mutex_lock(&c->nap_lock);
	while (!atomic_load(&c->stop) && !c->called && rc == 0)
		rc = pthread_cond_timedwait(&c->nap, &c->nap_lock, &until);
	c->called = false;
	pthread_mutex_unlock(&c->nap_lock);
}

static void *compactor_main(void *arg)
{
	struct compactor *c = arg;

	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE); /* of this thread alone, on Linux */
	while (!atomic_load(&c->stop)) {
		care_for_raw(c);
		compact_by_clock(c);
		take_nap(c);
	}
	return NULL;
}

int compactor_new(struct store *s, struct compactor **ret)
{
	struct compactor *c = calloc(1, sizeof(*c));

	if (!c)
		return ERR_NOMEM;
	c->store = s;
	if (rawcare_new(s, &c->raw) < 0) {
		free(c);
		return ERR_NOMEM;
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->nap_lock, NULL);
	pthread_cond_init(&c->nap, NULL);
	*ret = c;
	return 0;
}

int compactor_start(struct compactor *c)
{
	c->started = pthread_create(&c->thread, NULL, compactor_main, c) == 0;
	return c->started ? 0 : ERR_NOMEM;
}

void compactor_call(struct compactor *c)
{
	pthread_mutex_lock(&c->nap_lock);
	c->called = true;
	pthread_cond_signal(&c->nap);
	pthread_mutex_unlock(&c->nap_lock);
}

void compactor_stop(struct compactor *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->nap_lock);
	atomic_store(&c->stop, true);
	pthread_cond_broadcast(&c->nap);
	pthread_mutex_unlock(&c->nap_lock);
	if (c->started)
		pthread_join(c->thread, NULL);
	c->started = false;
}

void compactor_free(struct compactor *c)
{
	if (!c)
		return;
	while (c->n_known)
		forget(c, c->n_known - 1);
	free(c->known);
	free(c->bad);
	rawcare_free(c->raw);
	free(c);
}

/* ---- on demand ---- */

/* Waits for news of memory, a quarter of a second at most. */
static void wait_for_memory(struct store *s)
{
	int64_t wake = clock_now_ns() + 250 * NS_PER_MS;
	struct timespec until = { wake / NS_PER_S, wake % NS_PER_S };

	pthread_cond_timedwait(&s->memory_news, &s->memory_lock, &until);
}

/* Until everything that memory holds now is in blocks; one flush may be under way already. */
static void flush_all(struct store *s)
{
	uint64_t enough = 0;
	bool more = true;

	while (more && !atomic_load(&s->broken)) {
		atomic_store(&s->flush_wanted, true);
		writer_wake(s);
		pthread_mutex_lock(&s->memory_lock);
		if (!enough)
			enough = s->applied.flush + 2;
		more = memory_buckets(&s->memory) && s->applied.flush < enough;
		if (more)
			wait_for_memory(s);
		pthread_mutex_unlock(&s->memory_lock);
	}
	atomic_store(&s->flush_wanted, false);
}

static int seal_raw(struct compactor *c, struct compact_report *report)
{
	struct raw_report raw = { 0 };
	int err = rawcare_run(c->raw, clock_now_ns(), true, &c->stop, &raw);

	report->raw_parts = raw.parts;
	report->raw_samples = raw.samples;
	report->raw_bytes = raw.bytes;
	return err;
}

int store_compact(struct store *s, int64_t until_ns, bool dry_run, compact_fn tell, void *arg,
		  struct compact_report *ret)
{
	struct agenda_policy at_once = { 0, 0 };
	struct compact_report report = { 0 };
	struct task task = { &at_once, until_ns, dry_run, tell, arg, &report };
	uint64_t made;
	int err = 0;

	if (!s->compactor)
		return ERR_DENIED;
	if (!dry_run) {
		flush_all(s);
		err = seal_raw(s->compactor, &report);
	}
	if (err < 0)
		return err;
	do {
		made = report.parts;
		err = compact(s->compactor, &task);
	} while (err == 0 && report.parts > made);
	*ret = report;
	return err;
}

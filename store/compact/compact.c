#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/base/array.h"
#include "store/base/duration.h"
#include "store/base/log.h"
#include "store/compact/compactor.h"
#include "store/compact/purge.h"
#include "store/file.h"
#include "store/log/logkeep.h"
#include "store/part/parts.h"
#include "store/raw/rawcare.h"
#include "store/registry/project.h"
#include "store/turn.h"

#define NICE 10

/* A look at all logs reads a page of each run. */
#define SWEEP_EVERY_NS (600 * NS_PER_S)

/* ---- what its files share ---- */

void slot_text(const struct project *p, const struct part_id *slot, char *ret)
{
	char from[CLOCK_TEXT_MAX], length[DURATION_TEXT_MAX], tier[TIER_NAME_MAX];

	clock_format(slot->from_ns, from);
	duration_print(slot->to_ns - slot->from_ns, length);
	tier_name(slot->tier_ns, tier);
	snprintf(ret, SLOT_TEXT_MAX, "project %s, tier %s, %s from %s", p->name, tier, length, from);
}

void task_tell(const struct task *task, const char *format, ...)
{
	char text[SLOT_TEXT_MAX + 80];
	va_list args;

	if (!task->tell)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	task->tell(task->arg, text);
}

bool is_bad(const struct compactor *c, const struct part_id *slot)
{
	for (size_t i = 0; i < c->n_bad; i++)
		if (c->bad[i].pid == slot->pid && c->bad[i].tier_ns == slot->tier_ns &&
		    c->bad[i].from_ns == slot->from_ns)
			return true;
	return false;
}

void note_bad(struct compactor *c, const struct project *p, const struct part_id *slot)
{
	struct agenda_slot *all = realloc(c->bad, (c->n_bad + 1) * sizeof(*all));
	char text[SLOT_TEXT_MAX];

	slot_text(p, slot, text);
	log_warn("compact: %s stays as it is, something in it is damaged; run astraml verify", text);
	if (!all)
		return;
	c->bad = all;
	c->bad[c->n_bad++] = (struct agenda_slot){ slot->pid, slot->tier_ns, slot->from_ns };
}

int ids_in_slot(struct store *s, const struct part_id *slot, struct part_id **ret, size_t *ret_n)
{
	struct manifest m = { 0 };
	struct part_id *ids = NULL;
	struct kv_txn *t;
	size_t n = 0;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = manifest_read_all(t, &m);
	if (err == 0) {
		ids = malloc((m.n + 1) * sizeof(*ids));
		err = ids ? 0 : ERR_NOMEM;
	}
	for (size_t i = 0; err == 0 && i < m.n; i++) {
		const struct part_id *id = &m.rows[i].id;

		if (id->pid == slot->pid && id->tier_ns == slot->tier_ns && id->from_ns < slot->to_ns &&
		    id->to_ns > slot->from_ns)
			ids[n++] = *id;
	}
	*ret = ids;
	*ret_n = n;
	manifest_release(&m);
	kv_abort(t);
	return err;
}

void unlink_parts(struct store *s, const struct part_id *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		parts_remove(s->parts, &ids[i]);
}

/* ---- projects ---- */

int picture_take(const struct compactor *c, const struct project *p, struct picture *ret)
{
	struct picture picture = { .project = *p };
	struct kv_txn *t;
	int err = kv_begin(c->store->kv, false, &t);

	if (err < 0)
		return err;
	err = manifest_read(t, p->pid, INT64_MIN, INT64_MAX, &picture.state.parts);
	for (size_t i = 0; c->look_for_gone && i < picture.state.parts.n; i++)
		picture.state.parts.rows[i].gone =
		    runs_any_gone(&c->store->runs, picture.state.parts.rows[i].runs);
	manifest_detach(&picture.state.parts);
	kv_abort(t);
	if (err == 0)
		err = flushes_of(&c->flushes, p->pid, &picture.flushes);
	if (err < 0) {
		picture_release(&picture);
		return err;
	}
	picture.state.flushes = picture.flushes;
	picture.state.n_flushes = c->flushes.n;
	picture.state.bad = c->bad;
	picture.state.n_bad = c->n_bad;
	*ret = picture;
	return 0;
}

void picture_release(struct picture *p)
{
	manifest_release(&p->state.parts);
	free(p->flushes);
}

struct projects {
	struct project *all;
	size_t n, cap;
};

static int add_project(void *arg, const struct project *p)
{
	struct projects *ps = arg;

	if (array_grow(ps->all, ps->n, ps->cap) < 0)
		return ERR_NOMEM;
	ps->all[ps->n++] = *p;
	return 0;
}

static int find_projects(struct store *s, struct projects *ret)
{
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = projects_read(t, add_project, ret);
	kv_abort(t);
	return err;
}

/* ---- life ---- */

/* Whether there still are parts with runs that are gone: in slots that are open, damaged, or done next. */
static int find_gone(struct compactor *c, bool *ret)
{
	struct manifest m;
	struct kv_txn *t;
	int err = kv_begin(c->store->kv, false, &t);

	if (err < 0)
		return err;
	err = manifest_read_all(t, &m);
	if (err == 0) {
		*ret = false;
		for (size_t i = 0; i < m.n && !*ret; i++)
			*ret = runs_any_gone(&c->store->runs, m.rows[i].runs);
		manifest_release(&m);
	}
	kv_abort(t);
	return err;
}

static int compact_all(struct compactor *c, const struct task *task)
{
	struct projects ps = { 0 };
	int err = find_projects(c->store, &ps);

	for (size_t i = 0; i < ps.n && err == 0; i++) {
		err = compact_seal(c, task, &ps.all[i]);
		if (err == 0 && c->look_for_gone)
			err = compact_totals(c, task, &ps.all[i]);
		if (err == 0)
			err = compact_expire(c, task, &ps.all[i]);
	}
	if (err == 0 && !task->dry_run)
		err = compact_drop_folded(c, task, ps.all, ps.n);
	if (err == 0 && c->look_for_gone)
		err = find_gone(c, &c->look_for_gone);
	for (size_t i = 0; i < ps.n && err == 0; i++)
		err = compact_logs(c, task, &ps.all[i]);
	if (err == 0 && !task->dry_run)
		compact_logs_done(c, task);
	free(ps.all);
	return err;
}

/* The oldest logs are in parts. */
static int expire_logs(struct compactor *c, const struct task *task)
{
	uint64_t before = task->report->log_records;
	struct projects ps = { 0 };
	int err = find_projects(c->store, &ps);

	for (size_t i = 0; i < ps.n && err == 0; i++)
		err = compact_expire_logs(c, task, &ps.all[i]);
	free(ps.all);
	if (err == 0)
		err = logkeep_sweep(c->store, &c->stop, &task->report->log_records);
	if (task->report->log_records > before)
		log_info("log_keep: %llu records were old and are gone",
			 (unsigned long long)(task->report->log_records - before));
	return err;
}

/* What nobody wants any more. */
static int tidy(struct compactor *c, const struct task *task)
{
	uint64_t runs = task->report->runs;
	int64_t now_ns = clock_now_ns();
	int err = purge_runs(c->store, &c->stop, &task->report->runs);

	if (task->report->runs > runs) {
		c->look_for_gone = c->look_for_gone_logs = true;
		rawcare_runs_went(c->raw);
		if (err == 0)
			err = flushes_learn_again(&c->flushes, c->store);
	}
	if (err < 0 || (task->by_clock && now_ns >= c->swept_ns && now_ns - c->swept_ns < SWEEP_EVERY_NS))
		return err;
	c->swept_ns = now_ns;
	return expire_logs(c, task);
}

static int compact(struct compactor *c, const struct task *task)
{
	int err;

	pthread_mutex_lock(&c->lock);
	err = task->dry_run ? 0 : tidy(c, task);
	if (err == 0)
		err = flushes_look(&c->flushes, c->store, &c->stop);
	if (err == 0 && !task->dry_run)
		err = compact_quarantine_flushes(c);
	if (err == 0)
		err = flushes_look(&c->flushes, c->store, &c->stop);
	if (err == 0)
		err = compact_all(c, task);
	pthread_mutex_unlock(&c->lock);
	return err;
}

static void compact_by_clock(struct compactor *c)
{
	const struct store_options *o = &c->store->options;
	struct compact_report report = { 0 };
	struct task task = { .by_clock = true,
			     .until_ns = clock_now_ns(),
			     .settle_ns = o->settle_ns,
			     .late_ns = o->late_ns,
			     .report = &report };
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
	c->look_for_gone = c->look_for_gone_logs =
	    true; /* a process before may have purged and sealed nothing */
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
	flushes_release(&c->flushes);
	free(c->bad);
	free(c->bad_logs);
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

	report->raw_parts += raw.parts;
	report->raw_samples += raw.samples;
	report->raw_bytes += raw.bytes;
	return err;
}

int store_compact(struct store *s, int64_t until_ns, bool dry_run, compact_fn tell, void *arg,
		  struct progress *progress, struct compact_report *ret)
{
	struct compact_report report = { 0 };
	struct task task = { .until_ns = until_ns,
			     .dry_run = dry_run,
			     .tell = tell,
			     .arg = arg,
			     .progress = progress,
			     .report = &report };
	uint64_t done;
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
		done = report.parts + report.dropped;
		err = compact(s->compactor, &task);
	} while (err == 0 && report.parts + report.dropped > done);
	if (err == 0 && report.runs)
		err = seal_raw(s->compactor, &report); /* without those that went */
	*ret = report;
	return err;
}

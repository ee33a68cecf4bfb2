#include "store/turn.h"

#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/base/limits.h"
#include "store/batch.h"
#include "store/hot/flush.h"
#include "store/log/logs.h"
#include "store/log/seal.h"
#include "store/raw/rawrow.h"
#include "store/registry/idempotency.h"
#include "store/registry/producer.h"
#include "store/registry/project.h"

#define TRIM_CHUNKS        64
#define EXPIRE_KEYS        16
#define HEARTBEAT_EVERY_NS (10 * NS_PER_S)

/* ---- runs ---- */

/* What was answered for a run that was deleted meanwhile is forgotten: its id may be used again, and what
 * made it makes it again. */
static bool is_deleted(struct store *s, uint32_t rid)
{
	struct run_entry *run = runs_entry(&s->runs, rid);

	return rid && (!run || run->deleted);
}

static int recall_creation(struct store *s, struct turn *t, struct creation *c)
{
	struct idempotent known;
	int err = idempotency_get(t->txn, c->run->project, c->key, t->now_ns, &known);

	if (err < 0)
		return err;
	free(known.rejected);
	if (is_deleted(s, known.rid))
		return ERR_NOT_FOUND;
	if (known.content_hash != c->content_hash || known.first_seq != 0) {
		c->err = idempotency_conflict(c->key, &c->fault);
		return 0;
	}
	c->replayed = true;
	return run_get(t->txn, known.rid, c->ret);
}

static int put_creation(struct store *s, struct turn *t, struct creation *c, struct run *run)
{
	struct idempotent a = { .created_ns = t->now_ns, .content_hash = c->content_hash, .rid = run->rid };
	struct project project;
	int err = project_ensure(t->txn, run->project, t->now_ns, &project);

	run->pid = project.pid;
	if (err == 0)
		err = run_put(t->txn, run);
	if (err == 0)
		err = run_put_name(t->txn, run);
	if (err == 0 && c->key.len)
		err = idempotency_put(t->txn, run->project, c->key, &a);
	if (err == 0)
		err = runs_add(&s->runs, run);
	if (err == 0)
		c->made_rid = run->rid;
	return err;
}

static int create_run(struct store *s, struct turn *t, struct creation *c)
{
	struct run run = *c->run;
	struct run_ref there;
	int err;

	if (c->key.len) {
		err = recall_creation(s, t, c);
		if (err != ERR_NOT_FOUND)
			return err;
		c->err = idempotency_check_room(t->txn, &c->fault);
		if (c->err < 0)
			return 0;
	}
	if (runs_find(&s->runs, run.project, run.id, &there) == 0) {
		c->err = fault_set(
		    &c->fault, ERR_CONFLICT, "id",
		    "run \"%s\" exists in project \"%s\"; choose another id, or go on with that run", run.id,
		    run.project);
		return 0;
	}
	buf_init(&run.spec_json, c->run->spec_json.len + 1);
	buf_init(&run.sources_json, c->run->sources_json.len + 1);
	err = buf_add(&run.spec_json, c->run->spec_json.data, c->run->spec_json.len);
	if (err == 0)
		err = buf_add(&run.sources_json, c->run->sources_json.data, c->run->sources_json.len);
	if (err < 0) {
		run_release(&run);
		return err;
	}
	run.rid = s->state.next_rid++;
	run.created_ns = t->now_ns;
	if (run.state == RUN_RUNNING && !run.imported)
		run.heartbeat_ns = t->now_ns;
	err = put_creation(s, t, c, &run);
	if (err < 0) {
		run_release(&run);
		return err;
	}
	*c->ret = run;
	return 0;
}

/* ---- one batch ---- */

static int refuse(struct batch *b, int err, const char *field, const char *text)
{
	b->err = fault_set(&b->fault, err, field, "%s", text);
	return 0;
}

static void answer_duplicate(struct turn *t, struct batch *b, uint64_t first_seq, uint64_t n_logs)
{
	b->duplicate = true;
	b->first_seq = first_seq;
	b->last_seq = first_seq ? first_seq + n_logs - 1 : 0;
	t->duplicates++;
}

static int recall_rejected(struct turn *t, struct batch *b)
{
	free(b->rejected);
	b->rejected = NULL;
	b->n_rejected = 0;
	return producer_get_rejected(t->txn, b->rid, b->producer, b->sequence, &b->rejected, &b->n_rejected);
}

/* *ret_go: the batch is new and is to be applied. */
static int decide_producer(struct turn *t, struct batch *b, struct producer *p, bool *ret_go)
{
	const struct producer_request *known;
	int err = producer_get(t->txn, b->rid, b->producer, p);

	*ret_go = false;
	if (err < 0)
		return err;
	switch (producer_decide(p, b->sequence, b->content_hash)) {
	case PRODUCER_NEW:
		*ret_go = true;
		return 0;
	case PRODUCER_CONFLICT:
		b->err = fault_set(&b->fault, ERR_CONFLICT, "producer.sequence",
				   "producer.sequence %llu was applied with other content; what a sequence "
				   "holds is fixed when it is first written, use the next one",
				   (unsigned long long)b->sequence);
		return 0;
	case PRODUCER_AHEAD:
		b->err = fault_set(&b->fault, ERR_AHEAD, "producer.sequence",
				   "producer.sequence %llu is more than %d ahead of %llu, up to which all "
				   "are applied; send the missing ones first, then retry",
				   (unsigned long long)b->sequence, PRODUCER_WINDOW,
				   (unsigned long long)p->contig);
		return 0;
	case PRODUCER_DUPLICATE:
		break;
	}
	known = producer_recall(p, b->sequence);
	answer_duplicate(t, b, known ? known->first_seq : 0, known ? known->n_logs : 0);
	return recall_rejected(t, b);
}

static int decide_key(struct store *s, struct turn *t, struct batch *b, bool *ret_go)
{
	struct idempotent known;
	int err = idempotency_get(t->txn, b->project, b->idempotency_key, t->now_ns, &known);

	*ret_go = false;
	if (err == 0 && is_deleted(s, known.rid)) {
		free(known.rejected);
		err = ERR_NOT_FOUND;
	}
	if (err == ERR_NOT_FOUND) {
		b->err = idempotency_check_room(t->txn, &b->fault);
		*ret_go = b->err == 0;
		return 0;
	}
	if (err < 0)
		return err;
	if (known.content_hash != b->content_hash || known.rid != b->rid) {
		free(known.rejected);
		b->err = idempotency_conflict(b->idempotency_key, &b->fault);
		return 0;
	}
	answer_duplicate(t, b, known.first_seq, known.first_seq ? known.last_seq - known.first_seq + 1 : 0);
	free(b->rejected);
	b->rejected = known.rejected;
	b->n_rejected = known.n_rejected;
	return 0;
}

/* Names every series of the batch that has no id yet, and puts the ids into its columns. */
static int name_series(struct store *s, struct turn *t, struct batch *b, struct run_entry *run)
{
	bool fresh = false;

	for (size_t i = 0; i < b->n_series; i++) {
		struct batch_series *bs = &b->series[i];
		int err;

		if (bs->sid)
			continue;
		fresh = true;
		if (registry_find(&s->series, b->rid, &bs->name, &bs->sid) == 0)
			continue;
		err = series_put(t->txn, b->rid, s->state.next_sid, t->now_ns, &bs->name);
		if (err == 0)
			err = registry_add(&s->series, b->rid, s->state.next_sid, &bs->name);
		if (err < 0)
			return err;
		bs->sid = s->state.next_sid++;
		run->n_series++;
		b->n_new++;
	}
	return fresh ? batch_name_samples(b) : 0;
}

/* New names, counted before any is made: a refused batch leaves no trace. */
static size_t count_new(struct store *s, const struct batch *b)
{
	size_t n = 0;
	uint32_t sid;

	for (size_t i = 0; i < b->n_series; i++)
		n += !b->series[i].sid && registry_find(&s->series, b->rid, &b->series[i].name, &sid) < 0;
	return n;
}

static int sign_of_life(struct turn *t, struct batch *b, struct run_entry *e)
{
	bool beat = !b->imported && t->now_ns - e->heartbeat_ns > HEARTBEAT_EVERY_NS;
	bool wakes =
	    !b->imported && (e->state == RUN_QUEUED || e->state == RUN_PREEMPTED) && !b->update.state;
	struct run run;
	int err;

	if (!beat && !wakes && !b->update.state && !b->update.has_exit_code)
		return 0;
	err = run_get(t->txn, b->rid, &run);
	if (err < 0)
		return err;
	if (!b->imported)
		run.heartbeat_ns = t->now_ns;
	if (wakes)
		run_enter_state(&run, RUN_RUNNING, t->now_ns, 0);
	if (b->update.state)
		run_enter_state(&run, b->update.state, t->now_ns, b->update.ended_ns);
	else if (run.state == RUN_RUNNING && !run.started_ns)
		run.started_ns = t->now_ns;
	if (b->update.has_exit_code) {
		run.has_exit_code = true;
		run.exit_code = b->update.exit_code;
	}
	err = run_put(t->txn, &run);
	e->heartbeat_ns = run.heartbeat_ns;
	e->state = run.state;
	run_release(&run);
	return err;
}

static int remember(struct turn *t, struct batch *b, struct producer *p)
{
	if (b->has_producer) {
		struct producer_request rq = { b->sequence, b->content_hash, b->first_seq,
					       (uint32_t)b->n_logs, (uint32_t)b->n_rejected };
		int err = 0;

		producer_apply(p, &rq);
		if (b->n_rejected)
			err = producer_put_rejected(t->txn, b->rid, b->producer, b->sequence, b->rejected,
						    b->n_rejected);
		return err < 0 ? err : producer_put(t->txn, b->rid, b->producer, p);
	}
	if (b->idempotency_key.len) {
		struct idempotent a = { .created_ns = t->now_ns,
					.content_hash = b->content_hash,
					.rid = b->rid,
					.first_seq = b->first_seq,
					.last_seq = b->last_seq,
					.rejected = b->rejected,
					.n_rejected = b->n_rejected };

		return idempotency_put(t->txn, b->project, b->idempotency_key, &a);
	}
	return 0;
}

/* What was made elsewhere has no samples here: up to there they are not all kept. */
static int mark_buckets(struct turn *t, const struct batch *b)
{
	struct journal_record rec = batch_journal(b);
	int64_t upto = INT64_MIN;

	for (size_t i = 0; i < rec.n_buckets; i++)
		if (rec.buckets[i].start_ns > upto)
			upto = rec.buckets[i].start_ns;
	return raw_gone_put(t->txn, b->rid, upto + b->window_ns - 1);
}

static int add_journal(struct turn *t, struct batch *b)
{
	int err;

	if (b->n_samples + b->n_buckets == 0)
		return 0;
	err = b->journal_record.len ? 0 : batch_encode_samples(b);
	if (err == 0)
		err = buf_add(&t->journal, b->journal_record.data, b->journal_record.len);
	t->samples += b->n_samples;
	return err < 0 || b->n_buckets == 0 ? err : mark_buckets(t, b);
}

/* Ids that a failed commit took back may still be in the columns of batches decoded before. */
static bool stale(struct store *s, const struct batch *b)
{
	size_t known = 0;

	if (registry_rollbacks(&s->series) == 0)
		return false;
	for (size_t i = 0; i < b->n_series; i++)
		if (b->series[i].sid && registry_run(&s->series, b->series[i].sid) != b->rid)
			return true;
	while (known < b->n_samples) {
		known += registry_check(&s->series, b->rid, b->sid + known, b->n_samples - known);
		if (known < b->n_samples && !(b->sid[known++] & BATCH_NEW))
			return true;
	}
	return false;
}

/* An error is the store's own and ends the turn; what is the batch's own fault lands in b->err. */
static int apply(struct store *s, struct turn *t, struct batch *b)
{
	struct run_entry *run = runs_entry(&s->runs, b->rid);
	struct producer producer;
	bool go = true;
	int err = 0;

	if (!run || run->deleted)
		return refuse(b, ERR_NOT_FOUND, "run", "the run was deleted");
	if (b->has_producer)
		err = decide_producer(t, b, &producer, &go);
	else if (b->idempotency_key.len)
		err = decide_key(s, t, b, &go);
	if (err < 0 || !go)
		return err;
	if (stale(s, b))
		return refuse(b, ERR_BUSY, "",
			      "series of this request were given up by a failed commit; retry");
	if (run->n_series + count_new(s, b) > limits.series) {
		b->err =
		    fault_set(&b->fault, ERR_TOO_LARGE, "series",
			      "the run would have more than %llu series; put what varies per sample into "
			      "the step or the time, not into names or labels",
			      (unsigned long long)limits.series);
		return 0;
	}
	err = name_series(s, t, b, run);
	if (err == 0 && b->n_logs) {
		err = logs_put(t->txn, b);
		t->logged = true;
		t->logs += b->n_logs;
	}
	if (err == 0)
		err = add_journal(t, b);
	if (err == 0)
		err = sign_of_life(t, b, run);
	return err < 0 ? err : remember(t, b, &producer);
}

/* ---- the whole ---- */

static uint64_t least_kept_batch(struct store *s)
{
	uint64_t first;

	pthread_mutex_lock(&s->memory_lock);
	first = memory_first_batch(&s->memory);
	pthread_mutex_unlock(&s->memory_lock);
	return first == UINT64_MAX ? s->applied.batch + 1 : first;
}

static int put_flush(struct store *s, struct turn *t)
{
	int err;

	if (!flush_ready(s->flush))
		return 0;
	err = flush_put(s->flush, t->txn, &t->flush_done);
	t->piece_put = err == 0;
	if (err == 0 && t->flush_done) {
		s->state.flush++;
		s->state.trimmed = least_kept_batch(s) - 1;
	}
	return err;
}

int turn_fill(struct store *s, struct turn *t)
{
	bool more;
	int err = 0;

	for (struct creation *c = t->creations; c && err == 0; c = c->next)
		err = create_run(s, t, c);
	for (struct batch *b = t->batches; b && err == 0; b = b->next)
		err = apply(s, t, b);
	for (struct errand *e = t->errands; e && err == 0; e = e->next)
		err = e->fn(e->arg, t->txn);
	if (err == 0 && t->journal.len)
		err = journal_put(t->txn, ++s->state.batch, buf_span(&t->journal));
	if (err == 0)
		err = put_flush(s, t);
	if (err == 0 && seal_ready(s->seal) && !atomic_load(&s->disk_full)) {
		err = seal_put(s->seal, t->txn);
		t->seal_put = err == 0;
	}
	if (err == 0)
		err = journal_trim(t->txn, s->state.sealed, TRIM_CHUNKS, &more);
	if (err == 0)
		err = idempotency_expire(t->txn, t->now_ns, EXPIRE_KEYS);
	return err < 0 ? err : state_put(t->txn, &s->state);
}

/* hide: runs that are deleted lose their names, else those that are not get theirs back. */
static void reload(struct store *s, struct run_entry *run, bool hide)
{
	struct run stored;
	struct kv_txn *t;

	if (kv_begin(s->kv, false, &t) < 0)
		return;
	if (run_get(t, run->rid, &stored) == 0) {
		run->state = stored.state;
		run->heartbeat_ns = stored.heartbeat_ns;
		if ((stored.deleted_ns != 0) == hide)
			runs_set_deleted(&s->runs, run->rid, hide);
		run_release(&stored);
	}
	kv_abort(t);
}

static void reload_altered(struct store *s, bool hide)
{
	for (size_t i = 0; i < s->n_altered; i++) {
		struct run_entry *run = runs_entry(&s->runs, s->altered[i]);

		if (run)
			reload(s, run, hide);
	}
}

void turn_undo(struct store *s, struct turn *t)
{
	struct state now = s->state;

	for (struct creation *c = t->creations; c; c = c->next)
		if (c->made_rid)
			runs_remove(&s->runs, c->made_rid);
	if (now.next_sid != t->before.next_sid)
		registry_truncate(&s->series, t->before.next_sid);
	s->state = t->before;
	s->state.next_sid = now.next_sid; /* ids are never given twice */
	s->state.next_rid = now.next_rid;
	for (struct batch *b = t->batches; b; b = b->next) {
		struct run_entry *run = runs_entry(&s->runs, b->rid);

		if (run) {
			run->n_series -= b->n_new;
			reload(s, run, true);
		}
	}
	reload_altered(s, true);
	reload_altered(s, false);
}

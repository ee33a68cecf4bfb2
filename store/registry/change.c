#include "store/registry/change.h"

#include <stdlib.h>

#include "store/registry/idempotency.h"

struct making {
	const struct change *change;
	struct buf outcome;
	bool replayed;
	struct fault refusal;
};

/* What was answered under this key.  ERR_NOT_FOUND: nothing yet. */
static int recall(struct making *m, struct kv_txn *t, int64_t now_ns)
{
	const struct once *once = m->change->once;
	struct idempotent known;
	int err = idempotency_get(t, m->change->project, once->key, now_ns, &known);

	if (err < 0)
		return err;
	free(known.rejected);
	if (known.content_hash != once->content_hash) {
		idempotency_conflict(once->key, &m->refusal);
		return 0;
	}
	m->replayed = true;
	return buf_add(&m->outcome, known.outcome.data, known.outcome.len);
}

static int make_once(struct making *m, struct kv_txn *t)
{
	const struct change *c = m->change;
	struct idempotent answer = { .created_ns = clock_now_ns(), .content_hash = c->once->content_hash };
	int err = recall(m, t, answer.created_ns);

	if (err != ERR_NOT_FOUND)
		return err;
	if (idempotency_check_room(t, &m->refusal) < 0)
		return 0;
	err = c->apply(c->arg, t, &m->outcome, &m->refusal);
	if (err < 0 || m->refusal.err)
		return err;
	answer.outcome = buf_span(&m->outcome);
	return idempotency_put(t, c->project, c->once->key, &answer);
}

static int make(void *arg, struct kv_txn *t)
{
	struct making *m = arg;
	const struct change *c = m->change;

	return c->once->key.len ? make_once(m, t) : c->apply(c->arg, t, &m->outcome, &m->refusal);
}

int change_make(struct store *s, const struct change *c, struct buf *ret_outcome, bool *ret_replayed,
		struct fault *f)
{
	struct making m = { .change = c };
	int err;

	buf_init(&m.outcome, CHANGE_OUTCOME_MAX);
	err = writer_errand(s, make, &m);
	if (err == ERR_BUSY)
		fault_set(f, err, "",
			  "the store is closing, or open for reading only; retry with the server");
	if (err == 0 && m.refusal.err) {
		err = m.refusal.err;
		if (f)
			*f = m.refusal;
	}
	if (err < 0) {
		buf_release(&m.outcome);
		return fault_default(f, err);
	}
	*ret_outcome = m.outcome;
	*ret_replayed = m.replayed;
	return 0;
}

#include "store/pair.h"

static bool same(const struct state *a, const struct state *b)
{
	return a->batch == b->batch && a->flush == b->flush;
}

/* Beside the writer there is no memory to share: the journal's tail is folded into our own, which
 * is kept for the next call as long as nothing has changed. */
static int pair_shadow(struct store *s, uint32_t rid, struct kv_txn **ret)
{
	struct state state;
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = state_get(t, &state);
	if (err == 0 && (s->shadow_rid != rid || !same(&state, &s->applied))) {
		memory_release(&s->memory);
		memory_init(&s->memory);
		s->shadow_rid = 0;
		err = replay(t, rid, INT64_MIN, &s->memory, NULL);
		if (err == 0) {
			s->shadow_rid = rid;
			s->applied = state;
		}
	}
	if (err < 0) {
		kv_abort(t);
		return err;
	}
	*ret = t;
	return 0;
}

int pair_begin(struct store *s, uint32_t rid, struct kv_txn **ret)
{
	if (s->options.read_only)
		return pair_shadow(s, rid, ret);
	for (;;) {
		struct state state;
		struct kv_txn *t;
		int err = kv_begin(s->kv, false, &t);

		if (err < 0)
			return err;
		err = state_get(t, &state);
		if (err == 0 && same(&state, &s->applied)) {
			*ret = t;
			return 0;
		}
		kv_abort(t);
		if (err < 0)
			return err;
		pthread_cond_wait(&s->memory_news, &s->memory_lock); /* a commit that is not folded yet */
	}
}

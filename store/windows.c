/*
 * windows.c - read.h: buckets of a view, those in memory, in blocks and in parts, of exactly one state.
 */
#include "store/gather.h"
#include "store/pair.h"
#include "store/view.h"

static int64_t earlier(int64_t t_ns) { return t_ns < INT64_MIN + NS_PER_DAY ? INT64_MIN : t_ns - NS_PER_DAY; }
static int64_t later(int64_t t_ns) { return t_ns > INT64_MAX - NS_PER_DAY ? INT64_MAX : t_ns + NS_PER_DAY; }

static int gather_entry(void *arg, const struct entry *e)
{
	struct block_key key = { e->key.sid, e->key.start_ns, (int64_t)e->key.window_ms * NS_PER_MS };
	struct gather *g = arg;

	return found_add(&g->found, key, TIER_RECORDED, e->bucket);
}

/* A run that is gone has no parts. */
static int find_project(struct kv_txn *t, struct gather *g)
{
	int err = run_owner(t, g->rid, &g->pid, &g->recorded_ns);

	return err == ERR_NOT_FOUND ? 0 : err;
}

static int gather_totals(struct store *s, struct kv_txn *t, struct gather *g)
{
	struct part_row row;
	int err = manifest_totals(t, g->pid, &row);

	if (err == ERR_NOT_FOUND)
		return 0;
	return err < 0 ? err : gather_rows(s, t, g, &row, 1);
}

static int gather_all(struct store *s, struct gather *g)
{
	struct kv_txn *t = NULL;
	int err;

	pthread_mutex_lock(&s->memory_lock);
	err = pair_begin(s, g->rid, &t);
	if (err == 0)
		err = memory_find(&s->memory, g->found.asked, g->found.n_sids, earlier(g->from_ns),
				  later(g->to_ns), gather_entry, g);
	pthread_mutex_unlock(&s->memory_lock);
	if (err == 0)
		err = find_project(t, g);
	if (err == 0)
		err = gather_snapshot(s, t, g);
	if (err == 0 && g->width_ns == TIER_WHOLE)
		err = gather_totals(s, t, g);
	kv_abort(t);
	return err;
}

struct bucket_call {
	bucket_fn fn;
	sheet_fn sheet;
	void *arg;
	size_t told;
};

static int tell_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	struct bucket_call *c = arg;

	c->told++;
	return c->fn(c->arg, key.sid, key.start_ns, b);
}

static int tell_sheet(void *arg, uint32_t sid, const struct sheet *s)
{
	struct bucket_call *c = arg;

	c->told += s->n;
	return c->sheet(c->arg, sid, s);
}

/* Finer parts may have gone since the caller asked for the width: what is left does not fill its windows. */
static int check_width(const struct gather *g)
{
	if (g->width_ns == TIER_RECORDED || g->width_ns == TIER_WHOLE)
		return 0;
	for (size_t i = 0; i < g->found.n; i++)
		if (g->found.all[i].window_ns != g->width_ns)
			return ERR_BUSY;
	return 0;
}

int view_windows(struct view *v, uint32_t rid, const uint32_t *sids, size_t n_sids, int64_t from_ns,
		 int64_t to_ns, int64_t width_ns, bucket_fn fn, void *arg, bool *ret_partial)
{
	struct gather g = { .rid = rid,
			    .from_ns = from_ns,
			    .to_ns = to_ns,
			    .width_ns = width_ns,
			    .fields = v->fields,
			    .may_hold = true,
			    .as_sheets = v->sheet != NULL };
	struct bucket_call call = { .fn = fn, .sheet = v->sheet, .arg = arg };
	int err = found_init(&g.found, sids, n_sids);

	g.found.max = v->bound;
	if (err == 0)
		err = gather_all(v->store, &g);
	while (err == ERR_GONE) {
		gather_again(&g);
		err = gather_all(v->store, &g);
	}
	if (err == 0)
		err = check_width(&g);
	if (err == 0)
		err = gather_tell(&g, tell_bucket, tell_sheet, &call);
	if (v->found)
		*v->found = g.found.n > call.told ? g.found.n : call.told;
	if (g.partial && ret_partial)
		*ret_partial = true;
	gather_release(&g);
	return err;
}

void view_fields(struct view *v, unsigned fields) { v->fields = fields; }

void view_sheets(struct view *v, sheet_fn fn) { v->sheet = fn; }

int view_totals(struct view *v, uint32_t rid, const uint32_t *sids, size_t n_sids, bucket_fn fn, void *arg,
		bool *ret_partial)
{
	return view_windows(v, rid, sids, n_sids, INT64_MIN, INT64_MAX, TIER_WHOLE, fn, arg, ret_partial);
}

#include "store/registry/policy.h"

#include "store/base/duration.h"
#include "store/registry/change.h"
#include "store/registry/project.h"

/* ---- what one may say ---- */

/* Windows are merged into those of the next tier, so they must fill them. */
static int64_t next_width(const struct policy *p)
{
	return p->n_tiers > 1 ? p->tiers[1].every_ns : NS_PER_DAY;
}

static bool whole_seconds(int64_t ns)
{
	return ns >= POLICY_WINDOW_MIN_NS && ns <= POLICY_WINDOW_MAX_NS && ns % NS_PER_S == 0;
}

static int window_check(const struct policy *p, struct fault *f)
{
	char window[DURATION_TEXT_MAX], next[DURATION_TEXT_MAX];

	if (whole_seconds(p->window_ns) && next_width(p) % p->window_ns == 0)
		return 0;
	duration_print(p->window_ns, window);
	duration_print(next_width(p), next);
	return fault_set(f, ERR_REFUSED, "window",
			 "window is %s; it must be whole seconds from 1s to 5m that divide %s, the width of "
			 "the next tier: choose such a window, or other tiers in the same request",
			 window, next);
}

static int grace_check(const struct policy *p, struct fault *f)
{
	char grace[DURATION_TEXT_MAX];

	if (p->grace_ns >= 0 && p->grace_ns <= POLICY_GRACE_MAX_NS)
		return 0;
	keep_print(p->grace_ns, grace);
	return fault_set(f, ERR_REFUSED, "grace",
			 "grace is %s; it is at most 1h: what comes later is taken in all the same", grace);
}

static int width_check(const struct policy *p, size_t i, struct fault *f)
{
	int64_t every = p->tiers[i].every_ns, before = i ? p->tiers[i - 1].every_ns : 0;
	char width[DURATION_TEXT_MAX], finer[DURATION_TEXT_MAX];

	duration_print(every, width);
	duration_print(before, finer);
	if (i == 0 && !whole_seconds(every))
		return fault_set(f, ERR_REFUSED, "tiers",
				 "the first of tiers has windows of %s; it must be whole seconds from 1s to "
				 "5m: it stands for windows as they are recorded",
				 width);
	if (every > NS_PER_DAY || NS_PER_DAY % every)
		return fault_set(f, ERR_REFUSED, "tiers",
				 "tiers has windows of %s; each must divide a day, as 5m, 1h and 1d do",
				 width);
	if (i > 0 && (every <= before || every % before))
		return fault_set(f, ERR_REFUSED, "tiers",
				 "tiers has windows of %s after those of %s; each width must be a multiple "
				 "of the one before it: name the finest first",
				 width, finer);
	return 0;
}

static int keep_check(const struct policy *p, size_t i, struct fault *f)
{
	char width[DURATION_TEXT_MAX], keep[DURATION_TEXT_MAX], finer[DURATION_TEXT_MAX];

	if (i == 0 || p->tiers[i].keep_ns >= p->tiers[i - 1].keep_ns)
		return 0;
	duration_print(p->tiers[i].every_ns, width);
	keep_print(p->tiers[i].keep_ns, keep);
	keep_print(p->tiers[i - 1].keep_ns, finer);
	return fault_set(f, ERR_REFUSED, "tiers",
			 "tiers keeps windows of %s for %s and finer ones for %s; wider windows are made of "
			 "the finer, so keep them at least as long",
			 width, keep, finer);
}

static int tiers_check(const struct policy *p, struct fault *f)
{
	int err = 0;

	if (p->n_tiers < 1 || p->n_tiers > POLICY_TIERS_MAX)
		return fault_set(f, ERR_REFUSED, "tiers", "tiers has %zu entries; there are 1 to %d",
				 p->n_tiers, POLICY_TIERS_MAX);
	for (size_t i = 0; i < p->n_tiers && err == 0; i++) {
		err = width_check(p, i, f);
		if (err == 0)
			err = keep_check(p, i, f);
	}
	return err;
}

int policy_check(const struct policy *p, struct fault *f)
{
	int err = tiers_check(p, f);

	if (err == 0)
		err = window_check(p, f);
	return err < 0 ? err : grace_check(p, f);
}

/* ---- changes ---- */

static void take(struct policy *p, unsigned fields, const struct policy *from)
{
	if (fields & POLICY_WINDOW)
		p->window_ns = from->window_ns;
	if (fields & POLICY_GRACE)
		p->grace_ns = from->grace_ns;
	if (fields & POLICY_RAW_KEEP)
		p->raw_keep_ns = from->raw_keep_ns;
	if (fields & POLICY_LOG_KEEP)
		p->log_keep_ns = from->log_keep_ns;
	if (fields & POLICY_TIERS) {
		memcpy(p->tiers, from->tiers, sizeof(p->tiers));
		p->n_tiers = from->n_tiers;
	}
}

struct policy policy_changed(const struct policy *p, const struct policy_change *c)
{
	struct policy changed = *p;

	take(&changed, c->reset, &policy_default);
	take(&changed, c->given, &c->values);
	changed.set = (p->set & ~c->reset) | c->given;
	return changed;
}

struct setting {
	struct store *store;
	const char *project;
	const struct policy_change *change;
};

/* The longest grace is the flusher's; should the commit fail, it is off until the next change. */
static int set_policy(void *arg, struct kv_txn *t, struct buf *outcome, struct fault *f)
{
	const struct setting *s = arg;
	int64_t grace_ns = s->store->options.grace_ns;
	struct policy changed;
	struct project p;
	int err = project_get(t, s->project, &p);

	if (err < 0 && err != ERR_NOT_FOUND)
		return err;
	changed = policy_changed(err == 0 ? &p.policy : &policy_default, s->change);
	if (policy_check(&changed, f) < 0)
		return 0;
	err = project_ensure(t, s->project, clock_now_ns(), &p);
	p.policy = changed;
	if (err == 0)
		err = project_put(t, &p);
	if (err == 0)
		err = projects_grace(t, grace_ns, &grace_ns);
	if (err == 0)
		atomic_store(&s->store->grace_ns, grace_ns);
	return err < 0 ? err : project_encode(&p, outcome);
}

/* Makes a change whose outcome is the project. */
static int change_project(struct store *s, const struct change *c, struct project *ret, bool *ret_replayed,
			  struct fault *f)
{
	struct buf outcome = { 0 };
	int err = change_make(s, c, &outcome, ret_replayed, f);

	if (err == 0)
		err = fault_default(f, project_decode(span_str(c->project), buf_span(&outcome), ret));
	buf_release(&outcome);
	return err;
}

int store_policy_set(struct store *s, const char *project, const struct policy_change *change,
		     const struct once *once, struct project *ret, bool *ret_replayed, struct fault *f)
{
	struct setting setting = { s, project, change };
	const struct change c = { project, once, set_policy, &setting };

	return change_project(s, &c, ret, ret_replayed, f);
}

/* ---- projects ---- */

static int create_project(void *arg, struct kv_txn *t, struct buf *outcome, struct fault *f)
{
	const char *name = arg;
	struct project p;
	int err = project_get(t, name, &p);

	if (err == 0) {
		fault_set(f, ERR_CONFLICT, "name", "project \"%s\" exists; choose another name, or use it",
			  name);
		return 0;
	}
	if (err == ERR_NOT_FOUND)
		err = project_ensure(t, name, clock_now_ns(), &p);
	return err < 0 ? err : project_encode(&p, outcome);
}

int store_project_create(struct store *s, const char *name, const struct once *once, struct project *ret,
			 bool *ret_replayed, struct fault *f)
{
	const struct change c = { name, once, create_project, (void *)(uintptr_t)name };

	return change_project(s, &c, ret, ret_replayed, f);
}

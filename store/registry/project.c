#include "store/registry/project.h"

#include "store/base/bytes.h"

const struct policy policy_default = {
	.window_ns = WINDOW_DEFAULT_NS,
	.grace_ns = 30 * NS_PER_S,
	.raw_keep_ns = 7 * NS_PER_DAY,
	.log_keep_ns = 30 * NS_PER_DAY,
	.tiers = { { 30 * NS_PER_S, 14 * NS_PER_DAY },
		   { 300 * NS_PER_S, 90 * NS_PER_DAY },
		   { 3600 * NS_PER_S, 730 * NS_PER_DAY },
		   { NS_PER_DAY, KEEP_FOREVER } },
	.n_tiers = 4,
};

/* ---- rows ---- */

static int put_i64(struct buf *out, int64_t v)
{
	uint8_t le[8];

	put_le64(le, (uint64_t)v);
	return buf_add(out, le, sizeof(le));
}

static int encode_tiers(const struct policy *p, struct buf *out)
{
	int err = buf_add_varint(out, p->n_tiers);

	for (size_t i = 0; i < p->n_tiers && err == 0; i++) {
		err = put_i64(out, p->tiers[i].every_ns);
		if (err == 0)
			err = put_i64(out, p->tiers[i].keep_ns);
	}
	return err;
}

int project_encode(const struct project *p, struct buf *out)
{
	const struct policy *policy = &p->policy;
	const struct {
		unsigned set;
		int64_t value;
	} times[] = { { POLICY_WINDOW, policy->window_ns },
		      { POLICY_GRACE, policy->grace_ns },
		      { POLICY_RAW_KEEP, policy->raw_keep_ns },
		      { POLICY_LOG_KEEP, policy->log_keep_ns } };
	uint8_t pid[4];
	int err = put_i64(out, p->created_ns);

	put_le32(pid, p->pid);
	if (err == 0)
		err = buf_add(out, pid, sizeof(pid));
	if (err == 0)
		err = buf_add_varint(out, policy->set);
	for (size_t i = 0; i < sizeof(times) / sizeof(*times) && err == 0; i++)
		if (policy->set & times[i].set)
			err = put_i64(out, times[i].value);
	if (err == 0 && policy->set & POLICY_TIERS)
		err = encode_tiers(policy, out);
	return err;
}

static void decode_tiers(struct reader *r, struct policy *p)
{
	uint64_t n = read_varint(r);

	r->bad |= n == 0 || n > POLICY_TIERS_MAX;
	for (size_t i = 0; !r->bad && i < n; i++) {
		p->tiers[i].every_ns = (int64_t)read_le64(r);
		p->tiers[i].keep_ns = (int64_t)read_le64(r);
		r->bad |= p->tiers[i].every_ns <= 0 || p->tiers[i].keep_ns < 0;
	}
	p->n_tiers = n;
}

int project_decode(struct span name, struct span body, struct project *ret)
{
	struct reader r = reader_of(body);
	struct project p = { .policy = policy_default };
	uint64_t set;

	p.created_ns = (int64_t)read_le64(&r);
	p.pid = read_le32(&r);
	set = read_varint(&r);
	if (set & POLICY_WINDOW)
		p.policy.window_ns = (int64_t)read_le64(&r);
	if (set & POLICY_GRACE)
		p.policy.grace_ns = (int64_t)read_le64(&r);
	if (set & POLICY_RAW_KEEP)
		p.policy.raw_keep_ns = (int64_t)read_le64(&r);
	if (set & POLICY_LOG_KEEP)
		p.policy.log_keep_ns = (int64_t)read_le64(&r);
	if (set & POLICY_TIERS)
		decode_tiers(&r, &p.policy);
	if (r.bad || reader_left(&r) || name.len == 0 || name.len > ID_MAX || p.pid == 0 || set > POLICY_ALL)
		return ERR_CORRUPT;
	p.policy.set = (unsigned)set;
	memcpy(p.name, name.data, name.len);
	*ret = p;
	return 0;
}

int project_get(struct kv_txn *t, const char *name, struct project *ret)
{
	struct stored s;
	int err = stored_get(t, KV_PROJECT, KIND_PROJECT, span_str(name), &s);

	return err < 0 ? err : project_decode(span_str(name), s.body, ret);
}

int project_put(struct kv_txn *t, const struct project *p)
{
	struct buf body;
	int err;

	buf_init(&body, 1024);
	err = project_encode(p, &body);
	if (err == 0)
		err = stored_put(t, KV_PROJECT, KIND_PROJECT, span_str(p->name), buf_span(&body));
	buf_release(&body);
	return err;
}

int projects_read(struct kv_txn *t, project_row_fn fn, void *arg)
{
	struct span key, value;
	struct kv_cursor *c;
	int err = kv_cursor_open(t, KV_PROJECT, &c), moved;

	if (err < 0)
		return err;
	for (moved = kv_first(c, &key, &value); moved == 0 && err == 0; moved = kv_next(c, &key, &value)) {
		struct project p;
		struct stored s;

		err = stored_open(key, value, KIND_PROJECT, &s);
		if (err == 0)
			err = project_decode(key, s.body, &p);
		if (err == 0)
			err = fn(arg, &p);
	}
	kv_cursor_close(c);
	return err == 0 && moved < 0 && moved != ERR_NOT_FOUND ? moved : err;
}

static int longest_grace(void *arg, const struct project *p)
{
	int64_t *grace_ns = arg;

	if (p->policy.set & POLICY_GRACE && p->policy.grace_ns > *grace_ns)
		*grace_ns = p->policy.grace_ns;
	return 0;
}

int projects_grace(struct kv_txn *t, int64_t least_ns, int64_t *ret_ns)
{
	int64_t grace_ns = least_ns;
	int err = projects_read(t, longest_grace, &grace_ns);

	if (err == 0)
		*ret_ns = grace_ns;
	return err;
}

static int greatest_pid(void *arg, const struct project *p)
{
	uint32_t *pid = arg;

	*pid = p->pid > *pid ? p->pid : *pid;
	return 0;
}

int project_ensure(struct kv_txn *t, const char *name, int64_t now_ns, struct project *ret)
{
	struct project p = { .created_ns = now_ns, .policy = policy_default };
	int err = project_get(t, name, ret);

	if (err != ERR_NOT_FOUND)
		return err;
	err = projects_read(t, greatest_pid, &p.pid);
	if (err < 0)
		return err;
	p.pid++;
	memcpy(p.name, name, strlen(name) + 1);
	*ret = p;
	return project_put(t, &p);
}

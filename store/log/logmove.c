#include "store/log/logmove.h"

#include <stdlib.h>
#include <unistd.h>

#include "store/base/array.h"
#include "store/base/bytes.h"
#include "store/log/logblock.h"
#include "store/log/logmake.h"
#include "store/log/logs.h"
#include "store/part/parts.h"
#include "store/turn.h"

#define BLOCKS_MAX  4096 /* of one part: what the writer deletes in one turn */
#define BYTES_MAX   ((uint64_t)64 * 1024 * 1024)
#define SNAPSHOT_NS (500 * NS_PER_MS) /* while one is held, freed pages cannot be used again */

/* Blocks of one run that go. */
struct taken {
	uint32_t rid;
	uint64_t first, end;
	size_t blocks;
};

struct move {
	struct store *store;
	uint32_t pid;
	int64_t until_ns;
	uint64_t blocks_max, bytes_max;
	const atomic_bool *stop;
	struct logmaker *maker; /* NULL: they are only counted */
	struct kv_txn *txn;
	int64_t begun_ns; /* the snapshot */
	struct taken *taken;
	size_t n_taken, cap;
	struct log_moved moved;
};

/* ---- blocks ---- */

/* What a value tells of itself.  One that is damaged arrived with what is before it. */
static void look_at(struct span key, struct span value, int64_t before_ns, struct logpart_block *b)
{
	struct logblock_prefix p;
	struct stored s;

	b->bytes = (uint32_t)value.len;
	b->least_ns = b->greatest_ns = b->arrived_ns = before_ns;
	b->levels = (1U << LEVELS) - 1;
	if (stored_open(key, value, KIND_LOG, &s) < 0 || logblock_prefix(s.body, &p) < 0)
		return;
	b->least_ns = p.t_min_ns;
	b->greatest_ns = p.t_max_ns;
	b->arrived_ns = p.latest_ns;
	b->levels = p.levels;
}

static bool has_room(const struct move *m)
{
	return m->moved.blocks < m->blocks_max && m->moved.bytes < m->bytes_max;
}

static int renew(struct move *m)
{
	kv_abort(m->txn);
	m->txn = NULL;
	m->begun_ns = clock_mono_ns();
	return kv_begin(m->store->kv, false, &m->txn);
}

static int take_block(struct move *m, struct taken *run, const struct logpart_block *b, struct span value)
{
	int err = m->maker ? logmake_add(m->maker, b, value) : 0;

	if (err < 0)
		return err;
	run->end = b->first_seq + b->count;
	run->blocks++;
	m->moved.blocks++;
	m->moved.records += b->count;
	m->moved.bytes += value.len;
	return 0;
}

/* Blocks from run->end on, until one does not go (1), or the snapshot is too old (0). */
static int take_blocks(struct move *m, struct taken *run, struct kv_cursor *c)
{
	struct span key, value, next_key, next_value;
	int64_t before_ns = m->until_ns - 1; /* so it is not old before its time */
	int err = 0, moved = logs_seek(c, run->rid, run->end, &key, &value);

	if (moved == 0 && run->blocks == 0)
		run->first = run->end = get_be64(key.data + 4);
	while (moved == 0 && err == 0 && get_be64(key.data + 4) == run->end) {
		struct logpart_block b = { .rid = run->rid, .first_seq = run->end };

		if (m->maker && clock_mono_ns() - m->begun_ns > SNAPSHOT_NS)
			return 0;
		look_at(key, value, before_ns, &b);
		if (b.arrived_ns >= m->until_ns || !has_room(m))
			return 1;
		moved = logs_next(c, run->rid, &next_key, &next_value);
		if (moved == 0)
			b.count = get_be64(next_key.data + 4) - b.first_seq;
		else if (moved == ERR_NOT_FOUND && logs_next_seq(m->txn, run->rid, &b.count) == 0)
			b.count -= b.first_seq;
		else
			return moved;
		err = atomic_load(m->stop) ? ERR_GONE : take_block(m, run, &b, value);
		before_ns = b.arrived_ns;
		key = next_key;
		value = next_value;
	}
	return err < 0 ? err : moved < 0 && moved != ERR_NOT_FOUND ? moved : 1;
}

static int take_run(struct move *m, uint32_t rid)
{
	struct taken run = { .rid = rid };
	int err = 0;

	while (err == 0) {
		struct kv_cursor *c;

		if (clock_mono_ns() - m->begun_ns > SNAPSHOT_NS)
			err = renew(m);
		if (err == 0)
			err = kv_cursor_open(m->txn, KV_LOG, &c);
		if (err < 0)
			return err;
		err = take_blocks(m, &run, c);
		kv_cursor_close(c);
	}
	if (err < 0 || run.blocks == 0)
		return err < 0 ? err : 0;
	if (array_grow(m->taken, m->n_taken, m->cap) < 0)
		return ERR_NOMEM;
	m->taken[m->n_taken++] = run;
	return 0;
}

/* ---- runs ---- */

/* The next run of the project that has a log; *ret 0: no more. */
static int next_run(struct move *m, uint32_t after, uint32_t *ret)
{
	struct span key, value;
	struct kv_cursor *c;
	uint8_t at[4];
	int err = kv_cursor_open(m->txn, KV_LOGSEQ, &c), moved;

	*ret = 0;
	if (err < 0)
		return err;
	put_be32(at, after + 1);
	for (moved = kv_seek(c, span_of(at, 4), &key, &value); moved == 0 && !*ret;
	     moved = *ret ? 0 : kv_next(c, &key, &value)) {
		int64_t window_ns;
		uint32_t pid, rid = key.len == 4 ? get_be32(key.data) : 0;

		if (rid && run_owner(m->txn, rid, &pid, &window_ns) == 0 && pid == m->pid)
			*ret = rid;
	}
	kv_cursor_close(c);
	return moved < 0 && moved != ERR_NOT_FOUND ? moved : 0;
}

static int take_runs(struct move *m)
{
	uint32_t rid = 0;
	int err;

	do {
		err = next_run(m, rid, &rid);
		if (err == 0 && rid)
			err = take_run(m, rid);
	} while (err == 0 && rid && has_room(m));
	return err;
}

/* When the first block arrived that goes; INT64_MAX: none does. */
static int first_arrival(struct move *m, int64_t *ret)
{
	struct kv_cursor *c;
	uint32_t rid = 0;
	int err = kv_cursor_open(m->txn, KV_LOG, &c);

	*ret = INT64_MAX;
	if (err < 0)
		return err;
	do {
		struct logpart_block b;
		struct span key, value;

		err = next_run(m, rid, &rid);
		if (err < 0 || !rid || logs_seek(c, rid, 0, &key, &value) != 0)
			continue;
		look_at(key, value, m->until_ns - 1, &b);
		if (b.arrived_ns < m->until_ns && b.arrived_ns < *ret)
			*ret = b.arrived_ns;
	} while (err == 0 && rid);
	kv_cursor_close(c);
	return err;
}

/* ---- publishing ---- */

struct publishing {
	const struct move *move;
	const struct logpart_row *row;
	bool gone; /* not all of them are there any more: nothing was changed */
};

static int publish(void *arg, struct kv_txn *t)
{
	struct publishing *p = arg;
	const struct move *m = p->move;
	int err = 0;

	p->gone = false;
	for (size_t i = 0; i < m->n_taken && !p->gone; i++) {
		const struct taken *run = &m->taken[i];

		p->gone = !runs_known(&m->store->runs, run->rid) ||
			  !logs_all_there(t, run->rid, run->first, run->end, run->blocks);
	}
	for (size_t i = 0; i < m->n_taken && !p->gone && err == 0; i++) {
		const struct taken *run = &m->taken[i];
		uint64_t sealed;

		err = logs_take_out(t, run->rid, run->first, run->end, run->blocks);
		if (err == 0)
			err = logs_sealed_seq(t, run->rid, &sealed);
		if (err == 0 && sealed < run->end)
			err = logs_put_sealed_seq(t, run->rid, run->end);
	}
	return p->gone || err < 0 ? err : logpart_row_put(t, p->row);
}

static int make_and_publish(struct move *m, struct progress *progress)
{
	const struct logpart_id id = { .pid = m->pid };
	struct logmade made = { 0 };
	struct publishing p = { .move = m, .row = &made.row };
	int err = logmake_begin(m->store, id, progress, &m->maker);

	if (err < 0)
		return err;
	err = take_runs(m);
	if (err < 0) {
		logmake_abandon(m->maker);
		return err;
	}
	err = logmake_end(m->maker, &made);
	if (err == 0)
		err = writer_errand(m->store, publish, &p);
	if (err == 0 && p.gone) {
		parts_remove_log(m->store->parts, &made.row.id);
		err = ERR_GONE;
	}
	m->moved.parts++;
	m->moved.part_bytes += made.row.summary.bytes;
	logmade_release(&made);
	return err;
}

/* ---- the whole ---- */

static void add_moved(struct log_moved *to, const struct log_moved *m)
{
	to->blocks += m->blocks;
	to->records += m->records;
	to->bytes += m->bytes;
	to->parts += m->parts;
	to->part_bytes += m->part_bytes;
}

int logmove_due(struct store *s, uint32_t pid, int64_t until_ns, struct log_moved *ret)
{
	static const atomic_bool never;
	struct move m = { .store = s,
			  .pid = pid,
			  .until_ns = until_ns,
			  .blocks_max = UINT64_MAX,
			  .bytes_max = UINT64_MAX,
			  .stop = &never };
	int err = renew(&m);

	if (err == 0)
		err = take_runs(&m);
	if (err == 0)
		add_moved(ret, &m.moved);
	kv_abort(m.txn);
	free(m.taken);
	return err;
}

static int64_t day_end(int64_t t_ns)
{
	int64_t start = window_start(t_ns, NS_PER_DAY);

	return start > INT64_MAX - NS_PER_DAY ? INT64_MAX : start + NS_PER_DAY;
}

int logmove_some(struct store *s, uint32_t pid, int64_t until_ns, const atomic_bool *stop,
		 struct progress *progress, struct log_moved *ret)
{
	struct move m = { .store = s,
			  .pid = pid,
			  .until_ns = until_ns,
			  .blocks_max = BLOCKS_MAX,
			  .bytes_max = BYTES_MAX,
			  .stop = stop };
	int64_t first_ns;
	int err = renew(&m);

	if (err == 0)
		err = first_arrival(&m, &first_ns);
	if (err == 0 && first_ns == INT64_MAX)
		err = 1;
	if (err == 0) {
		m.until_ns = day_end(first_ns) > until_ns ? until_ns : day_end(first_ns);
		err = make_and_publish(&m, progress);
	}
	if (err == 0)
		add_moved(ret, &m.moved);
	kv_abort(m.txn);
	free(m.taken);
	return err;
}

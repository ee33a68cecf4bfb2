#include "store/log/logmerge.h"

#include "store/part/parts.h"

struct merge {
	struct store *store;
	log_keep_fn keep;
	void *arg;
	const atomic_bool *stop;
	struct logmaker *maker;
	struct source {
		struct logpart *part;
		size_t at, n; /* blocks */
	} sources[LOGMERGE_MOST];
	size_t n;
	struct buf room;
	uint64_t kept; /* records */
};

static int open_sources(struct merge *m, const struct logpart_row *rows, size_t n)
{
	int err = 0;

	for (; m->n < n && err == 0; m->n += err == 0) {
		struct source *s = &m->sources[m->n];

		err = parts_get_log(m->store->parts, &rows[m->n], &s->part);
		if (err == 0)
			s->n = logpart_summary(s->part).blocks;
	}
	return err;
}

static void close_sources(struct merge *m)
{
	for (size_t i = 0; i < m->n; i++)
		parts_put_log(m->store->parts, m->sources[i].part);
}

/* The least run that is not done yet; 0: there is none. */
static uint32_t next_run(const struct merge *m)
{
	uint32_t rid = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct source *s = &m->sources[i];
		uint32_t there = s->at < s->n ? logpart_block(s->part, s->at)->rid : 0;

		if (there && (!rid || there < rid))
			rid = there;
	}
	return rid;
}

/* What a source has of the run. */
static int add_run(struct merge *m, struct source *s, uint32_t rid, bool keep)
{
	int err = 0;

	for (; err == 0 && s->at < s->n; s->at++) {
		const struct logpart_block *b = logpart_block(s->part, s->at);

		if (b->rid != rid)
			break;
		if (!keep)
			continue;
		err = atomic_load(m->stop) ? ERR_GONE : logpart_read(s->part, s->at, &m->room);
		if (err == 0)
			err = logmake_add(m->maker, b, buf_span(&m->room));
		m->kept += b->count;
	}
	return err;
}

static int add_runs(struct merge *m)
{
	uint32_t rid;
	int err = 0;

	while (err == 0 && (rid = next_run(m))) {
		bool keep = m->keep(m->arg, rid);

		for (size_t i = 0; i < m->n && err == 0; i++)
			err = add_run(m, &m->sources[i], rid, keep);
	}
	return err;
}

int log_merge(struct store *s, const struct logpart_row *rows, size_t n, log_keep_fn keep, void *arg,
	      const atomic_bool *stop, struct progress *progress, struct logmade *ret)
{
	const struct logpart_id id = { rows[0].id.pid, rows[0].id.first, rows[n - 1].id.upto, 0 };
	struct merge m = { .store = s, .keep = keep, .arg = arg, .stop = stop };
	int err = open_sources(&m, rows, n);

	*ret = (struct logmade){ 0 };
	buf_init(&m.room, LOGPART_BLOCK_MAX);
	if (err == 0)
		err = logmake_begin(s, id, progress, &m.maker);
	if (err == 0)
		err = add_runs(&m);
	close_sources(&m);
	buf_release(&m.room);
	if (err < 0) {
		logmake_abandon(m.maker);
		return err;
	}
	err = logmake_end(m.maker, ret);
	if (err == 0 && ret->row.summary.records != m.kept)
		err = ERR_CORRUPT;
	return err;
}

#include "query/merged.h"

#include <stdlib.h>

struct merged_row {
	int64_t start_ns;
	struct bucket bucket;
};

struct merge {
	const struct merge_plan *p;
	struct merged_row *rows; /* of the group, by rising start; MERGED_ROWS_MAX */
	size_t n;
	size_t first, group; /* series 0 of the scan in the plan's sids; the group that is read */
	size_t series, at;   /* the row after the last one that this series had */
};

static void rows_release(struct merge *m)
{
	while (m->n > 0)
		bucket_release(&m->rows[--m->n].bucket);
}

/* The place of start_ns at m->at or after; series nearly always have the same windows. */
static size_t row_place(const struct merge *m, int64_t start_ns)
{
	size_t lo = m->at, hi = m->n;

	if (lo < hi && m->rows[lo].start_ns >= start_ns)
		return lo;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->rows[mid].start_ns < start_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int rows_tell(struct merge *m)
{
	const struct scan *s = m->p->scan;
	int err = 0;

	for (size_t i = 0; i < m->n && err == 0; i++)
		err = s->row(s->arg, m->group, m->rows[i].start_ns, &m->rows[i].bucket);
	rows_release(m);
	return err;
}

static int merge_row(void *arg, size_t nth, int64_t start_ns, const struct bucket *b)
{
	struct merge *m = arg;
	struct merged_row row = { .start_ns = start_ns };
	size_t series = m->first + nth, i;
	int err = series < m->p->ends[m->group] ? 0 : rows_tell(m);

	if (err != 0 || !m->p->wanted(m->p->scan->arg, series, start_ns))
		return err;
	while (series >= m->p->ends[m->group])
		m->group++;
	if (series != m->series)
		m->at = 0;
	m->series = series;
	i = row_place(m, start_ns);
	m->at = i + 1;
	if (i < m->n && m->rows[i].start_ns == start_ns)
		return bucket_merge(&m->rows[i].bucket, b);
	if (m->n == MERGED_ROWS_MAX)
		return ERR_FULL;
	err = bucket_copy(&row.bucket, b);
	if (err < 0)
		return err;
	memmove(&m->rows[i + 1], &m->rows[i], (m->n - i) * sizeof *m->rows);
	m->rows[i] = row;
	m->n++;
	return 0;
}

static int merge_pause(void *arg)
{
	const struct merge *m = arg;
	const struct scan *s = m->p->scan;

	return s->pause ? s->pause(s->arg) : 0;
}

/* The series [first, end) and their rows that start in [from, to). */
static int part_run(struct merge *m, size_t first, size_t end, int64_t from_ns, int64_t to_ns,
		    bool *ret_partial)
{
	struct scan s = *m->p->scan;
	int err;

	s.sids += first;
	s.n_sids = end - first;
	s.from_ns = from_ns;
	s.to_ns = to_ns;
	s.row = merge_row;
	s.pause = merge_pause;
	s.arg = m;
	m->first = m->series = first;
	m->at = 0;
	err = scan_run(&s, ret_partial);
	if (err == 0)
		err = rows_tell(m);
	rows_release(m);
	return err;
}

/* One group, in stretches of time that are halved until their rows fit. */
static int group_run(struct merge *m, size_t first, bool *ret_partial)
{
	const struct scan *s = m->p->scan;
	int64_t windows = (s->to_ns - s->from_ns) / s->every_ns;
	int err = 0;

	for (int64_t at = s->from_ns; err == 0 && at < s->to_ns;) {
		int64_t left = (s->to_ns - at) / s->every_ns, n = windows < left ? windows : left;

		err = part_run(m, first, m->p->ends[m->group], at, at + n * s->every_ns, ret_partial);
		if (err == ERR_FULL && n > 1) {
			windows = n / 2;
			err = 0;
			continue;
		}
		at += n * s->every_ns;
		windows = windows > left / 2 ? left : windows * 2;
	}
	return err;
}

int merged_run(const struct merge_plan *p, bool *ret_partial)
{
	const struct scan *s = p->scan;
	struct merge m = { .p = p, .rows = malloc(MERGED_ROWS_MAX * sizeof *m.rows) };
	int err = m.rows ? 0 : ERR_NOMEM;

	if (err == 0 && (s->to_ns - s->from_ns) / s->every_ns <= MERGED_ROWS_MAX)
		err = part_run(&m, 0, s->n_sids, s->from_ns, s->to_ns, ret_partial);
	else
		for (size_t first = 0; err == 0 && first < s->n_sids; first = p->ends[m.group++])
			err = group_run(&m, first, ret_partial);
	if (err == 0 && s->pause)
		err = s->pause(s->arg);
	free(m.rows);
	return err;
}

#include "query/merged.h"

#include <stdlib.h>

struct merged_row {
	int64_t start_ns;
	struct bucket bucket;
};

struct merge {
	const struct scan *s;
	bool (*wanted)(void *arg, size_t series, int64_t start_ns);
	struct merged_row *rows; /* by rising start; MERGED_ROWS_MAX */
	size_t n;
	size_t series, at; /* the row after the last one that this series had */
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

static int merge_row(void *arg, size_t series, int64_t start_ns, const struct bucket *b)
{
	struct merge *m = arg;
	struct merged_row row = { .start_ns = start_ns };
	size_t i;
	int err;

	if (m->wanted && !m->wanted(m->s->arg, series, start_ns))
		return 0;
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

static int rows_tell(struct merge *m)
{
	int err = 0;

	for (size_t i = 0; i < m->n && err == 0; i++)
		err = m->s->row(m->s->arg, 0, m->rows[i].start_ns, &m->rows[i].bucket);
	rows_release(m);
	return err;
}

/* The series' rows that start in [from, to); ERR_FULL: too many. */
static int stretch_run(struct merge *m, int64_t from_ns, int64_t to_ns, bool *ret_partial)
{
	struct scan s = *m->s;
	int err;

	s.from_ns = from_ns;
	s.to_ns = to_ns;
	s.row = merge_row;
	s.pause = NULL;
	s.arg = m;
	m->series = m->at = 0;
	err = scan_run(&s, ret_partial);
	if (err < 0)
		rows_release(m);
	return err;
}

int merged_run(const struct scan *s, bool (*wanted)(void *arg, size_t series, int64_t start_ns),
	       bool *ret_partial)
{
	struct merge m = { .s = s, .wanted = wanted, .rows = malloc(MERGED_ROWS_MAX * sizeof *m.rows) };
	int64_t windows = (s->to_ns - s->from_ns) / s->every_ns;
	int err = m.rows ? 0 : ERR_NOMEM;

	for (int64_t at = s->from_ns; err == 0 && at < s->to_ns;) {
		int64_t left = (s->to_ns - at) / s->every_ns, n = windows < left ? windows : left;

		err = stretch_run(&m, at, at + n * s->every_ns, ret_partial);
		if (err == ERR_FULL && n > 1) {
			windows = n / 2;
			err = 0;
			continue;
		}
		if (err == 0)
			err = rows_tell(&m);
		if (err == 0 && s->pause)
			err = s->pause(s->arg);
		at += n * s->every_ns;
		windows = windows > left / 2 ? left : windows * 2;
	}
	free(m.rows);
	return err;
}
